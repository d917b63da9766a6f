"""Signals in any order and number, at any moment."""

import signal
import time

KINDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Asked to stop with a snapshot, killed by the second signal, or at the end before any of them.
_STATUSES = {0, 130, 143, 129, -signal.SIGINT, -signal.SIGTERM}
# Before the program has handlers, a signal does what it does to any process.
_EARLY = {-signal.SIGHUP}


def in_any_order(bench, rng, index):
    """One to five signals, near to each other or far, and runs that go on after them."""
    folder, sent, wrong = bench.new(), 0, []
    for _ in range(rng.integers(1, 4)):
        run = bench.start(folder)
        time.sleep(rng.uniform(0, bench.seconds))
        for signum in rng.choice(KINDS, rng.integers(1, 6)):
            run.send(int(signum))
            sent += 1
            time.sleep(rng.choice([0, rng.uniform(0, 0.01), rng.uniform(0, 0.2)]))
        ended = run.wait()
        if ended.status not in _STATUSES | _EARLY:
            wrong.append(f"it ends with {ended.status}")
        wrong += [f"it says: {line}" for line in ended.err.splitlines()]
        if ended.status == 0:
            break
    return bench.conclude(folder, sent, wrong)
