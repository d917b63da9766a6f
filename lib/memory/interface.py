"""The interface vector: what the controller says to the memory ('Interface parameters')."""

from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

from ..arrays import join_columns
from .activations import (
    oneplus,
    oneplus_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
)


class Interface(NamedTuple):
    """The parameters of one memory step, activated; also the shape of their gradients.

    B batch, R read heads, W word width. The write head is a head axis of length 1, so that
    reading and writing share the content weighting.
    """

    read_keys: Any  # k^r (B, R, W)
    read_strengths: Any  # β^r (B, R), at least 1
    write_key: Any  # k^w (B, 1, W)
    write_strength: Any  # β^w (B, 1), at least 1
    erase: Any  # e (B, W), in [0, 1]
    write_vector: Any  # v (B, W)
    free_gates: Any  # f (B, R), in [0, 1]
    allocation_gate: Any  # g^a (B, 1), in [0, 1]
    write_gate: Any  # g^w (B, 1), in [0, 1]
    read_modes: Any  # π (B, R, 3), over (backward, content, forward), summing to 1


def size(W, R):
    """Width of the interface vector ξ: W·R + 3W + 5R + 3."""
    return W * R + 3 * W + 5 * R + 3


@cache
def layout(W, R):
    """An :class:`Interface` of the slices of ξ in which its fields stand."""
    widths = Interface(
        read_keys=R * W,
        read_strengths=R,
        write_key=W,
        write_strength=1,
        erase=W,
        write_vector=W,
        free_gates=R,
        allocation_gate=1,
        write_gate=1,
        read_modes=3 * R,
    )
    ends = list(accumulate(widths))
    return Interface(*(slice(end - width, end) for end, width in zip(ends, widths)))


def parse(xi, W, R):
    """The interface vector ξ (B, size) as an :class:`Interface`."""
    B, at = len(xi), layout(W, R)
    # One call a function: what stands between the strengths, and between the gates, goes along.
    strengths = oneplus(xi[:, at.read_strengths.start : at.write_strength.stop])
    gates = sigmoid(xi[:, at.erase.start : at.write_gate.stop])
    return Interface(
        read_keys=xi[:, at.read_keys].reshape(B, R, W),
        read_strengths=strengths[:, :R],
        write_key=xi[:, at.write_key].reshape(B, 1, W),
        write_strength=strengths[:, -1:],
        erase=gates[:, :W],
        write_vector=xi[:, at.write_vector],
        free_gates=gates[:, 2 * W : -2],
        allocation_gate=gates[:, -2:-1],
        write_gate=gates[:, -1:],
        read_modes=softmax(xi[:, at.read_modes].reshape(B, R, 3)),
    )


def parse_backward(interface, g):
    """Gradient of ξ (B, size) from ``g``, the gradients of the fields of ``interface``."""
    parts = g._replace(
        read_strengths=oneplus_backward(interface.read_strengths, g.read_strengths),
        write_strength=oneplus_backward(interface.write_strength, g.write_strength),
        erase=sigmoid_backward(interface.erase, g.erase),
        free_gates=sigmoid_backward(interface.free_gates, g.free_gates),
        allocation_gate=sigmoid_backward(interface.allocation_gate, g.allocation_gate),
        write_gate=sigmoid_backward(interface.write_gate, g.write_gate),
        read_modes=softmax_backward(interface.read_modes, g.read_modes),
    )
    return join_columns(parts)
