"""Snapshots of a training run: NumPy .npz files, written whole or not at all, read without pickle.

A snapshot holds the entries `model/…`, `optimizer/…` and `trainer/…` as Chainer serialises them,
`config` (JSON) and `entries` (JSON: the names of all others, so that a missing one is noticed).
"""

import json
import os
import re
import stat
import warnings

import numpy as np
from chainer.serializers import DictionarySerializer, NpzDeserializer

from ..files import write_atomically
from . import entries as entries_of
from . import npz
from .words import in_one_line


class DamagedSnapshotError(Exception):
    """A file that was read, and is not a whole snapshot."""


def save(path, parts, config):
    """Write a snapshot.

    Args:
        path: of the .npz file.
        parts: dictionary of objects that Chainer can serialise, by the name of their entries.
        config: what JSON can hold.

    Raises:
        OSError: the file cannot be written; one that was there before is still whole.
    """
    serializer = DictionarySerializer()
    for name, part in parts.items():
        part.serialize(serializer[name])
    arrays = {name: np.asarray(value) for name, value in serializer.target.items()}
    arrays["config"] = np.asarray(json.dumps(config))
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    if objects:
        raise TypeError(f"cannot be saved without pickle: {', '.join(objects)}")
    arrays["entries"] = np.asarray(json.dumps(sorted(arrays)))
    write_atomically(path, lambda file: np.savez(file, **arrays))


class Snapshot:
    """A snapshot read from a file.

    Attributes:
        path: of the file.
        config: what was saved as such.
        processes: how many have trained it.
    """

    def __init__(self, path):
        """Read the whole file, and with it all checksums.

        Raises:
            OSError: it cannot be read, which says nothing of what it holds.
            DamagedSnapshotError: it was read, and is not whole.
        """
        self.path, self.processes = path, 1
        content = _read(path)
        # What NumPy and zipfile raise on damaged files is of a dozen kinds, and not documented.
        try:
            self._arrays = npz.read(content)
            entries = set(json.loads(str(self._arrays.pop("entries"))))
            self.config = dict(json.loads(str(self._arrays["config"])))
            entries_of.check(self._arrays)
        except MemoryError:  # says nothing of the file
            raise
        except Exception as error:
            raise DamagedSnapshotError(in_one_line(error)) from error
        for what, names in (
            ("missing", entries - set(self._arrays)),
            ("there and not in its list", set(self._arrays) - entries),
        ):
            if names:
                raise DamagedSnapshotError(f"entries are {what}: {', '.join(sorted(names))}")

    def holds(self, part):
        """Whether a part was saved, by the name of its entries."""
        return any(name.startswith(f"{part}/") for name in self._arrays)

    def check_shapes(self, shapes):
        """DamagedSnapshotError where a weight has another shape than its configuration says.

        Args:
            shapes: by how a name ends.
        """
        for name, array in self._arrays.items():
            for end, shape in shapes.items():
                if name.startswith(("model/", "average/")) and name.endswith(f"/{end}"):
                    if array.shape != shape:
                        raise DamagedSnapshotError(f"{name} has shape {array.shape}, not {shape}")

    def load(self, parts):
        """Bring objects into the saved state; they are of no use after a DamagedSnapshotError.

        Args:
            parts: as for `save`, or some of them.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # some of Chainer's objects only warn
                for name, part in parts.items():
                    part.serialize(NpzDeserializer(self._arrays, f"{name}/"))
        except Exception as error:
            if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__:  # CuPy's
                raise
            raise DamagedSnapshotError(in_one_line(error)) from error


def _read(path):
    """The bytes of a file; OSError, or DamagedSnapshotError where it is no file at all."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise DamagedSnapshotError("it is not a file")
    with open(path, "rb") as file:
        return file.read()


def snapshot_path(folder, name, iteration):
    """The path of a run's snapshot."""
    return os.path.join(folder, f"{name}_iter_{iteration}.npz")


def find_snapshots(folder, name):
    """Paths of a run's snapshots, that of the highest iteration first, whole or damaged."""
    pattern = re.compile(rf"{re.escape(name)}_iter_(\d+)\.npz")
    try:
        files = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        files = []
    found = ((pattern.fullmatch(file), file) for file in files)
    by_iteration = sorted(((int(match[1]), file) for match, file in found if match), reverse=True)
    return [os.path.join(folder, file) for _, file in by_iteration]


def use_newest(folder, name, use, report):
    """Hand the newest whole snapshot of a run to `use`, and return what that returns.

    Args:
        folder: of the run.
        name: of the run.
        use: called with a Snapshot; where it raises DamagedSnapshotError the one before is tried.
        report: called with a line for each damaged snapshot.

    Returns:
        None if no snapshot is whole.

    Raises:
        OSError: one cannot be read, and might be whole.
    """
    for path in find_snapshots(folder, name):
        try:
            return use(Snapshot(path))
        except DamagedSnapshotError as error:
            report(f"Damaged snapshot {path} is left out: {error}")
    return None
