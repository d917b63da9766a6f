"""Sorting with a fixed rule for ties: the lower location comes first."""

from chainer.backends.cuda import get_array_module


def stable_argsort(x):
    """Indices that sort the last axis ascending, ties by the lower index."""
    xp = get_array_module(x)
    # CuPy's sort is always stable, and its older versions do not take `kind`.
    return xp.argsort(x, axis=-1) if xp.__name__ == "cupy" else x.argsort(axis=-1, kind="stable")


def top_k(x, k):
    """Indices of the k highest entries along the last axis, ties to the lower index."""
    return stable_argsort(-x)[..., :k]


def gather(x, index):
    """x[b, index[b, ...]] for x (B, N) and index (B, ...)."""
    B, N = x.shape
    return x.reshape(B * N)[flat_index(index, N)]


def flat_index(index, N):
    """Index (B, ...) into rows of N as an index into the flattened (B·N) array."""
    xp = get_array_module(index)
    offset = xp.arange(len(index), dtype=xp.intp) * N
    return index + offset.reshape((-1,) + (1,) * (index.ndim - 1))


def unsort(sorted_x, order):
    """The inverse of ``gather(x, order)`` for a permutation ``order`` (B, N) of each row."""
    x = get_array_module(sorted_x).empty_like(sorted_x)
    x.reshape(-1)[flat_index(order, order.shape[1])] = sorted_x
    return x


def scatter_add(values, index, size):
    """Sums of values (M,) that share an entry of index (M,), as an array (size,)."""
    xp = get_array_module(values)
    return xp.bincount(index, weights=values, minlength=size).astype(values.dtype)
