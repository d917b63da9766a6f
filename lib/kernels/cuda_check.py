"""The project's own CUDA kernels against the plain code, on the GPU of whoever asks for them.

They have been run on CPUs alone. So before a program gets them, one step of its sizes, of a very
large memory that of a smaller one, must come out the same both ways, forward and backward; else the
plain code runs, with a warning.
"""

import warnings
from functools import cache

import numpy as np
from chainer.backends import cuda

from ..arrays import inverse_norms
from ..memory import cell, interface, step
from ..memory.sparse_linkage import SparseLink
from ..memory.step import MemoryState
from . import cuda_cell, cuda_large, cuda_step

# The kernels compare the candidates of a row one with another.
LARGEST_K = 64
# Largest difference, relative to the largest number of an array.
TOLERANCE = {"f": 1e-3, "d": 1e-8}
# Rounding may order two nearly equal usages the other way: then the next draw is looked at.
DRAWS = 3
# What a sequence has is counted in C's int, and some more, but for a dense link.
MOST_NUMBERS = 2**31 - 2**16


def usable(dtype, K, sizes):
    """Whether the kernels can be used on the current device; a warning where they fail.

    Args:
        dtype: float32 or float64.
        K: entries kept per row of the link matrix, 0: all.
        sizes: N, W and R of the memory; None where there is none, but the cell of the controller.
    """
    device = cuda.cupy.cuda.runtime.getDevice()
    if sizes is not None:
        N, W, R = sizes
        largest = max(N * max(W, K, 4 + 3 * R), interface.size(W, R))
        if K > LARGEST_K or largest > MOST_NUMBERS:
            limits = f"K = {K} of at most {LARGEST_K}, {largest} numbers of {MOST_NUMBERS}"
            _warn(device, f"they have their limits: {limits}")
            return False
        sizes = checked_N(N, dtype), W, R
    try:
        return _problem(dtype.char, K, sizes, device) is None
    except MemoryError as error:  # there may be some another time
        _warn(device, f"there is no memory to look at them: {error}")
        return False


@cache
def _warn(device, problem):
    """Say once why the kernels are not used."""
    text = " ".join(f"The CUDA kernels are not used on GPU {device}: {problem}".split())
    warnings.warn(f"{text[:500]}. The plain code runs.", RuntimeWarning, stacklevel=2)


def steps_for(N, dtype):
    """The module whose kernels do a memory step of N locations."""
    return cuda_step if cuda_step.fits(N, dtype.itemsize) else cuda_large


def checked_N(N, dtype):
    """N, or the least for which the same kernels run: a dense link of more may fill the device."""
    return min(N, cuda_step.MOST_LOCATIONS[dtype.itemsize] + 1)


@cache
def _problem(char, K, sizes, device):
    """Why the kernels cannot be used, or None; found out once."""
    try:
        found = first_difference(char, K, sizes)
    except MemoryError:
        raise
    except Exception as error:  # the compiler and the driver have many kinds
        found = f"they fail: {type(error).__name__}: {error}"
    if found is not None:
        _warn(device, found)
    return found


def first_difference(char, K, sizes):
    """A line about what comes out another way than by the plain code, or None."""
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        found = compare(cell_results, (cell, cuda_cell), cell_arguments(rng, char))
        if sizes is not None and found is None:
            steps = steps_for(sizes[0], np.dtype(char))
            found = step_difference(steps, rng, char, K, sizes)
        if found is None:
            return None
    return found


def step_difference(steps, rng, char, K, sizes):
    """The same for the memory step, with weightings that are flat, and with sharp ones.

    Beside flat ones links and look-ups would hardly show; sharp strengths have no gradient.
    """
    for sharp in (False, True):
        arguments = step_arguments(rng, char, K, *sizes, sharp)
        found = compare(step_results, (step, steps), arguments)
        if found is not None:
            return found
    return None


def compare(results, modules, arguments):
    """A line about the first array that differs between two implementations, or None."""
    want, got = (results(module, *arguments) for module in modules)
    for name, expected in want.items():
        error = abs(got[name] - expected).max()
        allowed = TOLERANCE[expected.dtype.char] * abs(expected).max()
        if not bool(error <= allowed):  # NaN too
            return f"{name} is off by {float(error):.3g}, where {float(allowed):.3g} is allowed"
    return None


def cell_arguments(rng, char):
    """c, z, and the gradients of c_t and h_t."""
    shapes = (2, 40), (2, 160), (2, 40), (2, 40)
    return [cuda.cupy.asarray(rng.normal(size=shape).astype(char)) for shape in shapes]


def cell_results(module, c, z, g_c, g_h):
    """All that a step of the controller gives, by name."""
    new, h, trace = module.cell(c, z)
    g_before, g_z = module.cell_backward(trace, g_c, g_h)
    return {"c": new, "h": h, "gradient of c": g_before, "gradient of z": g_z}


def step_arguments(rng, char, K, N, W, R, sharp):
    """A state, as it might be after many steps, an interface vector, gradients of what follows."""
    B = 2 if K or N <= 512 else 1

    def send(array):
        return cuda.cupy.asarray(array.astype(char))

    def weighting(*shape):
        weights = np.exp(3 * rng.normal(size=shape)) if sharp else rng.random(shape)
        return send(weights / weights.sum(axis=-1, keepdims=True))

    state = MemoryState(
        memory=send(rng.normal(size=(B, N, W))),
        usage=send(rng.random((B, N)) ** (2 / N)),  # so that all have a part in the allocation
        precedence=weighting(B, N),
        link=link_of(rng, char, B, N, K, sharp),
        write_weights=weighting(B, N),
        read_weights=weighting(B, R, N),
    )
    xi, at = rng.normal(0, 2, (B, interface.size(W, R))), interface.layout(W, R)
    for strengths in (at.read_strengths, at.write_strength):
        xi[:, strengths] += 20 * sharp
    shapes = (B, N, W), (B, N), (B, N), (B, N, K or N), (B, N), (B, R, N)
    g = MemoryState(*(send(rng.normal(size=shape)) for shape in shapes))
    if sharp:
        g.memory[...] *= 0.01
    return state, send(xi), g, send(rng.normal(size=(B, R * W)))


def link_of(rng, char, B, N, K, sharp):
    """A link matrix with K entries a row, or all."""
    scale = (K or N**0.5) if sharp else N
    values = cuda.cupy.asarray((rng.random((B, N, K or N)) / scale).astype(char))
    if not K:
        values *= 1 - cuda.cupy.eye(N, dtype=char)
        return values
    columns = (rng.integers(N, size=(B, N, 1)) + np.arange(K) * (N // K)) % N
    return SparseLink(values, cuda.cupy.asarray(columns.astype(np.int32)))


def step_results(module, state, xi, g, g_vectors):
    """All that a memory step gives, and the gradient of all that goes into it, by name."""
    after, vectors, trace = module.step(state, inverse_norms(state.memory), xi)
    g = g._replace(memory=g.memory.copy(), link=g.link.copy())  # which are overwritten
    g_before, g_xi = module.step_backward(trace, g, g_vectors)
    link = after.link.values if isinstance(after.link, SparseLink) else after.link
    found = after._replace(link=link)._asdict()
    found.update((f"gradient of {name}", field) for name, field in g_before._asdict().items())
    return {**found, "vectors": vectors, "gradient of xi": g_xi}
