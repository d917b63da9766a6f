"""``python -m benchmarks``: measure, print tables, and save the numbers and a plot."""

import os
import sys

from benchmarks import arguments


def main():
    """Run what the command line asks for."""
    args = arguments.parse(sys.argv[1:])
    before = dict(os.environ)
    os.environ.update(arguments.thread_settings(args.threads, before))
    if "numpy" in sys.modules and os.environ != before:  # its threads are counted by now
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]])
    from benchmarks import suite

    return suite.run(args)


if __name__ == "__main__":
    sys.exit(main())
