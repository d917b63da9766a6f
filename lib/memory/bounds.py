"""What keeps the controller within the range it was trained in: two options, off in the paper.

B batch, H controller units, R read heads, W word width.
"""

from typing import Any, NamedTuple

import numpy as np

from ..arrays import is_numpy, module_of, of_squares


class Options(NamedTuple):
    """See :class:`..link.DNC`."""

    cell_clip: Any = None
    bounded_reads: bool = False


def clip(c, limit):
    """The cell state (B, H) within ±limit, and where its gradient passes: None where it all does.

    The limit itself passes, as in ``chainer.functions.clip``.
    """
    if limit is None:
        return c, None
    return module_of(c).clip(c, -limit, limit), abs(c) <= limit


def clip_backward(inside, g_c):
    """Gradient of the cell state (B, H) from that of the clipped one."""
    return g_c if inside is None else g_c * inside


def feed(reads, bounded):
    """What the controller is fed of the read vectors r (…, R·W): r / √(1 + |r|²), or r itself."""
    return reads * feed_scale(reads) if bounded else reads


def feed_backward(reads, g_fed, bounded):
    """Gradient of the read vectors (B, R·W) from that of what was fed."""
    if not bounded:
        return g_fed
    scale = feed_scale(reads)
    fed = reads * scale
    return scale * (g_fed - fed * (fed * g_fed).sum(axis=-1, keepdims=True))


def feed_scale(reads):
    """1 / √(1 + |r|²) (…, 1): the length of what is fed rises with |r|, and stays below 1."""
    if not is_numpy(reads):
        return of_squares(reads, "y = 1 / sqrt(1 + a)", keepdims=True)
    with np.errstate(over="ignore"):
        scales = 1 / np.sqrt(1 + np.square(reads).sum(axis=-1, keepdims=True))
    if scales.all():
        return scales
    # In float64, which takes longer, the square of no float32 overflows.
    squared = np.square(reads, dtype=np.float64).sum(axis=-1, keepdims=True)
    return np.where(scales == 0, (1 / np.sqrt(1 + squared)).astype(reads.dtype), scales)
