"""What is around a run: its outputs, its terminal, its folder, its environment, other runs."""

import errno
import fcntl
import os
import signal
import sys
import termios
import time

from . import compare
from .bench import ERROR, unexpected
from .plants import failing
from .runs import NAME, ROOT, Started, command

# How its sums are ordered.
_BLAS = " ".join(f"'{name}={os.environ[name]}'" for name in os.environ if "BLAS_" in name)
_SOON = 5  # seconds in which a signal is to have its effect


def case(bench, rng, index):
    """One of them."""
    name, surrounding = list(ALL.items())[index]
    outcome = surrounding(bench)
    return outcome._replace(wrong=tuple(f"{name}: {line}" for line in outcome.wrong))


def ended_as(ended, *statuses):
    """What is wrong where a run ended in another way."""
    return [] if ended.status in statuses else [f"it ends with {ended.status}: {ended.err}"]


def _shell(line, *statuses, within="", **environment):
    """A run in a shell, `line` having its command as $dnc, and a folder within that of the run."""

    def run(bench):
        folder = bench.new() / within
        folder.mkdir(exist_ok=True)
        words = " ".join(f"'{word}'" for word in (sys.executable, ROOT / "dnc.py"))
        script = line.replace("$dnc", f'{words} "$@"')
        environ = {**os.environ, **environment}
        shell = ["sh", "-c", script, "sh"]
        ended = Started(command(folder), before=shell, env=environ, cwd=bench.new()).wait()
        wrong = ended_as(ended, *(statuses or (0,))) + unexpected(ended, ["Nothing more can be"])
        return bench.conclude(folder, 1, wrong)

    return run


def _signal_to_ignored(bench):
    """As `nohup` and a shell's background start programs."""
    folder = bench.new()
    run = Started(command(folder), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    _wait_for_snapshot(folder)
    run.send(signal.SIGINT)
    return bench.conclude(folder, 1, ended_as(run.wait(), 0))


def _wait_for_snapshot(folder):
    end = time.monotonic() + 120
    while not compare.iterations_in(folder):
        if time.monotonic() > end:
            raise TimeoutError("there is no snapshot")
        time.sleep(0.002)


def _signalled(signum):
    """A run that this signal is to stop, with a snapshot; it ends by itself now and then."""

    def run(bench):
        folder = bench.new()
        started = Started(command(folder))
        _wait_for_snapshot(folder)
        started.send(signum)
        return bench.conclude(folder, 1, ended_as(started.wait(), 128 + signum, 0))

    return run


def _terminal_closed(bench):
    """The terminal hangs up: a signal, and outputs that are no more."""
    folder = bench.new()
    ours, theirs = os.openpty()
    run = Started(
        command(folder),
        **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    _wait_for_snapshot(folder)
    os.close(ours)
    return bench.conclude(folder, 1, ended_as(run.wait(), 128 + signal.SIGHUP, 0))


def _signal_while_compiling(signum):
    """The first signal acts at once, however long the kernels are going to take."""

    def run(bench):
        folder = bench.new()
        started = Started(command(folder), env={**os.environ, "NUMBA_CACHE_DIR": str(bench.new())})
        started.errors_until("Compiling the CPU kernels")
        start = time.monotonic()
        started.send(signum)
        wrong = ended_as(started.wait(), 128 + signum)
        took = time.monotonic() - start
        wrong += [f"it took {took:.1f} s"] if took > _SOON else []
        return bench.conclude(folder, 1, wrong)

    return run


def _many_at_once(bench):
    """Of runs on one folder one trains; the others refuse, or find all done."""
    folder = bench.new()
    runs = [bench.start(folder) for _ in range(4)]
    wrong, trained = [], 0
    for ended in [run.wait() for run in runs]:
        trained += "\nDone: " in ended.out
        wrong += ended_as(ended, 0, 1) + unexpected(ended, ERROR)
        if ended.status == 1 and " is in use, " not in ended.err:
            wrong.append(f"it says: {ended.err}")
    if trained != 1:
        wrong.append(f"{trained} have trained")
    return bench.conclude(folder, len(runs), wrong)


def _second_run(bench):
    """A run that is stopped, not killed, holds its folder, and is named."""
    folder = bench.new()
    first = bench.start(folder)
    _wait_for_snapshot(folder)
    first.send(signal.SIGSTOP)
    second = bench.start(folder).wait()
    wrong = ended_as(second, 1) + unexpected(second, ERROR)
    if f"process {first.pid} on " not in second.err:
        wrong.append(f"it does not say who: {second.err}")
    first.send(signal.SIGKILL)
    first.wait()
    return bench.conclude(folder, 1, wrong)


def _remains(bench):
    """What killed runs were writing is cleared away."""
    folder = bench.until(20)
    for name in ("iter_25.npz", "log.json", "config.json"):
        (folder / f"{NAME}_{name}.4000000.tmp").write_bytes(b"half")
    (folder / f"{NAME}.lock").write_text("process 1 on nowhere")
    return bench.conclude(folder, 1)


def _sync_not_supported(code):
    """As CIFS and FUSE answer."""

    def run(bench):
        folder = bench.new()

        def plant():
            os.fsync = lambda descriptor: failing(code)()

        ended = bench.start(folder, plant).wait()
        return bench.conclude(folder, 1, ended_as(ended, 0) + unexpected(ended))

    return run


ALL = {
    "output closed": _shell("$dnc >&-"),
    "errors closed": _shell("$dnc 2>&-"),
    "all closed": _shell("$dnc <&- >&- 2>&-"),
    "output full": _shell("$dnc >/dev/full"),
    "errors full": _shell("$dnc 2>/dev/full"),
    "all full": _shell("$dnc >/dev/full 2>/dev/full"),
    "nobody reads": _shell("$dnc | head -n 1"),
    "an encoding without the folder's name": _shell(
        "$dnc", within="実験 é", PYTHONIOENCODING="cp1252", PYTHONUTF8="0"
    ),
    "no encoding": _shell("$dnc", within="実験 é", LC_ALL="C", PYTHONUTF8="0"),
    "another dtype of Chainer": _shell("$dnc", CHAINER_DTYPE="float64"),
    "half precision in Chainer": _shell("$dnc", CHAINER_DTYPE="mixed16"),
    "an empty environment": _shell(f"env -i {_BLAS} $dnc"),
    "a working folder that is gone": _shell('rmdir "$PWD"; $dnc'),
    "SIGINT ignored": _signal_to_ignored,
    "SIGHUP": _signalled(signal.SIGHUP),
    "SIGTERM": _signalled(signal.SIGTERM),
    "SIGINT": _signalled(signal.SIGINT),
    "a terminal that is closed": _terminal_closed,
    "SIGTERM while compiling": _signal_while_compiling(signal.SIGTERM),
    "SIGINT while compiling": _signal_while_compiling(signal.SIGINT),
    "four runs at once": _many_at_once,
    "a second run": _second_run,
    "remains of killed runs": _remains,
    "sync: EINVAL": _sync_not_supported(errno.EINVAL),
    "sync: ENOSYS": _sync_not_supported(errno.ENOSYS),
}
