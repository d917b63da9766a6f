"""The squashing functions and their derivatives, each from its own output."""

from ..arrays import module_of


def sigmoid(x):
    """σ(x), through tanh as Chainer does: no overflow, exactly 0 and 1 where it saturates."""
    return module_of(x).tanh(x * 0.5) * 0.5 + 0.5


def sigmoid_backward(y, gy):
    """Gradient of x where y = σ(x)."""
    return gy * y * (1 - y)


def oneplus(x):
    """1 + log(1 + e^x), at least 1 (Methods, 'Interface parameters')."""
    return module_of(x).logaddexp(x, x.dtype.type(0)) + 1


def oneplus_backward(y, gy):
    """Gradient of x where y = oneplus(x): the derivative is σ(x) = 1 - e^(1 - y)."""
    return -gy * module_of(y).expm1(1 - y)


def softmax(x):
    """Softmax over the last axis."""
    y = module_of(x).exp(x - x.max(axis=-1, keepdims=True))
    y /= y.sum(axis=-1, keepdims=True)
    return y


def softmax_backward(y, gy):
    """Gradient of x where y = softmax(x)."""
    gx = y * gy
    gx -= y * gx.sum(axis=-1, keepdims=True)
    return gx
