"""The parameters with which training starts well; no equation depends on them."""

import math
from typing import NamedTuple

import chainer
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
    return recall_bias(sizes, gates=2)


def recall_bias(sizes, gates):
    """The bias of :func:`initial_bias` with write and allocation gates open at σ(gates)."""
    Y, N, W, R = sizes[:4]
    at = interface.layout(W, R)
    bias = np.zeros(interface.size(W, R))
    bias[at.read_strengths] = bias[at.write_strength] = math.log(N) + 2.5
    bias[at.write_gate] = bias[at.allocation_gate] = gates
    bias[at.free_gates] = -2
    return np.append(np.zeros(Y), bias)


def accumulate_bias(sizes):
    """A bias under which all rows stay alike, all reads are even, and what is written adds up.

    A sharp read would give a mean, and the controller would have to count. The erase gate is shut:
    at σ(−5) the memory would lose 0.7% over 200 steps. So is the allocation gate, since a row that
    is written alone is no longer like the others.
    """
    Y, _, W, R = sizes[:4]
    at, bias = interface.layout(W, R), np.zeros(interface.size(W, R))
    bias[at.write_gate], bias[at.free_gates] = 2, -5
    bias[at.erase], bias[at.allocation_gate] = -12, -15
    bias[at.read_strengths] = bias[at.write_strength] = -3
    return np.append(np.zeros(Y), bias)


def mixed_bias(sizes):
    """A bias for both: half of the read heads look up sharply, the others read all rows evenly.

    Half of what is written goes to a fresh row, half to where it is looked up; nothing is erased.
    """
    Y, _, W, R = sizes[:4]
    bias, at = recall_bias(sizes, gates=8), interface.layout(W, R)
    xi = bias[Y:]
    xi[at.read_strengths][: R // 2] = -3
    xi[at.allocation_gate], xi[at.erase] = 0, -9
    return bias


class Start(NamedTuple):
    """What the recipe of the program has beside a memory that starts in one of these ways."""

    forget_bias: float  # of the controller
    past_decay: float  # of the weights by which the controller sees its own past


STARTS = {
    "recall": Start(forget_bias=-2.0, past_decay=0.0),
    "mixed": Start(forget_bias=-2.0, past_decay=0.0),
    "accumulate": Start(forget_bias=-5.0, past_decay=300.0),
}


def initialize(model, memory=None, input_scale=None, forget_bias=None):
    """Set what training starts with, in a new model or in one whose parameters were drawn anew.

    Programs that draw all parameters anew (Chainer's PTB example does) wipe the biases with which
    a new model starts, and learning may then depend on the seed: call this afterwards.

    Args:
        model (DNC): changed in place. What is random comes from ``numpy.random``, as it does for
            Chainer's initialisers.
        memory (str): None, as a new model has it: the bias of ``controller.linear`` is set. Or what
            the recipe of the program starts from: "recall", the same with gates that are wide open,
            for what must be kept apart; "accumulate", for what must be added up, where the
            controller also starts without a view of its past, and what is written and read with
            larger weights; or "mixed", half of the read heads for each.
        input_scale (float): the columns of the controller's weights that see the input start with a
            standard deviation of input_scale / √X. Chainer's scale them for all of [x ; r], of
            which the input may be a small part. None: as they are.
        forget_bias (float): bias of the controller's forget gates; Chainer's is 1. None: as it is.

    Raises:
        ValueError: there is no such memory, or the width of the input is not known yet.
    """
    if memory not in (None, *STARTS):
        raise ValueError(f"memory must be None or one of {', '.join(STARTS)}, got {memory!r}")
    with chainer.using_device(model.device):
        _start_memory(model, memory)
    start_controller(model.controller.lstm, model.X, input_scale, forget_bias)


def _start_memory(model, memory):
    bias = model.controller.linear.b
    if memory == "accumulate":
        _set(bias, accumulate_bias(model.sizes))
        _start_accumulating(model)
    elif memory == "mixed":
        _set(bias, mixed_bias(model.sizes))
        _draw(model.read_out.W, 64, (slice(None), slice(model.sizes.R // 2 * model.sizes.W)))
    else:
        _set(bias, recall_bias(model.sizes, gates=8) if memory else initial_bias(model.sizes))


def _start_accumulating(model):
    """Each of N rows gets 1/N of what is written, and the controller needs no past of its own."""
    lstm, sizes = model.controller.lstm, model.sizes
    vector = interface.layout(sizes.W, sizes.R).write_vector
    _draw(model.controller.linear.W, 8, slice(sizes.Y + vector.start, sizes.Y + vector.stop))
    _draw(model.read_out.W, 32)
    _know_width(lstm)
    lstm.upward.W.array[:, model.X :] = 0
    lstm.lateral.W.array[...] = 0


def start_controller(lstm, X, input_scale=None, forget_bias=None):
    """Set how an LSTM starts, the first X columns of whose weights see the input."""
    if input_scale is None and forget_bias is None:
        return
    _know_width(lstm)
    with chainer.using_device(lstm.upward.W.device):
        if input_scale is not None:
            _draw(lstm.upward.W, input_scale, (slice(None), slice(X)))
        if forget_bias is not None:
            lstm.upward.b.array[2::4] = forget_bias  # unit by unit (a, i, f, o)


def _know_width(lstm):
    if lstm.upward.W.array is None:
        raise ValueError("the model must have seen an input, or been given X, before it is started")


def _draw(W, scale, part=slice(None)):
    """Draw a part of weights anew, with a standard deviation of scale / √I; I are its columns."""
    array = W.array[part]
    drawn = np.random.normal(0, scale / math.sqrt(array.shape[1]), array.shape)
    array[...] = W.xp.asarray(drawn.astype(W.dtype))


def _set(b, values):
    b.array[...] = b.xp.asarray(values.astype(b.dtype))
