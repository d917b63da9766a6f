"""Snapshots that cannot be read, and such as were made to do harm."""

import io
import json
import os
import resource
import struct
import zipfile

import numpy as np
import pytest
from command_line import load, run, snapshot, train

from lib.training import npz, snapshots

# Nothing here depends on the name of the package: once is enough.
pytestmark = pytest.mark.slow

# Cannot be read now


@pytest.mark.parametrize("error", [PermissionError(13, "No permission"), OSError(5, "I/O error")])
@pytest.mark.parametrize("which", [10, 8])
def test_a_snapshot_that_cannot_be_read_is_not_damaged(which, error, folder, capsys, monkeypatch):
    if which == 8:
        snapshot(folder, 10).write_bytes(b"damaged")
    before = {file: file.read_bytes() for file in folder.iterdir()}
    real = snapshots.open if hasattr(snapshots, "open") else open

    def refuse(path, *args):
        if str(path) == str(snapshot(folder, which)):
            error.filename = str(path)
            raise error
        return real(path, *args)

    monkeypatch.setattr(snapshots, "open", refuse, raising=False)
    for given in ([], ["--test_seq_len", 3]):
        status, out, err = run(capsys, "--out", folder, "--iterations", 20, *given)
        assert (status, out) == (1, "")
        assert err.splitlines()[-1].startswith("dnc.py: error: a snapshot cannot be read")
        assert err.count("\n") == 1 + (which == 8) and snapshot(folder, which).name in err
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_a_link_to_where_nothing_is_mounted(folder, capsys):
    snapshot(folder, 10).unlink()
    snapshot(folder, 10).symlink_to(folder / "nowhere" / "x.npz")
    status, out, err = run(capsys, "--out", folder, "--iterations", 20)
    assert (status, out) == (1, "") and "cannot be read" in err and err.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_snapshot(folder, capsys):
    snapshot(folder, 10).unlink()
    os.mkfifo(snapshot(folder, 10))
    status, out, err = run(capsys, "--out", folder, "--iterations", 9)
    assert status == 0 and "it is not a file" in err and f"{snapshot(folder, 8)}" in out


# Made to do harm


def header(shape, dtype="<f4", size=None):
    """The header of an array file; with `size` that many blanks in it."""
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape})
    text += " " * ((size or 117) - len(text)) + "\n"
    if size:
        return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def with_entry(path, name, data, **options):
    """Replace an entry by these bytes, or add it."""
    with zipfile.ZipFile(path) as old:
        kept = {entry: old.read(entry) for entry in old.namelist() if entry != f"{name}.npy"}
    with zipfile.ZipFile(path, "w") as new:
        for entry, old_data in kept.items():
            new.writestr(entry, old_data)
        new.writestr(f"{name}.npy", data, **options)


def with_value(path, name, value):
    np.savez(path, **{**load(path), name: np.asarray(value)})


def with_config(path, **values):
    config = json.loads(str(load(path)["config"]))
    with_value(path, "config", json.dumps({**config, **values}))


class Runs:
    """Unpickled, it would leave a file."""

    def __reduce__(self):
        return os.system, (f"touch '{os.environ['DNC_TRAP']}'",)


def pickled():
    stream = io.BytesIO()
    np.save(stream, np.array([Runs()], dtype=object), allow_pickle=True)
    return stream.getvalue()


def overlapping(path):
    """All entries of the directory lead to one place."""
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0].header_offset
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        data[at + 42 : at + 46] = struct.pack("<I", first)
        at = data.find(b"PK\x01\x02", at + 1)
    path.write_bytes(data)


def twice(path):
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.npy", archive.read("config.npy"))


W = "model/read_out/W"
DEFLATED = {"compress_type": zipfile.ZIP_DEFLATED}
ZEROS = bytes(16)
BOMB = header((2**26,)) + bytes(2**28)
HOSTILE = {
    "a pickle that runs code": lambda path: with_entry(path, W, pickled()),
    "a pickle in place of its list": lambda path: with_entry(path, "entries", pickled()),
    "an array of terabytes": lambda path: with_entry(path, W, header((2**40,)) + b"1234"),
    "a shape beyond int64": lambda path: with_entry(path, W, header((2**40, 2**40)) + b"1234"),
    "a negative shape": lambda path: with_entry(path, W, header((-1, 4)) + b"1234"),
    "many elements of no size": lambda path: with_entry(path, W, header((2**62,), "<V0")),
    "a header of megabytes": lambda path: with_entry(path, W, header((1, 4), size=2**21) + ZEROS),
    "a bomb": lambda path: with_entry(path, W, BOMB, **DEFLATED),
    "a bomb of its own": lambda path: with_entry(path, "x", BOMB, **DEFLATED),
    "lzma": lambda path: with_entry(
        path, W, header((1, 4)) + bytes(16), compress_type=zipfile.ZIP_LZMA
    ),
    "overlapping entries": overlapping,
    "two of one name": twice,
    "a path upwards": lambda path: with_entry(path, "../../evil", header((1,)) + b"1234"),
    "an absolute path": lambda path: with_entry(path, "/tmp/evil", header((1,)) + b"1234"),
    "more than its list": lambda path: with_value(path, "model/more", np.zeros(3)),
    "something else than arrays": lambda path: zipfile.ZipFile(path, "a").writestr("run.py", "x"),
    "text for a weight": lambda path: with_value(path, W, np.full((1, 4), "x")),
    "complex weights": lambda path: with_value(path, W, np.full((1, 4), 1j)),
    "a larger hidden layer": lambda path: with_config(path, hps=[8, 4, 1, 60000, 2]),
    "more read heads": lambda path: with_config(path, hps=[8, 4, 2**28, 8, 2]),
    "a wider input": lambda path: with_config(path, max_seq_wid=2**27),
    "sizes in words": lambda path: with_config(path, hps="large"),
    "negative sizes": lambda path: with_config(path, hps=[8, -4, 1, 8, 2]),
    "four sizes": lambda path: with_config(path, hps=[8, 4, 1, 8]),
    "a batch of -1": lambda path: with_config(path, batch_size=-1),
    "a rate that is none": lambda path: with_config(path, lr=float("nan")),
    "a list for a word": lambda path: with_config(path, memory=["recall"]),
    "a word for a switch": lambda path: with_config(path, lstm_only="yes"),
    "an unknown task": lambda path: with_config(path, task="/etc/passwd"),
    "nested a thousandfold": lambda path: with_value(path, "config", "[" * 10**5),
    "no random state": lambda path: with_value(path, "trainer/updater/random_state", "[]"),
    "another generator": lambda path: with_value(
        path, "trainer/updater/random_state", '{"bit_generator": "MT19937", "state": {}}'
    ),
    "iterations before the first": lambda path: with_value(path, "trainer/updater/iteration", -3),
    "half an iteration": lambda path: with_value(path, "trainer/updater/iteration", 9.5),
    "many iterations": lambda path: with_value(path, "trainer/updater/iteration", [1, 2]),
}


@pytest.mark.parametrize("harm", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_snapshot_is_refused(harm, folder, capsys, monkeypatch):
    monkeypatch.setenv("DNC_TRAP", str(folder / "trap"))
    harm(snapshot(folder, 10))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status, out, err = run(capsys, "--out", folder, "--iterations", 9)
    assert status == 0 and f"Resuming from {snapshot(folder, 8)}\n" in out
    assert f"Damaged snapshot {snapshot(folder, 10)} is left out: " in err
    assert err.count("\n") == 1
    given = ["--out", folder, "--test_seq_len", 3, "--test_samples", 1]
    assert run(capsys, *given)[0] == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB on Linux
    assert not (folder / "trap").exists()


def test_sizes_that_no_machine_has(folder, capsys):
    """They depend on no weight, so that nothing in the file contradicts them."""
    for value in ({"hps": [2**31 - 1, 4, 1, 8, 2]}, {"batch_size": 2**31 - 1}):
        with_config(snapshot(folder, 10), **value)
        status, out, err = run(capsys, "--out", folder, "--iterations", 20)
        assert (status, out) == (2, "") and "GiB" in err and err.count("\n") == 1


def test_what_others_write_is_read(tmp_path):
    """Compressed, in Fortran order, without elements, without an axis."""
    arrays = {
        "a/b": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "none": np.zeros((0, 3), "f"),
        "text": np.asarray("ü"),
        "zeros": np.zeros(100000, "f"),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", **arrays)
        found = npz.read((tmp_path / "x.npz").read_bytes())
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype and found[name].flags.writeable
            np.testing.assert_array_equal(found[name], array)


def test_training_goes_on_from_a_compressed_snapshot(folder, capsys):
    np.savez_compressed(snapshot(folder, 10), **load(snapshot(folder, 10)))
    assert run(capsys, "--out", folder, "--iterations", 11)[0] == 0
    train(capsys, folder, "--task", "repeat", "--iterations", 1)


@pytest.mark.parametrize("where", ["read", "load"])
def test_memory_that_runs_out_says_nothing_of_a_snapshot(where, folder, capsys, monkeypatch):
    def fail(*args, **options):
        raise MemoryError("no room")

    before = {file: file.read_bytes() for file in folder.iterdir()}
    if where == "read":
        monkeypatch.setattr(npz, "read", fail)
    else:
        monkeypatch.setattr(snapshots.NpzDeserializer, "__call__", fail)
    status, out, err = run(capsys, "--out", folder, "--iterations", 20)
    assert (status, out) == (1, "") and "no room" in err and err.count("\n") == 1
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_a_folder_that_cannot_be_looked_at_is_not_an_empty_one(folder, capsys, monkeypatch):
    def fail(path):
        raise OSError(116, "Stale file handle", str(path))

    before = {file: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr(os, "listdir", fail)
    for given in (["--iterations", 20], ["--test_seq_len", 3]):
        status, out, err = run(capsys, "--out", folder, *given)
        assert (status, out) == (1, "") and "Stale file handle" in err and err.count("\n") == 1
    monkeypatch.undo()
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize("processes", [None, [], float("inf"), -3, "2", True])
def test_processes_that_are_none(processes, folder, capsys):
    with_config(snapshot(folder, 10), processes=processes)
    status, out, err = run(capsys, "--out", folder, "--iterations", 9)
    assert status == 0 and f"Resuming from {snapshot(folder, 8)}\n" in out
    assert "processes is" in err and err.count("\n") == 1


def test_a_test_needs_no_room_for_the_batches_of_training(folder, capsys):
    with_config(snapshot(folder, 10), batch_size=10**9)
    asked = ["--test_seq_len", 3, "--test_samples", 1]
    assert run(capsys, "--out", folder, *asked)[0] == 0
