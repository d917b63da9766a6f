"""The state between two calls: one node of the graph in place of one for each of its nine fields.

On a CPU a step costs less than the Variables of all these fields. So a token stands for them in the
graph, see ``single_steps.py``, and they become Variables when somebody asks for them.
"""

import chainer
import numpy as np

from ..memory.sparse_linkage import SparseLink
from ..state import State
from .single_steps import TokenGradient, differentiable_once


class HeldState:
    """A state as arrays and what stands for them in the graph: a token, their Variables, or both.

    Args:
        arrays: a State of arrays; None: those of the Variables.
        token: a Variable (1,), or None.
        variables: a State of Variables, or None.
    """

    def __init__(self, arrays=None, token=None, variables=None):
        self._arrays, self._token, self._variables = arrays, token, variables

    @classmethod
    def after(cls, arrays, outputs):
        """What a node has left: its state, and the token or the fields that it gave."""
        if len(outputs) == 1:
            return cls(arrays, outputs[0])
        return cls(arrays, variables=with_columns(State(*outputs), columns_of(arrays)))

    def __len__(self):
        """How many sequences it has."""
        return len((self._arrays or self._variables).h)

    def variables(self):
        """The State of Variables, always the same ones."""
        if self._variables is None:
            fields = State(*self._unpack())
            self._variables = with_columns(fields, columns_of(self._arrays))
        return self._variables

    def _unpack(self):
        """Variables of the fields, of a sparse link the values."""
        if self._token is None:
            return map(constant, values_of(self._arrays))
        if self._token.creator_node is None:  # nothing leads to it, or the graph was cut there
            return map(chainer.Variable, values_of(self._arrays))
        with chainer.force_backprop_mode():  # a look at the state must not cut the graph
            return Unpack(self._arrays).apply((self._token,))

    def fields(self):
        """The State of arrays, and their Variables but for the columns of a sparse link."""
        variables = self.variables()
        return arrays_of(variables), values_of(variables)

    def packed(self):
        """The State of arrays, and their token in a tuple.

        Variables that were given out lie between this step and the next, and count as they are now:
        somebody may have cut the graph there, or asks for their gradients.
        """
        if self._variables is not None:
            self._arrays, fields = self.fields()
            if self._token is not None and self._token.creator_node is None:
                for field in fields:  # the graph was cut before them
                    field.unchain()
            (self._token,) = Pack().apply(fields)
        if self._token is None:
            self._token = constant(np.zeros(1, self._arrays.h.dtype))
        return self._arrays, (self._token,)

    def __getstate__(self):
        """What pickle and deepcopy take: all but the place in the graph."""
        variables = self.variables()
        return {"_arrays": None, "_token": None, "_variables": variables}


def constant(array):
    """A Variable that takes no gradient."""
    return chainer.Variable(array, requires_grad=False)


class Pack(chainer.FunctionNode):
    """The fields of a state, of a sparse link the values -> a token (1,) that stands for them."""

    def forward(self, inputs):
        """Return the token."""
        self.retain_inputs(range(len(inputs)))
        return (np.zeros(1, inputs[0].dtype),)

    def backward(self, indexes, grad_outputs):
        """Gradients of the fields."""
        gradients = add_up(grad_outputs[0].array.records)
        return differentiable_once(self, grad_outputs, [gradients[i] for i in indexes])


class Unpack(chainer.FunctionNode):
    """A token -> the fields for which it stands, of a sparse link the values.

    Args:
        arrays: the State of arrays.
    """

    def __init__(self, arrays):
        super().__init__()
        self._fields = values_of(arrays)

    def forward(self, inputs):
        """Return the fields."""
        self.retain_inputs((0,))
        fields, self._shapes = self._fields, [field.shape for field in self._fields]
        self._dtype, self._fields = fields[0].dtype, None  # a Variable of one keeps not all alive
        return tuple(fields)

    def backward(self, indexes, grad_outputs):
        """The gradient of the token, which carries those of the fields."""
        given = zip(self._shapes, grad_outputs)
        gradients = [np.zeros(s, self._dtype) if g is None else g.array.copy() for s, g in given]
        gradient = TokenGradient.of([State(*gradients)], self._dtype)
        return differentiable_once(self, grad_outputs, [gradient])


def add_up(records):
    """The sum of gradients of a state, in the arrays of the first: they are nobody else's.

    The gradient of a token goes to the one node that gave the token.
    """
    first, *others = records
    for other in others:
        for total, field in zip(first, other):
            total += field
    return first


def arrays_of(variables):
    """A State of Variables as one of arrays."""
    fields = State(*(variable.array for variable in values_of(variables)))
    return with_columns(fields, columns_of(variables))


def values_of(state):
    """The fields of a state, of a sparse link the values alone."""
    return state._replace(link=state.link.values) if sparse(state) else state


def columns_of(state):
    """The array of the columns of a sparse link, or None."""
    columns = state.link.columns if sparse(state) else None
    return columns.array if isinstance(columns, chainer.Variable) else columns


def with_columns(state, columns):
    """A state whose link is of these values and columns; the same where there are none.

    They are as the values, arrays or Variables.
    """
    if columns is None:
        return state
    if isinstance(state.link, chainer.Variable):
        columns = chainer.Variable(columns, requires_grad=False)
    return state._replace(link=SparseLink(state.link, columns))


def sparse(state):
    """Whether the link matrix of a state is sparse."""
    return isinstance(getattr(state, "link", None), SparseLink)
