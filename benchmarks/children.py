"""Processes of their own, for what only a fresh one can tell."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(code, *arguments):
    """Run Python code in a new process; what its last line says, as JSON.

    Raises:
        RuntimeError: it failed; the last line of its error.
    """
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it was killed"])[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


def environment():
    """The environment of a process that finds this project."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
