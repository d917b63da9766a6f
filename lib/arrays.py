"""Arrays: NumPy or CuPy, what one way does not suit both, and where their memory comes from.

Nearly all array code is the same for both. What is not stands here, so that on a GPU nothing
inside a sequence makes the host wait for the device or send it anything.
"""

from functools import cache, wraps

import numpy as np
from chainer.backends import cuda

SMALLEST_NORMAL = {char: np.finfo(char).tiny for char in "fd"}
# The square of the smallest length that counts, in float64.
SMALLEST_SQUARE = {"f": np.float64(SMALLEST_NORMAL["f"]) ** 2, "d": SMALLEST_NORMAL["d"]}


def is_numpy(array):
    """Whether an array, perhaps of a class of its own, is NumPy's and not CuPy's."""
    return type(array) is np.ndarray or not isinstance(array, cuda.ndarray)


def module_of(array):
    """NumPy or CuPy: ``chainer.backend.get_array_module`` without its cost on a hot path."""
    return np if is_numpy(array) else cuda.cupy


def fused(inputs, outputs, operation):
    """A function of arrays, element by element, that is one launch on a GPU.

    The function itself is what NumPy runs. Both are tested to give the same numbers.

    Args:
        inputs: as ``cupy.ElementwiseKernel`` takes them, by the names of the function's parameters.
        outputs: the same of its results, or of its last parameters, if these are to be filled.
        operation: in CUDA C++.
    """

    def decorate(function):
        @cache
        def kernel():
            name = f"dnc_{function.__name__}"
            return cuda.cupy.ElementwiseKernel(inputs, outputs, operation, name)

        @wraps(function)
        def either(first, *others):
            run = function if is_numpy(first) else kernel()
            return run(first, *others)

        return either

    return decorate


def operand(matrix):
    """A part of a matrix as what many products take; CuPy would copy it for each of them."""
    return matrix if is_numpy(matrix) else cuda.cupy.ascontiguousarray(matrix)


def times(xs, W):
    """Return x W for all steps: (T, B, I), (I, O) -> (T, B, O). CuPy would use T products."""
    if is_numpy(xs):
        return xs @ W
    T, B, width = xs.shape
    return (xs.reshape(T * B, width) @ W).reshape(T, B, W.shape[1])


def inverse_norms(vectors):
    """1 / |v| along the last axis, 0 for a zero vector: its similarity and gradient are 0.

    A vector of float32 whose length is below the smallest normal number counts as zero, as does one
    of float64 whose squared length is: there the division would be noise.
    """
    if not is_numpy(vectors):
        smallest = f"(sizeof(T) == 4 ? {SMALLEST_SQUARE['f']!s} : {SMALLEST_SQUARE['d']!s})"
        return of_squares(vectors, f"y = a < {smallest} ? 0 : 1 / sqrt(a)")
    squared = np.einsum("...w,...w->...", vectors, vectors)
    odd = ~((SMALLEST_NORMAL[squared.dtype.char] <= squared) & (squared < np.inf))
    squared[odd] = 1
    scales = 1 / np.sqrt(squared)
    if odd.any():
        scales[odd] = _wide_inverse_norms(vectors[odd])
    return scales


def _wide_inverse_norms(vectors):
    """In float64, where the square of no normal float32 overflows or vanishes; slower."""
    squared = np.einsum("...w,...w->...", vectors, vectors, dtype=np.float64)
    squared[squared < SMALLEST_SQUARE[vectors.dtype.char]] = np.inf
    return (1 / np.sqrt(squared)).astype(vectors.dtype)


def of_squares(vectors, expression, keepdims=False):
    """On a GPU: what an expression makes of ``a``, the squared length, along the last axis.

    In float64, in which that of no float32 overflows; CuPy's einsum is a product of matrices for
    each vector.
    """
    return _square_kernel(expression)(vectors, axis=-1, keepdims=keepdims)


@cache
def _square_kernel(expression):
    square = "(double)x * (double)x"
    types = {"name": "dnc_of_squares", "reduce_type": "double"}
    return cuda.cupy.ReductionKernel("T x", "T y", square, "a + b", expression, "0", **types)


def times_transposed(a, b):
    """Return a bᵀ over a batch: (B, H, W), (B, N, W) -> (B, H, N).

    CuPy copies what is not contiguous before a batched product: here the smaller one.
    """
    if is_numpy(a):
        return a @ b.transpose(0, 2, 1)
    return (b @ a.transpose(0, 2, 1)).transpose(0, 2, 1)


def sums_at(index, values, size):
    """Sums of ``values`` that share an entry of ``index``, of one shape, as an array (size,).

    CuPy's ``bincount`` waits for the device. Where its atomic additions meet, their order and so
    the last bits of a sum differ from run to run.
    """
    if is_numpy(values):
        return np.bincount(index.ravel(), values.ravel(), size).astype(values.dtype)
    sums = cuda.cupy.zeros(size, values.dtype)
    cuda.cupy.add.at(sums, index.ravel(), values.ravel())
    return sums


def weighted_sums(weights, x):
    """Σ_k weights[…, k] x[…, k, r]: (B, N, K), (B, N, K, R) -> (B, N, R)."""
    if is_numpy(x):
        return np.einsum("bnk,bnkr->bnr", weights, x)
    return (weights[:, :, :, None] * x).sum(axis=2)


def head_sums(rows, x):
    """Σ_r rows[b, r, n] x[b, n, k, r]: (B, R, N), (B, N, K, R) -> (B, N, K)."""
    if is_numpy(x):
        return np.einsum("brn,bnkr->bnk", rows, x)
    return (rows.transpose(0, 2, 1)[:, :, None] * x).sum(axis=3)


def join_columns(parts):
    """Arrays (B, …) as the columns of one (B, ·). CuPy would upload the addresses of many."""
    parts = [part.reshape(len(part), -1) for part in parts]
    if is_numpy(parts[0]):
        return np.concatenate(parts, axis=1)
    joined = cuda.cupy.empty((len(parts[0]), sum(p.shape[1] for p in parts)), parts[0].dtype)
    start = 0
    for part in parts:
        joined[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    return joined


def underflowing(method):
    """Let numbers underflow to zero in it: the tails of a weighting do, and are no error.

    ``numpy.seterr(all="raise")`` would have it one, in NumPy code alone.
    """

    @wraps(method)
    def quiet(*arguments):
        with np.errstate(under="ignore"):
            return method(*arguments)

    return quiet


def keep_freed_memory():
    """Let the C library keep up to 64 MB of freed memory for the arrays to come.

    A step frees megabytes of arrays that the next one needs again. By default glibc hands them back
    to the system each time, and to get them back, page by page, can take longer than the step. It
    keeps twice as much as the largest block freed so far, up to 32 MB, unless the environment
    (``MALLOC_TRIM_THRESHOLD_`` and its like) says otherwise. So one such block is freed; it is
    never touched, so it costs nothing. Other C libraries do as they please.
    """
    block = np.empty(2**25 - 2**13, dtype=np.uint8)
    del block
