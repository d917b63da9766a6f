"""The top-K sparse link matrix: ``lib.linkage`` with K entries kept per row.

The paper's sparse link matrix (Methods, 'Sparse link matrix') in a form that keeps its bounds: the
outer product of a step is formed on the K highest entries of w^w and of p_{t-1} alone, unscaled,
and each row then keeps its K highest entries. Every entry lies between 0 and that of the dense
matrix. With N locations a step takes O(N log N) time and O(N·K) memory; no N×N array exists.
"""

from typing import Any, NamedTuple

from chainer.backends.cuda import get_array_module

from lib.sorting import flat_index, gather, scatter_add, stable_argsort, top_k


class SparseLink(NamedTuple):
    """Row i holds the entries L[i, columns[i, k]] = values[i, k]; the columns of a row differ."""

    values: Any  # (B, N, K)
    columns: Any  # (B, N, K), int32


class LinkTrace(NamedTuple):
    """Which entries a step kept: constants of its gradient."""

    rows: Any  # S (B, K), the highest entries of w^w_t
    columns: Any  # Q (B, K), the highest entries of p_{t-1}
    matches: Any  # (B, K, K, K): is old entry k of row s in column Q[q]?
    kept: Any  # (B, K, K): of the candidates of row s, which became its entries


def first_columns(shape, xp):
    """The columns of a zero matrix of shape (B, N, K): ties at 0 keep the lowest columns."""
    return xp.broadcast_to(xp.arange(shape[-1], dtype="int32"), shape)


def settle_columns(values, columns):
    """Columns (B, N, K) as int32; rows of zeros may repeat a column, and then get the lowest ones.

    Raises:
        ValueError: a row that is not zero has a column twice.
    """
    xp = get_array_module(columns)
    in_order = xp.sort(columns, axis=2)
    repeated = (in_order[:, :, 1:] == in_order[:, :, :-1]).any(axis=2)
    if (repeated & (values != 0).any(axis=2)).any():
        raise ValueError("state.link.columns must be different within each row")
    lowest = first_columns(columns.shape, xp)
    return xp.where(repeated[:, :, None], lowest, columns.astype("int32"))


def update_link(link, precedence, write_weights):
    """L̂_t[i,j] = (1 - w[i] - w[j]) L̂_{t-1}[i,j] + [i∈S, j∈Q, i≠j] w[i] p_{t-1}[j], K a row.

    Only the rows in S gain entries, so only those select anew.

    Args:
        link: L̂_{t-1}, a :class:`SparseLink`.
        precedence: p_{t-1} (B, N), of the step *before*.
        write_weights: w^w_t (B, N).

    Returns:
        L̂_t and a :class:`LinkTrace`.
    """
    xp = get_array_module(write_weights)
    K = link.columns.shape[2]
    S, Q = top_k(write_weights, K), top_k(precedence, K)
    batch = xp.arange(len(S))[:, None]
    values = link.values * decay(link, write_weights)
    columns = link.columns.copy()
    matches = columns[batch, S][:, :, :, None] == Q[:, None, None, :]
    added = outer_product(S, Q, write_weights, precedence)
    candidates = list_candidates(values[batch, S], columns[batch, S], Q, added, matches)
    kept = select(*candidates, K)
    values[batch, S] = xp.take_along_axis(candidates[0], kept, axis=2)
    columns[batch, S] = xp.take_along_axis(candidates[1], kept, axis=2)
    return SparseLink(values, columns), LinkTrace(S, Q, matches, kept)


def decay(link, write_weights):
    """1 - w[i] - w[j] at the entries of the link (B, N, K), 0 on the diagonal."""
    xp = get_array_module(write_weights)
    kept = (1 - write_weights)[:, :, None] - gather(write_weights, link.columns)
    kept *= link.columns != xp.arange(write_weights.shape[1], dtype="int32")[:, None]
    return kept


def outer_product(S, Q, write_weights, precedence):
    """w^w[i] p_{t-1}[j] for i in S, j in Q (B, K, K), 0 on the diagonal."""
    product = gather(write_weights, S)[:, :, None] * gather(precedence, Q)[:, None, :]
    product *= S[:, :, None] != Q[:, None, :]
    return product


def list_candidates(values, columns, Q, added, matches):
    """Values and columns (B, K, 3K) from which each row in S selects.

    They are its old entries, then the columns in Q, then the lowest columns, whose zeros fill a row
    with fewer than K entries above 0. What stands twice is -inf the second time.
    """
    xp = get_array_module(values)
    K = values.shape[2]
    lowest = xp.arange(K, dtype="int32")
    values = values + (matches * added[:, :, None, :]).sum(axis=3)
    added = xp.where(matches.any(axis=2), -xp.inf, added)
    in_row = (columns[:, :, :, None] == lowest).any(axis=2)
    listed = in_row | (Q[:, :, None] == lowest).any(axis=1)[:, None, :]
    zeros = xp.where(listed, -xp.inf, xp.zeros_like(added))
    Q = xp.broadcast_to(Q[:, None, :].astype("int32"), columns.shape)
    lowest = xp.broadcast_to(lowest, columns.shape)
    return xp.concatenate([values, added, zeros], 2), xp.concatenate([columns, Q, lowest], 2)


def select(values, columns, K):
    """Indices (B, K, K) of the K highest candidates of each row, ties by the lower column."""
    xp = get_array_module(values)
    by_column = stable_argsort(columns)
    by_value = top_k(xp.take_along_axis(values, by_column, axis=2), K)
    return xp.take_along_axis(by_column, by_value, axis=2)


def update_link_backward(trace, link, precedence, write_weights, g_values):
    """Gradients of the values of L̂_{t-1} (B, N, K), of p_{t-1} and of w^w_t (B, N).

    Overwrites ``g_values``, the gradient of the values of L̂_t.
    """
    xp = get_array_module(write_weights)
    S, Q, matches, kept = trace
    B, K = S.shape
    batch = xp.arange(B)[:, None]
    g_candidates = xp.zeros((B, K, 3 * K), g_values.dtype)
    g_candidates[batch[:, :, None], xp.arange(K)[:, None], kept] = g_values[batch, S]
    g_values[batch, S] = g_old = g_candidates[:, :, :K]
    g_added = g_candidates[:, :, K : 2 * K] + (matches * g_old[:, :, :, None]).sum(axis=2)
    g_added *= S[:, :, None] != Q[:, None, :]
    g_kept = g_values * link.values
    g_kept *= link.columns != xp.arange(write_weights.shape[1], dtype="int32")[:, None]
    g_write_weights = -g_kept.sum(axis=2) - scatter_columns(link.columns, g_kept)
    g_write_weights[batch, S] += (g_added * gather(precedence, Q)[:, None, :]).sum(axis=2)
    g_precedence = xp.zeros_like(precedence)
    g_precedence[batch, Q] = (g_added * gather(write_weights, S)[:, :, None]).sum(axis=1)
    g_values *= decay(link, write_weights)
    return g_values, g_precedence, g_write_weights


def scatter_columns(columns, values):
    """Σ over the entries in column j of values (B, N, K), as (B, N)."""
    B, N, _ = columns.shape
    return scatter_add(values.ravel(), flat_index(columns, N).ravel(), B * N).reshape(B, N)


def forward_weighting(link, read_weights):
    """Return f = L̂ w for each read head (B, R, N)."""
    xp = get_array_module(read_weights)
    return xp.einsum("bnk,brnk->brn", link.values, gather_columns(link.columns, read_weights))


def backward_weighting(link, read_weights):
    """Return b = L̂ᵀ w for each read head (B, R, N)."""
    B, R, N = read_weights.shape
    products = link.values[:, None] * read_weights[:, :, :, None]
    index = flat_index(repeat_for_heads(link.columns, R), N)
    return scatter_add(products.ravel(), index.ravel(), B * R * N).reshape(B, R, N)


def add_outer(g_values, link, rows, columns):
    """g_values[i,k] += Σ_r rows[r,i] columns[r,j] with j the column of entry (i, k)."""
    xp = get_array_module(rows)
    g_values += xp.einsum("brn,brnk->bnk", rows, gather_columns(link.columns, columns))


def gather_columns(columns, x):
    """x[r, j] at the column j of each entry: x (B, R, N) -> (B, R, N, K)."""
    B, R, N = x.shape
    entries = gather(x.reshape(B * R, N), repeat_for_heads(columns, R))
    return entries.reshape(B, R, N, -1)


def repeat_for_heads(columns, R):
    """Columns (B, N, K) once for each head (B·R, N, K)."""
    return get_array_module(columns).repeat(columns, R, axis=0)
