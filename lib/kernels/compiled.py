"""How the loops of this package are compiled: by Numba, once, kept on disk (``kept.py``).

What was kept is taken as long as this file and ``parts.py``, the file of the compiled function and
those of the compiled functions that it calls are unchanged.

The same numbers come out on every run, bit by bit, as resumed training needs. LLVM guards a
vectorised loop that stores with a look at how far its arrays lie apart, and takes another loop
where they are near, as small arrays are on one run and not on the next. So only ``summing``
functions, which store nothing, may reorder what they do. And exp, log and sqrt are all that is
used of mathematical functions: in code that was kept, expm1 was another than in code just compiled.
"""

import inspect
import sys

from numba import njit, types
from numba.extending import overload

from .kept import KeptFunction, Unkept
from .parts import PartCompiler

OPTIONS = {"error_model": "numpy", "nogil": True}
# A kernel that called functions would do so with their copies in other libraries where it was just
# compiled, and with its own where it was kept. They are optimised once and twice: other numbers.
INLINED = {**OPTIONS, "forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
PART = {**INLINED, "pipeline_class": PartCompiler}
SUMMING = {"fastmath": {"reassoc", "contract"}}


def kernel(function):
    """Compile what Python calls, and keep it on disk where there is a place for it."""
    compiled = njit(**OPTIONS)(function)
    try:
        compiled._cache = KeptFunction(function, shared_sources(function))
    except (RuntimeError, OSError):
        compiled._cache = Unkept(function)
    return compiled


def shared_sources(function):
    """The sources of the files that say how, and of those with compiled functions that it calls."""
    module = sys.modules[function.__module__]
    found, new = {module.__name__}, [module]
    while new:
        names = {
            value.__module__
            for value in vars(new.pop()).values()
            if hasattr(value, "py_func") or hasattr(value, "chosen_by_type")
        }
        new += [sys.modules[name] for name in names - found]
        found |= names
    others = sorted(found - {module.__name__})
    names = (__name__, PartCompiler.__module__, *others)
    return "".join(inspect.getsource(sys.modules[name]) for name in names)


# They can neither print nor put together what an error says: see ``parts.py``.
inlined = njit(**PART)
# Not compiled by itself, which would take as long again, but as a part of what calls it.
pasted = njit(**OPTIONS, inline="always")
# Sums in any order, so that they vectorise; NaN and infinity stay what they are. Optimised by
# themselves before they are inlined, where that makes the kernels a few per cent faster.
summing = njit(**INLINED, **SUMMING)


def by_type(choose):
    """A compiled function that is another one for each type of its arguments.

    ``choose`` is given their types and returns it; what it does not return is not compiled.
    """

    def function(*arguments):
        raise NotImplementedError("for compiled functions to call")

    function.__name__, function.__doc__ = choose.__name__, choose.__doc__
    function.__module__ = choose.__module__
    function.chosen_by_type = choose
    overload(function, jit_options=PART)(choose)
    return function


def is_none(argument):
    """Whether the type of an argument is that of None."""
    return isinstance(argument, types.NoneType)
