"""One run at a time: who trains keeps others from writing the same files."""

import contextlib
import os
import platform
import re
import time

import portalocker


class InUseError(Exception):
    """Another process is training there; says which."""


class RunLock(contextlib.AbstractContextManager):
    """Keeps the files of a run for this process.

    The system lets go of the lock when the process ends, however it ends. The file
    ``{name}.lock`` says who holds it, and goes with it.

    Args:
        folder, name: of the run, as for `snapshots.snapshot_path`.
    """

    def __init__(self, folder, name):
        self._folder, self._name = folder, name
        self._path = os.path.join(folder, f"{name}.lock")
        self._file = None

    def acquire(self):
        """Take it, if it is not held yet, and clear away what a killed run was writing.

        Raises:
            InUseError: another process has it.
            OSError: there is no such folder, or nothing can be written there.
        """
        if self._file is not None:
            return
        self._file = _locked(self._path)
        with contextlib.suppress(OSError):  # a full disk takes no name; the lock holds without
            self._file.truncate(0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            self._file.write(f"process {os.getpid()} on {platform.node()} since {since}")
            self._file.flush()
        self._clear()

    def _clear(self):
        """Remove files of this run that were never finished: whoever wrote them is gone."""
        unfinished = re.compile(
            rf"{re.escape(self._name)}_(iter_\d+\.npz|config\.json|log\.json)\.\d+\.tmp"
        )
        for file in filter(unfinished.fullmatch, os.listdir(self._folder)):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._folder, file))

    def __exit__(self, *exc_info):
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def _locked(path):
    """The file of that path, open and locked."""
    while True:
        file = _open(path)
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.AlreadyLocked as error:
            with file:
                raise InUseError(_holder(file)) from error
        except portalocker.LockException:  # a file system without locks: better none than no run
            return file
        if os.name != "posix" or _is_there(file, path):
            return file
        file.close()


def _open(path):
    # Names of processes and machines are no worse for an escaped character.
    text = {"encoding": "utf-8", "errors": "backslashreplace"}
    try:
        return open(path, "a+", **text)
    except PermissionError:  # another user's run was killed here: it can be locked all the same
        return open(path, **text)


def _is_there(file, path):
    """Whether an open file still has its name: its holder may just have removed it."""
    try:
        return os.fstat(file.fileno()).st_ino == os.stat(path).st_ino
    except FileNotFoundError:
        return False


def _holder(file):
    try:
        file.seek(0)
        return file.read(200) or "another process"
    except OSError:  # Windows lets nobody read what is locked
        return "another process"
