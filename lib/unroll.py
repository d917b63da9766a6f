"""A whole sequence as one node of Chainer's graph."""

import chainer
import numpy as np

from lib import recompute as segments
from lib import sequence
from lib.arrays import module_of
from lib.sparse_linkage import SparseLink
from lib.state import State, take_rows
from lib.weights import OnceDifferentiable, is_token, token_gradient

STATE = len(State._fields)


class Unroll(chainer.FunctionNode):
    """(xs, weights, state) -> (ys, state): T time steps of a DNC, or one where xs is (B, X).

    The weights are the parameters, or a token that stands for them in the graph.

    The state enters and leaves as the nine fields of a :class:`State`, a sparse link as its values
    alone: the columns are given at construction and stand in ``columns`` afterwards.

    Args:
        parameters: :class:`lib.sequence.Parameters` of arrays.
        columns: columns of a sparse link (B, N, K), or None where the link is dense.
        lengths: steps of each sequence of the state, a NumPy array (B,) of ints. Those of the
            sequences that are not fed, the last ones, are 0.
        recompute: whether to keep fewer steps, and run them twice.
    """

    def __init__(self, parameters, columns, lengths, recompute=False):
        super().__init__()
        self._parameters = parameters
        self.columns = columns
        self._lengths = lengths
        self._steps = segments if recompute else sequence

    def forward(self, inputs):
        """Run the sequence, on arrays; see :func:`lib.sequence.unroll`."""
        xs, state = inputs[0], State(*inputs[-STATE:])
        if self.columns is not None:
            state = state._replace(link=SparseLink(state.link, self.columns))
        xs = xs.reshape(-1, *xs.shape[-2:])
        self._order = descending(self._lengths, module_of(xs))
        active = np.count_nonzero(self._lengths > np.arange(len(xs))[:, None], axis=1).tolist()
        keep_trace = chainer.config.enable_backprop
        ys, state, self._trace = self._steps.unroll(
            self._parameters, *self._sort(xs, state), active, keep_trace
        )
        ys, state = self._unsort(ys, state)
        if keep_trace:
            self.retain_inputs(range(len(inputs)))
        if self.columns is not None:
            self.columns = state.link.columns
            state = state._replace(link=state.link.values)
        return (ys.reshape(*inputs[0].shape[:-1], -1), *state)

    def backward(self, indexes, grad_outputs):
        """Gradients of the inputs named; absent gradients of outputs are zero."""
        T, B, _ = self._trace.xs.shape
        xp = module_of(self._trace.xs)
        Y = len(self._parameters.read_out_b)
        shapes = [(T, B, Y), *(node.shape for node in self.inputs[-STATE:])]
        arrays = [
            xp.zeros(shape, self.inputs[0].dtype) if g is None else g.array.copy()
            for shape, g in zip(shapes, grad_outputs)
        ]
        g_ys, g_state = self._sort(arrays[0].reshape(shapes[0]), State(*arrays[1:]))
        g_xs, records, g_state = self._steps.unroll_backward(
            self._trace, g_ys, g_state, need_g_xs=0 in indexes
        )
        g_xs, g_state = self._unsort(g_xs, g_state)
        if g_xs is not None:
            g_xs = g_xs.reshape(self.inputs[0].shape)
        if is_token(self.inputs[1]):
            g_weights = (token_gradient(records),)
        else:
            g_weights = sequence.parameter_gradients(records)
        g_inputs = (g_xs, *g_weights, *g_state)
        g_inputs = tuple(g_inputs[i] for i in indexes)
        if not chainer.config.enable_backprop:
            return tuple(chainer.as_variable(g) for g in g_inputs)
        sources = (*self.get_retained_inputs(), *(g for g in grad_outputs if g is not None))
        return OnceDifferentiable(g_inputs).apply(sources)

    def _sort(self, steps, state):
        """Put the longest sequence first: ``steps`` (T, B, ·) and the state."""
        if self._order is None:
            return steps, state
        return steps[:, self._order[: steps.shape[1]]], take_rows(state, self._order)

    def _unsort(self, steps, state):
        """Undo :meth:`_sort`; ``steps`` may be None."""
        if self._order is None:
            return steps, state
        back = self._order.argsort()
        steps = None if steps is None else steps[:, back[: steps.shape[1]]]
        return steps, take_rows(state, back)


def descending(lengths, xp):
    """The order that sorts ``lengths`` descending, ties as they are; None where they are sorted."""
    if (lengths[:-1] >= lengths[1:]).all():
        return None
    return xp.asarray(np.argsort(-lengths, kind="stable"))
