"""How the loops of this package are compiled: by Numba, once, kept on disk.

Numba takes what it kept as long as the file of the compiled function is unchanged, whatever became
of the functions that it calls. So a ``kernel`` calls ``inlined`` functions of its own file alone.
"""

from numba import njit

# Sums may be reordered, so that they vectorise; NaN and infinity stay what they are.
_OPTIONS = {
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
    "error_model": "numpy",
    "nogil": True,
}

kernel = njit(cache=True, **_OPTIONS)
inlined = njit(**_OPTIONS)
# For products that overflow unless they are taken in the order written.
in_order = njit(**{**_OPTIONS, "fastmath": {"contract"}})
