"""The benchmark of a GPU, and the script that does all on a machine that has one: on tiny sizes."""

import json
import math

import pytest

from benchmarks import arguments, gpu, gpu_machine, suite
from benchmarks.plan import Plan, Sizes

pytestmark = pytest.mark.gpu

SIZES = Sizes(N=8, W=4, R=1, H=8, K=2, T=2)
PLAN = Plan(SIZES, rounds=1, seconds=0.0, limit=0.1, batch=2, Ns=(8, 16), batches=(1, 2))


def test_all_at_once(tmp_path, capsys):
    file, picture = tmp_path / "gpu.json", tmp_path / "gpu.png"
    tests = ["tests/test_link_contract.py", "-k", "gpu_by_argument"]
    assert gpu_machine.everything(PLAN, file, picture, tests) == 0
    found = json.loads(file.read_text())
    assert found["tests"]["status"] == 0 and "passed" in found["tests"]["summary"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    result = found["benchmarks"]["gpu"]
    for row in result["growth"]["N"] + result["growth"]["B"]:
        assert all(row[way]["median"] > 0 for way in gpu.WAYS)
    for row in result["agreement"]:
        assert row[gpu.ARRAYS] < 1e-4 and row[gpu.KERNELS] < 1e-4
    text = capsys.readouterr().out
    assert suite.section("gpu", result) in text and str(file) in text and "nan" not in text


def test_a_failure_is_written_down(tmp_path, monkeypatch, capsys):
    def fails(plan):
        raise RuntimeError("the driver says no")

    monkeypatch.setattr(gpu, "measure", fails)
    file = tmp_path / "gpu.json"
    assert gpu_machine.everything(PLAN, file, tmp_path / "gpu.png", ["tests/nothing.py"]) == 1
    found = json.loads(file.read_text())
    assert "the driver says no" in found["failure"] and found["tests"]["status"] != 0


def test_the_suite_has_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(arguments, "plan", lambda args: PLAN)
    file, picture = tmp_path / "speed.json", tmp_path / "speed.png"
    given = ["--only", "gpu", "--json", str(file), "--plot", str(picture)]
    assert suite.run(arguments.parse(given)) == 0
    assert "faster than the CPU" in capsys.readouterr().out and picture.exists()


def test_kernels_that_do_not_fit_leave_a_gap(monkeypatch):
    monkeypatch.setattr(gpu, "kernels_run", lambda sizes: sizes.N < 16)
    result = gpu.measure(PLAN)
    assert result["growth"]["N"][1][gpu.KERNELS] is None
    assert "–" in gpu.report(result)


def row(size, cpu, arrays):
    def ms(median):
        return None if math.isnan(median) else {"median": median}

    return {"size": size, gpu.CPU: ms(cpu), gpu.ARRAYS: ms(arrays)}


@pytest.mark.parametrize(
    "times, size",
    [
        ([(1, 2), (2, 1), (3, 1)], 2),
        ([(1, 2), (2, 3), (3, 4)], None),
        ([(3, 2), (1, 2), (3, 2)], 3),
        ([(3, 2), (4, 2), (5, math.nan)], 1),
    ],
)
def test_crossover(times, size):
    assert gpu.crossover([row(n, *pair) for n, pair in enumerate(times, 1)], gpu.ARRAYS) == size
