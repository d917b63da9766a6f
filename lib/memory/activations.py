"""The squashing functions and their derivatives, each from its own output."""

import numpy as np

from ..arrays import fused


@fused("T x", "T y", "y = tanh(x * (T)0.5) * (T)0.5 + (T)0.5")
def sigmoid(x):
    """σ(x), through tanh as Chainer does: no overflow, exactly 0 and 1 where it saturates."""
    return np.tanh(x * 0.5) * 0.5 + 0.5


@fused("T y, T gy", "T gx", "gx = gy * y * (1 - y)")
def sigmoid_backward(y, gy):
    """Gradient of x where y = σ(x)."""
    return gy * y * (1 - y)


@fused("T x", "T y", "y = 1 + max(x, (T)0) + log1p(exp(-fabs(x)))")
def oneplus(x):
    """1 + log(1 + e^x), at least 1 (Methods, 'Interface parameters')."""
    return np.logaddexp(x, x.dtype.type(0)) + 1


@fused("T y, T gy", "T gx", "gx = -gy * expm1(1 - y)")
def oneplus_backward(y, gy):
    """Gradient of x where y = oneplus(x): the derivative is σ(x) = 1 - e^(1 - y)."""
    return -gy * np.expm1(1 - y)


def softmax(x):
    """Softmax over the last axis."""
    y = exp_of_difference(x, x.max(axis=-1, keepdims=True))
    y /= y.sum(axis=-1, keepdims=True)
    return y


@fused("T x, T y", "T z", "z = exp(x - y)")
def exp_of_difference(x, y):
    """Return e^(x - y)."""
    return np.exp(x - y)


def softmax_backward(y, gy):
    """Gradient of x where y = softmax(x)."""
    gx = y * gy
    return subtract_product(gx, y, gx.sum(axis=-1, keepdims=True))


@fused("T x, T y, T z", "T difference", "difference = x - y * z")
def subtract_product(x, y, z):
    """Return x - y z. Overwrites ``x``, where NumPy does it."""
    x -= y * z
    return x
