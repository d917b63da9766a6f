"""What a DNC does, step by step, to be looked at."""

from typing import Any, NamedTuple

import chainer
import numpy as np
from chainer.backends import cuda

from . import checks
from .memory import interface


class Trace(NamedTuple):
    """A sequence of T steps of a batch of B, as NumPy arrays."""

    ys: Any  #: outputs (T, B, Y)
    usage: Any  #: u (T, B, N)
    write_weights: Any  #: w^w (T, B, N)
    read_weights: Any  #: w^r (T, B, R, N)
    read_vectors: Any  #: r (T, B, R·W)
    interface: interface.Interface
    """What the controller said to the memory, activated, each with T in front: keys, strengths,
    gates, modes (T, B, R, 3) over (backward, content, forward), see ``lib/memory/interface.py``."""


def trace(model, xs):
    """Run a model over a sequence and note what it does; its state goes on as in ``unroll``.

    Args:
        model (DNC): one that is trained, say. No graph is made.
        xs: inputs (T, B, X), as of :meth:`DNC.unroll`.

    Returns:
        Trace: outputs, weightings, usage and interface of each step.

    Raises:
        TypeError, ValueError: as by :meth:`DNC.unroll`; and there must be a sequence.
    """
    xs = checks.inputs("xs", xs, ("T", "B", "X"), model)
    if xs.shape[1] == 0:
        raise ValueError(f"xs (T, B, X) must have at least one sequence, not shape {xs.shape}")
    testing = chainer.using_config("train", False), chainer.no_backprop_mode()
    with testing[0], testing[1], chainer.using_device(model.device):
        steps = [_look(model, model.unroll(xs[t : t + 1]).array[0]) for t in range(len(xs))]
    fields = [np.stack(arrays) for arrays in zip(*steps)]
    return Trace(*fields[:5], interface.Interface(*fields[5:]))


def _look(model, y):
    """The fields of a :class:`Trace` after a step with the output ``y``, for that step."""
    state, Y = model.get_state(), model.sizes.Y
    xi = model.controller.linear(state.h).array[:, Y:]
    said = interface.parse(xi, model.sizes.W, model.sizes.R)
    seen = (state.usage, state.write_weights, state.read_weights, state.read_vectors)
    return [cuda.to_cpu(array) for array in (y, *(field.array for field in seen), *said)]
