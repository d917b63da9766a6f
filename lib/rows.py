"""States made of others: some of their sequences, several as one.

The functions take states of Variables, through which gradients flow, or of arrays.
"""

import chainer
from chainer.backends import cuda

from . import checks
from .state import State, concatenate_rows, select_rows


def take_rows(state, rows):
    """The state of some sequences of a batch.

    Args:
        state (State): of a batch of B.
        rows: a slice, or integers in -B…B-1 in any order, also repeatedly (for the hypotheses of a
            beam search, say): a list or an array of them.

    Returns:
        State: of as many sequences as ``rows`` names, in that order.

    Raises:
        TypeError: ``rows`` are no integers, or a single one, which would leave no batch; or
            ``state`` is none.
        ValueError: ``rows`` has other axes than one, or names no sequence of the batch.
    """
    state = whole_state("state", state)
    rows = row_index(rows, len(state.h))
    with chainer.using_device(device_of(state)):
        return select_rows(state, rows)


def join_rows(states):
    """One state of the sequences of several, in their order.

    Args:
        states: a list of :class:`State`, of models of the same sizes.

    Returns:
        State: of a batch as large as theirs together.

    Raises:
        TypeError: one of them is no state, or of another dtype than the first.
        ValueError: there is no state in the list, or one is of other sizes than the first.
    """
    if not isinstance(states, (list, tuple)) or isinstance(states, State):
        raise TypeError(f"states must be a list of State, not {type(states).__name__}")
    if not states:
        raise ValueError("states must hold at least one State, got an empty list")
    states = [whole_state(f"states[{i}]", state) for i, state in enumerate(states)]
    for i, state in enumerate(states):
        same_form(f"states[{i}]", state, states[0])
    with chainer.using_device(device_of(states[0])):
        return concatenate_rows(states)


def device_of(state):
    """Where a state of Variables or arrays is."""
    return chainer.backend.get_device_from_array(checks.data_of("state.h", state.h))


def whole_state(name, state):
    """A state whose fields are all there and of one batch, a sparse link in it a SparseLink."""
    if not isinstance(state, State):
        raise TypeError(f"{name} must be a State, not {type(state).__name__}")
    state = checks.as_state(state, sparse=isinstance(state.link, (tuple, list)))
    batches = {
        field: checks.data_of(f"{name}.{field}", value).shape[:1]
        for field, value in checks.named_fields(state)
    }
    if len(set(batches.values())) > 1 or () in batches.values():
        raise ValueError(f"{name} must have the same batch in all of its fields, not {batches}")
    return state


def same_form(name, state, model):
    """Check that a state differs in its batch alone from another."""
    fields, first = (dict(checks.named_fields(each)) for each in (state, model))
    if fields.keys() != first.keys():
        raise ValueError(f"{name}.link must be sparse or dense, as that of the first state is")
    for field, data in fields.items():
        (_, *shape), (_, *wanted) = data.shape, first[field].shape
        if shape != wanted:
            raise ValueError(
                f"{name}.{field} must have the shape {('B', *wanted)}, not {data.shape}"
            )
        if data.dtype != first[field].dtype:
            dtype = first[field].dtype
            raise TypeError(f"{name}.{field} must be of dtype {dtype}, not {data.dtype}")


def row_index(rows, B):
    """Rows of a batch of B as what an array may be indexed with: a slice, a list or an array."""
    allowed = f"rows must be a slice or a list of integers in -{B}…{B - 1}, as in [0]"
    if isinstance(rows, slice):
        try:
            rows.indices(B)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{allowed}, not {rows!r}: {error}") from None
        return rows
    index = checks.as_index(rows, allowed)
    empty_list = isinstance(rows, (list, tuple)) and not rows  # of which NumPy makes floats
    if index.ndim == 0 or index.dtype.kind not in "iu" and not empty_list:
        raise TypeError(f"{allowed}, not {rows!r}")
    if index.ndim > 1:
        raise ValueError(f"{allowed}, not an array of shape {index.shape}")
    if ((index < -B) | (index >= B)).any():
        raise ValueError(f"{allowed}, not {index.tolist()}")
    return rows if rows is index or isinstance(rows, cuda.ndarray) else index.tolist()
