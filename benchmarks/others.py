"""Other implementations, from checkouts of their public code, which is run as it is.

Each runs in processes of its own (``benchmarks.adapters``), this library too: one process with one
thread of BLAS and PyTorch, one with as many as they take. They take turns, ours, theirs, ours, ...,
and of the two medians the better counts. One that fails is reported, and the others go on.
"""

import os
import time
from pathlib import Path

from tqdm import tqdm

from benchmarks import timing
from benchmarks.arguments import THREAD_VARIABLES
from benchmarks.tables import number, table, times
from benchmarks.worker import Worker, WorkerError

OURS = "this library"
STEPS = "this library, step by step"
ROOT = str(Path(__file__).resolve().parent.parent)
SECONDS = 0.3  # of a turn
PAUSE = 0.25  # between turns: threads of the one before may still spin
THREADS = {"one thread": "1", "default threads": None}
DEFAULT = "default sizes"


def measure(plan, others, interpreters):
    """Medians for each case, implementation and number of threads.

    Args:
        plan: a :class:`benchmarks.plan.Plan`.
        others: name -> path of a checkout.
        interpreters: name -> Python interpreter, where it is not this one.
    """
    paths = {OURS: ROOT, STEPS: ROOT, **others}
    workers = {}
    for name, path in paths.items():
        for threads, count in THREADS.items():
            workers[name, threads] = Worker(
                name, path, thread_environment(count), interpreters.get(name)
            )
    results, failures = {}, {}  # failures: (name, case) -> why
    try:
        for case, (sizes, names) in cases(plan).items():
            taking = {key: worker for key, worker in workers.items() if key[0] in names}
            results[case] = measure_case(plan, case, sizes, taking, failures)
    finally:
        for worker in workers.values():
            worker.stop()
    said = [f"{name}, {case}: {why}" for (name, case), why in failures.items()]
    return {"sizes": plan.sizes.as_dict(), "cases": results, "failures": said}


def thread_environment(count):
    """The environment of a worker with that many threads, None for its own choice."""
    kept = {k: v for k, v in os.environ.items() if k not in THREAD_VARIABLES}
    return kept if count is None else {**kept, **dict.fromkeys(THREAD_VARIABLES, count)}


def cases(plan):
    """Case -> sizes and the implementations that can do it."""
    sizes, B, N = plan.sizes, plan.batch, plan.others_N
    ours = (OURS, STEPS)
    return {
        DEFAULT: (sizes, (*ours, "original", "yos1up", "pytorch-dnc", "csordas")),
        "K=0": (sizes.but(K=0), (*ours, "original")),
        f"batch {B}, per sequence": (sizes.but(B=B), (*ours, "pytorch-dnc", "csordas")),
        f"N={N:,}": (sizes.but(N=N), (*ours, "original")),
    }


def measure_case(plan, case, sizes, workers, failures):
    """Name -> threads -> summary, in ms per step and sequence."""
    found, spent = {key: [] for key in workers}, dict.fromkeys(workers, 0.0)
    seconds = min(SECONDS, 3 * plan.seconds)
    for turn in tqdm(range(plan.others_rounds), f"others, {case}", disable=None, leave=False):
        for key, worker in workers.items():
            if (key[0], case) in failures or (turn and spent[key] > plan.limit):
                continue
            time.sleep(PAUSE if turn else 0)
            began = time.monotonic()
            try:
                found[key] += worker.ask(sizes.as_dict(), seconds)
            except WorkerError as error:
                failures[key[0], case] = str(error)
            spent[key] += time.monotonic() - began
    results = {}
    for (name, threads), ms in found.items():
        if ms and (name, case) not in failures:
            scaled = [m / 1000 for m in ms]
            results.setdefault(name, {})[threads] = timing.summary(scaled, sizes.B)
    return results


def best(measured):
    """The better median of those with one and with more threads."""
    return min(found["median"] for found in measured.values())


def report(result):
    """A table of milliseconds per step, and how many times ours that is; failures below."""
    results = result["cases"]
    names = list(dict.fromkeys(name for case in results.values() for name in case))
    rows = [[name] for name in names]
    header = ["ms per step"]
    for case, measured in results.items():
        header += [case, "of ours"]
        for row in rows:
            row += cells(measured, row[0])
    failures = "\n".join(f"- failed: {failure}" for failure in result["failures"])
    return f"{table(header, rows)}\n\n{failures}".strip()


def cells(measured, name):
    """Median and ratio, dashes where it was not measured."""
    if name not in measured:
        return ["–", "–"]
    ms = best(measured[name])
    ratio = ms / best(measured[OURS]) if OURS in measured else None
    return [number(ms), times(ratio)]
