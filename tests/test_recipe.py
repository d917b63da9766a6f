"""What the program does beyond the paper: how training starts, averaged weights, and --paper."""

import json

import chainer
import helpers
import numpy as np
import pytest
from command_line import TINY, assert_same_training, load, run, train
from helpers import Sizes

from lib import DNC, Adam, initialize, trace
from lib.baseline import LSTMBaseline
from lib.training import snapshots
from lib.training.average import WeightAverage
from lib.training.decay import PastDecay
from lib.training.loop import SequenceUpdater
from lib.training.session import rate_of
from lib.training.settings import BEFORE, Settings
from tasks import Addition

SIZES = Sizes(X=3, Y=2, N=5, W=4, R=2, H=64)


def model_of(sizes=SIZES, **options):
    np.random.seed(0)
    return DNC(sizes.X, sizes.Y, sizes.N, sizes.W, sizes.R, sizes.H, K=2, **options)


def bias_of(model):
    bias = model.controller.linear.b.array
    return {name: bias[rows] for name, rows in helpers.interface_rows(SIZES).items()}


# How training starts

HIDING = ("accumulate", "select")  # what the controller sees of its past


def test_the_start_of_a_memory_that_accumulates():
    model = model_of()
    before = model.controller.linear.W.array.copy()
    initialize(model, "accumulate")
    wanted = dict.fromkeys(helpers.interface_rows(SIZES), 0.0)
    wanted.update(allocation_gate=-15, free_gates=-5, write_gate=2, erase=-12)
    wanted.update(read_strengths=-3, write_strength=-3)
    for name, values in bias_of(model).items():
        np.testing.assert_array_equal(values, wanted[name], err_msg=name)
    assert not model.controller.linear.b.array[:2].any()
    W, rows = model.controller.linear.W.array, helpers.interface_rows(SIZES)["write_vector"]
    assert W[rows].std() == pytest.approx(8 / 64**0.5, rel=0.2)
    np.testing.assert_array_equal(np.delete(W, np.r_[rows], 0), np.delete(before, np.r_[rows], 0))
    assert model.read_out.W.array.std() == pytest.approx(32 / 8**0.5, rel=0.5)
    lstm = model.controller.lstm
    assert not lstm.lateral.W.array.any() and not lstm.upward.W.array[:, 3:].any()
    assert lstm.upward.W.array[:, :3].all()


def test_the_start_of_a_memory_that_recalls():
    model = model_of()
    before = {path: p.array.copy() for path, p in model.namedparams()}
    initialize(model, "recall")
    wanted = bias_of(model_of())
    wanted.update(write_gate=8, allocation_gate=8)
    for name, values in bias_of(model).items():
        np.testing.assert_array_equal(values, wanted[name], err_msg=name)
    for path, param in model.namedparams():
        if path != "/controller/linear/b":
            np.testing.assert_array_equal(param.array, before[path], err_msg=path)


def test_the_start_of_a_memory_for_both():
    model = model_of()
    before = {path: p.array.copy() for path, p in model.namedparams()}
    initialize(model, "mixed")
    wanted = bias_of(model_of())
    wanted.update(write_gate=8, allocation_gate=0, erase=-9)
    wanted["read_strengths"][0] = -3
    for name, values in bias_of(model).items():
        np.testing.assert_array_equal(values, wanted[name], err_msg=name)
    columns = model.read_out.W.array
    assert columns[:, :4].std() == pytest.approx(64 / 4**0.5, rel=0.6)
    np.testing.assert_array_equal(columns[:, 4:], before["/read_out/W"][:, 4:])


def test_the_start_of_a_memory_that_selects():
    model = model_of()
    initialize(model, "select", input_scale=3, forget_bias=-8)
    bias, lstm = bias_of(model), model.controller.lstm
    key = bias["write_key"]
    assert np.linalg.norm(key) == pytest.approx(1)
    np.testing.assert_array_equal(bias["read_keys"].reshape(2, 4), [key, key])
    for name, value in {"read_strengths": 10, "write_strength": 10, "free_gates": -3}.items():
        assert (bias[name] == value).all(), name
    np.testing.assert_array_equal(bias["read_modes"].reshape(2, 3), [[0, 2, 0]] * 2)
    assert not lstm.lateral.W.array.any() and not lstm.upward.W.array[:, 3:].any()
    gates = lstm.upward.b.array.reshape(64, 4)
    assert (gates[:, 2] == -8).all() and gates[:, [0, 1, 3]].std() == pytest.approx(1.5, rel=0.2)


@pytest.mark.parametrize("x", [[0.4, 0, 0], [0, 0, 1], [-0.9, 1, 0], [1, 1, 1]])
def test_what_comes_in_goes_to_a_fresh_row_and_else_what_is_like_the_key_is_replaced(x):
    model = model_of(SIZES._replace(H=256, N=16))
    initialize(model, "select", input_scale=3, forget_bias=-8)
    seen = trace(model, np.array([x, x, [0, 0, 0], [0, 0, 0]], "f")[:, None])
    said, key = seen.interface, bias_of(model)["write_key"]
    gates = said.allocation_gate[:, 0, 0]
    assert gates[:2].min() > 0.6 and gates[2:].max() < 0.1
    alike = said.write_vector[:, 0] @ key
    assert alike[:2].min() > 0.1 and alike[2:].max() < -0.9
    rows = seen.write_weights[:, 0].argmax(axis=1)
    assert rows[0] != rows[1] and rows[3] in rows[:2]


def test_a_memory_that_selects_starts_where_inputs_make_no_difference():
    model = model_of()
    initialize(model, "select", input_scale=1e-320)
    assert all(np.isfinite(param.array).all() for param in model.params())


def test_all_rows_of_such_a_memory_stay_alike():
    """Whatever comes, each read is close to an even one, and what was written is kept."""
    model = model_of()
    initialize(model, "accumulate")
    with chainer.no_backprop_mode():
        model.unroll(np.random.default_rng(0).normal(size=(50, 2, 3)).astype("f"))
    memory = model.get_state().memory.array
    assert memory.std(axis=1).max() < 0.1 * abs(memory).max()


def test_the_start_of_the_controller():
    model = model_of()
    before = model.controller.lstm.upward.W.array.copy()
    initialize(model, input_scale=3, forget_bias=-2)
    upward = model.controller.lstm.upward
    assert upward.W.array[:, :3].std() == pytest.approx(3 / 3**0.5, rel=0.1)
    np.testing.assert_array_equal(upward.W.array[:, 3:], before[:, 3:])
    np.testing.assert_array_equal(upward.b.array.reshape(64, 4), [[0, 0, -2, 0]] * 64)


def test_the_forget_gate_is_the_one_that_forgets():
    """Shut, it leaves nothing of the cell state."""
    model = model_of()
    initialize(model, forget_bias=-1e4)
    model.c = np.full((2, 64), 7, "f")
    x = np.zeros((2, 3), "f")
    kept = model(x).array
    model.reset_state()
    np.testing.assert_allclose(kept, model(x).array, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "given", [{"input_scale": 3}, {"forget_bias": -2}, *({"memory": name} for name in HIDING)]
)
def test_a_deferred_width_must_be_known(given):
    model = model_of(SIZES._replace(X=None))
    initialize(model)
    with pytest.raises(ValueError, match="seen an input"):
        initialize(model, **given)


def test_there_is_no_such_memory():
    with pytest.raises(ValueError, match="None or one of recall, mixed, accumulate, select, got"):
        initialize(model_of(), "count")


# The learning rate


def test_the_rate_falls_with_the_square_of_the_sequences():
    rate = rate_of(Settings.of({"lr": 1e-3, "rate_peak": 2.0, "rate_fall": 100, "batch_size": 4}))
    assert rate(1) == rate(25) == pytest.approx(2e-3)
    assert rate(50) == pytest.approx(2e-3 / 4) and rate(250) == pytest.approx(2e-3 / 100)
    constant = rate_of(Settings.of({"paper": True}))
    assert constant(1) == constant(10**6) == 1e-4


def test_each_update_has_its_rate():
    model = model_of(SIZES._replace(X=6, Y=1))
    task, seen = Addition(5, 6), []
    optimizer = Adam(alpha=1).setup(model)
    updater = SequenceUpdater(
        optimizer,
        lambda rng: task.sample_batch(rng, 1),
        np.random.default_rng(0),
        rate=lambda iteration: 0.01 / iteration,
    )
    for _ in range(3):
        updater.update()
        seen.append(optimizer.alpha)
    assert seen == [0.01, 0.005, 0.01 / 3]


# The decay of the past


def test_what_the_controller_sees_of_its_past_decays():
    """Without a gradient nothing else moves, and these weights shrink by alpha · rate."""
    model = model_of()
    before = {path: p.array.copy() for path, p in model.namedparams()}
    optimizer = Adam(alpha=0.01).setup(model)
    optimizer.add_hook(PastDecay(model.controller.lstm, 3, 20))
    for param in model.params():
        param.grad = np.zeros_like(param.array)
    optimizer.update()
    kept = 1 - optimizer.alpha * 20
    before["/controller/lstm/lateral/W"] *= kept
    before["/controller/lstm/upward/W"][:, 3:] *= kept
    for path, param in model.namedparams():
        np.testing.assert_allclose(param.array, before[path], rtol=1e-6, atol=1e-7, err_msg=path)


@pytest.mark.parametrize(
    "given, forget_bias, past_decay",
    [
        ({}, -5, 300),
        ({"task": "repeat"}, -2, 0),
        ({"task": "priority_sort"}, -8, 0),
        ({"memory": "plain"}, -2, 0),
        ({"memory": "recall"}, -2, 0),
        ({"task": "repeat", "memory": "accumulate", "past_decay": 7.0}, -5, 7),
        ({"forget_bias": 3.0}, 3, 300),
        ({"paper": True}, 1, 0),
        ({"lstm_only": True}, 1, 0),
    ],
)
def test_what_goes_with_a_memory(given, forget_bias, past_decay):
    settings = Settings.of(given)
    assert (settings.forget_bias, settings.past_decay) == (forget_bias, past_decay)
    assert settings.memory != "task" and settings.seed is not None


@pytest.mark.parametrize(
    "given, batch_size, rate_fall",
    [
        ({}, 1, 12000),
        ({"task": "repeat"}, 1, 12000),
        ({"task": "repeat", "batch_size": 4}, 4, 48000),
        ({"task": "priority_sort"}, 16, 192000),
        ({"task": "priority_sort", "memory": "plain"}, 16, 192000),
        ({"task": "priority_sort", "batch_size": 1}, 1, 12000),
        ({"task": "priority_sort", "lstm_only": True}, 16, 192000),
        ({"task": "priority_sort", "paper": True}, 16, 0),
        ({"batch_size": 2, "rate_fall": 7}, 2, 7),
    ],
)
def test_what_goes_with_a_task(given, batch_size, rate_fall):
    settings = Settings.of(given)
    assert (settings.batch_size, settings.rate_fall) == (batch_size, rate_fall)


@pytest.mark.parametrize(
    "saved, given, rate_fall",
    [
        ({"batch_size": 1}, {}, 12000),
        ({"batch_size": 1}, {"batch_size": 1}, 12000),
        ({"batch_size": 1}, {"batch_size": 16}, 192000),
        ({"batch_size": 1}, {"batch_size": 16, "rate_fall": 500}, 500),
        ({"batch_size": 1}, {"batch_size": 16, "paper": True}, 0),
        ({"batch_size": 1}, {"batch_size": 2**31 - 1}, 2**31 - 1),
        ({}, {"batch_size": 4}, 48000),
        ({"rate_fall": 7}, {"batch_size": 1}, 1),  # 0 would be no fall at all
        ({"rate_fall": 0}, {"batch_size": 1}, 0),
        ({"batch_size": 3, "rate_fall": 10}, {}, 10),
    ],
)
def test_other_batches_change_nothing_about_the_rate_of_a_run_that_goes_on(saved, given, rate_fall):
    saved = Settings.of({"task": "priority_sort", **saved}).saved
    settings = Settings.of({"task": "priority_sort", **given}).over(saved)
    assert settings.batch_size == given.get("batch_size", saved["batch_size"])
    assert settings.rate_fall == rate_fall


def test_several_processes_have_the_rate_of_one_with_the_whole_batch():
    whole, half = (rate_of(Settings.of({"batch_size": size})) for size in (6, 3))
    assert whole(1) == whole(12000) == half(12000) > whole(12001) == half(12001)


# Averaged weights


@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_the_average_moves_as_it_says(backend):
    model, rng = model_of(), np.random.default_rng(1)
    average = WeightAverage(model, 0.9)
    expected = {path: p.array.astype(float) for path, p in model.namedparams()}
    with chainer.using_config("dnc_backend", backend):
        for n in range(200):
            for path, param in model.namedparams():
                param.array += rng.normal(size=param.shape).astype("f")
                decay = min(0.9, (1 + n) / (10 + n))
                expected[path] = decay * expected[path] + (1 - decay) * param.array
            average.update()
    for path, param in average.link.namedparams():
        np.testing.assert_allclose(param.array, expected[path], rtol=1e-4, atol=1e-5)


def test_both_backends_average_bit_by_bit_alike():
    results = []
    for backend in ("numpy", "auto"):
        with chainer.using_config("dnc_backend", backend):
            model, rng = model_of(), np.random.default_rng(1)
            average = WeightAverage(model, 0.9)
            for _ in range(20):
                model.read_out.W.array += rng.normal(size=(2, 8)).astype("f")
                average.update()
        results.append(average.link.read_out.W.array)
    np.testing.assert_array_equal(*results)


def test_the_average_is_what_is_tested(tmp_path, capsys):
    """Spoil the last weights in a snapshot: a test of the average does not see it."""
    train(capsys, tmp_path, "--iterations", 30)
    path = tmp_path / "dnc_addition_iter_30.npz"
    test = ["--out", tmp_path, "--test_seq_len", 3]

    def score(*given):
        return run(capsys, *test, *given)[1].split("Over")[1]

    averaged, last = score(), score("--average", 0)
    assert averaged != last
    entries = load(path)
    entries["model/read_out/b"] += 5
    np.savez(path, **entries)
    assert score() == averaged and score("--average", 0) != last


def test_averages_resume_exactly(tmp_path, capsys):
    train(capsys, tmp_path / "whole", "--iterations", 40, "--snapshot_interval", 40)
    for iterations in (15, 40):
        train(capsys, tmp_path / "parts", "--iterations", iterations, "--snapshot_interval", 40)
    paths = [tmp_path / part / "dnc_addition_iter_40.npz" for part in ("whole", "parts")]
    assert any(name.startswith("average/") for name in load(paths[0]))
    assert_same_training(*paths, settings=False)


# The paper's model, and snapshots from before the recipe


def test_paper_is_all_of_it_in_a_word():
    settings = Settings.of({"paper": True})
    assert {name: getattr(settings, name) for name in BEFORE} == BEFORE
    assert Settings.of({"paper": True, "cell_clip": 2.0}).cell_clip == 2
    assert set(BEFORE) < settings.given


def test_the_lstm_alone_is_a_plain_one():
    settings = Settings.of({"lstm_only": True})
    plain = {**BEFORE, "average": 0.999, "rate_peak": 3, "rate_fall": 12000}
    assert {name: getattr(settings, name) for name in BEFORE} == plain
    assert Settings.of({"lstm_only": True, "forget_bias": 0.0}).forget_bias == 0


def strip(path):
    """Make a snapshot what it was before the recipe."""
    entries = {n: a for n, a in load(path).items() if not n.startswith("average/")}
    config = json.loads(str(entries["config"]))
    entries["config"] = np.asarray(json.dumps({n: config[n] for n in config if n not in BEFORE}))
    entries["entries"] = np.asarray(json.dumps(sorted(set(entries) - {"entries"})))
    np.savez(path, **entries)


def test_an_older_snapshot_goes_on_as_the_papers_model(tmp_path, capsys):
    for folder in ("old", "new"):
        train(capsys, tmp_path / folder, "--iterations", 10, "--paper")
    old = tmp_path / "old" / "dnc_addition_iter_10.npz"
    strip(old)
    assert not snapshots.Snapshot(str(old)).holds("average")
    tested = [
        run(capsys, "--out", tmp_path / folder, "--test_seq_len", 3)[1].split("Input")[1]
        for folder in ("old", "new")
    ]
    assert tested[0] == tested[1]
    given = [*TINY, "--iterations", 20]
    texts = [run(capsys, *given, "--out", tmp_path / folder)[1] for folder in ("old", "new")]
    assert "Changed" in texts[0] and "average" not in texts[0].split("Changed")[1]
    paths = [tmp_path / folder / "dnc_addition_iter_20.npz" for folder in ("old", "new")]
    assert_same_training(*paths, settings=False)


def test_what_only_matters_at_the_start_stays(tmp_path, capsys):
    train(capsys, tmp_path, "--iterations", 4)
    given = ["--iterations", 8, "--memory", "recall", "--forget_bias", 3]
    text = run(capsys, *TINY, *given, "--out", tmp_path)[1]
    assert "--memory has no effect" in text and "--forget_bias has no effect" in text
    assert "memory accumulate" not in text.split("Changed")[1]
    config = json.loads(str(load(tmp_path / "dnc_addition_iter_8.npz")["config"]))
    assert (config["memory"], config["forget_bias"]) == ("accumulate", -5)


def test_an_average_may_be_begun_later(tmp_path, capsys):
    train(capsys, tmp_path, "--iterations", 10, "--paper")
    text = run(capsys, *TINY, "--iterations", 60, "--out", tmp_path, "--average", 0.5)[1]
    assert "average 0.0 -> 0.5" in text
    entries = load(tmp_path / "dnc_addition_iter_60.npz")
    name = next(n for n in entries if n.startswith("average/") and n.endswith("read_out/W"))
    last = entries[name.replace("average/", "model/")]
    np.testing.assert_allclose(entries[name], last, atol=0.05)


def test_the_settings_reach_the_models():
    import dnc

    settings = Settings.of({"hps": (8, 4, 1, 8, 2), "cell_clip": 0.5, "forget_bias": -3.0})
    model = dnc.build(settings).model
    assert model.options == (0.5, True)
    assert (model.controller.lstm.upward.b.array[2::4] == -3).all()
    assert (bias_of_gates(model) == [-15, 2]).all()
    assert dnc.build(Settings.of({"task": "repeat"})).model.controller.linear.b.array.max() > 5
    plain = dnc.build(Settings.of({"paper": True})).model
    assert plain.options == (None, False)
    lstm = dnc.build(Settings.of({"lstm_only": True, "cell_clip": 2.0})).model
    assert lstm.options.cell_clip == 2 and (lstm.lstm.upward.b.array[2::4] == 1).all()


def bias_of_gates(model):
    """Allocation and write gate of a DNC of one read head."""
    return model.controller.linear.b.array[-5:-3]


def test_the_clip_of_the_lstm_alone():
    model = LSTMBaseline(3, 2, 4, cell_clip=0.1)
    xs = chainer.Variable(np.random.default_rng(0).normal(size=(3, 2, 3)).astype("f"))
    y = model.unroll(xs)
    c = h = chainer.Variable(np.zeros((2, 4), "f"))
    for x in xs:
        c, h = chainer.functions.lstm(
            chainer.functions.clip(c, -0.1, 0.1), model.lstm.upward(x) + model.lstm.lateral(h)
        )
    expected = model.linear(h)
    np.testing.assert_allclose(y.array[-1], expected.array, rtol=1e-5, atol=1e-6)
    (got,) = chainer.grad([chainer.functions.sum(y[-1])], [xs])
    (want,) = chainer.grad([chainer.functions.sum(expected)], [xs])
    np.testing.assert_allclose(got.array, want.array, rtol=1e-4, atol=1e-7)
