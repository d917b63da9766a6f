"""All benchmarks: run those that are wanted, print their tables, save their numbers."""

import json
import sys
from pathlib import Path

import lib  # noqa: F401 - before Chainer: it supplies what Chainer misses

# isort: split

from benchmarks import arguments, gpu, machine, others, profile, scaling, startup, training
from lib.compat import cuda_problem

TITLES = {
    "training": "One training iteration",
    "others": "Other implementations",
    "scaling": "Growth with N, batch and T",
    "profile": "Where the time of a step goes",
    "startup": "Start and long runs",
    "gpu": "A GPU next to the CPU",
}
MODULES = {
    "training": training,
    "others": others,
    "scaling": scaling,
    "profile": profile,
    "startup": startup,
    "gpu": gpu,
}


def run(args):
    """Measure or load, print, save and draw; the exit status."""
    if args.plot and not can_draw():
        print("--plot needs Matplotlib: pip install matplotlib", file=sys.stderr)
        return 2
    if "gpu" in (args.only or ()) and not args.from_json and cuda_problem(0):
        print(f"--only gpu needs a GPU: {cuda_problem(0)}", file=sys.stderr)
        return 2
    if args.from_json:
        saved = json.loads(Path(args.from_json).read_text(encoding="utf-8"))
        print(report(saved))
    else:
        saved = measure(args)
    if args.plot:
        draw(saved["benchmarks"], args.plot)
    return 0


def draw(results, path):
    """The picture of what was measured; that of the GPU where nothing else was."""
    from benchmarks import gpu_plot, plot

    if list(results) == ["gpu"]:
        gpu_plot.draw(results["gpu"], path)
    else:
        plot.draw(results, path)


def can_draw():
    """Whether Matplotlib is installed."""
    import importlib.util

    return importlib.util.find_spec("matplotlib") is not None


def measure(args):
    """Run the benchmarks, printing each table when it is there."""
    plan = arguments.plan(args)
    saved = {"machine": machine.describe(), "benchmarks": {}}
    print(machine.report(saved["machine"]), flush=True)
    for name in args.only or arguments.NAMES:
        if name == "others" and not (args.others or args.only):
            continue
        if name == "gpu" and cuda_problem(0):
            continue
        extra = (args.others, args.python) if name == "others" else ()
        saved["benchmarks"][name] = MODULES[name].measure(plan, *extra)
        print(section(name, saved["benchmarks"][name]), flush=True)
        if args.json:  # after each, so that an interruption loses only one
            text = json.dumps(saved, indent=1) + "\n"
            Path(args.json).write_text(text, encoding="utf-8")
    return saved


def report(saved):
    """All tables as one text."""
    sections = (section(name, result) for name, result in saved["benchmarks"].items())
    return "\n".join([machine.report(saved["machine"]), *sections])


def section(name, result):
    """Heading and tables of one benchmark."""
    return f"\n### {TITLES[name]}\n\n{MODULES[name].report(result)}"
