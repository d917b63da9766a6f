"""A GPU next to the CPU: the same numbers, and the time per step against N and the batch.

Three ways take turns, each a training iteration as in ``benchmarks.training``: on the CPU as
installed; on the GPU with the array code; on the GPU with the kernels in CUDA C++, where they fit
and agree with the array code. An iteration on the GPU has ended when the GPU has.
"""

import time
import warnings

import lib  # noqa: F401 - before Chainer: it supplies what Chainer misses

# isort: split

import chainer
import numpy as np
from chainer.backends import cuda

from benchmarks import library, timing
from benchmarks.tables import number, table, times
from lib.compat import cuda_problem
from lib.kernels import backends

CPU = "CPU"
ARRAYS = "GPU, array code"
KERNELS = "GPU, kernels"
WAYS = {CPU: ("auto", -1), ARRAYS: ("numpy", 0), KERNELS: ("cuda", 0)}


def measure(plan):
    """Agreement with the CPU, times against N and batch, and where the GPU becomes faster.

    Raises:
        RuntimeError: there is no GPU to use; says why.
    """
    problem = cuda_problem(0)
    if problem is not None:
        raise RuntimeError(problem)
    sizes = plan.sizes
    cases = {"N": [sizes.but(N=N) for N in plan.Ns], "B": [sizes.but(B=B) for B in plan.batches]}
    compared = [sizes.but(K=K, B=B) for K in (sizes.K, 0) for B in (1, plan.batch)]
    compared += [sizes.but(N=max(plan.Ns))]  # which one block cannot hold
    growth = {letter: measure_all(plan, letter, found) for letter, found in cases.items()}
    return {
        "gpu": describe(),
        "sizes": sizes.as_dict(),
        "agreement": [agreement(case) for case in compared],
        "first iteration": {way: first_iteration(sizes, way) for way in WAYS},
        "growth": growth,
        "crossover": {
            letter: {way: crossover(rows, way) for way in (ARRAYS, KERNELS)}
            for letter, rows in growth.items()
        },
    }


def describe():
    """The GPU, its driver, CUDA and CuPy."""
    runtime = cuda.cupy.cuda.runtime
    name = runtime.getDeviceProperties(0)["name"]
    return {
        "name": name.decode() if isinstance(name, bytes) else name,
        "compute capability": cuda.cupy.cuda.Device(0).compute_capability,
        "driver": runtime.driverGetVersion(),
        "CUDA": runtime.runtimeGetVersion(),
        "CuPy": cuda.cupy.__version__,
    }


def iteration(sizes, way):
    """A training iteration one of the three ways."""
    backend, gpu = WAYS[way]
    return library.training_iteration(sizes, backend, gpu=gpu)


def kernels_run(sizes):
    """Whether the kernels are used for a model of these sizes."""
    K = sizes.K if 0 < sizes.K < sizes.N else 0
    with chainer.using_config("dnc_backend", "cuda"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the table says so
        backend = backends.backend_for(cuda.cupy.empty(0, "f"), K, (sizes.N, sizes.W, sizes.R))
    return backend.name == "cuda"


def possible(sizes, way):
    """Whether an iteration can be run this way: the memory may not do."""
    if way == KERNELS and not kernels_run(sizes):
        return False
    try:
        iteration(sizes, way)()
    except Exception as error:  # CuPy's own
        if "OutOfMemory" in type(error).__name__:
            return False
        raise
    return True


def measure_all(plan, letter, cases):
    """A list of dicts: the size, and for each way ms per step, None where it cannot be run."""
    runs = {
        (case, way): iteration(case, way) for case in cases for way in WAYS if possible(case, way)
    }
    seconds = timing.interleave(runs, plan, f"GPU and CPU with {letter}")
    return [
        {
            "size": getattr(case, letter),
            **{
                way: timing.summary(seconds[case, way], case.T) if (case, way) in seconds else None
                for way in WAYS
            },
        }
        for case in cases
    ]


def first_iteration(sizes, way):
    """Seconds of the first iteration, when kernels may have to be compiled."""
    start = time.perf_counter()
    if way == KERNELS and not kernels_run(sizes):
        return None
    iteration(sizes, way)()
    return time.perf_counter() - start


def agreement(sizes):
    """The largest difference of outputs and gradients from the CPU's, of the largest number."""
    want = numbers(sizes, CPU)
    found = {"sizes": sizes.as_dict()}
    for way in (ARRAYS, KERNELS):
        if way == KERNELS and not kernels_run(sizes):
            found[way] = None
            continue
        got = numbers(sizes, way)
        found[way] = max(
            float(np.abs(got[name] - array).max() / np.abs(array).max())
            for name, array in want.items()
            if array.any()
        )
    return found


def numbers(sizes, way):
    """Outputs of a sequence and the gradients of all parameters, as NumPy arrays by name."""
    backend, gpu = WAYS[way]
    model, xs, targets = library.on_device(sizes, gpu)
    with chainer.using_config("dnc_backend", backend):
        model.reset_state()
        ys = model.unroll(xs)
        model.cleargrads()
        ys.grad = ys.array - targets
        ys.backward()
    gradients = {path: cuda.to_cpu(param.grad) for path, param in model.namedparams()}
    return {"ys": cuda.to_cpu(ys.array), **gradients}


def crossover(rows, way):
    """The least size from which on a way is faster than the CPU; None where it never is."""
    found = None
    for row in reversed(rows):
        if row[way] is None or row[CPU] is None:
            continue
        if row[way]["median"] >= row[CPU]["median"]:
            break
        found = row["size"]
    return found


def report(result):
    """The tables."""
    gpu = ", ".join(f"{name} {value}" for name, value in list(result["gpu"].items())[1:])
    lines = [f"{result['gpu']['name']}: {gpu}."]
    lines.append(
        "\n" + table(("largest difference from the CPU", ARRAYS, KERNELS), agreements(result))
    )
    for letter, rows in result["growth"].items():
        lines.append("\n" + growth_table(letter, rows))
        for way, size in result["crossover"][letter].items():
            at = f"from {letter} = {size:,} on" if size is not None else "nowhere"
            lines.append(f"- {way}: faster than the CPU {at}")
    firsts = [(way, number(seconds)) for way, seconds in result["first iteration"].items()]
    lines.append("\n" + table(("the first iteration of a process", "seconds"), firsts))
    return "\n".join(lines)


def agreements(result):
    """Rows of a table."""
    for found in result["agreement"]:
        name = "N = {N:,}, K = {K}, batch {B}".format(**found["sizes"])
        yield (
            name,
            *("–" if found[way] is None else f"{found[way]:.1e}" for way in (ARRAYS, KERNELS)),
        )


def growth_table(letter, rows):
    """Milliseconds per time step; and the better GPU way against the CPU."""
    header = (f"ms per step, by {letter}", *WAYS, "CPU / GPU")
    body = []
    for row in rows:
        found = [row[way] and row[way]["median"] for way in WAYS]
        best = min((ms for ms in found[1:] if ms), default=None)
        ratio = found[0] / best if best and found[0] else None
        body.append((f"{row['size']:,}", *map(number, found), times(ratio)))
    return table(header, body)
