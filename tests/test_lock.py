"""One run at a time in a folder, and what a killed one leaves."""

import os
import signal
import subprocess
import sys
import time

import portalocker
import pytest
from command_line import ROOT, TINY, contents, run, start, train

from lib.training import InUseError, RunLock

# Most start processes: once, under one name, is enough.
pytestmark = pytest.mark.slow

ENDLESS = ["--iterations", 100000, "--snapshot_interval", 5]


def begin(out, *arguments, **popen):
    """Start a training that has written a snapshot and does not end by itself."""
    process = start(out, *ENDLESS, *arguments, **popen)
    end = time.monotonic() + 60
    while not list(out.glob("*_iter_*.npz")):
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


@pytest.fixture
def training(tmp_path):
    process = begin(tmp_path)
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_refuses_and_says_who_is_there(training, tmp_path, capsys):
    for given in ([], ["--iterations", 3], [*TINY, "--seed", 9]):
        status, out, err = run(capsys, "--out", tmp_path, *given)
        assert (status, out) == (1, "") and err.count("\n") == 1
        assert f"{tmp_path} is in use" in err and f"process {training.pid} on " in err
    training.send_signal(signal.SIGTERM)
    assert training.wait(60) == 143


def test_others_may_use_the_folder(training, tmp_path, capsys):
    train(capsys, tmp_path, "--task", "repeat", "--iterations", 2)
    train(capsys, tmp_path, "--lstm_only", "--iterations", 2)
    asked = ["--out", tmp_path, "--test_seq_len", 3, "--test_samples", 1]
    assert run(capsys, *asked)[0] == 0


def test_a_killed_run_stops_nobody_and_its_remains_are_cleared(training, tmp_path, capsys):
    training.kill()
    training.wait()
    assert (tmp_path / "dnc_addition.lock").exists()
    ours = ["dnc_addition_iter_7.npz.123.tmp", "dnc_addition_log.json.9.tmp"]
    others = ["dnc_repeat_iter_7.npz.123.tmp", "dnc_addition_iter_7.npz.tmp", "x.tmp"]
    for name in [*ours, *others]:
        (tmp_path / name).touch()
    newest = max(int(path.stem.split("_")[-1]) for path in tmp_path.glob("*.npz"))
    status, out, err = run(capsys, "--out", tmp_path, "--iterations", newest + 1)
    assert (status, err) == (0, "") and "Resuming from" in out
    assert not any((tmp_path / name).exists() for name in [*ours, "dnc_addition.lock"])
    assert all((tmp_path / name).exists() for name in others)


def test_a_finished_run_in_a_folder_that_is_only_read(tmp_path, capsys, monkeypatch):
    train(capsys, tmp_path, "--iterations", 2)
    before = contents(tmp_path)

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(RunLock, "acquire", refuse)
    status, out, err = run(capsys, "--out", tmp_path, "--iterations", 2)
    assert (status, err) == (0, "") and "Finished already" in out
    status, out, err = run(capsys, "--out", tmp_path, "--iterations", 3)
    assert status == 2 and "--out" in err and "Permission denied" in err
    assert contents(tmp_path) == before


def test_the_lock_of_one_who_has_just_left(tmp_path):
    """Its file was opened before it was removed: the lock on it keeps nobody else away."""
    with RunLock(tmp_path, "x") as first:
        first.acquire()
        first.acquire()  # it has it
        with pytest.raises(InUseError, match=f"process {os.getpid()} on "):
            RunLock(tmp_path, "x").acquire()
        with RunLock(tmp_path, "y") as other:
            other.acquire()
    old = open(tmp_path / "x.lock", "a+")
    portalocker.lock(old, portalocker.LOCK_EX | portalocker.LOCK_NB)
    os.unlink(tmp_path / "x.lock")
    with RunLock(tmp_path, "x") as second:
        second.acquire()
        with pytest.raises(InUseError):
            RunLock(tmp_path, "x").acquire()
    old.close()
    assert not (tmp_path / "x.lock").exists()


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def refuse(*args):
        raise portalocker.LockException("No locks available")

    monkeypatch.setattr(portalocker, "lock", refuse)
    with RunLock(tmp_path, "x") as lock:
        lock.acquire()


def test_many_at_once_leave_one(tmp_path):
    given = [*TINY, "--seed", "1", "--out", str(tmp_path), "--iterations", "400"]
    command = [sys.executable, str(ROOT / "dnc.py"), *given]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen(command, **pipes) for _ in range(4)]
    ended = [(process.communicate(timeout=120), process.returncode) for process in runs]
    trained = [out for (out, _), _ in ended if "\nDone: " in out]
    assert len(trained) == 1
    for (out, err), status in ended:
        assert (status == 0) == ("Done: " in out or "Finished already" in out)
        assert status == 0 or (status == 1 and "is in use" in err)
