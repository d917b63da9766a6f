"""What two runs differ in: their last snapshots bit for bit, their logs, their configurations."""

import json
import re

import numpy as np

from .runs import LAST, NAME

_ELAPSED = "trainer/_snapshot_elapsed_time"
_LOG = "trainer/extensions/LogReport/_log"


def snapshot_in(folder, iteration=LAST):
    """The path of a snapshot."""
    return folder / f"{NAME}_iter_{iteration}.npz"


def iterations_in(folder):
    """Those of the snapshots in a folder, in their order."""
    found = (re.fullmatch(rf"{NAME}_iter_(\d+)\.npz", file.name) for file in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def differences(folder, whole, iterations=(LAST,)):
    """What is not in a folder as it is in that of the unbroken run, a list of lines."""
    found = []
    for iteration in iterations:
        found += _in_snapshots(snapshot_in(folder, iteration), snapshot_in(whole, iteration))
    for kind in ("log", "config"):
        ours, theirs = (_rows(each / f"{NAME}_{kind}.json") for each in (folder, whole))
        if ours != theirs:
            found.append(f"the {kind} differs")
    left = [path.name for path in folder.iterdir() if path.suffix in (".tmp", ".lock")]
    return found + [f"{name} was left behind" for name in left]


def _in_snapshots(ours, theirs):
    if not ours.exists():
        return [f"{ours.name} is missing"]
    ours, theirs = load(ours), load(theirs)
    if ours.keys() != theirs.keys():
        return [f"entries differ: {', '.join(sorted(ours.keys() ^ theirs.keys()))}"]
    names = [name for name in theirs if not _same(name, ours[name], theirs[name])]
    return [f"{name} differs" for name in names]


def load(path):
    """The entries of a snapshot, by name."""
    with np.load(path, allow_pickle=False) as npz:
        return {name: npz[name] for name in npz.files}


def _same(name, ours, theirs):
    if name == _ELAPSED:
        return ours.dtype == theirs.dtype
    if name == _LOG:
        return _timeless(json.loads(str(ours))) == _timeless(json.loads(str(theirs)))
    as_bytes = (each.dtype.str + str(each.shape) for each in (ours, theirs))
    return len(set(as_bytes)) == 1 and ours.tobytes() == theirs.tobytes()


def _rows(path):
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}"
    return _timeless(value) if isinstance(value, list) else value


def _timeless(rows):
    if not all(isinstance(row, dict) for row in rows):
        return f"no log: {rows}"
    return [{name: row[name] for name in row if name != "elapsed_time"} for row in rows]


def contents(folder):
    """What lies in a folder, byte for byte."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
