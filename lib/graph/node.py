"""A whole sequence as one node of Chainer's graph."""

import chainer
import numpy as np

from ..arrays import module_of, underflowing
from ..blas import threads_for
from ..state import select_rows
from . import recompute as segments
from .held_state import add_up, values_of
from .ragged import without_padding
from .single_steps import TokenGradient, differentiable_once


class Unroll(chainer.FunctionNode):
    """(xs, weights, state) -> (ys, state): T time steps of a model, or one where xs is (B, X).

    The weights are the parameters, or one token that stands for them in the graph. So is the state
    its fields, of a sparse link the values alone, or a token.

    Args:
        model: how a sequence runs on arrays, the module :mod:`.sequence` or one with its functions.
        parameters: of the model, a NamedTuple of arrays.
        options: :class:`..memory.bounds.Options`.
        state: of the model, a NamedTuple of arrays. It may have more sequences than are fed.
        lengths: steps of each sequence that is fed, a NumPy array (B,) of ints; None: all have T.
        token: whether a token stands for the state.
        recompute: whether to keep fewer steps, and run them twice.

    Attributes:
        state: of the model, and once it has run the state after the last step.
    """

    def __init__(self, model, parameters, options, state, lengths, token=False, recompute=False):
        super().__init__()
        self._model, self._steps = model, segments if recompute else model
        self._parameters = parameters
        self._options = options
        self.state = state
        self._lengths = lengths
        self._token = token

    @underflowing
    def forward(self, inputs):
        """Run the sequence, on arrays; see :func:`.sequence.unroll`."""
        xs, state = inputs[0], self.state
        xs = xs if xs.ndim == 3 else xs[None]
        self._rows = xs.shape[0] * xs.shape[1]
        active = self._schedule(xs, len(state.h))
        keep_trace = chainer.config.enable_backprop
        xs, state = self._sort(xs, state)
        xs = without_padding(xs, active)
        with threads_for(self._rows):
            ys, state, self._trace = self._steps.unroll(
                self._parameters, self._options, xs, state, active, keep_trace
            )
        ys, self.state = self._unsort(ys, state)
        fields = values_of(self.state)
        self._shapes = [array.shape for array in (ys, *fields)]
        if keep_trace:
            self.retain_inputs(range(len(inputs)))
        fields = (np.zeros(1, ys.dtype),) if self._token else fields
        return (ys if inputs[0].ndim == 3 else ys[0], *fields)

    def _schedule(self, xs, B):
        """How many of B sequences each step has; sets in which order they are."""
        T, fed = xs.shape[:2]
        if self._lengths is None:
            self._order = self._back = None
            return [fed] * T
        lengths = np.append(self._lengths, np.zeros(B - fed, dtype=int))
        self._order, self._back = descending(lengths, module_of(xs))
        return np.count_nonzero(lengths > np.arange(T)[:, None], axis=1).tolist()

    @underflowing
    def backward(self, indexes, grad_outputs):
        """Gradients of the inputs named; absent gradients of outputs are zero."""
        g_ys, g_state = self._sort(*self._arrays_of(grad_outputs))
        with threads_for(self._rows):
            g_xs, records, g_state = self._steps.unroll_backward(
                self._trace, g_ys, g_state, need_g_xs=0 in indexes
            )
            g_weights = self._weight_gradients(records)
        g_xs, g_state = self._unsort(g_xs, g_state)
        if g_xs is not None:
            g_xs = g_xs.reshape(self.inputs[0].shape)
        if self._token:
            g_state = (TokenGradient.of([g_state], g_ys.dtype),)
        g_inputs = (g_xs, *g_weights, *g_state)
        return differentiable_once(self, grad_outputs, [g_inputs[i] for i in indexes])

    def _arrays_of(self, grad_outputs):
        """Gradients of ys (T, B, Y) and of the state, arrays that may be overwritten."""
        g_ys, *g_state = grad_outputs
        if self._token and g_state[0] is not None:
            return self._array_of(g_ys, 0), add_up(g_state[0].array.records)
        if self._token:
            g_state = [None] * len(self.state)
        fields = (self._array_of(g, k) for k, g in enumerate(g_state, 1))
        return self._array_of(g_ys, 0), type(self.state)(*fields)

    def _array_of(self, g, k):
        """The gradient of an output as an array of its own; zeros where there is none."""
        weights = self._parameters[0]
        if g is None:
            return module_of(weights).zeros(self._shapes[k], weights.dtype)
        return g.array.reshape(self._shapes[k]).copy()

    def _weight_gradients(self, records):
        """Gradients of the parameters, or of the token that stands for them."""
        fields = 1 if self._token else len(self.state)
        if len(self.inputs) == 2 + fields:
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
