"""How the loops of this package are compiled: by Numba, once, kept on disk.

Numba takes what it kept as long as the file of the compiled function is unchanged, whatever became
of what it calls, and of this file. So a ``kernel`` calls ``inlined`` functions of its own
file alone, and whoever changes an option here must touch the other files.

Of the mathematical functions the loops use exp, log and sqrt alone: in code that was kept Numba may
take another expm1 than in code just compiled, and a resumed run is to be that of an unbroken one.
"""

from numba import njit

# Sums may be reordered, so that they vectorise; NaN and infinity stay what they are.
FAST = {"reassoc", "contract", "arcp", "nsz"}
OPTIONS = {"error_model": "numpy", "nogil": True}


def kept(function, **options):
    """Compile a function, and keep the result on disk where there is a place for it."""
    try:
        return njit(cache=True, **OPTIONS, **options)(function)
    except RuntimeError:  # no folder that could be written
        return njit(**OPTIONS, **options)(function)


def kernel(function):
    """Compile what Python calls."""
    return kept(function, fastmath=FAST)


def exact(function):
    """Compile what Python calls, each operation rounded as written."""
    return kept(function)


inlined = njit(**OPTIONS, fastmath=FAST)
# For products that overflow unless they are taken in the order written, and for 1/√x, which would
# else be approximated.
in_order = njit(**OPTIONS, fastmath={"contract"})
