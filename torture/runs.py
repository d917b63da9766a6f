"""Trainings to be harmed: in a fork of this process, where all is imported, or from the start."""

import os
import signal
import subprocess
import sys
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

from lib.compat import shims  # noqa: F401  Chainer is importable only then

# isort: split

import dnc

ROOT = Path(dnc.__file__).parent
NAME = "dnc_addition"
LAST = 60
EVERY = 5
# Rows of the log lie between the snapshots, and one is due at the end only.
GIVEN = (
    *("--hps", "8,4,1,8,2", "--max_seq_len", "4", "--lr", "0.01", "--seed", "1"),
    *("--iterations", str(LAST), "--snapshot_interval", str(EVERY), "--log_interval", "7"),
)
# Seconds after which a run counts as one that hangs: SIGALRM ends it.
_TOO_LONG = 300


class Ended(NamedTuple):
    """How a run ended: its status, below 0 for a signal, what it printed, and its peak in KiB."""

    status: int
    out: str
    err: str
    peak: int


def command(folder, *more):
    """The arguments of the training in this folder."""
    return [*GIVEN, "--out", str(folder), *map(str, more)]


class Forked:
    """The program in a fork of this process: it begins at `main`, with nothing to import.

    Args:
        arguments: of the command line.
        plant: called in the fork before the program.
    """

    def __init__(self, arguments, plant=None):
        (self._out, out), (self._err, err) = os.pipe(), os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks where threads are
            self.pid = os.fork()
        if self.pid == 0:
            _be_the_program(arguments, plant, out, err)
        os.close(out)
        os.close(err)

    def send(self, signum):
        """Send a signal; nothing is waited for, so the process is still there or a zombie."""
        os.kill(self.pid, signum)

    def wait(self):
        """How it ended."""
        texts = [_read(descriptor) for descriptor in (self._out, self._err)]
        _, status, usage = os.wait4(self.pid, 0)
        return Ended(os.waitstatus_to_exitcode(status), *texts, usage.ru_maxrss)


def _read(descriptor):
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read()


def _be_the_program(arguments, plant, out, err):
    """Never returns."""
    status = 1
    try:
        _as_if_just_started(out, err)
        if plant:
            plant()
        status = dnc.main(arguments)
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:  # before the program or after it
        status = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _as_if_just_started(out, err):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(signum, signal.SIG_DFL)
    signal.alarm(_TOO_LONG)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in (out, err):
        os.close(descriptor)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)


class Started:
    """The program in a new process, started as a user would.

    Args:
        arguments: of the command line.
        before: words to be run with the arguments after them, in place of Python and the program.
        options: of `subprocess.Popen`.
    """

    def __init__(self, arguments, before=(sys.executable, str(ROOT / "dnc.py")), **options):
        words = [*before, *map(str, arguments)]
        pipes = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "errors": "replace",
            **options,
        }
        self._process = subprocess.Popen(words, **pipes)
        self.pid = self._process.pid

    def send(self, signum):
        """Send a signal."""
        self._process.send_signal(signum)

    def errors_until(self, words):
        """Read standard error up to a line with these words in it; the lines."""
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if words in line:
                break
        return lines

    def wait(self):
        """How it ended; TimeoutExpired."""
        try:
            out, err = self._process.communicate(timeout=_TOO_LONG)
        finally:
            self._process.kill()
        return Ended(self._process.returncode, out or "", err or "", 0)
