"""A process that serves one implementation; see ``benchmarks.adapters.serve``."""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

SERVE = Path(__file__).with_name("adapters") / "serve.py"
PATIENCE = 240  # seconds for one answer


class WorkerError(RuntimeError):
    """An implementation could not be loaded or run; the last line of its error."""


class Worker:
    """Starts with the first request.

    Args:
        name: that of an adapter.
        path: where its code is.
        environment: of the process.
        interpreter: its Python, None for this one.
    """

    def __init__(self, name, path, environment, interpreter=None):
        self._command = [interpreter or sys.executable, str(SERVE), name, str(Path(path).resolve())]
        self._environment = environment
        self._process = None
        self._errors = None

    def ask(self, sizes, seconds):
        """Milliseconds per step of the iterations run in about that time.

        Raises:
            WorkerError: there is no answer.
        """
        if self._process is None:
            self._start()
        killer = threading.Timer(PATIENCE, self._process.kill)
        killer.start()
        try:
            self._process.stdin.write(json.dumps({"sizes": sizes, "seconds": seconds}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            killer.cancel()
        if not answer:
            raise WorkerError(self._end())
        return json.loads(answer)["ms"]

    def _start(self):
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        try:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        except OSError as error:
            self.stop()
            raise WorkerError(str(error)) from error

    def _end(self):
        """Make room for a new process, and say why this one gave no answer."""
        status = self._process.wait(10)
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        self.stop()
        return lines[-1] if lines else f"it ended with status {status}"

    def stop(self):
        """End the process."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(BrokenPipeError):
                self._process.communicate()
            self._process = None
        if self._errors is not None:
            self._errors.close()
