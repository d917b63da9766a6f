"""``python -m torture``: harm trainings, let them go on, compare; counts in a table and as JSON.

The exit status is 1 where a run was lost or anything was not as it has to be.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

# Before NumPy is loaded, here and in what is started: bit for bit takes one order of sums.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# isort: split

from tqdm import tqdm

from . import work
from .kinds import ALL
from .tally import Tally, as_table

_NAMES = {kind.name.replace(" ", "-").replace(",", ""): kind for kind in ALL}


def main(argv=None):
    """Do what the command line says; the exit status."""
    args = parse(argv)
    take_signals()
    kinds = [_NAMES[name] for name in args.names]
    start = time.monotonic()
    total = sum(kind.quota(args.kills) for kind in kinds)
    with (
        tempfile.TemporaryDirectory(prefix="torture-") as folder,
        pool(args.workers, folder) as executor,
        tqdm(total=total, unit="faults") as bar,
    ):
        tallies = {kind.name: collect(kind, args, executor, bar) for kind in kinds}
    print(as_table(tallies))
    report = {
        "seed": args.seed,
        "seconds": round(time.monotonic() - start),
        "kinds": {name: tally.counts() for name, tally in tallies.items()},
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return int(any(tally.wrong for tally in tallies.values()))


def take_signals():
    """Ignore none that was ignored at the start (nohup, a background job): the runs would too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def parse(argv):
    """The arguments."""
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(_NAMES)}; all by default")
    parser.add_argument("--kills", type=int, default=300, help="of runs (default: 300); the other "
                        "faults are in proportion")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn (default: 1)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--json", type=Path, help="write the counts there")
    args = parser.parse_args(argv)
    unknown = set(args.names) - set(_NAMES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}: {', '.join(_NAMES)}")
    args.names = args.names or list(_NAMES)
    return args


def pool(workers, folder):
    """An executor that works in this folder; with one worker, of this process."""
    if workers < 2:
        work.begin(folder)
        return _Here()
    return ProcessPoolExecutor(workers, get_context("spawn"), work.begin, (folder,))


class _Here(Executor):
    """Does all at once, here."""

    def submit(self, function, *args):
        """The result, as a future that is done."""
        future = Future()
        future.set_result(function(*args))
        return future


def collect(kind, args, executor, bar):
    """The tally of one kind: cases are done until there were enough faults."""
    tally, pending, begun, quota = Tally(), set(), 0, kind.quota(args.kills)
    bar.set_description(kind.name)
    while tally.injected < quota or pending:
        # A case may come too late to harm anything; where all do, something is wrong.
        most = kind.most or 5 * quota + 20
        while begun < most and len(pending) < args.workers:
            if tally.injected + len(pending) >= quota:
                break
            pending.add(executor.submit(work.do, kind, args.seed, begun))
            begun += 1
        if not pending:
            break
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            before = min(tally.injected, quota)
            tally.add(future.result())
            bar.update(min(tally.injected, quota) - before)
    return tally


if __name__ == "__main__":
    sys.exit(main())
