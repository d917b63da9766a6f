"""Content-based addressing (Methods, 'Content-based addressing')."""

from typing import Any, NamedTuple

from ..arrays import fused, inverse_norms, times_transposed
from .activations import softmax, softmax_backward, subtract_product


class ContentTrace(NamedTuple):
    """What the gradient of one content weighting needs. H heads look up at once."""

    weights: Any  # C(M, k, β) (B, H, N)
    similarity: Any  # cos(k, M[i]) (B, H, N)
    unit_keys: Any  # k / |k| (B, H, W)
    key_scales: Any  # 1 / |k| (B, H), 0 for a zero key


def content_weighting(memory, row_scales, keys, strengths):
    """C(M, k, β)[i] = softmax_i(β cos(k, M[i])).

    Args:
        memory: M (B, N, W).
        row_scales: ``inverse_norms(memory)`` (B, N).
        keys: k (B, H, W).
        strengths: β (B, H).

    Returns:
        The weights (B, H, N) and a :class:`ContentTrace`.
    """
    key_scales = inverse_norms(keys)
    unit_keys = keys * key_scales[:, :, None]
    similarity = times_transposed(unit_keys, memory)
    similarity *= row_scales[:, None, :]
    weights = softmax(strengths[:, :, None] * similarity)
    return weights, ContentTrace(weights, similarity, unit_keys, key_scales)


def content_weighting_backward(trace, memory, row_scales, strengths, g_weights):
    """Gradients of memory (B, N, W), keys (B, H, W) and strengths (B, H).

    With m̂ and k̂ the unit vectors, ∂cos/∂k = (m̂ - cos k̂)/|k| and ∂cos/∂m = (k̂ - cos m̂)/|m|.
    """
    g_scores = softmax_backward(trace.weights, g_weights)
    g_radial = g_scores * trace.similarity
    g_strengths = g_radial.sum(axis=2)
    g_scores *= strengths[:, :, None]
    g_radial *= strengths[:, :, None]
    g_scores *= row_scales[:, None, :]
    g_keys = g_scores @ memory
    g_keys = subtract_product(g_keys, trace.unit_keys, g_radial.sum(axis=2)[:, :, None])
    g_keys *= trace.key_scales[:, :, None]
    g_memory = g_scores.transpose(0, 2, 1) @ trace.unit_keys
    coefficients = g_radial.sum(axis=1) * row_scales
    g_memory = without_radial(g_memory, memory, row_scales[:, :, None], coefficients[:, :, None])
    return g_memory, g_keys, g_strengths


@fused("T g, T memory, T scale, T coefficient", "T h", "h = g - memory * scale * coefficient")
def without_radial(g_memory, memory, row_scales, coefficients):
    """The gradient of the memory less what stands along its rows. Overwritten, where it is NumPy's.

    The scale of a row may be so large or small that its square would not be a number, or 0.
    """
    unit_rows = memory * row_scales
    unit_rows *= coefficients
    g_memory -= unit_rows
    return g_memory
