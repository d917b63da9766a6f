"""How time and memory grow with the number of locations N, the batch, and the sequence length T.

Time: training iterations, as in ``benchmarks.training``, of all sizes and backends by turns. Kept:
the bytes of all arrays that hang on the sequence's node in Chainer's graph, which is what backward
needs: what each of two steps more adds, and in the table of T the mean over the sequence, also
for ``unroll(..., recompute=True)``. Peak: the most memory that a process has had that runs one
training iteration.
"""

import gc
import json
import math

import lib  # before Chainer: it supplies what Chainer misses

# isort: split

import chainer
import numpy as np

from benchmarks import children, library, timing
from benchmarks.tables import kibibytes, mebibytes, number, table

SLOPE_FROM = 1024
PASSES = 12


def measure(plan):
    """Time and memory for each size and backend."""
    sizes = plan.sizes
    cases = {
        "N": [sizes.but(N=N) for N in plan.Ns],
        "B": [sizes.but(B=B) for B in plan.batches],
        "T": [sizes.but(T=T) for T in plan.Ts],
    }
    growth = {letter: measure_all(plan, letter, found) for letter, found in cases.items()}
    largest = cases["N"][-1]
    peaks = {backend: peak(largest, backend) for backend in library.BACKENDS}
    slopes = {backend: slope(growth["N"], backend) for backend in library.BACKENDS}
    passes = against_passes(plan, largest)
    found = {"growth": growth, "slopes": slopes, "peaks": peaks, "passes": passes}
    return {"sizes": sizes.as_dict(), **found}


def measure_all(plan, letter, cases):
    """A list of dicts: the size, and for each way to run ms per step and bytes kept per step."""
    ways = {backend: (backend, adam(backend)) for backend in library.BACKENDS}
    if letter == "T":
        ways[f"{library.BACKENDS[0]}, recompute"] = (*ways[library.BACKENDS[0]], True)
    variants = {
        (case, name): library.training_iteration(case, *way)
        for case in cases
        for name, way in ways.items()
    }
    seconds = timing.interleave(variants, plan, f"scaling with {letter}")
    rows = []
    for case in cases:
        row = {"size": getattr(case, letter)}
        for name, (backend, _, *recompute) in ways.items():
            time = timing.summary(seconds[case, name], case.T)
            if letter == "T":
                found = kept(case, backend, *recompute) / case.T
            else:
                found = kept_by_a_step(case, backend)
            row[name] = {"time": time, "kept": found}
        rows.append(row)
    return rows


def against_passes(plan, sizes):
    """Time of a step against bare passes over the memory: products of all rows with a key."""
    rng = np.random.default_rng(0)
    memory, key = (rng.standard_normal(s, np.float32) for s in ((sizes.N, sizes.W), sizes.W))
    similarity = np.empty(sizes.N, np.float32)

    def passes():
        for _ in range(PASSES * sizes.T):
            np.dot(memory, key, out=similarity)

    backend = library.BACKENDS[0]
    step = library.training_iteration(sizes, backend, adam(backend))
    seconds = timing.interleave({"step": step, "passes": passes}, plan, "passes over the memory")
    step, bare = (timing.summary(seconds[name], sizes.T)["median"] for name in ("step", "passes"))
    return {"step": step, "passes": bare}


def adam(backend):
    """What an update is done by: without Numba, Chainer's Adam."""
    return "lib" if backend == "numba" else "chainer"


def kept_by_a_step(sizes, backend):
    """Bytes that one more step adds to what a sequence keeps for its gradient."""
    return (kept(sizes.but(T=4), backend) - kept(sizes.but(T=2), backend)) / 2


def kept(sizes, backend, recompute=False):
    """Bytes of the arrays that hang on the node of a sequence in Chainer's graph."""
    model, (xs, _) = library.make_model(sizes), library.make_data(sizes)
    with chainer.using_config("dnc_backend", backend):
        ys = model.unroll(xs, recompute=recompute)
    found, weights = {}, {}
    collect(vars(ys.creator), found)
    collect([parameter.array for parameter in model.params()], weights)
    total = sum(size for block, size in found.items() if block not in weights)
    del ys, model
    gc.collect()
    return total


def collect(thing, found):
    """Put the size of each block of memory below ``thing`` into ``found``, by its identity."""
    if isinstance(thing, np.ndarray):
        while isinstance(thing.base, np.ndarray):
            thing = thing.base
        found[id(thing)] = thing.nbytes
    elif isinstance(thing, dict):
        collect(list(thing.values()), found)
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            collect(part, found)
    elif type(thing).__module__.startswith(f"{lib.__name__}.") and hasattr(thing, "__dict__"):
        collect(vars(thing), found)


def peak(sizes, backend):
    """Most bytes in memory of a process that runs one training iteration."""
    return children.run(PEAK, json.dumps(sizes.as_dict()), backend, adam(backend))["peak"]


PEAK = """
import json, sys
from benchmarks import library, machine
from benchmarks.plan import Sizes
library.training_iteration(Sizes(**json.loads(sys.argv[1])), *sys.argv[2:])()
print(json.dumps({"peak": machine.peak_memory()}))
"""


def slope(rows, backend):
    """Log-log slope of time against N by least squares."""
    points = [(row["size"], row[backend]["time"]["median"]) for row in sloped(rows)]
    xs, ys = ([math.log(value) for value in values] for values in zip(*points))
    return float(np.polyfit(xs, ys, 1)[0]) if len(points) > 1 else None


def sloped(rows):
    """Those that the slope is taken of: from N = 1,024 on, all where that leaves fewer than two."""
    above = [row for row in rows if row["size"] >= SLOPE_FROM]
    return above if len(above) > 1 else rows


def report(result):
    """A table for each letter, the slopes and the peaks."""
    tables = [growth_table(letter, rows) for letter, rows in result["growth"].items()]
    Ns = [row["size"] for row in sloped(result["growth"]["N"])]
    lines = [
        f"- {backend}: log-log slope of time from N = {Ns[0]:,} to {Ns[-1]:,}: {number(found)};"
        f" peak memory of a process that trains at N = {Ns[-1]:,}, {result['sizes']['T']} rows:"
        f" {mebibytes(result['peaks'][backend])} MiB"
        for backend, found in result["slopes"].items()
    ]
    step, passes = (result["passes"][name] for name in ("step", "passes"))
    lines.append(
        f"- at N = {Ns[-1]:,} a step takes {number(step)} ms, {number(step / passes)} times"
        f" {PASSES} bare passes over the memory, {number(passes)} ms"
    )
    return "\n\n".join([*tables, "\n".join(lines)])


def growth_table(letter, rows):
    """Time per step, for a batch also per sequence, and what is kept."""
    names = {"N": "N", "B": "batch", "T": "T"}
    backends = [key for key in rows[0] if key != "size"]
    header = [names[letter]]
    for backend in backends:
        header.append(f"{backend}: ms per step")
        header += ["per sequence"] if letter == "B" else []
        header.append("kept per step, KiB")
    lines = []
    for row in rows:
        line = [f"{row['size']:,}"]
        for backend in backends:
            ms = row[backend]["time"]["median"]
            line.append(number(ms))
            line += [number(ms / row["size"])] if letter == "B" else []
            line.append(kibibytes(row[backend]["kept"]))
        lines.append(line)
    return table(header, lines)
