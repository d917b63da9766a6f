"""The parameters with which training starts well; no equation depends on them."""

import numpy as np

from .memory import interface


def initial_bias(sizes):
    """Bias of [ν ; ξ] with which training starts: a memory that is used from the first step on.

    The paper leaves it open. Zeros would make every look-up an average over all of a large memory,
    from which little is learnt. Here a perfect match outweighs N unlike locations twelvefold
    (β = ln N + 2.5), and write and allocation gates are open and free gates shut at about 0.88.

    Args:
        sizes: Y, N, W, R, … of a DNC.
    """
    Y, N, W, R = sizes[:4]
    at = interface.layout(W, R)
    bias = np.zeros(interface.size(W, R))
    bias[at.read_strengths] = bias[at.write_strength] = np.log(N) + 2.5
    bias[at.write_gate] = bias[at.allocation_gate] = 2
    bias[at.free_gates] = -2
    return np.append(np.zeros(Y), bias)


def initialize(model):
    """Set what a new :class:`DNC` starts with beyond random weights: the biases of its interface.

    For programs that draw all parameters anew, and with them these (Chainer's PTB example does):
    call it afterwards. Without them learning may depend on the seed.

    Args:
        model (DNC): changed in place: the bias of ``controller.linear``, and nothing else.
    """
    model.controller.linear.b.array[...] = model.xp.asarray(initial_bias(model.sizes))
