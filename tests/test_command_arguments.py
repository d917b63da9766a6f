"""The command line drawn at random: each is run to its end, or refused in one line that says why.

DNC_EXAMPLES=5000 draws as many cases for each test. A warning is a failure, as in all tests.
"""

import contextlib
import io
import os
import tempfile
from typing import NamedTuple

import hypothesis
import hypothesis.strategies as st
import pytest
from command_line import contents

import dnc

# Nothing here depends on the name of the package: once is enough.
pytestmark = pytest.mark.slow

BASE = ["--hps", "4,2,1,3,2", "--max_seq_len", "4", "--iterations", "1", "--seed", "1"]
A_FILE = "a_file"


class Given(NamedTuple):
    """One argument of a command line, and whether it is wrong whatever the others are."""

    name: str
    text: str
    wrong: bool

    def words(self, joined):
        """It as the program gets it; as two words where that is possible and wanted."""
        if self.text is None:
            return [self.name]
        if joined or self.text.startswith("-") or self.name in ("--lstm_only", "--paper"):
            return [f"{self.name}={self.text}"]
        return [self.name, self.text]


def argument(name, right, wrong):
    """Strategy of an argument: texts that are right, and others that are wrong."""
    texts = [Given(f"--{name}", text, False) for text in right] * 2
    texts += [Given(f"--{name}", text, True) for text in wrong]
    return st.sampled_from(texts)


# Neither an integer nor a number, and numbers that are no integers in any range here.
NO_NUMBER = [
    "",
    " ",
    "nan",
    "inf",
    "-inf",
    "x",
    "1,2",
    "0x1",
    "None",
    "é",
    "\udcff",
    "1e",
    "½",
    "-",
]
NO_INTEGER = [*NO_NUMBER, "1.5", "1e3", "2.0", "9" * 30, "9" * 5000, "-1" + "0" * 30]
TOO_LARGE = [*NO_INTEGER, str(2**31), str(2**63 + 1), str(-(2**31))]
NO_SIZES = ["1,1,1,1", "1,1,1,1,1,1", "0,1,1,1,1", "1,1,1,0,1", "1,1,1,1,-1", "1,1,1,1,x", ",,,,"]
NO_SIZES += ["1,1,1,1,2147483648"]
NO_GPU = str(2**31 - 1)
# What the paper's model has, and may therefore be given with --paper even to an LSTM alone.
OF_PAPER = {"past_decay": ["0"], "memory": ["plain"], "bounded_reads": ["False"]}
# Too large for the memory of a DNC, which an LSTM alone does not have.
HUGE_SIZES = [f"{2**31 - 1},{2**31 - 1},1,1,1", f"{2**31 - 1},1,1,1,{2**31 - 2}"]
ARGUMENTS = {
    "task": argument(
        "task", ["addition", "repeat", "priority_sort"], ["", "sort", "\udcff", "a\nb"]
    ),
    "max_seq_len": argument("max_seq_len", ["1", "2", "4", " 5", "+6", "٣"], [*TOO_LARGE, "0"]),
    "max_seq_wid": argument("max_seq_wid", ["1", "2", "3", "5"], [*TOO_LARGE, "0", "-3"]),
    "hps": argument(
        "hps", ["1,1,1,1,0", "3,2,2,2,1", "2,1,1,1, 99", *HUGE_SIZES], [*NO_SIZES, *NO_INTEGER]
    ),
    "lstm_only": argument("lstm_only", [None], ["", "1", "True"]),
    "gpu": argument("gpu", ["-1", NO_GPU], [*TOO_LARGE, "-2"]),
    "iterations": argument("iterations", ["1", "2", "3"], [*TOO_LARGE, "0"]),
    "batch_size": argument("batch_size", ["1", "2", "3"], [*TOO_LARGE, "0"]),
    "lr": argument(
        "lr", ["1e-4", "1", "1e-320", "1e20", "1e308"], [*NO_NUMBER, "0", "-1", "1e999"]
    ),
    "rate_peak": argument("rate_peak", ["1", "1e-320", "1e308"], [*NO_NUMBER, "0", "1e-999"]),
    "rate_fall": argument("rate_fall", ["0", "1", str(2**31 - 1)], TOO_LARGE),
    "average": argument("average", ["0", "0.5", "1e-320"], [*NO_NUMBER, "1", "-0.1", "1e999"]),
    "cell_clip": argument(
        "cell_clip", ["0", "0.5", "1e30", "1e-30"], [*NO_NUMBER, "-1", "1e39", "1e-60", "1e-320"]
    ),
    "bounded_reads": argument("bounded_reads", ["True", "False"], ["", "true", "1", "yes", "é"]),
    "input_scale": argument(
        "input_scale", ["0", "3", "1e30", "1e-320"], [*NO_NUMBER, "-1", "1e39", "1e308"]
    ),
    "memory": argument(
        "memory", ["task", "recall", "accumulate", "select", "plain"], ["", "Recall", " plain"]
    ),
    "forget_bias": argument(
        "forget_bias", ["-5", "0", "1e30", "-1e30", "1e-320"], [*NO_NUMBER, "1e39", "-1e308"]
    ),
    "past_decay": argument("past_decay", ["0", "300", "1e308"], [*NO_NUMBER, "-1", "1e999"]),
    "paper": argument("paper", [None], ["", "True"]),
    "seed": argument("seed", ["0", "1", str(2**63)], [*NO_INTEGER, "-1", str(2**63 + 1)]),
    "log_interval": argument("log_interval", ["1", "2", str(2**31 - 1)], [*TOO_LARGE, "0"]),
    "snapshot_interval": argument("snapshot_interval", ["1", str(2**31 - 1)], [*TOO_LARGE, "0"]),
    "test_samples": argument("test_samples", ["1", "17"], [*TOO_LARGE, "0"]),
    "out": argument(
        "out",
        ["a", "a/b/c", "é ü", " ", "\udcff", ".", "\x1b[2J", "-a"],
        ["", A_FILE, f"{A_FILE}/a", "x" * 300, "a/" * 3000, "a\0b", "\ud800", "a\nb", "é \u2028"],
    ),
    "plot": argument("plot", [], ["a.png", "a.txt", "", "\udcff", "nowhere/a.png", "a\0.png"]),
    "unknown": st.sampled_from(
        [Given(text, None, True) for text in ("--unknown", "stray", "-x", "--l", "--", "-", "é")]
    ),
}


def misfits(given):
    """The names of arguments that do not go together with others or with the task."""
    values = {one.name[2:]: one.text for one in given}
    task = values.get("task", "addition")
    length, width = int(values.get("max_seq_len", 4)), int(values.get("max_seq_wid", 6))
    least_length, least_width = (4, 3) if task == "priority_sort" else (2, 2)
    wrong = {"max_seq_len"} if length < least_length else set()
    wrong |= {"max_seq_wid"} if width < least_width else set()
    if "lstm_only" not in values and values.get("hps") in HUGE_SIZES:
        wrong.add("hps")
    if values.get("gpu") == NO_GPU:
        wrong.add("gpu")
    if "lstm_only" in values:
        kept = OF_PAPER if "paper" in values else {}
        of_memory = {"past_decay", "memory", "bounded_reads"} & values.keys()
        wrong |= {name for name in of_memory if values[name] not in kept.get(name, ())}
    return wrong


def blamed(given):
    """What may be named where one is wrong by itself; a misfit may be found before that."""
    if not any(one.wrong for one in given):
        return []
    fitting = ("--max_seq_len", "--max_seq_wid", "--lstm_only", "--hps", "--gpu")
    return [one.name for one in given if one.wrong or one.name in fitting]


def run(words):
    """Exit status, standard output and standard error; as a terminal would take them, in UTF-8."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = dnc.main(words)
        except SystemExit as end:
            status = end.code
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode("utf-8"))
    return (status, *texts)


@contextlib.contextmanager
def empty_folder():
    """A folder with a file in it, which the program starts in."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            open(A_FILE, "w").close()
            yield folder
        finally:
            os.chdir(before)


def assert_one_line(err, names):
    """An error that names one of the arguments that are to blame."""
    assert err.startswith("dnc.py: error: ") and err.endswith("\n") and err.count("\n") == 1, err
    assert any(name.lstrip("-") in err for name in names), (names, err)


def assert_trained(status, out, err):
    """All of a training's headings, and its end; or that it has diverged."""
    assert out.startswith("Training ") and "  seed " in out
    if status == 1:
        assert_one_line(err, ["training has diverged"])
    else:
        assert (status, err) == (0, "")
        assert "elapsed_time" in out and "\nDone: " in out


def draw_line(data, table):
    """A few arguments, some of them perhaps repeatedly, and the line that they make."""
    names = data.draw(st.lists(st.sampled_from(sorted(table)), min_size=1, max_size=5))
    given = [data.draw(table[name]) for name in names]
    words = [word for one in given for word in one.words(data.draw(st.booleans()))]
    return given, [*BASE, *words]


@hypothesis.given(st.data())
def test_training(data):
    given, line = draw_line(data, ARGUMENTS)
    wrong = blamed(given) or misfits(given)
    with empty_folder() as folder:
        before = contents(folder)
        status, out, err = run(line)
        if wrong:
            assert status == 2
            assert_one_line(err, wrong)
            assert contents(folder) == before
        else:
            assert_trained(status, out, err)


RIGHT = {
    name: strategy.filter(lambda one: not one.wrong)
    for name, strategy in ARGUMENTS.items()
    if name not in ("plot", "unknown")
}
CHOOSING = ("--task", "--lstm_only", "--out")
TEST_LENGTHS = argument("test_seq_len", ["4", "5"], [*TOO_LARGE, "-1"])


@hypothesis.given(st.data())
def test_training_on_and_testing(data):
    """What was trained is tested, however wild the numbers; and taken up again, with others."""
    given, line = draw_line(data, RIGHT)
    hypothesis.assume(not misfits(given))
    again, more = draw_line(data, ARGUMENTS)
    chosen = [word for one in given if one.name in CHOOSING for word in one.words(True)]
    length = data.draw(TEST_LENGTHS)
    with empty_folder() as folder:
        status, out, err = run(line)
        assert_trained(status, out, err)
        before = contents(folder)
        tested, out, err = run([*chosen, *length.words(True), "--test_samples", "2"])
        assert contents(folder) == before
        if length.wrong or status:
            assert tested == (2 if length.wrong else 1)
            assert_one_line(err, ["test_seq_len"] if length.wrong else ["no snapshot"])
        else:
            assert (tested, err) == (0, "") and out.startswith("Testing ") and "\nOver 2 " in out
        status, out, err = run([*more, *chosen])
        assert (err == "") == (status == 0)
        if any(one.wrong for one in again):
            assert status == 2 and out == ""
            assert_one_line(err, blamed(again + [one for one in given if one.name in CHOOSING]))
            assert contents(folder) == before
