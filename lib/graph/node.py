"""A whole sequence as one node of Chainer's graph."""

import chainer
import numpy as np

from ..arrays import module_of, underflowing
from ..memory.sparse_linkage import SparseLink
from ..state import select_rows
from . import recompute as segments
from .ragged import without_padding
from .single_steps import OnceDifferentiable, TokenGradient


class Unroll(chainer.FunctionNode):
    """(xs, weights, state) -> (ys, state): T time steps of a model, or one where xs is (B, X).

    The weights are the parameters, or one token that stands for them in the graph.

    The state enters and leaves field by field, a sparse link as its values alone: the columns are
    given at construction and stand in ``columns`` afterwards.

    Args:
        model: how a sequence runs on arrays, the module :mod:`.sequence` or one with its functions.
        parameters: of the model, a NamedTuple of arrays.
        options: :class:`..memory.bounds.Options`.
        state_type: the NamedTuple of the model's state.
        lengths: steps of each sequence that is fed, a NumPy array (B,) of ints. The state may have
            more sequences.
        columns: columns of a sparse link (B, N, K), or None where there is none.
        recompute: whether to keep fewer steps, and run them twice.
    """

    def __init__(
        self, model, parameters, options, state_type, lengths, columns=None, recompute=False
    ):
        super().__init__()
        self._model, self._steps = model, segments if recompute else model
        self._parameters = parameters
        self._options = options
        self._state_type = state_type
        self._lengths = lengths
        self.columns = columns

    @underflowing
    def forward(self, inputs):
        """Run the sequence, on arrays; see :func:`.sequence.unroll`."""
        xs, state = inputs[0], self._state_of(inputs)
        if self.columns is not None:
            state = state._replace(link=SparseLink(state.link, self.columns))
        xs = xs if xs.ndim == 3 else xs[None]
        unfed = np.zeros(len(state.h) - len(self._lengths), dtype=int)
        self._lengths = np.append(self._lengths, unfed)
        self._order, self._back = descending(self._lengths, module_of(xs))
        active = np.count_nonzero(self._lengths > np.arange(len(xs))[:, None], axis=1).tolist()
        keep_trace = chainer.config.enable_backprop
        xs, state = self._sort(xs, state)
        ys, state, self._trace = self._steps.unroll(
            self._parameters, self._options, without_padding(xs, active), state, active, keep_trace
        )
        ys, state = self._unsort(ys, state)
        self._width = ys.shape[2]
        if keep_trace:
            self.retain_inputs(range(len(inputs)))
        if self.columns is not None:
            self.columns = state.link.columns
            state = state._replace(link=state.link.values)
        return (ys if inputs[0].ndim == 3 else ys[0], *state)

    @underflowing
    def backward(self, indexes, grad_outputs):
        """Gradients of the inputs named; absent gradients of outputs are zero."""
        xs = self._trace.xs
        size = len(self._state_type._fields)
        shapes = [(*xs.shape[:2], self._width), *(node.shape for node in self.inputs[-size:])]
        arrays = [
            module_of(xs).zeros(shape, xs.dtype) if g is None else g.array.reshape(shape).copy()
            for shape, g in zip(shapes, grad_outputs)
        ]
        g_ys, g_state = self._sort(arrays[0], self._state_of(arrays))
        g_xs, records, g_state = self._steps.unroll_backward(
            self._trace, g_ys, g_state, need_g_xs=0 in indexes
        )
        g_xs, g_state = self._unsort(g_xs, g_state)
        if g_xs is not None:
            g_xs = g_xs.reshape(self.inputs[0].shape)
        g_inputs = (g_xs, *self._weight_gradients(records), *g_state)
        g_inputs = tuple(g_inputs[i] for i in indexes)
        if not chainer.config.enable_backprop:
            return tuple(chainer.as_variable(g) for g in g_inputs)
        sources = (*self.get_retained_inputs(), *(g for g in grad_outputs if g is not None))
        return OnceDifferentiable(g_inputs).apply(sources)

    def _state_of(self, arrays):
        """The state at the end of inputs or outputs."""
        return self._state_type(*arrays[-len(self._state_type._fields) :])

    def _weight_gradients(self, records):
        """Gradients of the parameters, or of the token that stands for them."""
        if len(self.inputs) == 2 + len(self._state_type._fields):
            return (TokenGradient.of(records, self.inputs[1].dtype),)
        return self._model.parameter_gradients(records)

    def _sort(self, steps, state):
        """Put the longest sequence first: ``steps`` (T, B, ·) and the state."""
        if self._order is None:
            return steps, state
        return steps[:, self._order[: steps.shape[1]]], select_rows(state, self._order)

    def _unsort(self, steps, state):
        """Undo :meth:`_sort`; ``steps`` may be None."""
        if self._order is None:
            return steps, state
        steps = None if steps is None else steps[:, self._back[: steps.shape[1]]]
        return steps, select_rows(state, self._back)


def descending(lengths, xp):
    """The order that sorts ``lengths`` descending, ties as they are, and the one that undoes it.

    None and None where they are sorted.
    """
    if (lengths[:-1] >= lengths[1:]).all():
        return None, None
    order = np.argsort(-lengths, kind="stable")
    return tuple(xp.asarray(np.stack([order, order.argsort()])))
