"""How the loops of this package are compiled: by Numba, once, kept on disk (``kept.py``).

What was kept is taken as long as this file and that of the compiled function are unchanged,
whatever became of what it calls. So a ``kernel`` calls functions of its own file alone.

The same numbers come out on every run, bit by bit, as resumed training needs. LLVM guards a
vectorised loop that stores with a look at how far its arrays lie apart, and takes another loop
where they are near, as small arrays are on one run and not on the next. So only ``summing``
functions, which store nothing, may reorder what they do. And exp, log and sqrt are all that is
used of mathematical functions: in code that was kept, expm1 was another than in code just compiled.
"""

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
        compiled._cache = KeptFunction(function, ALSO)
    except (RuntimeError, OSError):
        compiled._cache = Unkept()
    return compiled


inlined = njit(**OPTIONS)
# Sums in any order, so that they vectorise; NaN and infinity stay what they are.
summing = njit(**OPTIONS, **SUMMING)
