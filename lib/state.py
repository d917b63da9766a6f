"""The recurrent state of a DNC, and what is done with all of its fields.

The functions take states of Variables, through which gradients flow, or of arrays. What they are
given is checked by others.
"""

from typing import Any, NamedTuple

import chainer
import chainer.functions as F

from .arrays import module_of


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
        make = getattr(first, "_make", tuple)
        return make(map_arrays(function, *fields) for fields in zip(*states))
    return function(*states)


def select_rows(state, rows):
    """The state of the sequences that an index of the batch names; it leaves a batch."""
    return map_arrays(lambda field: field[rows], state)


def concatenate_rows(states):
    """One state of the sequences of several, in their order."""
    return states[0] if len(states) == 1 else map_arrays(concatenate, *states)


def concatenate(*fields):
    """Variables or arrays, one after the other along the batch."""
    if any(isinstance(field, chainer.Variable) for field in fields):
        return F.concat(fields, axis=0)
    return module_of(fields[0]).concatenate(fields)
