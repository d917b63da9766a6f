"""The parameters with which training starts well; no equation depends on them."""

import math

import numpy as np

from .memory import interface


def initial_bias(sizes):
    """Bias of [ν ; ξ] with which a new model starts: a memory that is used from the first step on.

    The paper leaves it open. Zeros would make every look-up an average over all of a large memory,
    from which little is learnt. Here a perfect match outweighs N unlike locations twelvefold
    (β = ln N + 2.5), and write and allocation gates are open and free gates shut at about 0.88.

    Args:
        sizes: Y, N, W, R, … of a DNC.
    """
    Y, N, W, R = sizes[:4]
    at = interface.layout(W, R)
    bias = np.zeros(interface.size(W, R))
    bias[at.read_strengths] = bias[at.write_strength] = math.log(N) + 2.5
    bias[at.write_gate] = bias[at.allocation_gate] = 2
    bias[at.free_gates] = -2
    return np.append(np.zeros(Y), bias)


def recall(model):
    """Start with a memory that keeps what it is given apart: fresh rows, sharp look-up."""
    _set(model.controller.linear.b, initial_bias(model.sizes))


def accumulate(model):
    """Start with a memory that adds up what it is given: all rows stay alike, all reads are even.

    A sharp read would give a mean, and the controller would have to count. What is written starts
    eight times larger and what is read counts 32 times as much, since each row gets 1/N of it. The
    erase gate is all but shut: at −5 the memory would lose 0.7% over 200 steps.
    """
    Y, N, W, R = model.sizes[:4]
    at, bias = interface.layout(W, R), np.zeros(interface.size(W, R))
    bias[at.allocation_gate] = bias[at.free_gates] = -5
    bias[at.write_gate], bias[at.erase] = 2, -9
    bias[at.read_strengths] = bias[at.write_strength] = -3
    _set(model.controller.linear.b, np.append(np.zeros(Y), bias))
    _draw(model.controller.linear.W, 8, slice(Y + at.write_vector.start, Y + at.write_vector.stop))
    _draw(model.read_out.W, 32)


MEMORIES = {"recall": recall, "accumulate": accumulate}


def initialize(model, memory="recall", input_scale=None, forget_bias=None):
    """Set what training starts with, in a new model or in one whose parameters were drawn anew.

    Programs that draw all parameters anew (Chainer's PTB example does) wipe the biases with which
    a new model starts, and learning may then depend on the seed: call this afterwards.

    Args:
        model (DNC): changed in place. What is random comes from ``numpy.random``, as it does for
            Chainer's initialisers.
        memory (str): "recall", what a new model has: rows are kept apart and looked up (sets the
            bias of ``controller.linear``); or "accumulate": what is written adds up (draws weights
            of the write vector and of ``read_out`` too).
        input_scale (float): the columns of the controller's weights that see the input start with a
            standard deviation of input_scale / √X. Chainer's scale them for all of [x ; r], of
            which the input may be a small part. None: as they are.
        forget_bias (float): bias of the controller's forget gates; Chainer's is 1. None: as it is.

    Raises:
        ValueError: there is no such memory, or the width of the input is not known yet.
    """
    if memory not in MEMORIES:
        raise ValueError(f"memory must be one of {', '.join(MEMORIES)}, got {memory!r}")
    MEMORIES[memory](model)
    start_controller(model.controller.lstm, model.X, input_scale, forget_bias)


def start_controller(lstm, X, input_scale=None, forget_bias=None):
    """Set how an LSTM starts, the first X columns of whose weights see the input."""
    if (input_scale is not None or forget_bias is not None) and lstm.upward.W.array is None:
        raise ValueError("the model must have seen an input, or been given X, before it is started")
    if input_scale is not None:
        _draw(lstm.upward.W, input_scale, (slice(None), slice(X)))
    if forget_bias is not None:
        lstm.upward.b.array[2::4] = forget_bias  # unit by unit (a, i, f, o)


def _draw(W, scale, part=slice(None)):
    """Draw a part of weights anew, with a standard deviation of scale / √I; I are its columns."""
    array = W.array[part]
    drawn = np.random.normal(0, scale / math.sqrt(array.shape[1]), array.shape)
    array[...] = W.xp.asarray(drawn.astype(W.dtype))


def _set(b, values):
    b.array[...] = b.xp.asarray(values.astype(b.dtype))
