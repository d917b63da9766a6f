"""One training iteration: reset, forward, backward and Adam, in milliseconds a time step.

All variants take turns in one process, next to the floor (see ``benchmarks.floor``).
"""

from benchmarks import timing
from benchmarks.floor import floor
from benchmarks.library import lstm_iteration, stepwise_iteration, training_iteration
from benchmarks.tables import number, table, times

FLOOR = "the floor"
OURS = "this library"
STEPS = "step by step"


def measure(plan):
    """Medians and quartiles of all variants; those of a batch are a sequence's share of it."""
    variants = make_variants(plan)
    runs = {name: run for name, (run, _) in variants.items()}
    seconds = timing.interleave(runs, plan, "training")
    T = plan.sizes.T
    return {
        "sizes": plan.sizes.as_dict(),
        "variants": {
            name: timing.summary(seconds[name], T * sequences)
            for name, (_, sequences) in variants.items()
        },
    }


def make_variants(plan):
    """Name -> callable and number of sequences."""
    sizes = plan.sizes
    dense, batch = sizes.but(K=0), sizes.but(B=plan.batch)
    plain = {"backend": "numpy", "adam": "chainer"}
    runs = {
        FLOOR: floor(sizes),
        OURS: training_iteration(sizes),
        f"{OURS}, K=0": training_iteration(dense),
        f"{OURS}, {STEPS}": stepwise_iteration(sizes),
        "its LSTM alone": lstm_iteration(sizes),
        "NumPy alone": training_iteration(sizes, **plain),
        "NumPy alone, K=0": training_iteration(dense, **plain),
        "NumPy alone, without Adam": training_iteration(sizes, "numpy", None),
        "NumPy alone, without Adam, K=0": training_iteration(dense, "numpy", None),
        f"NumPy alone, {STEPS}": stepwise_iteration(sizes, **plain),
    }
    found = {name: (run, 1) for name, run in runs.items()}
    for B in (plan.batch, plan.large_batch):
        run = training_iteration(sizes.but(B=B))
        found[f"{OURS}, batch {B}, per sequence"] = run, B
    run = training_iteration(batch, **plain)
    found[f"NumPy alone, batch {plan.batch}, per sequence"] = run, plan.batch
    return found


def report(result):
    """The table."""
    variants = result["variants"]
    base, ours = variants[FLOOR]["median"], variants[OURS]["median"]
    rows = []
    for name, found in variants.items():
        spread = f"{number(found['low'])}–{number(found['high'])}"
        ratios = times(found["median"] / base), times(found["median"] / ours)
        rows.append((name, number(found["median"]), spread, *ratios))
    header = ("one training iteration", "ms per step", "quartiles", "of the floor", "of the first")
    header = (*header[:-1], f"of {OURS}")
    sizes = result["sizes"]
    caption = ", ".join(f"{k}={v}" for k, v in sizes.items())
    return f'Sizes: {caption}; "{OURS}" is as installed.\n\n{table(header, rows)}'
