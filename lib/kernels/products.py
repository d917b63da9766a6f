"""The gradients of the weights: products over all steps of a sequence."""

import numpy as np

from ..arrays import is_numpy
from .backends import use_compiled

# Multiplications that take as long as it takes to hand some of them to another thread, and longer.
WORK_WORTH_THREADS = 30_000_000


def gradients_of_weights(pairs):
    """[gᵀ x for g, x in pairs], of rows (·, O) and (·, I): products over all steps.

    On a CPU threads share them where that is worth it, each product whole, so that the numbers do
    not depend on it.
    """
    work = sum(g.size * x.shape[1] for g, x in pairs)
    if work < WORK_WORTH_THREADS or not (is_numpy(pairs[0][0]) and use_compiled()):
        return [g.T @ x for g, x in pairs]
    from .threads import most, share

    products, settings = [None] * len(pairs), np.geterr()

    def multiply(k):
        g, x = pairs[k]
        with np.errstate(**settings):  # which every thread has of its own
            products[k] = g.T @ x

    share(list(range(len(pairs))), multiply, most())
    return products
