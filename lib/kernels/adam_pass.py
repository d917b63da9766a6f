"""Adam in one pass over each parameter, compiled by Numba: Chainer's numbers, bit by bit."""

import math

from .compiled import kernel


@kernel
def update(parameter, gradient, m, v, alpha_t, rate1, rate2, eps, keep, eta):
    """Update parameter, m and v, all (size,), in place.

    Args:
        parameter: θ.
        gradient: of θ.
        m: running mean of the gradient.
        v: running mean of its square.
        alpha_t: the step size, corrected for the bias of m and v.
        rate1: 1 - β1.
        rate2: 1 - β2.
        eps: ε.
        keep: what weight decay leaves of the parameter, 1 - η · rate.
        eta: η, the schedule multiplier.
    """
    for i in range(parameter.size):
        g = gradient[i]
        m[i] += rate1 * (g - m[i])
        v[i] += rate2 * (g * g - v[i])
        step = alpha_t / (math.sqrt(v[i]) + eps)
        parameter[i] = parameter[i] * keep - eta * (step * m[i])


@kernel
def approach(mean, weight, rate):
    """Move a mean (size,) towards the weights (size,) in place, by ``rate`` of the way."""
    for i in range(mean.size):
        mean[i] += rate * (weight[i] - mean[i])
