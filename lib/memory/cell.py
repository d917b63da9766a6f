"""The LSTM cell of the controller, in the gate layout of ``chainer.links.LSTM``."""

from typing import Any, NamedTuple

import numpy as np

from ..arrays import fused, module_of


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
    gates = activate(z.reshape(*c.shape, 4))
    new, squashed, h = advance(*(gates[:, :, g] for g in range(4)), c)
    return new, h, CellTrace(gates, c, squashed)


@fused("T z", "T gate", "T s = i % 4 ? 0.5 : 1; gate = tanh(z * s) * s + (1 - s)")
def activate(z):
    """The gates (B, H, 4): a = tanh(z), the others σ(z) = (1 + tanh(z/2)) / 2."""
    scale = np.array([1, 0.5, 0.5, 0.5], z.dtype)  # one tanh for all four
    gates = np.tanh(z * scale)
    gates *= scale
    gates += 1 - scale
    return gates


@fused(
    "T a, T in, T f, T o, T c",
    "T next, T squashed, T h",
    "next = a * in + f * c; squashed = tanh(next); h = o * squashed",
)
def advance(a, i, f, o, c):
    """c_t, tanh(c_t) and h_t, all (B, H)."""
    new = a * i + f * c
    squashed = np.tanh(new)
    return new, squashed, o * squashed


def cell_backward(trace, g_c, g_h):
    """Gradients of c_{t-1} (B, H) and of z (B, 4H), from those of c_t and h_t."""
    g_z, g_before = module_of(g_c).empty_like(trace.gates), module_of(g_c).empty_like(g_c)
    gates, g_gates = ([x[:, :, g] for g in range(4)] for x in (trace.gates, g_z))
    differentiate(*gates, trace.before, trace.squashed, g_c, g_h, g_before, *g_gates)
    return g_before, g_z.reshape(len(g_z), -1)


@fused(
    "T a, T in, T f, T o, T before, T squashed, T g_c, T g_h",
    "T g_before, T g_a, T g_i, T g_f, T g_o",
    """T g_new = g_c + g_h * o * (1 - squashed * squashed);
       g_a = g_new * in * (1 - a * a);
       g_i = g_new * a * in * (1 - in);
       g_f = g_new * before * f * (1 - f);
       g_o = g_h * squashed * o * (1 - o);
       g_before = g_new * f""",
)
def differentiate(a, i, f, o, before, squashed, g_c, g_h, g_before, g_a, g_i, g_f, g_o):
    """Fill the gradients of c_{t-1} and of the gates before activation, all (B, H)."""
    g_new = g_c + g_h * o * (1 - squashed**2)
    g_a[...] = g_new * i * (1 - a**2)
    g_i[...] = g_new * a * i * (1 - i)
    g_f[...] = g_new * before * f * (1 - f)
    g_o[...] = g_h * squashed * o * (1 - o)
    g_before[...] = g_new * f
