"""Timing on a machine that others use too: variants take turns, and medians are compared."""

import statistics
import time

from tqdm import tqdm

LEAST_TURNS = 3


def interleave(variants, plan, what):
    """Time each variant, a callable of no arguments, in turns of about ``plan.seconds``.

    Each runs once or twice unmeasured. Then all take their turns round-robin, so that what slows
    the machine down for a while slows all of them down. Slow ones get fewer turns, ``LEAST_TURNS``
    at least, or ``plan.rounds`` where that is less.

    Returns:
        A dict of lists: the seconds of each call.
    """
    counts, turns = {}, {}
    for name, run in tqdm(variants.items(), f"{what}, warming up", disable=None, leave=False):
        once = seconds_of(run)
        once = seconds_of(run) if once < 2 else once
        once = max(once, 1e-9)  # a clock may be coarse
        counts[name] = max(1, int(plan.seconds / once))
        affordable = int(plan.limit / (counts[name] * once))
        turns[name] = min(plan.rounds, max(LEAST_TURNS, affordable))
    times = {name: [] for name in variants}
    for turn in tqdm(range(plan.rounds), what, disable=None, leave=False):
        for name, run in variants.items():
            if turn < turns[name]:
                times[name] += [seconds_of(run) for _ in range(counts[name])]
    return times


def seconds_of(run):
    """How long one call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def summary(seconds, steps):
    """Median and quartiles, in milliseconds a time step, of calls of that many steps."""
    ms = [1000 * s / steps for s in seconds]
    low, _, high = statistics.quantiles(ms, n=4) if len(ms) > 1 else ms * 3
    return {"median": statistics.median(ms), "low": low, "high": high, "calls": len(ms)}
