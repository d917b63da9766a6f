"""The parameters with which training starts well; no equation depends on them."""

import math
from typing import NamedTuple

import chainer
import numpy as np
from chainer.backends import cuda

from .memory import cell, interface


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


def select_bias(sizes, key):
    """A bias under which rows are taken one after the other: those like a key (W,) first.

    All look-ups are by that key, and where they find something its opposite is written over it,
    which is not found again. So while nothing comes in; see :func:`_start_selecting`.
    """
    Y, _, W, R = sizes[:4]
    at, bias = interface.layout(W, R), np.zeros(interface.size(W, R))
    bias[at.read_keys], bias[at.write_key] = np.tile(key, R), key
    bias[at.read_strengths] = bias[at.write_strength] = 10
    bias[at.write_vector] = -key
    bias[at.write_gate] = bias[at.erase] = 3
    bias[at.free_gates] = bias[at.allocation_gate] = -3
    bias[at.read_modes] = np.tile([0, 2, 0], R)
    return np.append(np.zeros(Y), bias)


class Start(NamedTuple):
    """What the recipe of the program has beside a memory that starts in one of these ways."""

    forget_bias: float  # of the controller
    past_decay: float  # of the weights by which the controller sees its own past


STARTS = {
    "recall": Start(forget_bias=-2.0, past_decay=0.0),
    "mixed": Start(forget_bias=-2.0, past_decay=0.0),
    "accumulate": Start(forget_bias=-5.0, past_decay=300.0),
    "select": Start(forget_bias=-8.0, past_decay=0.0),
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
            larger weights; "mixed", half of the read heads for each; or "select", for what must be
            taken in another order than it came: what comes in goes to fresh rows, and while nothing
            does, the row most like one key is read, and overwritten.
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
    if memory == "select":  # which goes by what the controller then makes of an input
        with chainer.using_device(model.device):
            _start_selecting(model)


def _start_memory(model, memory):
    bias = model.controller.linear.b
    if memory == "accumulate":
        _set(bias, accumulate_bias(model.sizes))
        _start_accumulating(model)
    elif memory == "mixed":
        _set(bias, mixed_bias(model.sizes))
        _draw(model.read_out.W, 64, (slice(None), slice(model.sizes.R // 2 * model.sizes.W)))
    elif memory != "select":
        _set(bias, recall_bias(model.sizes, gates=8) if memory else initial_bias(model.sizes))


def _start_accumulating(model):
    """Each of N rows gets 1/N of what is written, and the controller needs no past of its own."""
    _draw_image(model, 8)
    _draw(model.read_out.W, 32)
    _hide_past(model.controller.lstm, model.X)


def _start_selecting(model):
    """What comes in opens the allocation gate, and is written as an image of it with the key."""
    lstm, linear, sizes = model.controller.lstm, model.controller.linear, model.sizes
    at, xp = interface.layout(sizes.W, sizes.R), model.xp
    _hide_past(lstm, model.X)
    # So that something can be learnt of what to do while nothing comes in, too.
    gates = np.random.normal(0, 1.5, (sizes.H, 3))  # a, i and o
    lstm.upward.b.array.reshape(sizes.H, 4)[:, [0, 1, 3]] = xp.asarray(gates)
    key = np.random.normal(0, 1, sizes.W)
    key /= np.linalg.norm(key)
    present, nothing = presence(lstm, model.X)
    bias, weights = select_bias(sizes, key), linear.W.array[sizes.Y :]
    for part in (*at[:4], at.allocation_gate):  # keys and strengths, and the gate
        weights[part] = 0
    _draw_image(model, 1)
    for part, change in ((at.allocation_gate, np.array([6.0])), (at.write_vector, 2 * key)):
        weights[part] += xp.asarray(np.outer(change, present).astype(linear.W.dtype))
        bias[sizes.Y :][part] -= change * nothing
    _set(linear.b, bias)


def presence(lstm, X):
    """What tells from the output h of the controller whether anything comes in.

    Least squares, slightly regularised, over inputs of any number of columns other than 0: these
    are ones, or between -1 and 1. The state before is zero.

    Returns:
        Weights (H,), and their product with h where nothing comes in; else it is larger by 1.
    """
    W, b = (cuda.to_cpu(each.array).astype(np.float64) for each in (lstm.upward.W, lstm.upward.b))
    x = np.random.uniform(-1, 1, (4000, X))
    x[np.random.uniform(size=x.shape) < 0.5] = 1
    x[np.random.uniform(size=x.shape) < np.random.uniform(size=(4000, 1))] = 0
    x = np.vstack([np.zeros((1, X)), x[x.any(axis=1)]])
    _, h, _ = cell.cell(np.zeros((len(x), len(b) // 4)), x @ W[:, :X].T + b)
    nothing, change = h[0], h[1:] - h[0]
    square = change.T @ change
    small = 1e-3 * np.trace(square) / len(square) + 1e-30  # above 0 where nothing changes
    weights = np.linalg.solve(square + small * np.eye(len(square)), change.sum(axis=0))
    return weights, weights @ nothing


def _draw_image(model, scale):
    """Draw the weights of the write vector anew: what is written is an image of the input."""
    sizes, linear = model.sizes, model.controller.linear
    vector = interface.layout(sizes.W, sizes.R).write_vector
    _draw(linear.W, scale, slice(sizes.Y + vector.start, sizes.Y + vector.stop))


def _hide_past(lstm, X):
    """Weights of zero for what the controller sees of its past, of which X columns are none."""
    _know_width(lstm)
    lstm.upward.W.array[:, X:] = 0
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
