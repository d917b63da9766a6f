"""``make gpu``: all that a machine with a GPU can tell, in one JSON file to send to the authors.

The tests that need a GPU, agreement with the CPU, time against N and batch, and a picture of where
the GPU becomes faster. What fails is written down as well.
"""

import argparse
import json
import re
import subprocess
import sys
import traceback
from pathlib import Path

from benchmarks import arguments, children, gpu, machine, suite
from benchmarks.plan import Sizes, full_plan, quick_plan


def main(argv=None):
    """Run it; the exit status is 1 where a test failed or something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_machine", description=__doc__)
    parser.add_argument("--json", default="gpu.json", help="the file to send (default: gpu.json)")
    parser.add_argument("--plot", default="gpu.png", help="the picture (default: gpu.png)")
    parser.add_argument("--quick", action="store_true", help="small sizes: to try it out")
    parser.add_argument("--hps", type=arguments.sizes, default=Sizes(), metavar="N,W,R,H,K")
    parser.add_argument("--tests", nargs="*", default=[], help="arguments of pytest")
    args = parser.parse_args(argv)
    plan = (quick_plan if args.quick else full_plan)(args.hps)
    return everything(plan, args.json, args.plot, args.tests)


def everything(plan, json_file, picture, tests=()):
    """Test, measure, write and draw; the exit status."""
    found = {"machine": machine.describe(), "tests": run_tests(tests), "benchmarks": {}}
    print(machine.report(found["machine"]), found["tests"]["summary"], sep="\n", flush=True)
    try:
        result = found["benchmarks"]["gpu"] = gpu.measure(plan)
    except Exception:  # of CuPy, of the driver, of ours: what it was is what is wanted
        found["failure"] = traceback.format_exc()
        print(found["failure"], file=sys.stderr)
    Path(json_file).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if "failure" not in found:
        print(suite.section("gpu", result))
        if suite.can_draw():
            suite.draw(found["benchmarks"], picture)
    print(f"Written: {json_file}", flush=True)
    return 1 if found["tests"]["status"] or "failure" in found else 0


def run_tests(more=()):
    """The tests that need a GPU: pytest's exit status, its last line, and what failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu or two_gpus", *more]
    done = subprocess.run(command, cwd=children.ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing"]
    failed = [line for line in lines if re.match("FAILED|ERROR", line)]
    tail = lines[-400:] if done.returncode else []
    return {"status": done.returncode, "summary": lines[-1], "failed": failed, "output": tail}


if __name__ == "__main__":
    sys.exit(main())
