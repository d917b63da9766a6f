"""Sorting with a fixed rule for ties (the lower location comes first), and picking by index."""

from ..arrays import module_of


def stable_argsort(x):
    """Indices that sort the last axis ascending, ties by the lower index."""
    xp = module_of(x)
    # CuPy's sort is always stable, and its older versions do not take `kind`.
    return xp.argsort(x, axis=-1) if xp.__name__ == "cupy" else x.argsort(axis=-1, kind="stable")


def top_k(x, k):
    """Indices of the k highest entries along the last axis, ties to the lower index."""
    return stable_argsort(-x)[..., :k]


def flat_index(index, N):
    """Index (B, ...) into each of B rows of length N as an index into all rows laid end to end."""
    if len(index) == 1:
        return index
    xp = module_of(index)
    offset = xp.arange(0, len(index) * N, N)
    return index + offset.reshape((-1,) + (1,) * (index.ndim - 1))


def gather(x, index):
    """x[b, index[b, ...]] for x (B, N) and index (B, ...)."""
    return x.reshape(-1).take(flat_index(index, x.shape[1]))


def scatter(values, index, N):
    """The rows (B, N) that are zero but for x[b, index[b, m]] = values[b, m], all (B, M)."""
    x = module_of(values).zeros((len(values), N), values.dtype)
    x.reshape(-1)[flat_index(index, N)] = values
    return x
