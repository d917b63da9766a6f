"""The top-K sparse link matrix: ``linkage`` with K entries kept per row.

The paper's sparse link matrix (Methods, 'Sparse link matrix') in a form that keeps its bounds: the
outer product of a step is formed on the K highest entries of w^w and of p_{t-1} alone, unscaled,
and each row then keeps its K highest entries. Every entry lies between 0 and that of the dense
matrix. With N locations a step takes O(N log N) time and O(N·K) memory; no N×N array exists.
"""

from typing import Any, NamedTuple

from ..arrays import fused, head_sums, module_of, sums_at, weighted_sums
from .sorting import flat_index, gather, scatter, stable_argsort, top_k


class SparseLink(NamedTuple):
    """Row i holds the entries L[i, columns[i, k]] = values[i, k]; the columns of a row differ."""

    values: Any  # (B, N, K)
    columns: Any  # (B, N, K), int32


class LinkTrace(NamedTuple):
    """Which entries a step kept: constants of its gradient."""

    rows: Any  # S (B, K), the highest entries of w^w_t
    columns: Any  # Q (B, K), the highest entries of p_{t-1}
    by_column: Any  # (B·K, 3K): the candidates of each row in S by ascending column
    repeated: Any  # (B·K, 3K - 1): of these, is the next one in the same column?
    kept: Any  # (B·K, K): which of these became the entries of the row


def kept_per_row(link):
    """K of a :class:`SparseLink`, 0 of a dense link."""
    return link.columns.shape[2] if isinstance(link, SparseLink) else 0


def first_columns(shape, xp):
    """The columns of a zero matrix of shape (B, N, K): ties at 0 keep the lowest columns."""
    return xp.broadcast_to(xp.arange(shape[-1], dtype="int32"), shape)


def settle_columns(values, columns):
    """Columns (B, N, K) as int32; rows of zeros may repeat a column, and then get the lowest ones.

    Raises:
        ValueError: a row that is not zero has a column twice.
    """
    xp = module_of(columns)
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
    B, N, K = link.columns.shape
    S, Q = top_k(write_weights, K), top_k(precedence, K)
    rows = flat_index(S, N).ravel()
    values = link.values * decay(link, write_weights)
    columns = link.columns.copy()
    flat_values, flat_columns = values.reshape(B * N, K), columns.reshape(B * N, K)
    added = outer_product(S, Q, write_weights, precedence)
    candidates = list_candidates(flat_values[rows], flat_columns[rows], Q, added)
    flat_values[rows], flat_columns[rows], selection = select(*candidates)
    return SparseLink(values, columns), LinkTrace(S, Q, *selection)


def decay(link, write_weights):
    """1 - w[i] - w[j] at the entries of the link (B, N, K), 0 on the diagonal."""
    at_columns = gather(write_weights, link.columns)
    return kept_of_links(write_weights[:, :, None], at_columns, off_diagonal(link.columns))


@fused("T wi, T wj, bool off_diagonal", "T kept", "kept = off_diagonal ? (1 - wi) - wj : (T)0")
def kept_of_links(w_i, w_j, off_diagonal):
    """1 - w[i] - w[j], 0 on the diagonal."""
    kept = (1 - w_i) - w_j
    kept *= off_diagonal
    return kept


def off_diagonal(columns):
    """Which entries (B, N, K) stand outside the diagonal."""
    return columns != module_of(columns).arange(columns.shape[1], dtype="int32")[:, None]


def outer_product(S, Q, write_weights, precedence):
    """w^w[i] p_{t-1}[j] for i in S, j in Q (B, K, K), 0 on the diagonal."""
    product = gather(write_weights, S)[:, :, None] * gather(precedence, Q)[:, None, :]
    product *= S[:, :, None] != Q[:, None, :]
    return product


def list_candidates(values, columns, Q, added):
    """Values and columns (B·K, 3K) from which each row in S selects.

    They are its old entries, then the outer product, then the lowest columns, whose zeros fill a
    row with fewer than K entries above 0.
    """
    xp = module_of(values)
    B, K = Q.shape
    all_values = xp.zeros((B * K, 3 * K), values.dtype)
    all_values[:, :K] = values
    all_values[:, K : 2 * K] = added.reshape(B * K, K)
    all_columns = xp.empty((B, K, 3 * K), columns.dtype)
    all_columns[:, :, :K] = columns.reshape(B, K, K)
    all_columns[:, :, K : 2 * K] = Q[:, None, :]
    all_columns[:, :, 2 * K :] = xp.arange(K)
    return all_values, all_columns.reshape(B * K, 3 * K)


def select(values, columns):
    """The K highest of 3K candidates of each row, ties by the lower column.

    Candidates of one column are one entry, the sum of their values. There are at most three, the
    last of them a zero.

    Returns:
        Values and columns (rows, K), and what of a :class:`LinkTrace` tells where they come from.
    """
    xp = module_of(values)
    K = values.shape[1] // 3
    by_column = stable_argsort(columns)
    values, columns = gather(values, by_column), gather(columns, by_column)
    repeated = columns[:, 1:] == columns[:, :-1]
    values[:, :-1] += repeated * values[:, 1:]
    xp.copyto(values[:, 1:], -xp.inf, where=repeated)
    kept = top_k(values, K)
    return gather(values, kept), gather(columns, kept), (by_column, repeated, kept)


def select_backward(by_column, repeated, kept, g_values):
    """Gradient of the candidates' values (rows, 3K) from that of the entries kept (rows, K)."""
    size = by_column.shape[1]
    g = scatter(g_values, kept, size)
    g[:, 1:] += repeated * g[:, :-1]
    return scatter(g, by_column, size)


def update_link_backward(trace, link, precedence, write_weights, g_values):
    """Gradients of the values of L̂_{t-1} (B, N, K), of p_{t-1} and of w^w_t (B, N).

    Overwrites ``g_values``, the gradient of the values of L̂_t.
    """
    S, Q, *selection = trace
    B, N, K = link.columns.shape
    rows = flat_index(S, N).ravel()
    flat_values = g_values.reshape(B * N, K)
    g_candidates = select_backward(*selection, flat_values[rows])
    flat_values[rows] = g_candidates[:, :K]
    g_added = g_candidates[:, K : 2 * K].reshape(B, K, K)
    g_added *= S[:, :, None] != Q[:, None, :]
    g_kept = g_values * link.values
    g_kept *= off_diagonal(link.columns)
    g_write_weights = -g_kept.sum(axis=2)
    g_write_weights -= scatter_columns(link.columns, g_kept)
    g_write_weights.reshape(-1)[rows] += (
        (g_added * gather(precedence, Q)[:, None, :]).sum(2).ravel()
    )
    g_previous = (g_added * gather(write_weights, S)[:, :, None]).sum(axis=1)
    g_values *= decay(link, write_weights)
    return g_values, scatter(g_previous, Q, N), g_write_weights


def scatter_columns(columns, values):
    """Σ over the entries in column j of values (B, N, K), as (B, N)."""
    B, N, _ = columns.shape
    return sums_at(flat_index(columns, N), values, B * N).reshape(B, N)


def forward_weighting(link, read_weights):
    """Return f = L̂ w for each read head (B, R, N)."""
    xp = module_of(read_weights)
    f = weighted_sums(link.values, gather_columns(link.columns, read_weights))
    return xp.ascontiguousarray(f.transpose(0, 2, 1))


def backward_weighting(link, read_weights):
    """Return b = L̂ᵀ w for each read head (B, R, N)."""
    xp = module_of(read_weights)
    B, R, N = read_weights.shape
    products = link.values[:, None] * read_weights[:, :, :, None]
    index = link.columns[:, None] + xp.arange(0, B * R * N, N).reshape(B, R, 1, 1)
    return sums_at(index, products, B * R * N).reshape(B, R, N)


def add_outer(g_values, link, rows, columns):
    """g_values[i,k] += Σ_r rows[r,i] columns[r,j] with j the column of entry (i, k)."""
    g_values += head_sums(rows, gather_columns(link.columns, columns))


def gather_columns(columns, x):
    """x[r, j] at the column j of each entry: x (B, R, N) -> (B, N, K, R)."""
    B, R, N = x.shape
    rows = x.transpose(0, 2, 1).reshape(B * N, R)
    return rows.take(flat_index(columns, N), axis=0)
