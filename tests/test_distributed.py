"""Several processes that train one model, under MPI."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import chainer
import numpy as np
import pytest
from command_line import ROOT, TINY, assert_same_training, load, run

from lib.training import Interrupt, Team, loop
from lib.training.team import gather

MPIEXEC = shutil.which("mpiexec", path=os.path.dirname(sys.executable)) or shutil.which("mpiexec")
GIVEN = [*TINY, "--seed", "1", "--log_interval", "2"]


def has_mpi():
    try:
        import mpi4py  # noqa: F401
    except ImportError:
        return False
    return MPIEXEC is not None


def needs_mpi(test):
    """A test of real processes."""
    return pytest.mark.slow(pytest.mark.skipif(not has_mpi(), reason="needs mpi4py")(test))


def begin(count, *arguments, program=("dnc.py",)):
    """Start so many processes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
        environment[name] = environment[name.replace("OMPI", "PRTE")] = "1"
    environment["PRTE_MCA_rmaps_default_mapping_policy"] = ":oversubscribe"
    command = [MPIEXEC, "-n", count, sys.executable, *program, "--distributed", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([str(part) for part in command], cwd=ROOT, env=environment, **pipes)


def mpi(count, *arguments, **options):
    """Run so many processes: exit status, standard output and error."""
    process = begin(count, *arguments, **options)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def assert_close(first, second):
    """The gradients of one iteration are equal but for the order of their sums."""
    first, second = load(first), load(second)
    moments = [name for name in first if name.endswith("/m")]
    assert moments
    for name in moments:
        scale = abs(second[name]).max()
        np.testing.assert_allclose(first[name], second[name], rtol=0, atol=1e-5 * scale)


@needs_mpi
@pytest.mark.parametrize("kind", [[], ["--paper"], ["--lstm_only"]], ids=str)
def test_two_with_a_batch_each_are_one_with_twice_the_batch(kind, tmp_path, capsys):
    both = [*GIVEN, *kind, "--iterations", 1, "--task", "repeat"]
    status, out, err = mpi(2, *both, "--batch_size", 3, "--out", tmp_path / "two")
    assert (status, err) == (0, ""), err
    assert "2 processes, each with batches of 3\n" in out and out.count("Done: ") == 1
    assert run(capsys, *both, "--batch_size", 6, "--out", tmp_path / "one")[0] == 0
    name = f"{'lstm' if '--lstm_only' in kind else 'dnc'}_repeat"
    assert_close(*(tmp_path / count / f"{name}_iter_1.npz" for count in ("two", "one")))
    logs = [json.loads((tmp_path / c / f"{name}_log.json").read_text()) for c in ("two", "one")]
    assert logs[0][0]["loss"] == pytest.approx(logs[1][0]["loss"], rel=1e-5)


@needs_mpi
def test_they_resume_bit_for_bit_and_say_where_they_do_not(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert mpi(2, *GIVEN, "--iterations", 7, "--out", whole)[0] == 0
    assert mpi(2, *GIVEN, "--iterations", 3, "--out", parts)[0] == 0
    status, out, err = mpi(2, "--iterations", 7, "--out", parts)
    assert (status, err) == (0, "") and "Resuming from" in out and "bit for bit" not in out
    name = "dnc_addition_iter_7.npz"
    assert_same_training(whole / name, parts / name)
    status, out, err = mpi(3, "--iterations", 9, "--out", parts)
    assert status == 0 and "There were 2 processes, now there are 3" in out


@needs_mpi
def test_a_finished_run_completes_its_log(tmp_path):
    assert mpi(2, *GIVEN, "--iterations", 3, "--out", tmp_path)[0] == 0
    log = tmp_path / "dnc_addition_log.json"
    whole = json.loads(log.read_text())
    log.unlink()
    status, out, err = mpi(2, "--iterations", 3, "--out", tmp_path)
    assert (status, err) == (0, "") and "Finished already" in out
    assert [row["iteration"] for row in json.loads(log.read_text())] == [
        row["iteration"] for row in whole
    ]


@needs_mpi
def test_without_a_seed_all_have_the_same(tmp_path):
    status, out, err = mpi(2, *TINY, "--iterations", 3, "--out", tmp_path)
    assert (status, err) == (0, "") and "Done: " in out


@needs_mpi
def test_what_is_wrong_is_said_once(tmp_path):
    assert mpi(2, *GIVEN, "--iterations", 2, "--out", tmp_path)[0] == 0
    status, out, err = mpi(2, "--hps", "8,5,1,8,2", "--iterations", 4, "--out", tmp_path)
    assert status == 1 and err.count("do not fit the model") == 1 and "Traceback" not in err


@needs_mpi
def test_one_that_fails_ends_all_with_a_message(tmp_path):
    program = tmp_path / "fails.py"
    program.write_text(
        f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import dnc
from mpi4py import MPI
from lib.training import loop
right = loop.SequenceUpdater.update

def update(self):
    if self.iteration == 3 and MPI.COMM_WORLD.rank == 1:
        raise MemoryError("no room here")
    right(self)

loop.SequenceUpdater.update = update
sys.exit(dnc.main())
"""
    )
    given = [*GIVEN, "--iterations", 100000, "--snapshot_interval", 2, "--out", tmp_path / "out"]
    status, _, err = mpi(2, *given, program=[program])
    assert status != 0 and "process 1 of 2 ends all" in err and "no room here" in err
    assert (tmp_path / "out" / "dnc_addition_iter_2.npz").exists()


@needs_mpi
@pytest.mark.skipif(sys.platform != "linux", reason="looks for a process in /proc")
def test_one_that_is_killed_ends_the_others(tmp_path):
    process = training(tmp_path)
    ranks = [
        int(child)
        for child in os.listdir("/proc")
        if child.isdigit() and is_rank(child, str(tmp_path))
    ]
    assert len(ranks) == 2
    os.kill(max(ranks), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0 and "killed" in err.lower()


def is_rank(pid, folder):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return False
    return folder in words and words[0] == sys.executable


def training(folder):
    """Two processes that have written a snapshot and do not end by themselves."""
    given = ["--iterations", 100000, "--snapshot_interval", 2, "--out", folder]
    process = begin(2, *GIVEN, *given)
    end = time.monotonic() + 100
    while not list(folder.glob("*_iter_*.npz")):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    return process


@needs_mpi
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_mpiexec_saves(signum, tmp_path, capsys):
    process = training(tmp_path)
    process.send_signal(signum)
    process.communicate(timeout=60)
    last = max(int(path.stem.split("_")[-1]) for path in tmp_path.glob("*_iter_*.npz"))
    assert not list(tmp_path.glob("*.tmp"))
    assert run(capsys, "--out", tmp_path, "--iterations", last + 1)[0] == 0


# Without MPI


def test_one_process_has_nobody_to_talk_to():
    team = Team()
    batch = np.zeros((4, 3, 2)), np.zeros((4, 3, 1)), np.array([4, 2, 3])
    assert team.share(batch) is batch and team.leads and team.size == 1
    assert (team.mean(2.5), team.any(None), team.first(lambda: 7), team.each(lambda: 8)) == (
        *(2.5, None, 7),
        8,
    )
    assert team.device(3) == 3 and team.device(-1) == -1


class Communicator:
    """What a team asks of ChainerMN, for the second of two processes on one machine."""

    rank, size, intra_rank = 1, 2, 1


def test_a_share_is_as_long_as_its_longest_sequence():
    team = Team(Communicator())
    lengths = np.array([5, 4, 2, 3])
    xs = np.arange(5 * 4 * 2).reshape(5, 4, 2)
    mine = team.share((xs, xs[..., :1], lengths))
    np.testing.assert_array_equal(mine[0], xs[:3, 2:])
    np.testing.assert_array_equal(mine[1], xs[:3, 2:, :1])
    np.testing.assert_array_equal(mine[2], [2, 3])
    assert team.device(0) == 1 and team.device(-1) == -1 and not team.leads


def test_without_mpi4py_the_program_says_so(tmp_path, capsys, monkeypatch):
    for name in ("mpi4py", "chainermn"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match="pip install mpi4py"):
        gather(-1)
    status, out, err = run(capsys, *GIVEN, "--distributed", "--out", tmp_path / "x")
    assert (status, out) == (2, "") and err.count("\n") == 1 and "--distributed" in err
    assert not (tmp_path / "x").exists()


def test_a_signal_while_the_others_are_told_counts_the_next_time(tmp_path):
    """Else this process would stop alone, and the others wait for it for ever."""

    class Messenger:
        def __init__(self, interrupt):
            self._interrupt = interrupt

        def allgather(self, value):
            self._interrupt.signum = signal.SIGTERM  # comes when the message is out
            return [value, None]

    interrupt, team = Interrupt(), Team(Communicator())
    team._communicator.mpi_comm = Messenger(interrupt)
    optimizer = loop.make_optimizer(chainer.Chain(), 0.1)
    updater = loop.SequenceUpdater(optimizer, None, None, team=team)
    trainer = loop.make_trainer(updater, 9, interrupt, str(tmp_path), team)
    assert [trainer.stop_trigger(trainer) for _ in range(2)] == [False, True]
    assert interrupt.signum == signal.SIGTERM
