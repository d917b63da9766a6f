"""On a GPU, or a stand-in for CuPy: everything as on the CPU, and nothing makes the host wait."""

import itertools
import json
import pickle

import chainer
import chainer.functions as F
import helpers
import numpy as np
import pytest
from command_line import load, run, snapshot, train
from helpers import Sizes

from lib import DNC, Adam, initialize, join_rows, take_rows, trace
from lib.baseline import LSTMBaseline

pytestmark = pytest.mark.gpu

BATCHES = [(1, 1), (3, 1), (1, 7), (3, 4)]
CASES = list(itertools.product([0, 1, 3, 6], [1, 3], BATCHES, "df"))


@pytest.mark.parametrize("start", [None, "random"])
@pytest.mark.parametrize("K, R, batch, dtype", CASES)
def test_the_link_as_on_the_cpu(K, R, batch, dtype, start):
    """Outputs, final state and the gradient of everything."""
    sizes, (B, T) = Sizes(R=R, K=K), batch
    state = helpers.random_state(sizes, B, dtype) if start else None
    lengths = [2, 4, 0] if batch == (3, 4) else None
    arguments = (
        helpers.inputs(sizes, B, T, dtype),
        state,
        helpers.random_cotangents(sizes, B, T, dtype),
    )
    want = helpers.run_library(helpers.build(sizes, dtype), sizes, *arguments, lengths)
    model = helpers.build(sizes, dtype)
    model.to_device("@cupy:0")
    got = helpers.run_library(model, sizes, *arguments, lengths)
    assert all(array.dtype == want[name].dtype for name, array in got.items())
    exact = {"rtol": 1e-10} if dtype == "d" else {"rtol": 2e-4, "atol": 1e-5}
    helpers.assert_same(got, want, **exact)


@pytest.mark.parametrize("options", [{}, {"cell_clip": 0.5, "bounded_reads": True}])
def test_single_steps_and_recomputation(options):
    sizes = Sizes(K=3)
    xs = helpers.inputs(sizes, 2, 5)
    results = []
    for device, way in itertools.product(["@numpy", "@cupy:0"], ["steps", "recompute"]):
        model = helpers.build(sizes, **options)
        model.to_device(device)
        here = model.xp.asarray(xs)
        if way == "steps":
            ys = F.stack([model(x) for x in here])
        else:
            ys = model.unroll(here, recompute=True)
        model.cleargrads()
        F.sum(ys * ys).backward()
        grads = {path: helpers.gradient(param) for path, param in model.namedparams()}
        results.append({"ys": helpers.host(ys), **grads})
    for got in results[1:]:
        helpers.assert_same(got, results[0], rtol=1e-9)


@pytest.mark.parametrize("length", [1e-30, 1e30])
def test_rows_and_read_vectors_whose_square_is_no_float32(length):
    sizes = Sizes()
    state = helpers.random_state(sizes, 2, "f")
    for field in ("memory", "read_vectors"):
        state[field] *= np.float32(length)
    results = []
    for device in ("@numpy", "@cupy:0"):
        model = helpers.build(sizes, "f", bounded_reads=True)
        model.to_device(device)
        with np.errstate(all="ignore"):
            results.append(
                helpers.run_library(model, sizes, helpers.inputs(sizes, 2, 1, "f"), state)
            )
    helpers.assert_same(results[1], results[0], rtol=1e-4, atol=1e-5)


def assert_the_baseline_is_the_same():
    """An LSTM without a memory has the same gradients on a GPU as on the CPU."""
    results = []
    for gpu in (-1, 0):
        np.random.seed(0)
        model = LSTMBaseline(3, 2, 5, gpu=gpu)
        ys = model.unroll(model.xp.asarray(helpers.inputs(Sizes(X=3), 2, 4, "f")), [2, 4])
        model.cleargrads()
        F.sum(ys * ys).backward()
        results.append({path: helpers.gradient(param) for path, param in model.namedparams()})
    helpers.assert_same(results[1], results[0], rtol=1e-4, atol=1e-6)


def test_the_baseline():
    assert_the_baseline_is_the_same()


# The other device than the current one


@pytest.mark.two_gpus
@pytest.mark.parametrize("K", [0, 3])
def test_a_model_on_another_device_than_the_current_one(K):
    sizes = Sizes(K=K)
    with chainer.using_config("dtype", np.dtype("f")):
        model = DNC(sizes.X, sizes.Y, sizes.N, sizes.W, sizes.R, sizes.H, K=K, gpu=1)
    for memory in ("recall", "accumulate", "mixed", "select"):
        initialize(model, memory, input_scale=3.0, forget_bias=-1.0)
    there = model.device
    xs = there.send(helpers.inputs(sizes, 2, 3, "f"))
    ys = model.unroll(xs, [2, 3])
    ys.grad = there.send(np.ones(ys.shape, "f"))
    model.cleargrads()
    ys.backward()
    Adam().setup(model).update()
    copied, state = model.copy(), model.get_state()
    for each in (copied, pickle.loads(pickle.dumps(state))):
        assert each is not None
    assert copied.get_state().memory.array.device.id == 1
    copied.set_state(take_rows(state, [1, 0]))
    both = join_rows([state, take_rows(state, [1])])
    assert len(both.h) == 3 and both.memory.array.device.id == 1
    on_cpu = helpers.library_state(sizes, helpers.random_state(sizes, 2, "f"))
    model.set_state(on_cpu)
    assert model.get_state().usage.array.device.id == 1
    trace(model, xs)
    model.to_device("@cupy:0")
    assert model.get_state().usage.array.device.id == 0
    model.unroll(chainer.get_device("@cupy:0").send(xs))
    assert chainer.backends.cuda.cupy.cuda.runtime.getDevice() == 0


@pytest.mark.two_gpus
def test_arrays_of_state_on_another_device():
    sizes = Sizes(K=3)
    model = helpers.build(sizes, "f")
    model.to_device("@cupy:1")
    send = model.device.send
    state = helpers.library_state(sizes, helpers.random_state(sizes, 2, "f"), send)
    state = state._replace(link=(state.link[0], send(state.link[1])))
    model.set_state(take_rows(state, slice(1)))
    wrong = send(helpers.host(state.link[1]) + np.int32(99))
    with pytest.raises(ValueError, match="columns"):
        model.set_state(state._replace(link=(state.link[0], wrong)))


# The program


def losses(folder, given):
    """The loss of each iteration that was logged."""
    name = "lstm" if "--lstm_only" in given else "dnc"
    rows = json.loads((folder / f"{name}_addition_log.json").read_text())
    return [row["loss"] for row in rows]


@pytest.mark.parametrize("given", [(), ("--paper",), ("--lstm_only",), ("--batch_size", "3")])
def test_the_program_trains_as_on_the_cpu(given, capsys, tmp_path):
    found = []
    for gpu in (-1, 0):
        folder = tmp_path / str(gpu)
        train(capsys, folder, "--iterations", 4, "--log_interval", 1, "--gpu", gpu, *given)
        found.append(losses(folder, given))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3)


def test_the_program_resumes_and_tests(capsys, tmp_path):
    train(capsys, tmp_path, "--iterations", 2, "--gpu", 0)
    text = train(capsys, tmp_path, "--iterations", 3, "--gpu", 0)
    assert "Resuming" in text
    weights = load(snapshot(tmp_path, 3))
    assert all(np.isfinite(a).all() for a in weights.values() if a.dtype.kind == "f")
    picture = tmp_path / "picture.png"
    given = ["--out", tmp_path, "--test_seq_len", 3, "--test_samples", 2]
    status, text, errors = run(capsys, *given, "--gpu", 0, "--plot", picture)
    assert (status, errors) == (0, "") and picture.exists()
    _, of_cpu, _ = run(capsys, *given, "--gpu", -1, "--plot", picture)
    assert text.splitlines()[-2][:12] == of_cpu.splitlines()[-2][:12]


@pytest.mark.parametrize("given", [(), ("--lstm_only",)])
def test_the_program_says_which_code_runs(given, capsys, tmp_path):
    for choice, code in (
        ("auto", "the array code (CHAINER"),
        ("cuda", "kernels in CUDA C++, found"),
    ):
        folder = tmp_path / choice
        with chainer.using_config("dnc_backend", choice):
            text = train(capsys, folder, "--iterations", 1, "--gpu", 0, *given)
            first = text.splitlines()[:3]
            assert any(line.startswith("On GPU 0, ") and f": {code}" in line for line in first)
            asked = ["--out", folder, "--test_seq_len", 3, "--test_samples", 1, "--gpu", 0, *given]
            status, text, _ = run(capsys, *asked)
            assert status == 0 and f": {code}" in text
    assert "On GPU" not in train(capsys, tmp_path / "cpu", "--iterations", 1, *given)


def test_the_program_says_that_kernels_were_refused(capsys, tmp_path):
    given = "--iterations", 1, "--gpu", 0, "--hps", "70,4,1,8,65"
    with chainer.using_config("dnc_backend", "cuda"), pytest.warns(RuntimeWarning, match="limits"):
        text = train(capsys, tmp_path, *given)
    assert "the array code (kernels in CUDA C++ were asked for and cannot be used)" in text


@pytest.mark.two_gpus
def test_the_program_on_the_second_gpu(capsys, tmp_path):
    given = ["--iterations", 2, "--batch_size", 2, "--gpu", 1]
    try:
        train(capsys, tmp_path, *given)
        train(capsys, tmp_path / "lstm", *given, "--lstm_only")
        assert run(capsys, "--out", tmp_path, "--test_seq_len", 3, "--gpu", 1)[0] == 0
    finally:
        chainer.get_device("@cupy:0").use()
