"""Snapshots: written whole or not at all, read without pickle, damaged ones passed over."""

import json
import os
import zipfile

import chainer
import numpy as np
import pytest
from command_line import LOG, TINY, assert_same_training, contents, load, run, snapshot, train

from lib import DNC
from lib.baseline import LSTMBaseline
from lib.training import snapshots

MOMENT, ITERATION = "optimizer/read_out/W/m", "trainer/updater/iteration"


def test_snapshots_lie_at_each_interval_and_at_the_end(trained):
    assert {file.name for file in trained.iterdir()} == {
        "dnc_addition_iter_4.npz",
        "dnc_addition_iter_8.npz",
        "dnc_addition_iter_10.npz",
        "dnc_addition_log.json",
        "dnc_addition_config.json",
    }


def test_a_snapshot_holds_all_and_needs_no_pickle(trained):
    entries = load(snapshot(trained, 8))
    assert int(entries["trainer/updater/iteration"]) == 8
    assert json.loads(str(entries["trainer/updater/random_state"]))["bit_generator"] == "PCG64"
    assert json.loads(str(entries["config"]))["hps"] == [8, 4, 1, 8, 2]
    model = DNC(6, 1, 8, 4, 1, 8, 2)
    for path, param in model.namedparams():
        assert entries[f"model{path}"].shape == param.shape
        for moment in ("m", "v"):
            assert entries[f"optimizer{path}/{moment}"].shape == param.shape


def test_the_weights_load_into_a_model_of_another_memory(trained):
    model = DNC(6, 1, 32, 4, 1, 8, 0)
    chainer.serializers.load_npz(str(snapshot(trained, 10)), model, path="model/")
    entries = load(snapshot(trained, 10))
    for path, param in model.namedparams():
        np.testing.assert_array_equal(param.array, entries[f"model{path}"])


def test_the_weights_of_the_baseline_load_alike(tmp_path, capsys):
    train(capsys, tmp_path, "--lstm_only", "--iterations", 2)
    model = LSTMBaseline(6, 1, 8)
    path = tmp_path / "lstm_addition_iter_2.npz"
    chainer.serializers.load_npz(str(path), model, path="model/")
    np.testing.assert_array_equal(model.linear.W.array, load(path)["model/linear/W"])


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(moment, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*args):
        raise OSError("no space left")

    if moment != "write":
        monkeypatch.setattr(os, moment, fail)
    with pytest.raises(OSError, match="no space left"):
        snapshots.write_atomically(path, fail if moment == "write" else lambda f: f.write(b"new"))
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_a_write_replaces_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    snapshots.write_atomically(path, lambda file: file.write(b"new"))
    assert [file.name for file in tmp_path.iterdir()] == ["file"] and path.read_bytes() == b"new"


def test_what_would_need_pickle_is_not_saved(tmp_path):
    class Part:
        def serialize(self, serializer):
            serializer("nothing", None)

    with pytest.raises(TypeError, match="part/nothing"):
        snapshots.save(tmp_path / "x.npz", {"part": Part()}, {})
    assert not contents(tmp_path)


def test_the_highest_iteration_counts_and_other_files_do_not(tmp_path):
    for name in ("9", "10", "2", "11.npz.4", "x", "-1"):
        (tmp_path / f"dnc_addition_iter_{name}.npz").touch()
    for name in ("dnc_addition_iter_99.npz.123.tmp", "lstm_addition_iter_98.npz", "a.npz"):
        (tmp_path / name).touch()
    found = snapshots.find_snapshots(tmp_path, "dnc_addition")
    assert [os.path.basename(path) for path in found] == [
        f"dnc_addition_iter_{iteration}.npz" for iteration in (10, 9, 2)
    ]
    assert snapshots.find_snapshots(tmp_path / "nowhere", "dnc_addition") == []


def truncate(path, share):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def flip(path):
    data = bytearray(path.read_bytes())
    at = data.index(load(path)["model/read_out/W"].tobytes())
    data[at] ^= 1
    path.write_bytes(data)


def drop(path, name):
    with zipfile.ZipFile(path) as old:
        kept = {entry: old.read(entry) for entry in old.namelist() if entry != f"{name}.npy"}
        assert len(kept) == len(old.namelist()) - 1
    with zipfile.ZipFile(path, "w") as new:
        for entry, data in kept.items():
            new.writestr(entry, data)


def replace(path, name, value):
    entries = {**load(path), name: value}
    np.savez(path, **entries)


def pickled(path):
    replace(path, "model/read_out/W", np.array([{}], dtype=object))


def one_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def become_folder(path):
    path.unlink()
    path.mkdir()


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "nearly empty": lambda path: truncate(path, 0.001),
    "half": lambda path: truncate(path, 0.5),
    "nearly whole": lambda path: truncate(path, 0.99),
    "garbage": lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "text": lambda path: path.write_text("hello"),
    "one array": one_array,
    "one bit": flip,
    "an empty archive": lambda path: zipfile.ZipFile(path, "w").close(),
    "another archive": lambda path: np.savez(path, a=np.zeros(3)),
    "without a weight": lambda path: drop(path, "model/read_out/W"),
    "without a moment": lambda path: drop(path, "optimizer/read_out/W/m"),
    "without the log": lambda path: drop(path, "trainer/extensions/LogReport/_log"),
    "without the random state": lambda path: drop(path, "trainer/updater/random_state"),
    "without its configuration": lambda path: drop(path, "config"),
    "without its list": lambda path: drop(path, "entries"),
    "a pickle": pickled,
    "a weight of another shape": lambda path: replace(path, "model/read_out/W", np.zeros((7, 7))),
    "no configuration": lambda path: replace(path, "config", np.asarray("[1]")),
    "moments of another shape": lambda path: replace(path, MOMENT, np.zeros(3, "f")),
    "moments in words": lambda path: replace(path, MOMENT, np.asarray("none")),
    "a weight of integers": lambda path: replace(path, "model/read_out/b", np.zeros(1, int)),
    "an iteration below 0": lambda path: replace(path, ITERATION, np.asarray(-5)),
    "an iteration beyond all": lambda path: replace(path, ITERATION, np.asarray(2**62)),
    "iterations": lambda path: replace(path, ITERATION, np.arange(3)),
    "a log that is none": lambda path: replace(path, LOG, np.asarray('{"a": 1}')),
    "a log of words": lambda path: replace(path, LOG, np.asarray('["a", 1]')),
    "a log without numbers": lambda path: replace(path, LOG, np.asarray('[{"loss": "a"}]')),
    "no random state": lambda path: replace(path, "trainer/updater/random_state", np.asarray("{}")),
    "a folder": become_folder,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_snapshot_is_reported_and_the_one_before_is_used(damage, trained, folder, capsys):
    damage(snapshot(folder, 10))
    status, out, err = run(capsys, "--out", folder, "--iterations", 9)
    assert status == 0
    assert f"Resuming from {snapshot(folder, 8)}\n" in out
    assert f"Damaged snapshot {snapshot(folder, 10)} is left out: " in err
    assert err.count("\n") == 1 and "Traceback" not in err


def test_after_a_damaged_snapshot_training_comes_to_the_same(trained, folder, capsys):
    truncate(snapshot(folder, 10), 0.7)
    assert run(capsys, "--out", folder)[0] == 0
    assert_same_training(snapshot(folder, 10), snapshot(trained, 10))


def test_a_test_uses_the_newest_whole_snapshot_too(folder, capsys):
    drop(snapshot(folder, 10), "optimizer/read_out/W/m")  # of no use to a test, but not whole
    status, out, err = run(capsys, "--out", folder, "--test_seq_len", 3, "--test_samples", 2)
    assert status == 0 and f"Testing {snapshot(folder, 8)}\n" in out
    assert "Damaged snapshot" in err


def test_where_all_are_damaged(folder, capsys):
    for iteration in (4, 8, 10):
        truncate(snapshot(folder, iteration), 0.5)
    status, out, err = run(capsys, "--out", folder, "--test_seq_len", 3)
    assert (status, out) == (1, "") and err.count("Damaged snapshot") == 3
    assert err.count("\n") == 4 and "no snapshot" in err
    status, out, err = run(capsys, *TINY, "--out", folder, "--iterations", 2)
    assert status == 0 and err.count("Damaged snapshot") == 3 and "Resuming" not in out
    assert snapshot(folder, 2).exists()


UNFIT = {
    "W": ["--hps", "8,5,1,8,2"],
    "R": ["--hps", "8,4,2,8,2"],
    "H": ["--hps", "8,4,1,9,2"],
    "input width": ["--max_seq_wid", "7"],
}


@pytest.mark.parametrize("testing", [[], ["--test_seq_len", "4"]], ids=["train", "test"])
@pytest.mark.parametrize("name", UNFIT)
def test_weights_that_do_not_fit_are_refused(name, testing, trained, capsys):
    before = contents(trained)
    status, out, err = run(capsys, "--out", trained, *UNFIT[name], *testing)
    assert (status, out) == (1, "")
    assert "dnc_addition_iter_10.npz do not fit" in err and "Traceback" not in err
    marked = [line for line in err.split("\n") if line.endswith("<- does not fit")]
    assert len(marked) == 1 and marked[0].split("  ")[1].strip() == name
    assert "snapshot" in err and "asked for" in err and "\n  N " in err
    assert contents(trained) == before


def test_the_weights_of_another_model_or_task_are_refused(folder, capsys):
    for new in ("lstm_addition", "dnc_repeat"):
        snapshot(folder, 10).with_name(f"{new}_iter_10.npz").write_bytes(
            snapshot(folder, 10).read_bytes()
        )
    status, _, err = run(capsys, "--out", folder, "--lstm_only")
    assert status == 1 and "model" in err and "lstm" in err and "<- does not fit" in err
    status, _, err = run(capsys, "--out", folder, "--task", "repeat")
    assert status == 1 and "output width" in err and "<- does not fit" in err


def test_what_may_change_is_allowed_and_said(folder, capsys):
    given = ["--hps", "16,4,1,8,0", "--max_seq_len", 5, "--batch_size", 2, "--lr", 0.5]
    status, out, err = run(capsys, "--out", folder, *given, "--iterations", 11, "--seed", 5)
    assert (status, err) == (0, "")
    assert (
        "Changed since the snapshot: max_seq_len 4 -> 5, hps 8,4,1,8,2 -> 16,4,1,8,0, "
        "iterations 10 -> 11, batch_size 1 -> 2, lr 0.01 -> 0.5, rate_fall 12000 -> 24000\n"
    ) in out
    assert "--seed has no effect" in out
    config = json.loads((folder / "dnc_addition_config.json").read_text())
    assert config["hps"] == [16, 4, 1, 8, 0] and config["seed"] == 1
    # And the next start takes these from the newest snapshot.
    text = run(capsys, "--out", folder, "--iterations", 12)[1]
    assert "Changed since the snapshot: iterations 11 -> 12\n" in text


def test_a_test_of_a_model_with_another_memory(trained, capsys):
    given = ["--test_seq_len", 3, "--hps", "32,4,1,8,0", "--max_seq_len", 20]
    status, out, err = run(capsys, "--out", trained, *given)
    assert (status, err) == (0, "") and "hps                32,4,1,8,0" in out


def test_a_gpu_in_the_snapshot_needs_one_unless_the_cpu_is_asked_for(folder, capsys):
    path = snapshot(folder, 10)
    config = {**json.loads(str(load(path)["config"])), "gpu": 99}
    replace(path, "config", np.asarray(json.dumps(config)))
    status, _, err = run(capsys, "--out", folder, "--test_seq_len", 3)
    assert status == 2 and "gpu 99" in err and "--gpu -1" in err and err.count("\n") == 1
    assert run(capsys, "--out", folder, "--test_seq_len", 3, "--gpu", -1)[0] == 0


def test_a_finished_run_says_so_and_writes_nothing(trained, capsys):
    before = contents(trained)
    for given in ([], ["--iterations", 10], ["--iterations", 3]):
        status, out, err = run(capsys, "--out", trained, *given)
        assert (status, err) == (0, "") and "Finished already: 10 of" in out
    assert contents(trained) == before
