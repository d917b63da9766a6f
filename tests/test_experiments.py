"""The experiments on tiny models: what they run, resume, score, write and draw."""

import json
from unittest import mock

import chainer
import command_line
import numpy as np
import pytest
from chainer import gradient_check
from command_line import run, train

pytest.importorskip("matplotlib")

import dnc
from experiments import __main__ as program
from experiments import literal, ntm_sort, parts, pictures, runs, scoring, ship
from experiments.runs import Run
from lib.memory.sparse_linkage import SparseLink
from tasks import Addition, Repeat

TINY = ("--hps", "8,4,1,8,2", "--max_seq_len", "4")


def tiny(seeds):
    """A part of two kinds of runs, on two tasks."""
    return {
        label: [Run(task, seed, given, 4) for task in ("addition", "repeat") for seed in seeds]
        for label, given in {"DNC": TINY, "LSTM": (*TINY, "--lstm_only")}.items()
    }


def test_a_part_is_run_once_and_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(parts.PARTS, "tiny", tiny)
    monkeypatch.setattr(runs, "call", short(runs.call))
    command = ["x", "tiny", "--seeds", "1", "--folder", tmp_path / "runs", "--asset", tmp_path]
    monkeypatch.setattr("sys.argv", [str(word) for word in command])
    assert program.main() == 0
    printed = capsys.readouterr().out
    assert "addition: sums right to the nearest integer" in printed and "| LSTM |" in printed
    numbers = json.loads((tmp_path / "tiny.json").read_text())
    assert numbers["measured on"]["chainer"] == "7.8.1"
    first = numbers["runs"]["DNC"][0]
    assert (first["task"], first["seed"], first["iterations"]) == ("addition", 1, 4)
    assert {score["length"] for score in first["scores"]} == {4}
    assert (tmp_path / "tiny.png").exists() and (tmp_path / "tiny_curves.png").exists()

    def never(*arguments):
        raise AssertionError("this was done")

    monkeypatch.setattr(runs, "call", never)
    assert program.main() == 0
    monkeypatch.setattr("sys.argv", [*map(str, command), "--report", "--seeds", "2"])
    assert program.main() == 0  # without the runs that are not there


def short(call):
    """Calls in which a single length of a few sequences is tested."""
    code = (
        "import sys; from experiments import scoring; "
        "scoring.TESTS = {task: [(4, 3)] for task in scoring.TESTS}; scoring.main(*sys.argv[1:])"
    )

    def changed(arguments, out):
        scored = list(arguments[:2]) == ["-m", "experiments.scoring"]
        return call(["-c", code, *arguments[2:]] if scored else arguments, out)

    return changed


def test_a_run_that_fails_is_said(tmp_path, capsys):
    wrong = Run("addition", 1, ("--hps", "nonsense"), 4)
    runs.do([wrong], tmp_path, 1)
    assert runs.results([wrong], tmp_path) == {}
    assert "argument --hps" in "".join(capsys.readouterr())


def test_every_part_names_its_runs_apart():
    for part in parts.PARTS.values():
        whole = [run for kind in part([1, 2]).values() for run in kind]
        assert len({run.name for run in whole}) == len(set(whole)) == len(whole)


def test_scores():
    targets = np.zeros((3, 2, 1))
    outputs = targets + [[[0.4], [-2.0]]]
    found = scoring.numbers(outputs, targets)
    np.testing.assert_allclose(found["error"], [0.4, 2])
    assert found["right"].tolist() == [1, 0]
    task = Repeat(12, 3)
    xs, ys, _ = task.sample_batch(np.random.default_rng(0), 2, 3)
    wrong = ys.copy()
    wrong[5, 1] = 1 - wrong[5, 1]  # the second of three rows
    found = scoring.bits(task)(wrong, ys)
    assert found["right"].tolist() == [1, 0] and found["first"].tolist() == [3, 1]
    np.testing.assert_allclose(found["error"], [0, 1 / 3])
    assert Addition.name in scoring.TESTS


def test_medians_and_spread():
    kind = [
        {"task": "repeat", "scores": [{"length": 12, "N": 256, "error": error}]}
        for error in (0.3, 0.1, 0.2)
    ]
    assert pictures.by_length(kind, "repeat", "error") == {(12, 256): (0.2, 0.1, 0.3)}
    assert "0.2 (0.1…0.3)" in pictures.report({"DNC": kind})


def test_a_run_of_other_settings_is_done_anew(tmp_path, monkeypatch):
    """As when a default has changed since."""
    wanted, done = Run("addition", 1, TINY, 4), []

    def call(arguments, out):
        out.mkdir(parents=True, exist_ok=True)
        if "scoring" in arguments[1]:
            (out / "scores.json").write_text("[]")
            return
        settings = {**wanted.settings, "snapshot_interval": runs.INTERVAL}
        (out / "dnc_addition_config.json").write_text(json.dumps(settings))
        row = {"iteration": 1, "loss": 1, "elapsed_time": 1}
        (out / "dnc_addition_log.json").write_text(json.dumps([row]))
        done.append(wanted)

    monkeypatch.setattr(runs, "call", call)
    for times in (1, 1):
        runs.do([wanted], tmp_path, 1)
        assert runs.results([wanted], tmp_path).keys() == {wanted} and len(done) == times
    path = tmp_path / wanted.name / "dnc_addition_config.json"
    path.write_text(path.read_text().replace('"average": 0.999', '"average": 0.5'))
    runs.do([wanted], tmp_path, 1)
    assert len(done) == 2 and '"average": 0.999' in path.read_text()


def test_the_shipped_models_do_what_they_are_shown_for(capsys):
    """Trained on at most 12 digits and 6 rows."""
    folder = command_line.ROOT / "asset" / "trained"
    wanted = {"addition": (100, "Mean absolute error: 0.0"), "repeat": (100, "wrong bits: 0\n")}
    for task, (length, score) in wanted.items():
        given = ["--task", task, "--out", folder, "--test_seq_len", length, "--test_samples", 16]
        status, out, err = run(capsys, *given)
        assert (status, err) == (0, "") and score in out, task


# The paper's literal rule


def test_the_literal_rule_is_there_in_training_and_in_tests(tmp_path, monkeypatch, capsys):
    used, right = [], literal.update_link
    monkeypatch.setattr(
        literal, "update_link", lambda *arguments: used.append(1) or right(*arguments)
    )
    monkeypatch.setattr(scoring, "TESTS", {"repeat": [(4, 3)]})
    chosen = ["--task", "repeat", "--out", str(tmp_path)]
    assert literal.main([*chosen, *TINY, "--iterations", "2"]) == 0
    trained = len(used)
    literal.main(["--score", str(tmp_path), *chosen])
    assert 0 < trained < len(used)
    assert json.loads((tmp_path / "scores.json").read_text())[0]["length"] == 4


def link_of(rng, N=6, K=2):
    """A sparse link that the paper's rule could have made, and weights without ties."""
    columns = np.array([[(i + 1) % N, (i + 2) % N] for i in range(N)], np.int32)[None]
    link = SparseLink(rng.uniform(0.5, 0.9, (1, N, K)), columns)
    return link, rng.uniform(0.05, 0.2, (1, N)), rng.uniform(0.05, 0.2, (1, N))


def test_links_of_the_literal_rule_wear_down_while_nothing_is_written():
    """One write at gate 1, then 39 at 0.01: a column sums to more than 30. Ours stays below 1."""
    from lib.memory import linkage

    N, K = 50, 8
    link = SparseLink(np.zeros((1, N, K)), np.arange(K, dtype=np.int32)[None, None].repeat(N, 1))
    p, ours = np.zeros((1, N)), link
    for t in range(40):
        w = np.zeros((1, N))
        w[0, t] = 1 if t == 0 else 0.01
        ours, _ = literal.ours[0](ours, p, w)
        link, _ = literal.update_link(link, p, w)
        p = linkage.update_precedence(p, w)
    columns = np.zeros(N)
    np.add.at(columns, link.columns[0], link.values[0])
    assert columns.max() > 30
    bounded = np.zeros(N)
    np.add.at(bounded, ours.columns[0], ours.values[0])
    assert bounded.max() <= 1


def test_the_gradient_of_the_literal_rule():
    rng = np.random.default_rng(3)
    link, p, w = link_of(rng)

    class Rule(chainer.FunctionNode):
        def forward(self, inputs):
            self.retain_inputs((0, 1, 2))
            values, p, w = inputs
            self.old = SparseLink(values, link.columns)
            new, self.trace = literal.update_link(self.old, p, w)
            return (new.values,)

        def backward(self, indexes, grads):
            _, p, w = (v.array for v in self.get_retained_inputs())
            g = literal.update_link_backward(self.trace, self.old, p, w, grads[0].array.copy())
            return tuple(map(chainer.Variable, g))

    gradient_check.check_backward(
        lambda *inputs: Rule().apply(inputs)[0],
        (link.values, p, w),
        rng.normal(size=link.values.shape),
        eps=1e-6,
        atol=1e-4,
        rtol=1e-4,
    )


# Weights that ship


def test_shipped_weights_are_tested_alike_and_not_trained_on(tmp_path, capsys):
    train(capsys, tmp_path, "--iterations", 20)
    name = "dnc_addition_iter_20.npz"
    (tmp_path / "small").mkdir()
    ship.main(tmp_path / name, tmp_path / "small")
    assert (tmp_path / "small" / name).stat().st_size < (tmp_path / name).stat().st_size / 4
    test = ["--test_seq_len", 3, "--test_samples", 20]
    scores = [
        float(run(capsys, *test, "--out", folder)[1].split("Mean absolute error: ")[1].split()[0])
        for folder in (tmp_path, tmp_path / "small")
    ]
    assert scores[1] == pytest.approx(scores[0], rel=0.01)
    status, _, err = run(capsys, *command_line.TINY, "--out", tmp_path / "small")
    assert status == 1 and "holds averaged weights, for tests" in err
    assert [file.name for file in (tmp_path / "small").iterdir()] == [name]


# The sort of Neural Turing Machines


def test_sixteen_of_twenty_items_are_wanted_the_highest_first():
    x, y = ntm_sort.NTMSort(42, 10).sample(np.random.default_rng(0))
    assert x.shape == (37, 10) and y.shape == (37, 8)
    assert x[20, -1] == 1 and not x[21:].any() and not y[:21].any()
    order = np.argsort(-x[:20, 0])
    np.testing.assert_array_equal(y[21:], x[order[:16], 1:-1])


def test_what_an_answer_costs_in_bits():
    targets = np.zeros((37, 2, 8))
    targets[30:] = 1
    outputs = np.stack([targets[:, 0], np.full((37, 8), 0.5)], axis=1)
    sure = -128 * np.log2(1 - ntm_sort.LEAST)
    np.testing.assert_allclose(ntm_sort.bits(outputs, targets), [sure, 128])


def test_that_sort_is_trained_and_each_snapshot_tested(tmp_path, monkeypatch):
    monkeypatch.setattr(ntm_sort, "TESTED", 4)
    given = ["--task", "priority_sort", "--hps", "8,4,1,8,2", "--max_seq_len", "42"]
    given += ["--max_seq_wid", "10", "--seed", "1", "--out", str(tmp_path), "--iterations", "3"]
    for kind in ([], ["--lstm_only"]):
        assert ntm_sort.main([*given, *kind, "--snapshot_interval", "2"]) == 0
    ntm_sort.main(["--score", str(tmp_path), *given, "--lstm_only"])
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert [score["iteration"] for score in scores] == [2, 3]
    assert len({score["bits"] for score in scores}) == 2
    with mock.patch.dict(dnc.tasks.TASKS, priority_sort=ntm_sort.NTMSort):
        loaded = scoring.load([*given, "--lstm_only"])  # the averaged weights of the last
    xs, ys, _ = loaded.task.sample_batch(np.random.default_rng([1, 20]), 4)
    loaded.model.reset_state()
    with chainer.no_backprop_mode():
        outputs = loaded.model.unroll(xs).array
    assert scores[1]["bits"] == pytest.approx(ntm_sort.bits(outputs, ys).mean(), abs=1e-5)
    wrong = ((outputs > 0.5) != (ys > 0.5))[21:]
    assert scores[1]["error"] == pytest.approx(wrong.mean(), abs=1e-5)


def test_the_costs_over_training_are_drawn(tmp_path):
    from matplotlib.figure import Figure

    scores = [{"iteration": 1000 * k, "N": 256, "bits": 90.0 / k, "error": 0.5} for k in (1, 3)]
    found = {"DNC": [{"task": "priority_sort", "batch_size": 2, "scores": scores}]}
    assert len(pictures.draw("ntm_sort", found, tmp_path)) == 1
    assert "| | 2000 | 6000 |" in pictures.report(found)
    axes = Figure().subplots()
    pictures.costs(axes, found, "priority_sort")
    drawn = {line.get_label(): line.get_data() for line in axes.lines}
    assert [list(values) for values in drawn["DNC"]] == [[2, 6], [90, 30]]
    assert len(drawn) == 4 and all(
        len(x) == 100 for label, (x, _) in drawn.items() if label != "DNC"
    )
