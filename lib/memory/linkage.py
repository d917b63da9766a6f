"""Temporal links between writes, dense (Methods, 'Temporal memory linkage').

``sparse_linkage`` has the same functions for the top-K sparse link matrix. The link matrix
L (B, N, N) has at [b, i, j] the degree to which location i was written right after location j.
"""

from ..arrays import fused, module_of, times_transposed


def update_precedence(precedence, write_weights):
    """p_t = (1 - Σ w^w_t) p_{t-1} + w^w_t, all (B, N)."""
    return faded(precedence, write_weights.sum(axis=1, keepdims=True), write_weights)


@fused("T precedence, T total, T write", "T p", "p = (1 - total) * precedence + write")
def faded(precedence, total, write_weights):
    """(1 - Σ w) p + w."""
    return (1 - total) * precedence + write_weights


def update_precedence_backward(precedence, write_weights, g_precedence):
    """Gradients of p_{t-1} and w^w_t, both (B, N)."""
    kept = 1 - write_weights.sum(axis=1, keepdims=True)
    g_kept = (g_precedence * precedence).sum(axis=1, keepdims=True)
    return kept * g_precedence, g_precedence - g_kept


def update_link(link, precedence, write_weights):
    """L_t[i,j] = (1 - w^w[i] - w^w[j]) L_{t-1}[i,j] + w^w[i] p_{t-1}[j], diagonal 0.

    Args:
        link: L_{t-1} (B, N, N).
        precedence: p_{t-1} (B, N), of the step *before*.
        write_weights: w^w_t (B, N).

    Returns:
        L_t (B, N, N) and a trace; the dense link needs none.
    """
    w = write_weights
    new = linked(link, w[:, :, None], w[:, None, :], precedence[:, None, :])
    clear_diagonal(new)
    return new, None


@fused("T link, T wi, T wj, T p", "T l", "l = ((1 - wi) - wj) * link + wi * p")
def linked(link, w_i, w_j, precedence):
    """(1 - w[i] - w[j]) L[i,j] + w[i] p[j]."""
    new = (1 - w_i) - w_j
    new *= link
    new += w_i * precedence
    return new


def update_link_backward(trace, link, precedence, write_weights, g_link):
    """Gradients of L_{t-1} (B, N, N), p_{t-1} (B, N) and w^w_t (B, N). Overwrites ``g_link``."""
    clear_diagonal(g_link)
    g_precedence = (write_weights[:, None, :] @ g_link)[:, 0]
    g_write_weights = (g_link @ precedence[:, :, None])[:, :, 0]
    g_kept = g_link * link
    g_write_weights -= g_kept.sum(axis=2)
    g_write_weights -= g_kept.sum(axis=1)
    g_link *= (1 - write_weights)[:, :, None] - write_weights[:, None, :]
    return g_link, g_precedence, g_write_weights


def forward_weighting(link, read_weights):
    """Return f = L w for each read head: (B, N, N), (B, R, N) -> (B, R, N)."""
    return times_transposed(read_weights, link)


def backward_weighting(link, read_weights):
    """Return b = Lᵀ w for each read head: (B, N, N), (B, R, N) -> (B, R, N)."""
    return read_weights @ link


def add_outer(g_link, link, rows, columns):
    """g_link[i,j] += Σ_r rows[r,i] columns[r,j], for rows and columns (B, R, N)."""
    g_link += rows.transpose(0, 2, 1) @ columns


def clear_diagonal(x):
    """Set x[b, i, i] to 0."""
    N = x.shape[-1]
    index = module_of(x).arange(N)
    x[:, index, index] = 0
