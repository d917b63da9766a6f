"""The gradients of the weights, one product for all single steps.

Each step would add an outer product of the size of all weights to their gradients. So it does not
take the weights from the graph, but a token that stands for them. The gradient of a token is a list
of what each step has to say of theirs, and Chainer's sum of gradients joins the lists.
"""

import chainer
import numpy as np

from lib import sequence


class Token(chainer.FunctionNode):
    """parameters -> a token that stands for them, an array (1,) of objects that holds nothing."""

    def forward(self, inputs):
        """Return the token."""
        self.retain_inputs(range(len(inputs)))
        return (np.full(1, None, dtype=object),)

    def backward(self, indexes, grad_outputs):
        """The products of what the steps have left."""
        gradients = sequence.parameter_gradients(grad_outputs[0].array[0])
        gradients = tuple(gradients[i] for i in indexes)
        if not chainer.config.enable_backprop:
            return tuple(chainer.as_variable(g) for g in gradients)
        return OnceDifferentiable(gradients).apply((*self.get_retained_inputs(), *grad_outputs))


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


def is_token(array):
    """Whether this input of a node is a token, not a parameter."""
    return array.dtype == object


def token_gradient(records):
    """The gradient of a token: a list of :class:`lib.sequence.StepGradients`."""
    gradient = np.empty(1, dtype=object)
    gradient[0] = records
    return gradient


def stands_for(token, parameters):
    """Whether a token of an earlier step still connects to these parameters in the graph."""
    node = None if token is None else token.creator_node
    return node is not None and all(
        source is parameter.node for source, parameter in zip(node.inputs, parameters)
    )
