"""``python -m experiments``: train, test, write numbers and pictures; takes up where it ended."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks import machine

from . import pictures
from .parts import PARTS
from .runs import do, results


def main():
    """Run the parts that the command line names."""
    args = parse()
    for part in args.parts:
        labels = PARTS[part](range(1, args.seeds + 1))
        wanted = [
            run
            for label, runs in labels.items()
            for run in runs
            if args.label in (label, None) and args.task in (run.task, None)
        ]
        if not args.report:
            do(wanted, args.folder, args.workers)
        if args.label or args.task:
            continue
        done = results(wanted, args.folder)
        found = {
            label: [done[run] for run in runs if run in done] for label, runs in labels.items()
        }
        save(part, found, args.asset)
    return 0


def parse():
    """The arguments."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each kind (default: 5)")
    parser.add_argument("--workers", type=int, default=2, help="at once (default: 2)")
    parser.add_argument("--label", help="only this kind of run, without a report")
    parser.add_argument("--task", help="only the runs on this task, without a report")
    parser.add_argument("--report", action="store_true", help="train nothing: report what is there")
    parser.add_argument(
        "--folder", type=Path, default=Path("result/experiments"), help="of the runs"
    )
    parser.add_argument("--asset", type=Path, default=Path("asset"), help="of numbers and pictures")
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}: {', '.join(PARTS)}")
    args.parts = args.parts or list(PARTS)
    return args


def save(part, found, folder):
    """Write the numbers and draw them."""
    numbers = {"measured on": machine.describe(), "runs": found}
    path = folder / f"{part}.json"
    path.write_text(
        json.dumps(numbers, separators=(",", ":")).replace('{"task"', '\n{"task"') + "\n"
    )
    print(f"{path}\n{pictures.report(found)}")
    for picture in pictures.draw(part, found, folder):
        print(picture)


if __name__ == "__main__":
    sys.exit(main())
