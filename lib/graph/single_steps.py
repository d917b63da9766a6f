"""The gradients of the weights, one product for all single steps.

Each step would add an outer product of the size of all weights to their gradients. So it does not
take the weights from the graph, but a token that stands for them. The gradient of a token carries
what each step has to say of theirs, and where Chainer adds up gradients, these are joined.
"""

import chainer
import numpy as np

from ..arrays import underflowing
from ..blas import threads_for
from . import sequence


class Token(chainer.FunctionNode):
    """parameters -> a token that stands for them, an array (1,) whose number means nothing."""

    def forward(self, inputs):
        """Return the token."""
        self.retain_inputs(range(len(inputs)))
        return (np.zeros(1, inputs[0].dtype),)

    @underflowing
    def backward(self, indexes, grad_outputs):
        """The products of what the steps have left."""
        records = grad_outputs[0].array.records
        with threads_for(sum(len(record.hs) for record in records)):
            gradients = sequence.parameter_gradients(records)
        return differentiable_once(self, grad_outputs, [gradients[i] for i in indexes])


class TokenGradient(np.ndarray):
    """The gradient of a token, (1,): a zero, for whoever looks at gradients, with ``records``.

    Attributes:
        records: a list of :class:`.sequence.StepGradients`, or where the token stands for a state,
            of gradients of the state.
    """

    @classmethod
    def of(cls, records, dtype):
        """The gradient that carries these records."""
        gradient = np.zeros(1, dtype).view(cls)
        gradient.records = list(records)
        return gradient

    def __array_finalize__(self, source):
        """A copy carries the same."""
        self.records = list(getattr(source, "records", ()))

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        """A sum carries the records of all that was added; else this is an ordinary array."""
        if ufunc is np.add and method == "__call__":
            records = [record for each in inputs for record in getattr(each, "records", ())]
            return self.of(records, self.dtype)
        if "out" in options:
            options["out"] = tuple(map(np.asarray, options["out"]))
        return getattr(ufunc, method)(*map(np.asarray, inputs), **options)


class OnceDifferentiable(chainer.FunctionNode):
    """Gradients that stand in the graph, so that differentiating them again says it cannot."""

    def __init__(self, gradients):
        super().__init__()
        self._gradients = gradients

    def forward(self, inputs):
        """Hand on the gradients."""
        return self._gradients

    def backward(self, indexes, grad_outputs):
        """Refuse."""
        raise NotImplementedError(
            "second derivatives of a DNC are not offered: "
            "call backward() or grad() without enable_double_backprop"
        )


def differentiable_once(node, grad_outputs, gradients):
    """What ``backward`` of a node returns: gradients as Variables.

    They come of its retained inputs and of the gradients of its outputs, some of them None.
    """
    if not chainer.config.enable_backprop:
        return tuple(chainer.as_variable(g) for g in gradients)
    sources = (*node.get_retained_inputs(), *(g for g in grad_outputs if g is not None))
    return OnceDifferentiable(tuple(gradients)).apply(sources)


def stands_for(token, parameters):
    """Whether a token of an earlier step still connects to these parameters in the graph."""
    node = None if token is None else token.creator_node
    return node is not None and all(
        source is parameter.node for source, parameter in zip(node.inputs, parameters)
    )
