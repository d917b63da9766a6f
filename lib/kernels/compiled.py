"""How the loops of this package are compiled: by Numba, once, kept on disk (``kept.py``).

What was kept is taken as long as the options here, the file of the compiled function and those of
the compiled functions it calls are unchanged. These last are looked for one file deep.

The same numbers come out on every run, bit by bit, as resumed training needs. LLVM guards a
vectorised loop that stores with a look at how far its arrays lie apart, and takes another loop
where they are near, as small arrays are on one run and not on the next. So only ``summing``
functions, which store nothing, may reorder what they do. And exp, log and sqrt are all that is
used of mathematical functions: in code that was kept, expm1 was another than in code just compiled.
"""

import inspect
import sys

from numba import njit

from .kept import KeptFunction, Unkept

OPTIONS = {"error_model": "numpy", "nogil": True}
SUMMING = {"fastmath": {"reassoc", "contract"}}
# Sets in the order of their names: that of their elements differs from run to run.
ALSO = str([OPTIONS, sorted(SUMMING["fastmath"])])


def kernel(function):
    """Compile what Python calls, and keep it on disk where there is a place for it."""
    compiled = njit(**OPTIONS)(function)
    try:
        compiled._cache = KeptFunction(function, ALSO + shared_sources(function))
    except (RuntimeError, OSError):
        compiled._cache = Unkept()
    return compiled


def shared_sources(function):
    """The sources of other files from which a function has compiled ones to call."""
    names = {
        value.__module__ for value in function.__globals__.values() if hasattr(value, "py_func")
    }
    others = sorted(names - {function.__module__})
    return "".join(inspect.getsource(sys.modules[name]) for name in others)


inlined = njit(**OPTIONS)
# Sums in any order, so that they vectorise; NaN and infinity stay what they are.
summing = njit(**OPTIONS, **SUMMING)
