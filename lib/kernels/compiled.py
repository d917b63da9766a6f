"""How the loops of this package are compiled: by Numba, once, kept on disk.

Numba takes what it kept as long as the file of the compiled function is unchanged, whatever became
of what it calls, and of this file. So a ``kernel`` calls functions of its own file alone, and
whoever changes an option here must touch the other files.

The same numbers come out on every run, bit by bit, as resumed training needs. LLVM guards a
vectorised loop that stores with a look at how far its arrays lie apart, and takes another loop
where they are near, as small arrays are on one run and not on the next. So only ``summing``
functions, which store nothing, may reorder what they do. And exp, log and sqrt are all that is
used of mathematical functions: in code that was kept, expm1 was another than in code just compiled.
"""

from numba import njit

OPTIONS = {"error_model": "numpy", "nogil": True}


def kernel(function):
    """Compile what Python calls, and keep it on disk where there is a place for it."""
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # no folder that could be written
        return njit(**OPTIONS)(function)


inlined = njit(**OPTIONS)
# Sums in any order, so that they vectorise; NaN and infinity stay what they are.
summing = njit(fastmath={"reassoc", "contract"}, **OPTIONS)
