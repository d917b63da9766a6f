"""The interface vector: what the controller says to the memory ('Interface parameters')."""

from typing import Any, NamedTuple

from chainer.backends.cuda import get_array_module

from lib.activations import (
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


def split(xi, W, R):
    """Views of ξ (B, size) as the fields of an :class:`Interface`, not yet activated."""
    B = len(xi)
    ends = []
    end = 0
    for width in (R * W, R, W, 1, W, W, R, 1, 1, 3 * R):
        ends.append(slice(end, end + width))
        end += width
    read_keys, read_strengths, write_key, *middle, read_modes = (xi[:, s] for s in ends)
    return Interface(
        read_keys.reshape(B, R, W),
        read_strengths,
        write_key.reshape(B, 1, W),
        *middle,
        read_modes.reshape(B, R, 3),
    )


def parse(xi, W, R):
    """The interface vector ξ (B, size) as an :class:`Interface`."""
    raw = split(xi, W, R)
    return raw._replace(
        read_strengths=oneplus(raw.read_strengths),
        write_strength=oneplus(raw.write_strength),
        erase=sigmoid(raw.erase),
        free_gates=sigmoid(raw.free_gates),
        allocation_gate=sigmoid(raw.allocation_gate),
        write_gate=sigmoid(raw.write_gate),
        read_modes=softmax(raw.read_modes),
    )


def parse_backward(interface, g):
    """Gradient of ξ (B, size) from ``g``, the gradients of the fields of ``interface``."""
    B = len(interface.erase)
    parts = g._replace(
        read_strengths=oneplus_backward(interface.read_strengths, g.read_strengths),
        write_strength=oneplus_backward(interface.write_strength, g.write_strength),
        erase=sigmoid_backward(interface.erase, g.erase),
        free_gates=sigmoid_backward(interface.free_gates, g.free_gates),
        allocation_gate=sigmoid_backward(interface.allocation_gate, g.allocation_gate),
        write_gate=sigmoid_backward(interface.write_gate, g.write_gate),
        read_modes=softmax_backward(interface.read_modes, g.read_modes),
    )
    xp = get_array_module(interface.erase)
    return xp.concatenate([part.reshape(B, -1) for part in parts], axis=1)
