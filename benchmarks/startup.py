"""Seconds from the start of a process, what dnc.py adds to training, and whether that slows down.

Start: from just before a process is started to the end of the import, of the first call of a model
and of the first training iteration in it. One start before, unmeasured, fills the caches.
The program: of the time of ``dnc.py``, as it is, what is not spent in training steps but in drawing
sequences, reports and the loop around them.
Long run: many iterations at small sizes in one process, its first and last tenth compared.
"""

import json
import statistics
import time

from tqdm import tqdm

from benchmarks import children
from benchmarks.plan import Sizes
from benchmarks.tables import mebibytes, number, table

STAGES = {"import": "import lib", "step": "first step", "iteration": "first training iteration"}
SMALL = Sizes(N=16, W=8, R=1, H=16, K=4, T=5)


def measure(plan):
    """Starts and the long run."""
    sizes = json.dumps(plan.sizes.as_dict())
    children.run(START, sizes)
    starts = {stage: [] for stage in STAGES}
    for _ in tqdm(range(plan.starts), "starts", disable=None, leave=False):
        began = time.time()
        for stage, moment in children.run(START, sizes).items():
            starts[stage].append(moment - began)
    program = children.run(PROGRAM, max(100, plan.iterations // 10))
    long_run = children.run(LONG_RUN, json.dumps(SMALL.as_dict()), plan.iterations)
    medians = {stage: statistics.median(seconds) for stage, seconds in starts.items()}
    return {"start": medians, "program": program, "long run": long_run}


START = """
import json, sys, time
import lib
moments = {"import": time.time()}
from benchmarks import library
from benchmarks.plan import Sizes
sizes = Sizes(**json.loads(sys.argv[1]))
library.make_model(sizes)(library.make_data(sizes)[0][0])
moments["step"] = time.time()
library.training_iteration(sizes)()
moments["iteration"] = time.time()
print(json.dumps(moments))
"""

PROGRAM = """
import contextlib, json, sys, tempfile, time
import dnc
from lib.training.loop import SequenceUpdater

began, steps, drawing = [], [], []
update = SequenceUpdater.update

def timed_update(self):
    if not began:
        draw = self._sample
        self._sample = lambda rng: timed(drawing, draw, rng)
    began.append(time.perf_counter())
    timed(steps, update, self)

def timed(times, function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    times.append(time.perf_counter() - start)
    return result

SequenceUpdater.update = timed_update
iterations, warm = int(sys.argv[1]), 20
with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(sys.stderr):
    status = dnc.main(["--out", out, "--seed", "1", "--iterations", str(iterations)])
assert status == 0
whole = began[-1] - began[warm]
training = sum(steps[warm:-1]) - sum(drawing[warm:-1])
found = {"ms": 1000 * whole / (iterations - warm - 1), "besides": 1 - training / whole}
print(json.dumps({"iterations": iterations, **found}))
"""

LONG_RUN = """
import json, statistics, sys
from benchmarks import library, machine, timing
from benchmarks.plan import Sizes
iterations = int(sys.argv[2])
tenth = max(1, iterations // 10)
run = library.training_iteration(Sizes(**json.loads(sys.argv[1])))
run()
first = [timing.seconds_of(run) for _ in range(tenth)]
peak_first = machine.peak_memory()
for _ in range(iterations - 2 * tenth):
    run()
last = [timing.seconds_of(run) for _ in range(tenth)]
found = {"iterations": iterations, "first": 1000 * statistics.median(first)}
found.update(last=1000 * statistics.median(last), peaks=[peak_first, machine.peak_memory()])
print(json.dumps(found))
"""


def report(result):
    """Two tables."""
    starts = [(f"to the end of: {STAGES[s]}", number(t)) for s, t in result["start"].items()]
    found = result["long run"]
    at_first, at_last = found["peaks"]
    rows = [
        ("first tenth", number(found["first"]), mebibytes(at_first)),
        ("last tenth", number(found["last"]), mebibytes(at_last)),
    ]
    header = (f"of {found['iterations']:,} iterations at small sizes", "ms each", "peak MiB so far")
    first = table(("from the start of the process", "seconds"), starts)
    program = result["program"]
    share = f"{100 * program['besides']:.1f}%"
    second = table(
        (f"dnc.py, {program['iterations']:,} iterations", "ms each", "of it not training steps"),
        [("--task addition", number(program["ms"]), share)],
    )
    return f"{first}\n\n{second}\n\n{table(header, rows)}"
