"""Where the time of a step goes: the functions that do it, timed while an iteration runs.

Each function named in ``pieces`` is wrapped by a timer for the time of the measurement. A
function's time is its own: what wrapped functions take that it calls is counted for those, as the
memory of the NumPy code is; the compiled loops run controller and memory in one. What is in none of
them, Chainer's graph above all, is the rest. The sum of the parts is given next to the
same iteration without timers.
"""

import contextlib
import statistics
import time
from unittest import mock

import chainer

from benchmarks import library, timing
from benchmarks.tables import number, table
from lib.adam import Adam
from lib.graph import sequence

STEP_FUNCTIONS = ("run_steps", "run_steps_backward")
STEPS = ("steps, forward", "steps, backward")
MEMORY = ("memory, forward", "memory, backward")
AROUND = "products of whole sequences, arrays"
REST = "Chainer's graph, loss, the rest"
GRADIENTS, ADAM = "gradients of the weights", "Adam"
PARTS = (*STEPS, *MEMORY, AROUND, GRADIENTS, ADAM, REST)


class Clock:
    """Adds up the time spent in each part, nested parts not counted twice."""

    def __init__(self):
        self.totals = dict.fromkeys(PARTS, 0.0)
        self._running = []
        self._since = 0.0

    def switch(self):
        """Book the time since the last switch to the part that ran."""
        now = time.perf_counter()
        if self._running:
            self.totals[self._running[-1]] += now - self._since
        self._since = now

    def wrap(self, part, function):
        """The function, timed."""

        def timed(*args, **kwargs):
            self.switch()
            self._running.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self._running.pop()

        return timed


def pieces():
    """(owner, attribute, part) of the functions that are timed."""
    steps = [(sequence, name, part) for name, part in zip(STEP_FUNCTIONS, STEPS)]
    if "numba" in library.BACKENDS:
        from lib.kernels import sequence as loops

        steps += [(loops, name, part) for name, part in zip(STEP_FUNCTIONS, STEPS)]
    return (
        *steps,
        (sequence, "unroll_backward", AROUND),
        (sequence, "unroll", AROUND),
        (sequence, "parameter_gradients", GRADIENTS),
        (Adam, "update", ADAM),
        (chainer.optimizers.Adam, "update", ADAM),
    )


@contextlib.contextmanager
def timers(clock):
    """Wrap all pieces, and the memory's steps where they are called from Python."""
    find = sequence.backend_for

    def timed_backend(*arguments):
        backend = find(*arguments)
        if backend.loops:
            return backend
        steps = ("step", MEMORY[0]), ("step_backward", MEMORY[1])
        timed = {name: clock.wrap(part, getattr(backend, name)) for name, part in steps}
        return backend._replace(**timed)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sequence, "backend_for", timed_backend))
        for owner, name, part in pieces():
            timed = clock.wrap(part, getattr(owner, name))
            stack.enter_context(mock.patch.object(owner, name, timed))
        yield


def measure(plan):
    """Medians of the parts, in µs a step, of each backend."""
    return {backend: measure_backend(plan, backend) for backend in library.BACKENDS}


def measure_backend(plan, backend):
    """Medians over many iterations, timed and untimed ones by turns."""
    run = library.training_iteration(
        plan.sizes, backend, "lib" if backend == "numba" else "chainer"
    )
    parts = {part: [] for part in PARTS}

    def timed():
        clock = Clock()
        with timers(clock):
            clock.wrap(REST, run)()
        for part, seconds in clock.totals.items():
            parts[part].append(seconds)

    untimed = timing.interleave({"timed": timed, "untimed": run}, plan, f"profile, {backend}")
    scale = 1e6 / plan.sizes.T
    whole = scale * statistics.median(untimed["untimed"])
    return {
        "parts": {part: scale * statistics.median(times) for part, times in parts.items()},
        "untimed": whole,
    }


def report(result):
    """One table, two columns for each backend."""
    header = ["part"]
    for backend in result:
        header += [f"{backend}: µs per step", "per cent"]
    rows = [[part] for part in next(iter(result.values()))["parts"]]
    sums, wholes = ["all of them"], ["the same without timers"]
    for found in result.values():
        total = sum(found["parts"].values())
        for row in rows:
            microseconds = found["parts"][row[0]]
            row += [number(microseconds), number(100 * microseconds / total)]
        sums += [number(total), "100"]
        wholes += [number(found["untimed"]), ""]
    return table(header, [*rows, sums, wholes])
