"""The command line from end to end: arguments, what is printed, what is written."""

import json
import os
import re
import subprocess
import sys

import chainer
import pytest
from command_line import ROOT, TINY, contents, run, start, train

from lib import compat
from lib.training.settings import SETTINGS
from lib.training.tables import as_text
from tasks import TASKS

DEFAULTS = {setting.name: setting.default for setting in SETTINGS}
SAVED = [setting.name for setting in SETTINGS if setting.metadata["saved"]]

NUMBER = r"-?\d+(\.\d+)?(e[+-]\d+)?"
MATRIX = r"\[\[.*\]\]\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


WRONG = [
    ("--hps 8,4,1,8", "--hps", "N,W,R,H,K"),
    ("--hps 8,4,1,8,2,1", "--hps", "N,W,R,H,K"),
    ("--hps 8,4,1,8,-1", "--hps", "'8,4,1,8,-1'"),
    ("--hps 0,4,1,8,2", "--hps", "'0,4,1,8,2'"),
    ("--hps 8,4,1,8,x", "--hps", "'8,4,1,8,x'"),
    ("--hps=", "--hps", "''"),
    ("--hps 2000000000,2000000000,2000000000,2000000000,1", "hps"),
    ("--hps 2147483647,1,1,1,2147483646", "hps", "2147483647"),
    ("--task sort", "--task", "priority_sort"),
    ("--max_seq_len 1", "max_seq_len", "2", "addition"),
    ("--max_seq_len 3 --task priority_sort", "max_seq_len", "4", "got 3"),
    ("--max_seq_wid 2 --task priority_sort", "max_seq_wid", "3", "got 2"),
    ("--max_seq_wid 1", "max_seq_wid", "2", "got 1"),
    ("--max_seq_len 2.5", "--max_seq_len", "'2.5'"),
    ("--test_seq_len 1 --task repeat", "test_seq_len", "2", "got 1"),
    ("--test_seq_len 3 --task priority_sort", "test_seq_len", "4", "got 3"),
    ("--test_seq_len -1", "--test_seq_len", "'-1'"),
    ("--test_samples 0 --test_seq_len 3", "--test_samples", "'0'"),
    ("--iterations 0", "--iterations", "'0'"),
    ("--iterations many", "--iterations", "'many'"),
    ("--batch_size 0", "--batch_size", "'0'"),
    ("--lr 0", "--lr", "'0'"),
    ("--lr -1", "--lr", "'-1'"),
    ("--lr nan", "--lr", "'nan'"),
    ("--lr inf", "--lr", "'inf'"),
    ("--lr fast", "--lr", "'fast'"),
    ("--seed -1", "--seed", "'-1'"),
    ("--average 1", "--average", "'1'"),
    ("--cell_clip -1", "--cell_clip", "'-1'"),
    ("--cell_clip 1e39", "--cell_clip", "1e30"),
    ("--cell_clip 1e-60 --lstm_only", "--cell_clip", "1e-30"),
    ("--input_scale 1e39", "--input_scale", "1e30"),
    ("--forget_bias 1e39", "--forget_bias", "1e30"),
    ("--bounded_reads yes", "--bounded_reads", "True or False"),
    ("--input_scale inf", "--input_scale", "'inf'"),
    ("--forget_bias much", "--forget_bias", "'much'"),
    ("--rate_peak 0", "--rate_peak", "'0'"),
    ("--rate_fall -1", "--rate_fall", "'-1'"),
    ("--past_decay -1", "--past_decay", "'-1'"),
    ("--past_decay 1 --lstm_only", "--past_decay", "--lstm_only"),
    ("--past_decay 1 --lstm_only --paper", "--past_decay", "--lstm_only"),
    ("--memory recall --lstm_only", "--memory", "--lstm_only"),
    ("--bounded_reads True --lstm_only", "--bounded_reads", "--lstm_only"),
    ("--memory count", "--memory", "recall", "'count'"),
    ("--plot picture.png", "--plot", "--test_seq_len"),
    ("--plot picture.png --test_seq_len 5 --lstm_only", "--plot", "--lstm_only"),
    ("--plot picture.txt --test_seq_len 5", "--plot", ".png", "'picture.txt'"),
    ("--plot nowhere/picture.png --test_seq_len 5", "--plot", "'nowhere/picture.png'"),
    ("--log_interval 0", "--log_interval", "'0'"),
    ("--snapshot_interval 0", "--snapshot_interval", "'0'"),
    ("--gpu -2", "--gpu", "'-2'"),
    ("--out a_file", "--out", "'a_file'"),
    ("--out a_file/below", "--out", "'a_file/below'"),
    ("--out=", "--out", "''"),
    ("--out " + "a/" * 3000, "--out"),
    ("--out a\0b", "--out", r"'a\x00b'"),
    ("--iter 3", "--iter"),
    ("--unknown", "--unknown"),
    ("stray", "stray"),
    ("--lr", "--lr"),
]


@pytest.mark.parametrize("line, names", [(line, names) for line, *names in WRONG])
def test_a_wrong_argument_takes_one_line_and_writes_nothing(line, names, here, capsys):
    (here / "a_file").write_text("")
    before = contents(here)
    status, out, err = run(capsys, *line.split())
    assert (status, out) == (2, "")
    assert err.startswith("dnc.py: error: ") and err.endswith("\n") and err.count("\n") == 1
    for name in names:
        assert name in err
    assert contents(here) == before


def test_a_gpu_that_does_not_work_is_a_wrong_argument(here, capsys, monkeypatch):
    monkeypatch.setattr(compat, "cuda_problem", lambda device: f"no GPU {device} here")
    status, out, err = run(capsys, "--gpu", 3)
    assert (status, out) == (2, "") and "gpu 3" in err and "no GPU 3 here" in err
    assert err.count("\n") == 1 and not contents(here)


def test_a_backend_that_there_is_not_takes_one_line(here, capsys):
    with chainer.using_config("dnc_backend", "fortran"):
        status, out, err = run(capsys)
    assert (status, out) == (2, "") and "dnc_backend" in err and "'fortran'" in err
    assert not contents(here)


def test_a_folder_that_cannot_be_made_is_a_wrong_argument(here, capsys, monkeypatch):
    def refuse(path, exist_ok):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "makedirs", refuse)
    status, _, err = run(capsys, *TINY, "--out", "new")
    assert status == 2 and "--out" in err and "Permission denied" in err
    assert err.count("\n") == 1 and not contents(here)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_folder_whose_name_cannot_be_printed(here):
    """Its bytes are no text; what is printed shows them escaped."""
    process = start(os.fsdecode(b"a\xff"), "--iterations", 1, cwd=here)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "files in a\\udcff\n" in out and os.listdir(os.fsencode(here)) == [b"a\xff"]


def test_help_shows_every_argument_with_its_default(capsys):
    status, out, err = run(capsys, "--help")
    assert (status, err) == (0, "")
    for name, default in DEFAULTS.items():
        entry = re.search(rf"--{name}\b.*?(?=\n  -|\n\n)", out, re.DOTALL)
        assert entry, name
        if default not in (None, False, ""):
            shown = " ".join(entry.group().split())
            assert f"(default: {as_text(default)})" in shown
    assert max(map(len, out.split("\n"))) <= 100


def test_the_defaults():
    assert DEFAULTS == {
        "hps": (256, 64, 4, 256, 8),
        "gpu": -1,
        "lstm_only": False,
        "task": "addition",
        "max_seq_len": 12,
        "max_seq_wid": 6,
        "test_seq_len": 0,
        "iterations": 100000,
        "batch_size": None,
        "lr": 1e-4,
        "seed": None,
        "out": "result",
        "snapshot_interval": 50000,
        "log_interval": 500,
        "test_samples": 100,
        "rate_peak": 3.0,
        "rate_fall": None,
        "average": 0.999,
        "cell_clip": 1.0,
        "bounded_reads": True,
        "input_scale": 3.0,
        "forget_bias": None,
        "past_decay": None,
        "memory": "task",
        "paper": False,
        "plot": "",
        "distributed": False,
    }


def test_what_training_prints(tmp_path, capsys):
    text = train(capsys, tmp_path, "--iterations", 25, "--log_interval", 2, seed=7)
    path = re.escape(str(tmp_path))
    row = rf"{NUMBER} +\d+ +{NUMBER} *\n"
    sample = r"A sample of iteration 20:\n(  .* \| .* \| .*\n)+  \d( \+ \d)+ = \d+\n"
    pattern = (
        rf"Training addition, files in {path}\n(  \w+ +\S+\n){{{len(SAVED)}}}\n"
        rf"elapsed_time  iteration   loss +\n({row}){{10}}{sample}({row}){{3}}"
        rf"Done: {path}/dnc_addition_iter_25.npz\n"
    )
    assert re.fullmatch(pattern, text), text
    assert re.search("^  seed +7$", text, re.MULTILINE)
    assert re.search("^  hps +8,4,1,8,2$", text, re.MULTILINE)


@pytest.mark.parametrize("kind", ["dnc", "lstm"])
@pytest.mark.parametrize("task", TASKS)
def test_each_task_and_model_is_trained_and_tested(kind, task, tmp_path, capsys):
    chosen = ["--task", task, *(["--lstm_only"] if kind == "lstm" else [])]
    train(capsys, tmp_path, *chosen, "--iterations", 4, "--batch_size", 3)
    files = {f"{kind}_{task}_{end}" for end in ("iter_4.npz", "log.json", "config.json")}
    assert {file.name for file in tmp_path.iterdir()} == files
    before = contents(tmp_path)
    status, out, err = run(
        capsys, *chosen, "--out", tmp_path, "--test_seq_len", 6, "--test_samples", 21
    )
    assert (status, err) == (0, "")
    assert contents(tmp_path) == before
    scores = {
        "addition": ("Mean absolute error", "Mean squared error"),
        "repeat": ("Share of wrong bits", "Share of wholly right sequences"),
    }
    first, second = scores.get(task, scores["repeat"])
    words = r"\d( \+ \d){5} = \d+\n" if task == "addition" else ""
    pattern = (
        rf"Testing {re.escape(str(tmp_path))}/{kind}_{task}_iter_4.npz\n"
        rf"(  \w+ +\S+\n){{{len(SAVED) + 2}}}\n"
        rf"Input Data:\n{MATRIX}Target Data:\n{MATRIX}{kind.upper()} Output:\n{MATRIX}{words}\n"
        rf"Over 21 sequences of length 6:\n{first}: {NUMBER}\n{second}: {NUMBER}\n"
    )
    assert re.fullmatch(pattern, out, re.DOTALL), out


def test_a_test_is_drawn_from_the_seed_and_its_samples(tmp_path, capsys):
    train(capsys, tmp_path, "--iterations", 2)

    def test(*given):
        return run(capsys, "--out", tmp_path, "--test_seq_len", 3, *given)[1].split("Input")[1]

    assert test() == test("--seed", 1) != test("--seed", 2)
    assert test("--test_samples", 3).split("Over")[0] == test("--test_samples", 40).split("Over")[0]


def test_a_test_scores_what_it_shows(tmp_path, capsys):
    train(capsys, tmp_path, "--iterations", 2)
    given = ["--out", tmp_path, "--test_seq_len", 3, "--test_samples", 1]
    out = run(capsys, *given)[1]
    target, output = (
        float(re.search(rf"{name}.*?({NUMBER})\.?\s*\]\]", out, re.DOTALL).group(1))
        for name in ("Target Data:", "DNC Output:")
    )
    error = float(re.search("Mean absolute error: (.*)", out).group(1))
    assert error == pytest.approx(abs(output - target), abs=0.001)
    words = re.search(r"^(\d) \+ (\d) \+ (\d) = (\d+)$", out, re.MULTILINE)
    assert sum(map(int, words.groups()[:3])) == int(words.group(4)) == target


def test_a_model_that_has_run_wild_is_tested(tmp_path, capsys):
    train(capsys, tmp_path, "--iterations", 1, "--paper", "--lr", 1e20, "--hps", "4,2,1,3,2")
    status, out, err = run(capsys, "--out", tmp_path, "--test_seq_len", 4, "--paper")
    assert (status, err) == (0, "") and "Over 100 sequences" in out


def test_without_a_snapshot_there_is_nothing_to_test(here, capsys):
    status, out, err = run(capsys, "--test_seq_len", 5)
    assert (status, out) == (1, "")
    assert "no snapshot dnc_addition_iter_*.npz in result" in err and err.count("\n") == 1
    assert not contents(here)


def test_the_log_and_the_configuration_are_json(tmp_path, capsys):
    text = train(capsys, tmp_path, "--iterations", 5, "--log_interval", 2)
    log = json.loads((tmp_path / "dnc_addition_log.json").read_text())
    assert [row["iteration"] for row in log] == [2, 4, 5]
    assert all(set(row) == {"iteration", "elapsed_time", "loss"} for row in log)
    assert all(f"{row['loss']:g}" in text for row in log)
    config = json.loads((tmp_path / "dnc_addition_config.json").read_text())
    kept = {name: DEFAULTS[name] for name in SAVED}
    assert config == {
        **kept,
        "batch_size": 1,
        "rate_fall": 12000,
        "memory": "accumulate",
        "forget_bias": -5,
        "past_decay": 300,
        "hps": [8, 4, 1, 8, 2],
        "max_seq_len": 4,
        "lr": 0.01,
        "iterations": 5,
        "log_interval": 2,
        "seed": 1,
    }


def test_a_seed_repeats_a_run_and_no_seed_does_not(tmp_path, capsys):
    logs = []
    for number, seed in enumerate([[], [], ["--seed", 9], ["--seed", 9]]):
        out = tmp_path / str(number)
        arguments = [*TINY, "--iterations", 3, "--out", out, *seed]
        text = run(capsys, *arguments)[1]
        assert re.search(r"^  seed +\d+$", text, re.MULTILINE)
        logs.append(json.loads((out / "dnc_addition_log.json").read_text())[-1]["loss"])
    assert logs[0] != logs[1] and logs[2] == logs[3]


def test_the_program_prints_plain_lines_without_a_terminal(tmp_path):
    process = start("new", "--iterations", 30, "--log_interval", 10, cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "\r" not in out and "\033" not in out
    assert (tmp_path / "new" / "dnc_addition_iter_30.npz").exists()


@pytest.mark.skipif(os.name != "posix", reason="pipes close otherwise elsewhere")
def test_a_reader_that_goes_away_costs_nothing_learnt(tmp_path):
    """As with `| head`: training stops, saves, and does not complain."""
    process = start(tmp_path / "new", "--iterations", 10**6, "--log_interval", 10)
    rows = (line for line in process.stdout if re.match(rf"{NUMBER} +10 ", line))
    assert next(rows)  # the first iterations are done
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == ""
    process.stderr.close()
    (snapshot,) = (tmp_path / "new").glob("*.npz")
    again = start(tmp_path / "new", "--iterations", 10**6, "--test_seq_len", 3)
    out, err = again.communicate(timeout=60)
    assert (again.returncode, err) == (0, "") and str(snapshot) in out


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_the_program_draws_a_bar_with_the_time_left_on_a_terminal(tmp_path):
    terminal, inside = os.openpty()
    streams = {"stdin": inside, "stdout": inside, "stderr": inside}
    process = start(tmp_path, "--iterations", 60, "--log_interval", 20, **streams)
    os.close(inside)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    shown = shown.decode()
    assert re.search(r"\d+%\|.*\d+/60 \[\d\d:\d\d<(\d\d:\d\d|\?), ", shown)
    rows = re.findall(rf"\r{NUMBER} +(20|40|60) +{NUMBER} *\r\n", shown)
    assert len(rows) == 3
    assert "\033[J" not in shown


def test_the_program_starts_anywhere(tmp_path):
    command = [sys.executable, "-W", "error", ROOT / "dnc.py", "--seed", "x"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stderr.startswith("dnc.py: error: argument --seed")
    assert not os.listdir(tmp_path)
