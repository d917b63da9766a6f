"""The training loop: its loss, its updates, its reports, and exact resumption after any stop."""

import json
import math
import os
import signal
import threading
import time

import chainer
import chainer.functions as F
import numpy as np
import pytest
from chainer import gradient_check
from command_line import (
    LOG,
    TINY,
    assert_same_training,
    contents,
    load,
    run,
    start,
    timeless,
    train,
)

import dnc
from lib import DNC
from lib.baseline import LSTMBaseline
from lib.training import evaluation, loop, reports
from lib.training.interrupt import Interrupt
from tasks import Addition, Repeat


def snapshots_in(folder):
    """Iterations of the snapshots in a folder."""
    return sorted(int(file.stem.split("_")[-1]) for file in folder.glob("*.npz"))


# The loss and one update


def test_the_loss_sums_over_time_and_averages_over_columns_and_batch():
    outputs, targets = np.zeros((3, 2, 4)), np.zeros((3, 2, 4))
    outputs[0, 0, 0] = 2
    targets[2, 1, 3] = 3
    loss, gradient = loop.squared_error(outputs, targets)
    assert isinstance(loss, float) and loss == (4 + 9) / 8
    assert gradient[0, 0, 0] == 2 * 2 / 8 and gradient[2, 1, 3] == -2 * 3 / 8
    assert np.count_nonzero(gradient) == 2


def test_the_gradient_of_the_loss_is_that_of_chainer():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(3, 2, 4)).astype("f")
    outputs = chainer.Variable(rng.normal(size=(3, 2, 4)).astype("f"))
    loss, gradient = loop.squared_error(outputs.array, targets)
    expected = F.sum(F.squared_error(outputs, targets)) / 8
    expected.backward()
    assert gradient.dtype == np.float32
    assert loss == pytest.approx(float(expected.array), rel=1e-6)
    np.testing.assert_allclose(gradient, outputs.grad, rtol=1e-6, atol=1e-7)


def make_model(lstm_only=False):
    np.random.seed(0)
    return LSTMBaseline(6, 1, 8) if lstm_only else DNC(6, 1, 8, 4, 1, 8, 2)


def draw(rng):
    return Addition(5, 6).sample_batch(rng, 3)


@pytest.mark.parametrize("lstm_only", [False, True])
def test_an_update_is_one_step_of_adam_on_the_loss(lstm_only):
    model, expected = make_model(lstm_only), make_model(lstm_only)
    optimizer = loop.make_optimizer(model, 0.01)
    updater = loop.SequenceUpdater(optimizer, draw, np.random.default_rng(1))
    adam = chainer.optimizers.Adam(alpha=0.01).setup(expected)
    rng = np.random.default_rng(1)
    for _ in range(3):
        updater.update()
        xs, targets, lengths = draw(rng)
        expected.reset_state()
        outputs = expected.unroll(xs, lengths)
        adam.target.cleargrads()
        (F.sum(F.squared_error(outputs, targets)) / 3).backward()
        adam.update()
    assert updater.iteration == 3
    for got, want in zip(model.params(), expected.params()):
        np.testing.assert_allclose(got.array, want.array, atol=1e-5)


def test_a_loss_that_is_not_finite_leaves_the_weights_alone():
    model = make_model()
    model.read_out.b.array[:] = np.inf
    before = [param.array.copy() for param in model.params()]
    updater = loop.SequenceUpdater(loop.make_optimizer(model, 0.01), draw, np.random.default_rng(1))
    with np.errstate(all="ignore"), pytest.raises(loop.DivergedError, match="iteration 1"):
        updater.update()
    assert updater.iteration == 0
    for param, old in zip(model.params(), before):
        np.testing.assert_array_equal(param.array, old)


# The baseline


def test_the_baseline_unrolls_as_it_steps():
    model = make_model(lstm_only=True)
    xs = np.random.default_rng(2).normal(size=(4, 3, 6)).astype("f")
    whole = model.unroll(xs)
    model.reset_state()
    for x, y in zip(xs, whole.array):
        np.testing.assert_allclose(model(x).array, y, atol=1e-6)
    model.reset_state()
    lengths = np.array([2, 4, 0])
    padded = model.unroll(xs, lengths).array
    for b, length in enumerate(lengths):
        np.testing.assert_allclose(padded[:length, b], whole.array[:length, b], atol=1e-6)
        assert not padded[length:, b].any()


def test_the_gradient_of_a_padded_baseline():
    with chainer.using_config("dtype", np.float64):
        model = LSTMBaseline(2, 1, 3)

    def unroll(xs):
        model.reset_state()
        return model.unroll(xs, [1, 3])

    rng = np.random.default_rng(3)
    xs, gradient = rng.normal(size=(3, 2, 2)), rng.normal(size=(3, 2, 1))
    gradient_check.check_backward(unroll, xs, gradient, tuple(model.params()), dtype=np.float64)


# Testing


def test_a_score_is_the_mean_over_all_sequences():
    class Model(chainer.Chain):
        sizes = []

        def reset_state(self):
            pass

        def unroll(self, xs):
            assert not chainer.config.enable_backprop and not chainer.config.train
            self.sizes.append(xs.shape[1])
            return chainer.Variable(xs * 0.75)

    task, rng, drawn = Repeat(12, 4), np.random.default_rng(4), []

    def sample(size):
        drawn.append(task.sample_batch(rng, size, 3)[:2])
        return drawn[-1]

    model = Model()
    (x, target, output), scores = evaluation.evaluate(model, sample, task.score, 37)
    assert sum(model.sizes) == 37 and len(model.sizes) > 1
    np.testing.assert_array_equal(x, drawn[0][0][:, 0])
    np.testing.assert_array_equal(target, drawn[0][1][:, 0])
    np.testing.assert_array_equal(output, x * np.float32(0.75))
    answers = np.concatenate([targets[4:] for _, targets in drawn], axis=1)  # all taken for 0
    assert scores["Share of wrong bits"] == pytest.approx(answers.mean())
    right = 1 - answers.any(axis=(0, 2)).mean()
    assert scores["Share of wholly right sequences"] == pytest.approx(right)


# Reports


def test_the_log_holds_the_mean_of_each_interval(tmp_path, capsys):
    train(capsys, tmp_path / "each", "--iterations", 7, "--log_interval", 1)
    train(capsys, tmp_path / "mean", "--iterations", 7, "--log_interval", 3)
    each, mean = (
        json.loads((tmp_path / name / "dnc_addition_log.json").read_text())
        for name in ("each", "mean")
    )
    losses = [row["loss"] for row in each]
    assert [row["iteration"] for row in mean] == [3, 6, 7]
    expected = [np.mean(losses[:3]), np.mean(losses[3:6]), losses[6]]
    np.testing.assert_allclose([row["loss"] for row in mean], expected, rtol=1e-12)


def test_the_loss_curve_is_drawn_where_matplotlib_is(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    train(capsys, tmp_path, "--iterations", 10, "--log_interval", 1)
    assert (tmp_path / "dnc_addition_loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_snapshot_moves_between_machines_with_and_without_matplotlib(
    tmp_path, capsys, monkeypatch
):
    pytest.importorskip("matplotlib")
    given = ["--log_interval", 2, "--iterations"]
    train(capsys, tmp_path, *given, 3)
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        assert "Resuming" in train(capsys, tmp_path, *given, 6)
    assert "Resuming" in train(capsys, tmp_path, *given, 9)


# Going on


@pytest.mark.parametrize("more", [[], ["--lstm_only"], ["--batch_size", 3, "--task", "repeat"]])
def test_a_resumed_run_is_bit_for_bit_the_unbroken_one(more, tmp_path, capsys):
    name = f"{'lstm' if '--lstm_only' in more else 'dnc'}_{'repeat' if more[2:] else 'addition'}"
    given = [*more, "--log_interval", 4, "--snapshot_interval", 5]
    train(capsys, tmp_path / "whole", *given, "--iterations", 12)
    for iterations in (3, 6, 8, 12):  # in the middle of intervals, and at their ends
        text = train(capsys, tmp_path / "parts", *given, "--iterations", iterations)
        assert iterations == 3 or "Resuming from " in text
    for iteration in (5, 10, 12):
        pair = (tmp_path / kind / f"{name}_iter_{iteration}.npz" for kind in ("whole", "parts"))
        assert_same_training(*pair, settings=iteration == 12)
    logs = [(tmp_path / kind / f"{name}_log.json").read_text() for kind in ("whole", "parts")]
    assert timeless(logs[0]) == timeless(logs[1])


def test_a_resumed_run_prints_only_its_own_rows(tmp_path, capsys):
    given = ["--log_interval", 2, "--iterations"]
    train(capsys, tmp_path, *given, 4)
    text = train(capsys, tmp_path, *given, 6)
    rows = text.split("loss")[1].split("\n")[1:-2]
    assert len(rows) == 1 and rows[0].split()[1] == "6"
    log = json.loads((tmp_path / "dnc_addition_log.json").read_text())
    assert [row["iteration"] for row in log] == [2, 4, 6]
    assert log[0]["elapsed_time"] < log[1]["elapsed_time"] < log[2]["elapsed_time"]


def test_what_is_not_given_comes_from_the_snapshot(tmp_path, capsys):
    train(capsys, tmp_path, "--iterations", 2, "--batch_size", 2, seed=3)
    before = json.loads((tmp_path / "dnc_addition_config.json").read_text())
    assert run(capsys, "--out", tmp_path, "--iterations", 4)[0] == 0
    after = json.loads((tmp_path / "dnc_addition_config.json").read_text())
    assert after == {**before, "iterations": 4}


def test_training_that_diverges_keeps_the_last_good_snapshot(tmp_path, capsys):
    train(capsys, tmp_path, "--iterations", 2)
    given = ["--out", tmp_path, "--iterations", 50, "--snapshot_interval", 1]
    status, out, err = run(capsys, *given, "--lr", "1e38")
    assert status == 1
    assert re_diverged(err) and "Traceback" not in err + out and err.count("\n") == 1
    last = max(snapshots_in(tmp_path))
    assert f"the last good snapshot is {tmp_path}/dnc_addition_iter_{last}.npz" in err
    for iteration in snapshots_in(tmp_path):
        entries = load(tmp_path / f"dnc_addition_iter_{iteration}.npz")
        assert all(np.isfinite(entries[n]).all() for n in entries if n.startswith("model/"))


def re_diverged(text):
    return text.startswith("dnc.py: error: training has diverged: ")


def test_a_weight_that_is_not_finite_is_not_saved(tmp_path):
    model = make_model()
    updater = loop.SequenceUpdater(loop.make_optimizer(model, 0.01), draw, np.random.default_rng(1))
    trainer = loop.make_trainer(updater, 1, Interrupt(), str(tmp_path))
    saver = loop.Saver(str(tmp_path), "x", {"model": model}, {}, 1)
    model.read_out.W.array[0, 0] = math.nan
    with pytest.raises(loop.DivergedError, match="weight"):
        saver(trainer)
    assert saver.path is None and not contents(tmp_path)


def test_a_full_disk_stops_training_and_is_told(tmp_path, capsys, monkeypatch):
    train(capsys, tmp_path, "--iterations", 2)

    def fail(file, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    status, _, err = run(capsys, "--out", tmp_path, "--iterations", 4)
    assert status == 1 and "No space left on device" in err and err.count("\n") == 1
    assert snapshots_in(tmp_path) == [2]


@pytest.mark.parametrize("log", [None, "", "[]", "5", "{}", "[[", '[{"iteration": 7}]', "cut"])
def test_the_log_of_a_finished_run_is_completed(log, tmp_path, capsys):
    """As where a kill came between the last snapshot and the log."""
    train(capsys, tmp_path, "--iterations", 7, "--log_interval", 3)
    path = tmp_path / "dnc_addition_log.json"
    whole = json.loads(path.read_text())
    assert [row["iteration"] for row in whole] == [3, 6, 7]
    path.unlink()
    if log is not None:
        path.write_text(json.dumps(whole[:2]) if log == "cut" else log)
    status, out, err = run(capsys, "--out", tmp_path)
    assert (status, err) == (0, "") and "Finished already" in out
    assert timeless(path.read_text()) == timeless(json.dumps(whole))
    before = contents(tmp_path)
    for interval in (3, 2, 7):  # the rows are not those of another interval
        run(capsys, "--out", tmp_path, "--log_interval", interval)
    assert contents(tmp_path) == before


def test_an_iteration_whose_report_fails_is_saved_whole(tmp_path, capsys, monkeypatch):
    """All that a snapshot holds of it, the loss curve too, is there before anything is written."""
    given = ["--log_interval", 3, "--iterations", 9]
    train(capsys, tmp_path / "whole", *given)

    def fail(self, trainer):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(reports._LogFile, "write", fail)
        status, _, err = run(capsys, *TINY, "--seed", 1, "--out", tmp_path / "parts", *given)
    assert status == 1 and "No space left" in err and snapshots_in(tmp_path / "parts") == [3]
    train(capsys, tmp_path / "parts", *given)
    assert_same_training(
        *(tmp_path / kind / "dnc_addition_iter_9.npz" for kind in ("whole", "parts"))
    )


# Being stopped


def test_the_first_signal_is_a_request_and_the_second_kills():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupt() as interrupt:
        assert interrupt.signum is None
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.signum == signal.SIGTERM and interrupt.exit_status == 143
        for signum in (signal.SIGINT, signal.SIGTERM):
            assert signal.getsignal(signum) == signal.SIG_DFL
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.skipif(os.name != "posix", reason="needs signals that are held back")
def test_signals_that_come_together_are_one_request():
    """Else Python prints a traceback: their handler is gone when their turn comes."""
    signums = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    with Interrupt() as interrupt:
        signal.pthread_sigmask(signal.SIG_BLOCK, signums)
        for signum in signums:
            # To this thread: another one, which blocks none of them, would take them one by one.
            signal.pthread_kill(threading.get_ident(), signum)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signums)
        assert interrupt.signum in signums
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def signal_at(monkeypatch, iteration, signum):
    """Have this signal come in the middle of this iteration."""
    update = loop.SequenceUpdater.update

    def update_and_signal(self):
        if self.iteration + 1 == iteration:
            signal.raise_signal(signum)
        update(self)

    monkeypatch.setattr(loop.SequenceUpdater, "update", update_and_signal)


@pytest.mark.parametrize("signum, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_goes_on_bit_for_bit(signum, status, tmp_path, capsys, monkeypatch):
    given = ["--log_interval", 4, "--iterations", 9]
    train(capsys, tmp_path / "whole", *given)
    with monkeypatch.context() as patch:
        signal_at(patch, 6, signum)
        ended = run(capsys, *TINY, "--seed", 1, "--out", tmp_path / "parts", *given)
    assert ended[0] == status and ended[2] == ""
    path = tmp_path / "parts" / "dnc_addition_iter_6.npz"
    assert f"Interrupted: the same command will resume from {path}\n" in ended[1]
    assert snapshots_in(tmp_path / "parts") == [6]
    status, out, _ = run(capsys, "--out", tmp_path / "parts")
    assert status == 0 and f"Resuming from {path}\n" in out
    assert_same_training(
        *(tmp_path / kind / "dnc_addition_iter_9.npz" for kind in ("whole", "parts"))
    )


def test_an_interrupt_before_the_first_iteration(tmp_path, capsys, monkeypatch):
    build = dnc.build

    def build_and_signal(*args):
        signal.raise_signal(signal.SIGINT)
        return build(*args)

    monkeypatch.setattr(dnc, "build", build_and_signal)
    status, out, err = run(capsys, *TINY, "--out", tmp_path / "new")
    assert (status, err) == (130, "") and "nothing to resume from" in out
    assert snapshots_in(tmp_path / "new") == []
    monkeypatch.undo()
    train(capsys, tmp_path / "old", "--iterations", 2)
    before = contents(tmp_path / "old" / "dnc_addition_iter_2.npz")
    monkeypatch.setattr(dnc, "build", build_and_signal)
    status, out, _ = run(capsys, "--out", tmp_path / "old", "--iterations", 4)
    assert status == 130 and "resume from " in out
    assert contents(tmp_path / "old" / "dnc_addition_iter_2.npz") == before


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.mark.skipif(os.name != "posix", reason="needs signals between processes")
@pytest.mark.parametrize("signum, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_from_outside(signum, status, tmp_path, capsys):
    process = start(tmp_path, "--iterations", 100000, "--snapshot_interval", 5)
    wait_for(lambda: snapshots_in(tmp_path))
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (status, "")
    last = max(snapshots_in(tmp_path))
    path = tmp_path / f"dnc_addition_iter_{last}.npz"
    assert out.endswith(f"Interrupted: the same command will resume from {path}\n")
    train(capsys, tmp_path / "whole", "--iterations", last)
    assert_same_training(path, tmp_path / "whole" / path.name, settings=False)


@pytest.mark.skipif(os.name != "posix", reason="needs signals between processes")
def test_a_kill_at_any_moment_leaves_whole_snapshots(tmp_path, capsys):
    process = start(tmp_path, "--iterations", 100000, "--snapshot_interval", 1, "--log_interval", 1)
    wait_for(lambda: len(snapshots_in(tmp_path)) > 20)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    found = snapshots_in(tmp_path)
    assert found == list(range(1, len(found) + 1))
    last, total = max(found), max(found) + 3
    json.loads((tmp_path / "dnc_addition_log.json").read_text())
    status, out, err = run(
        capsys, "--out", tmp_path, "--iterations", total, "--snapshot_interval", 100
    )
    assert (status, err) == (0, "")
    assert f"Resuming from {tmp_path}/dnc_addition_iter_{last}.npz\n" in out
    given = ["--log_interval", 1, "--snapshot_interval", 100, "--iterations", total]
    train(capsys, tmp_path / "whole", *given)
    name = f"dnc_addition_iter_{total}.npz"
    assert_same_training(tmp_path / name, tmp_path / "whole" / name)
    assert timeless(str(load(tmp_path / name)[LOG]))[-1]["iteration"] == total
