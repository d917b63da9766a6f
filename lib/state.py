"""The recurrent state of a DNC."""

from typing import Any, NamedTuple


class State(NamedTuple):
    """All that one time step hands to the next, batch first.

    As returned by ``DNC.get_state()`` the fields are ``chainer.Variable``s.
    """

    memory: Any  #: M (B, N, W)
    usage: Any  #: u (B, N)
    precedence: Any  #: p (B, N)
    link: Any  #: L (B, N, N), or a SparseLink: values (B, N, K) and int32 columns (B, N, K)
    write_weights: Any  #: w^w (B, N)
    read_weights: Any  #: w^r (B, R, N)
    read_vectors: Any  #: r (B, R·W), head by head
    c: Any  #: cell state of the controller (B, H)
    h: Any  #: output of the controller (B, H)


def map_arrays(function, *states):
    """Apply ``function`` field by field to states of one form, also inside a sparse link."""
    first = states[0]
    if isinstance(first, tuple):
        return type(first)(*(map_arrays(function, *fields) for fields in zip(*states)))
    return function(*states)


def take_rows(state, rows):
    """The state of some sequences of the batch: a slice or an index array."""
    return map_arrays(lambda field: field[rows], state)
