"""The recurrent state of a DNC, and states made of others: some of their sequences, several as one.

The functions take states of Variables, through which gradients flow, or of arrays.
"""

import numbers
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


def take_rows(state, rows):
    """The state of some sequences of a batch.

    Args:
        state (State): of a batch of B.
        rows: a slice, or integers in any order, also repeatedly (for the hypotheses of a beam
            search, say): a list or an array of them.

    Returns:
        State: of as many sequences as ``rows`` names, in that order.

    Raises:
        TypeError: ``rows`` is a single number, which would leave no batch, or ``state`` is none.
    """
    if not isinstance(state, tuple):
        raise TypeError(f"state must be a State, not {type(state).__name__}")
    if isinstance(rows, numbers.Integral):
        raise TypeError(f"rows must be a slice or a list of numbers, as in [{rows}], not {rows}")
    return map_arrays(lambda field: field[rows], state)


def join_rows(states):
    """One state of the sequences of several, in their order.

    Args:
        states: a list of :class:`State`, of models of the same sizes.

    Returns:
        State: of a batch as large as theirs together.

    Raises:
        TypeError: one of them is no state.
        ValueError: there is no state in the list.
    """
    if not states:
        raise ValueError("states must hold at least one State, got an empty list")
    for state in states:
        if not isinstance(state, tuple):
            raise TypeError(f"states must be a list of State, not of {type(state).__name__}")
    return states[0] if len(states) == 1 else map_arrays(concatenate, *states)


def concatenate(*fields):
    """Variables or arrays, one after the other along the batch."""
    if any(isinstance(field, chainer.Variable) for field in fields):
        return F.concat(fields, axis=0)
    return module_of(fields[0]).concatenate(fields)
