"""Outputs, signals and surroundings that fail: training goes on and saves."""

import errno
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from command_line import ROOT, TINY, assert_same_training, run, start, train

from lib import files
from lib.training import Interrupt, Stopped, loop, outputs

# Most start processes: once, under one name, is enough.
pytestmark = pytest.mark.slow

posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
DONE = "dnc_addition_iter_40.npz"
GIVEN = [*TINY, "--seed", "1", "--iterations", "40", "--log_interval", "1"]


def shell(line, out, **environment):
    """Run the program in a shell, `line` having its command as {dnc}."""
    words = [sys.executable, "-W", "error", str(ROOT / "dnc.py"), *GIVEN, "--out", str(out)]
    command = line.format(dnc=" ".join(f"'{word}'" for word in words))
    environment = {**os.environ, **environment}
    return subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The last snapshot of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    assert shell("{dnc}", folder).returncode == 0
    return folder / DONE


@posix
@pytest.mark.parametrize(
    "line",
    [
        "{dnc} >&-",
        "{dnc} 2>&-",
        "{dnc} <&- >&- 2>&-",
        "{dnc} >/dev/full",
        "{dnc} 2>/dev/full",
        "{dnc} >/dev/full 2>/dev/full",
        "{dnc} 2>&- >/dev/full",
    ],
)
def test_outputs_that_take_nothing(line, tmp_path, whole):
    done = shell(line, tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert len(said) == (line == "{dnc} >/dev/full")
    assert all("Nothing more can be printed" in each and "No space left" in each for each in said)
    assert_same_training(tmp_path / DONE, whole)


@posix
def test_files_do_not_take_the_place_of_a_closed_output(tmp_path):
    shell("{dnc} >&- 2>&-", tmp_path)
    for file in tmp_path.glob("*"):
        assert b"elapsed_time  iteration" not in file.read_bytes()


@posix
def test_what_an_encoding_does_not_have(tmp_path, whole):
    folder = tmp_path / "実験 x"
    done = shell("{dnc}", folder, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_training(folder / DONE, whole)
    done = shell("{dnc} --test_seq_len 5", tmp_path / "無", PYTHONIOENCODING="ascii")
    assert done.returncode == 1 and "\\u7121" in done.stderr and done.stderr.count("\n") == 1


@posix
def test_a_folder_that_is_gone(tmp_path, whole):
    gone = tmp_path / "gone"
    gone.mkdir()
    done = shell(f"cd '{gone}'; rmdir '{gone}'; {{dnc}}", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert_same_training(tmp_path / "out" / DONE, whole)
    gone.mkdir()
    done = shell(f"cd '{gone}'; rmdir '{gone}'; {{dnc}}", "relative")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "--out" in done.stderr and "working directory" in done.stderr


@posix
@pytest.mark.parametrize("dtype", ["float64", "float16", "mixed16"])
def test_another_dtype_for_chainer(dtype, tmp_path, whole):
    done = shell("{dnc}", tmp_path, CHAINER_DTYPE=dtype)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"CHAINER_DTYPE {dtype} is not used" in done.stdout.splitlines()[0]
    assert_same_training(tmp_path / DONE, whole)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync(code, tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    files.write_json(tmp_path / "x.json", {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_sync_that_fails_names_the_file(code, tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "x.json"))):
        files.write_json(tmp_path / "x.json", {"a": 1})
    assert not list(tmp_path.iterdir())


def test_where_the_log_cannot_be_written_the_weights_are_saved(tmp_path, capsys, monkeypatch):
    real = files.write_atomically

    def no_log(path, write):
        if str(path).endswith("log.json"):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, write)

    monkeypatch.setattr(files, "write_atomically", no_log)
    status, _, err = run(capsys, *GIVEN, "--out", tmp_path)
    assert status == 1 and "dnc_addition_log.json" in err and err.count("\n") == 1
    assert "iter_1.npz" in err and (tmp_path / "dnc_addition_iter_1.npz").exists()


class Full:
    """A stream that takes so many writes."""

    encoding, closed = "ascii", False

    def __init__(self, room, error):
        self.room, self.error, self.text = room, error, ""

    def write(self, text):
        text.encode(self.encoding)
        if not self.room:
            raise self.error
        self.room -= 1
        self.text += text

    def fileno(self):
        raise OSError


def test_a_stream_is_told_of_once():
    said = []
    stream = Full(2, OSError(errno.EIO, "Input/output error"))
    sturdy = outputs.Sturdy(stream, said.append)
    for text in ("one", "zwölf", "three", "four"):
        assert sturdy.write(text) == len(text)
    assert stream.text == "onezw\\xf6lf" and len(said) == 1 and "Input/output" in said[0]


def test_a_pipe_that_nobody_reads():
    with pytest.raises(BrokenPipeError):
        outputs.Sturdy(Full(0, BrokenPipeError()), print, until_broken=True).write("x")
    outputs.Sturdy(Full(0, BrokenPipeError()), None).write("x")
    outputs.Sturdy(None, None).write("x")


# Signals

HANGUP = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")


def begin(out, **popen):
    process = start(out, "--iterations", 100000, "--snapshot_interval", 5, **popen)
    end = time.monotonic() + 60
    while not list(out.glob("*_iter_*.npz")):
        assert time.monotonic() < end
        time.sleep(0.01)
    return process


@HANGUP
@pytest.mark.parametrize(
    "signums, status",
    [
        ([signal.SIGHUP], 129),
        ([signal.SIGHUP, signal.SIGHUP], 129),
        ([signal.SIGHUP, signal.SIGTERM], 143),
        ([signal.SIGTERM, signal.SIGHUP], 129),
        ([signal.SIGHUP, signal.SIGINT, signal.SIGHUP], 129),
    ],
)
def test_a_terminal_that_is_closed_saves(signums, status, tmp_path, capsys):
    process = begin(tmp_path)
    os.kill(process.pid, signal.SIGSTOP)  # so that all are there when it goes on
    for signum in signums:
        process.send_signal(signum)
    os.kill(process.pid, signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (129, 130, 143) and err == ""
    last = max(int(path.stem.split("_")[-1]) for path in tmp_path.glob("*.npz"))
    assert f"resume from {tmp_path}/dnc_addition_iter_{last}.npz" in out
    train(capsys, tmp_path / "whole", "--iterations", last)
    name = f"dnc_addition_iter_{last}.npz"
    assert_same_training(tmp_path / name, tmp_path / "whole" / name, settings=False)


@HANGUP
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP])
def test_what_was_ignored_at_the_start_stays_ignored(signum, tmp_path):
    def ignore():
        signal.signal(signum, signal.SIG_IGN)

    process = begin(tmp_path, preexec_fn=ignore)
    process.send_signal(signum)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_a_hangup_never_kills_and_a_second_request_does():
    with Interrupt() as interrupt:
        for _ in range(3):
            signal.raise_signal(signal.SIGHUP)
        assert interrupt.signum == signal.SIGHUP
        assert signal.getsignal(signal.SIGINT) not in (signal.SIG_DFL, signal.SIG_IGN)
        signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
        signal.raise_signal(signal.SIGHUP)


def test_a_request_while_there_is_nothing_to_be_lost():
    with Interrupt() as interrupt:
        interrupt.at_once = True
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
    assert interrupt.exit_status == 129


@posix
@pytest.mark.slow
@pytest.mark.parametrize("signum, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_during_compilation_acts_at_once(signum, status, tmp_path):
    pytest.importorskip("numba")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    process = start(tmp_path / "out", env=environment)
    assert process.stderr.readline().startswith("Compiling the CPU kernels")
    process.send_signal(signum)
    began = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert process.returncode == status and "nothing to resume from" in out
    assert "Traceback" not in err and time.monotonic() - began < 10


def test_the_first_iteration_is_not_lost(tmp_path, capsys, monkeypatch):
    """A signal after the first update, and before anybody looks for one."""
    update = loop.SequenceUpdater.update

    def update_and_signal(self):
        update(self)
        if self.iteration == 1:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(loop.SequenceUpdater, "update", update_and_signal)
    status, out, err = run(capsys, *GIVEN, "--out", tmp_path)
    assert (status, err) == (143, "") and "dnc_addition_iter_1.npz" in out
    assert (tmp_path / "dnc_addition_iter_1.npz").exists()


def test_without_an_iteration_there_is_no_snapshot(tmp_path, capsys, monkeypatch):
    def fail(self):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(loop.SequenceUpdater, "update", fail)
    status, _, err = run(capsys, *GIVEN, "--out", tmp_path)
    assert status == 1 and "there is no snapshot yet" in err
    assert not list(tmp_path.glob("*.npz"))
