"""The harness that harms trainings, in short; and that it notices what would lose them."""

import io
import json
import sys

import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("needs forks, signals and /proc", allow_module_level=True)

from lib import files
from lib.training import loop, npz, snapshots
from torture import __main__ as program
from torture import hostile, kills, plants, surroundings
from torture.bench import Bench

# Most start processes: once, under one name, is enough.
pytestmark = pytest.mark.slow

LONG = ("hostile-snapshots", "surroundings", "kernels-damaged")  # some of them are below
SHORT = [name for name in program._NAMES if name not in LONG]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("torture"))


def test_nothing_is_lost(tmp_path, capsys):
    report = tmp_path / "torture.json"
    given = [*SHORT, "--kills", "4", "--workers", "1", "--json", str(report)]
    assert program.main(given) == 0, capsys.readouterr().out
    table = capsys.readouterr().out.splitlines()
    kinds = json.loads(report.read_text())["kinds"]
    assert len(table) == len(kinds) + 2 and table[-1].startswith("all ")
    for name, counts in kinds.items():
        assert counts["injected"] > 0 and (counts["lost"], counts["wrong"]) == (0, []), name
    assert kinds["kills at random"]["injected"] + kinds["kills in writing"]["injected"] >= 4


FORGED = [
    *("objects", "a huge shape", "items of nothing, many", "a bomb that is an array"),
    *("a name in the folder above", "N of 2^31 - 1", "moments of another shape", "a log of words"),
]


@pytest.mark.parametrize("name", FORGED)
def test_a_hostile_snapshot(name, bench):
    outcome = hostile.case(bench, None, list(hostile.FORGERIES).index(name))
    assert (outcome.lost, outcome.wrong) == (False, ())


@pytest.mark.parametrize("name", ["a second run", "remains of killed runs", "nobody reads"])
def test_surroundings(name, bench):
    outcome = surroundings.case(bench, None, list(surroundings.ALL).index(name))
    assert (outcome.injected > 0, outcome.lost, outcome.wrong) == (True, False, ())


def test_an_unknown_kind_is_named(capsys):
    with pytest.raises(SystemExit):
        program.main(["nonsense"])
    assert "there is no nonsense" in capsys.readouterr().err


# What the harness is there to notice


def killed(bench, cases=8):
    """The outcomes of runs that were killed while they wrote, one after the other."""
    return (kills.in_writing(bench, np.random.default_rng(seed), seed) for seed in range(cases))


def test_files_that_are_not_written_atomically(bench, monkeypatch):
    def write_plainly(path, write):
        with open(path, "wb") as file:
            write(file)

    for module in (files, snapshots):
        monkeypatch.setattr(module, "write_atomically", write_plainly)
    assert any("Damaged snapshot" in line for each in killed(bench) for line in each.wrong)


def test_a_random_state_that_is_not_restored(bench, monkeypatch):
    def serialize(self, serializer):
        self.iteration = serializer("iteration", self.iteration)
        serializer("random_state", json.dumps(self._rng.bit_generator.state))

    monkeypatch.setattr(loop.SequenceUpdater, "serialize", serialize)
    assert any(each.lost for each in killed(bench))


@pytest.mark.parametrize("name", ["objects", "a huge shape"])
def test_snapshots_that_are_believed(name, bench, monkeypatch):
    def read(content):
        return dict(np.load(io.BytesIO(content), allow_pickle=True))

    monkeypatch.setattr(npz, "read", read)
    outcome = hostile.case(bench, None, list(hostile.FORGERIES).index(name))
    assert any("it made " in line or "allocate" in line for line in outcome.wrong)


def test_all_moments_of_writing_come(bench):
    assert bench.counts.keys() == set(plants.MOMENTS)
    assert all(count >= 13 for count in bench.counts.values())
