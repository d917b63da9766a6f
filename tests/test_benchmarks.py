"""The benchmarks run, on tiny sizes, and say what they found. Nothing is said about times."""

import json
import math
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from benchmarks import (
    arguments,
    children,
    floor,
    library,
    machine,
    others,
    plot,
    profile,
    scaling,
    startup,
    suite,
    tables,
    timing,
    training,
    worker,
)
from benchmarks.adapters import chainer_scripts
from benchmarks.plan import Plan, Sizes

# Nothing here depends on the name of the package: once is enough.
pytestmark = pytest.mark.slow

TINY = Sizes(N=8, W=4, R=1, H=8, K=2, T=2)
PLAN = Plan(
    TINY,
    rounds=1,
    seconds=0.0,
    limit=0.1,
    batch=2,
    large_batch=3,
    Ns=(8, 16),
    batches=(1, 2),
    Ts=(2, 4),
    others_N=16,
    others_rounds=1,
    starts=1,
    iterations=20,
)

# The GPU's is tested in test_gpu_benchmark.py.
NAMES = [name for name in arguments.NAMES if name not in ("others", "gpu")]

CHAINER_DNC = """
import argparse
import chainer
import chainer.functions as F
from chainer import links as L
import numpy as np
try:
    import a_module_that_is_not_there
except ImportError as e:
    None

xp = np
alias = xp


class DNC(chainer.Chain):
    def __init__(self, X, Y, N, W, R{more}):
        super().__init__(l=L.Linear(X, Y))

    def __call__(self, x):
        assert xp is alias
        return self.l(x)

    def reset_state(self):
        self.calls = 0


def unused():
    {statement}


raise SystemExit("the script itself was run")
"""

TORCH = """
def fail(*args):
    raise ImportError("not PyTorch, but a stand-in")

DNC = fail
"""


@pytest.fixture(scope="module")
def results():
    """What each benchmark measures, but for the others."""
    return {name: suite.MODULES[name].measure(PLAN) for name in NAMES}


@pytest.fixture(scope="module")
def compared(originals):
    """What is measured of them, with one thread."""
    with mock.patch.object(others, "THREADS", {"one thread": "1"}):
        return others.measure(PLAN, originals, {})


def script(folder, name, more, statement):
    folder.mkdir(exist_ok=True)
    source = CHAINER_DNC.format(more=more, statement=statement)
    (folder / name).write_text(source, encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Tiny implementations in the form of the two Chainer scripts, name -> path."""
    tmp_path = tmp_path_factory.mktemp("others")
    return {
        "original": script(tmp_path / "a", "dnc.py", ", H, K", "print('call')"),
        "yos1up": script(tmp_path / "b", "main.py", "", "print 'statement', 1"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_gives_a_table(results, name):
    result = json.loads(json.dumps(results[name]))  # as it comes out of a file
    text = suite.section(name, result)
    assert text.startswith("\n### ") and "| --" in text
    assert "nan" not in text


def test_training_has_floor_and_batch(results):
    variants = results["training"]["variants"]
    assert variants[training.FLOOR]["median"] > 0
    assert "this library, batch 2, per sequence" in variants
    assert "this library, batch 3, per sequence" in variants
    assert variants["its LSTM alone"]["median"] > 0


def test_growth_counts_bytes(results):
    growth = results["scaling"]["growth"]
    for backend in library.BACKENDS:
        kept = [row[backend]["kept"] for row in growth["N"]]
        assert 4 * 8 * TINY.W < kept[0] < kept[1]
    assert results["scaling"]["peaks"][library.BACKENDS[0]] > 2**20
    assert min(results["scaling"]["passes"].values()) > 0


def test_kept_counts_each_block_of_memory_once():
    block, found = np.zeros((4, 8)), {}
    scaling.collect({"a": [block, block[1:]], "b": (block[0], "text", None)}, found)
    assert list(found.values()) == [block.nbytes]


def test_slope():
    rows = [{"size": n, "numpy": {"time": {"median": n**1.5}}} for n in (16, 1024, 4096, 65536)]
    rows[0]["numpy"]["time"]["median"] = 1e9  # below 1,024: not looked at
    assert math.isclose(scaling.slope(rows, "numpy"), 1.5)
    assert scaling.slope(rows[:1], "numpy") is None


def test_profile_accounts_for_all_time(results):
    for backend, found in results["profile"].items():
        assert set(found["parts"]) == set(profile.PARTS)
        assert all(microseconds >= 0 for microseconds in found["parts"].values())
        inside = profile.MEMORY if backend == "numba" else ()  # the loops are one with the rest
        used = [p for p in profile.PARTS if found["parts"][p] > 0]
        assert used == [p for p in profile.PARTS if p not in inside]


def test_a_clock_does_not_count_twice(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 7.0])
    monkeypatch.setattr(profile.time, "perf_counter", lambda: next(now))
    clock = profile.Clock()
    inner = clock.wrap(profile.ADAM, lambda: "done")
    assert clock.wrap(profile.REST, inner)() == "done"
    assert clock.totals[profile.ADAM] == 2 and clock.totals[profile.REST] == 5


def test_long_run_reaches_its_end(results):
    assert results["startup"]["long run"]["iterations"] == PLAN.iterations
    assert set(results["startup"]["start"]) == set(startup.STAGES)
    assert 0 < results["startup"]["program"]["besides"] < 1


@pytest.mark.parametrize("has_numba", [False, True])
def test_floor_stays_finite(monkeypatch, has_numba):
    monkeypatch.setattr(floor, "HAS_NUMBA", has_numba and floor.HAS_NUMBA)
    run = floor.floor(TINY)
    for _ in range(3):
        run()
    for array in [*vars(run).values(), *run.flat]:
        if isinstance(array, np.ndarray):
            assert np.isfinite(array).all()


def test_floor_has_the_parameters_of_the_model():
    model = library.make_model(TINY)
    assert floor.floor(TINY).flat[0].size == sum(p.size for p in model.params())


def test_interleaved_variants_take_turns():
    order = []
    variants = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    plan = Plan(TINY, rounds=3, seconds=0.0, limit=1.0)
    seconds = timing.interleave(variants, plan, "test")
    assert order == [*"aabb", *"ababab"]
    assert [len(s) for s in seconds.values()] == [3, 3]


def test_summary_is_per_step():
    found = timing.summary([0.1, 0.2, 0.3], 100)
    assert math.isclose(found["median"], 2) and found["calls"] == 3
    assert timing.summary([0.1], 100)["low"] == timing.summary([0.1], 100)["high"] == 1


def test_table():
    text = tables.table(("name", "ms"), [("a", 1), ("long name", "1,000")])
    assert text.splitlines() == [
        "| name      |    ms |",
        "| --------- | ----: |",
        "| a         |     1 |",
        "| long name | 1,000 |",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (1896.3, "1,896"),
        (10.52, "10.5"),
        (0, "0.00"),
        (None, "–"),
        (999.9, "1,000"),
    ],
)
def test_number(value, text):
    assert tables.number(value) == text


def test_machine():
    found = machine.describe()
    assert found["numpy"] == np.__version__ and found["cores"] >= 1
    assert f"NumPy {np.__version__}" in machine.report(found)
    assert machine.peak_memory() is None or machine.peak_memory() > 2**20


def test_threads_are_one_unless_someone_says_otherwise():
    one = dict.fromkeys(arguments.THREAD_VARIABLES, "1")
    assert arguments.thread_settings(None, {}) == one
    assert arguments.thread_settings(None, {"OPENBLAS_NUM_THREADS": "2"}) == {}
    assert arguments.thread_settings(3, {})["OPENBLAS_NUM_THREADS"] == "3"
    assert arguments.thread_settings(0, {}) == {}


def test_threads_of_a_worker(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS" not in others.thread_environment(None)
    assert others.thread_environment("1")["OMP_NUM_THREADS"] == "1"


def test_iterations_of_the_long_run():
    args = arguments.parse(["--iterations", "7", "--rows", "3"])
    assert arguments.plan(args).iterations == 7 and arguments.plan(args).sizes.T == 3


@pytest.mark.parametrize(
    "argv",
    [["--only", "nothing"], ["--others", "original"], ["--others", "x=y"], ["--hps", "1,2"]],
)
def test_wrong_arguments(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        arguments.parse(argv)
    assert stopped.value.code == 2
    assert capsys.readouterr().err


def test_others_are_run_beside_this_library(compared):
    result = json.loads(json.dumps(compared))
    assert result["failures"] == []
    measured = result["cases"][others.DEFAULT]
    assert list(measured) == [others.OURS, others.STEPS, "original", "yos1up"]
    assert set(measured["original"]) == {"one thread"}
    assert "original" in result["cases"]["K=0"] and "yos1up" not in result["cases"]["K=0"]
    assert "yos1up" in others.report(result)


def test_others_that_fail_are_named(tmp_path, monkeypatch):
    (tmp_path / "dnc").mkdir()
    (tmp_path / "dnc" / "__init__.py").write_text(TORCH, encoding="utf-8")
    missing = str(tmp_path / "missing")
    paths = {"pytorch-dnc": str(tmp_path), "original": missing, "csordas": missing}
    plan = Plan(TINY, seconds=0.0, others_rounds=1, others_N=16)
    monkeypatch.setattr(others, "THREADS", {"one thread": "1"})
    result = others.measure(plan, paths, {"csordas": str(tmp_path / "no-python")})
    text = others.report(result)
    for name, why in (("pytorch-dnc", ""), ("original", "No such file"), ("csordas", "no-python")):
        assert f"- failed: {name}, {others.DEFAULT}: " in text and why in text
    assert others.OURS in result["cases"][others.DEFAULT]


def test_a_worker_that_dies_is_started_anew(tmp_path):
    path = script(tmp_path / "a", "dnc.py", ", H, K", "print('call')")
    served = worker.Worker("original", path, others.thread_environment("1"))
    with pytest.raises(worker.WorkerError, match="KeyError"):
        served.ask({"T": 1}, 0)
    assert len(served.ask(TINY.as_dict(), 0)) == 1
    served.stop()


def test_script_is_not_run(originals):
    path = Path(originals["yos1up"]) / "main.py"
    assert hasattr(chainer_scripts.definitions(str(path)), "unused")


def test_a_child_that_fails():
    with pytest.raises(RuntimeError, match="ValueError: why"):
        children.run("raise ValueError('why')")


def test_plot(results, compared, tmp_path):
    results = {**results, "others": compared}
    bars = plot.bars(results)
    assert {training.FLOOR, training.OURS, "NumPy alone", "original", "yos1up"} <= set(bars)
    plot.draw(results, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
    plot.draw({}, tmp_path / "empty.png")


def test_command_line(tmp_path):
    json_file, image = tmp_path / "all.json", tmp_path / "speed.png"
    command = [sys.executable, "-m", "benchmarks"]
    small = ["--quick", "--only", "profile", "training", "--hps", "8,4,1,8,2", "--rows", "2"]
    first = subprocess.run(
        [*command, *small, "--json", json_file], cwd=children.ROOT, capture_output=True, text=True
    )
    assert first.returncode == 0, first.stderr
    assert "BLAS threads" in first.stdout
    again = subprocess.run(
        [*command, "--from-json", json_file, "--plot", image],
        cwd=children.ROOT,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout and image.exists()


def test_the_gpu_benchmark_says_why_it_cannot_run(monkeypatch, capsys):
    monkeypatch.setattr(suite, "cuda_problem", lambda device: f"no GPU {device} here")
    assert suite.run(arguments.parse(["--only", "gpu"])) == 2
    assert "no GPU 0 here" in capsys.readouterr().err


def test_plot_without_matplotlib(monkeypatch, capsys):
    monkeypatch.setattr(suite, "can_draw", lambda: False)
    assert suite.run(arguments.parse(["--plot", "speed.png"])) == 2
    assert "pip install matplotlib" in capsys.readouterr().err
