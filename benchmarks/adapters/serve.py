"""Serve one implementation: ``python serve.py NAME PATH``, run in a process of its own.

Implementations have modules of the same names (``dnc``, ``lib``), so no two can share a process.
Each line on standard input is a request in JSON:

    {"sizes": {"X": 6, ...}, "seconds": 0.3}

and is answered by a line with the milliseconds per time step of each training iteration run (reset,
forward over T rows, loss, backward, Adam) within that time, one at least:

    {"ms": [7.9, 7.8]}

The first request with some sizes builds the model and runs an iteration unmeasured. Where that took
so long that another would double the time of the benchmark, it is the answer itself.
"""

import json
import os
import sys
import time

SLOW = 5.0  # seconds


def main():
    """Answer requests until the input ends."""
    name, path = sys.argv[1:]
    answers = claim_standard_output()
    make_iteration = load(name, path)
    made = {}
    for line in sys.stdin:
        request = json.loads(line)
        ms = answer(make_iteration, made, request["sizes"], request["seconds"])
        answers.write(json.dumps({"ms": ms}) + "\n")
        answers.flush()


def claim_standard_output():
    """A file that answers go to; what an implementation prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def load(name, path):
    """The function that makes an iteration from sizes, by the adapter for that implementation."""
    import chainer_scripts
    import this_library
    import torch_ports

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if os.path.abspath(p) != here]
    for adapter in (chainer_scripts, this_library, torch_ports):
        if name in adapter.LOADERS:
            return adapter.LOADERS[name](path)
    raise SystemExit(f"there is no adapter for {name!r}")


def answer(make_iteration, made, sizes, seconds):
    """Milliseconds per step of the iterations that one request asks for."""
    key = json.dumps(sizes, sort_keys=True)
    if key not in made:
        made.clear()  # the memory of another size
        made[key] = make_iteration(sizes)
        first = milliseconds(made[key], sizes["T"])
        if first * sizes["T"] > 1000 * SLOW:
            return [first]
    found, start = [], time.perf_counter()
    while not found or time.perf_counter() - start < seconds:
        found.append(milliseconds(made[key], sizes["T"]))
    return found


def milliseconds(run, steps):
    """Of one call, a step."""
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start) / steps


if __name__ == "__main__":
    main()
