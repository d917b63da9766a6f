"""Runs that are killed, several times maybe, and go on."""

import signal
import time

from .plants import MOMENTS, InWriting, die

_REAL = 0.15  # share of runs that are new processes, which are killed while they import too


def at_random(bench, rng, index):
    """Kills at any moment of a run's life."""
    folder, killed, wrong = bench.new(), 0, []
    for _ in range(rng.integers(1, 6)):
        real = rng.random() < _REAL
        run = bench.start(folder, real=real)
        time.sleep(rng.uniform(0, bench.seconds + real))
        run.send(signal.SIGKILL)
        ended = run.wait()
        wrong += said(ended)
        if ended.status != -signal.SIGKILL:
            break
        killed += 1
    return bench.conclude(folder, killed, wrong, each=True)


def in_writing(bench, rng, index):
    """Kills in the middle of opening, writing, syncing and replacing files."""
    folder, killed, wrong = bench.new(), 0, []
    for _ in range(rng.integers(1, 6)):
        moment = MOMENTS[rng.integers(len(MOMENTS))]
        # Nearer than to the end, so that several kills find something to be killed.
        at = rng.integers(1, max(2, bench.counts[moment] // 2))
        ended = bench.start(folder, InWriting(die, moment, at)).wait()
        wrong += said(ended)
        if ended.status != -signal.SIGKILL:
            break
        killed += 1
    return bench.conclude(folder, killed, wrong, each=True)


def said(ended):
    """What is wrong with a run that was killed or came to its end."""
    if ended.status not in (0, -signal.SIGKILL):
        return [f"it ends with {ended.status}: {ended.err}"]
    return [f"it says: {line}" for line in ended.err.splitlines()]
