"""Running dnc.py in tests: small models, in this process or in one of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

import dnc

ROOT = Path(dnc.__file__).parent
TINY = ["--hps", "8,4,1,8,2", "--max_seq_len", "4", "--lr", "0.01"]
ELAPSED = "trainer/_snapshot_elapsed_time"
LOG = "trainer/extensions/LogReport/_log"


def run(capsys, *arguments):
    """Call main: its exit status, standard output and standard error."""
    capsys.readouterr()
    try:
        status = dnc.main([str(argument) for argument in arguments])
    except SystemExit as end:
        status = end.code
    return (status, *capsys.readouterr())


def train(capsys, out, *arguments, seed=1):
    """Train a tiny model; the standard output."""
    status, text, errors = run(capsys, *TINY, "--out", out, "--seed", seed, *arguments)
    assert (status, errors) == (0, "")
    return text


def start(out, *arguments, seed=1, options=(), **popen):
    """Start the program in a process of its own."""
    given = [*TINY, "--out", out, "--seed", seed, *arguments]
    command = [sys.executable, "-W", "error", *options, ROOT / "dnc.py", *given]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **popen}
    return subprocess.Popen([str(part) for part in command], **pipes)


def load(path):
    """The entries of a snapshot, by name."""
    with np.load(path, allow_pickle=False) as npz:
        return {name: npz[name] for name in npz.files}


def assert_same_training(first, second, settings=True):
    """Two snapshots hold the same run bit for bit; the time it took may differ."""
    first, second = load(first), load(second)
    assert first.keys() == second.keys()
    for name in first.keys() - {ELAPSED, LOG, "config"}:
        assert first[name].dtype == second[name].dtype, name
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert timeless(str(first[LOG])) == timeless(str(second[LOG]))
    if settings:
        assert str(first["config"]) == str(second["config"])


def timeless(log):
    """A log in JSON without its times."""
    rows = json.loads(log)
    return [{name: row[name] for name in row if name != "elapsed_time"} for row in rows]


def snapshot(folder, iteration):
    """The path of a snapshot."""
    return Path(folder) / f"dnc_addition_iter_{iteration}.npz"


def contents(folder):
    """What lies in a folder: names, sizes and times."""
    files = sorted(Path(folder).rglob("*"))
    return [(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
