"""The LSTM cell of the controller, in the gate layout of ``chainer.links.LSTM``."""

from typing import Any, NamedTuple

from ..arrays import constant, module_of


class CellTrace(NamedTuple):
    """What the gradient of one step needs."""

    gates: Any  # activated a, i, f, o (B, H, 4)
    before: Any  # c_{t-1} (B, H)
    squashed: Any  # tanh(c_t) (B, H)


def cell(c, z):
    """c_t = a i + f c_{t-1} and h_t = o tanh(c_t).

    Args:
        c: c_{t-1} (B, H).
        z: the gates before activation (B, 4H), unit by unit (a, i, f, o), as Chainer has them.

    Returns:
        c_t and h_t (B, H), and a :class:`CellTrace`.
    """
    xp = module_of(z)
    # a = tanh(z), the others σ(z) = (1 + tanh(z/2)) / 2: one tanh for all four.
    scale = constant(z, 1, 0.5, 0.5, 0.5)
    gates = xp.tanh(z.reshape(*c.shape, 4) * scale)
    gates *= scale
    gates += 1 - scale
    a, i, f, o = (gates[:, :, g] for g in range(4))
    new = a * i + f * c
    squashed = xp.tanh(new)
    return new, o * squashed, CellTrace(gates, c, squashed)


def cell_backward(trace, g_c, g_h):
    """Gradients of c_{t-1} (B, H) and of z (B, 4H), from those of c_t and h_t."""
    a, i, f, o = (trace.gates[:, :, g] for g in range(4))
    g_new = g_c + g_h * o * (1 - trace.squashed**2)
    g_z = module_of(g_c).empty_like(trace.gates)
    g_z[:, :, 0] = g_new * i * (1 - a**2)
    g_z[:, :, 1] = g_new * a * i * (1 - i)
    g_z[:, :, 2] = g_new * trace.before * f * (1 - f)
    g_z[:, :, 3] = g_h * trace.squashed * o * (1 - o)
    return g_new * f, g_z.reshape(len(g_z), -1)
