"""What a sequence asks of a GPU, as a stand-in for CuPy counts it; and that mistakes are caught.

A launch here is a call of CuPy's that computes; some of them are several kernels.
"""

import os

import chainer
import helpers
import numpy as np
import pytest
import stand_in
from helpers import Sizes

from lib import Adam, kept_state
from lib.baseline import LSTMBaseline
from lib.kernels import cuda_step
from lib.memory import allocation, content, heads, sorting
from lib.training import loop

pytestmark = pytest.mark.stand_in

DNC_OPTIONS = [{}, {"cell_clip": 1.0, "bounded_reads": True}]
# Launches a step of a batch, forward and backward, with the plain code, by K.
LAUNCHES = {0: (65, 173), 8: (125, 228)}
SORTS = {0: 1, 8: 5}


def build(K=8, **options):
    sizes = Sizes(N=32, W=6, R=4, H=16, K=K)
    model = helpers.build(sizes, "f", **options)
    model.to_device("@cupy:0")
    return model


def step_by_step(model, xs):
    return sum(model(x) for x in xs)


def with_lengths(model, xs):
    T = len(xs)
    return model.unroll(xs, [T // 2, T])


def unrolled(model, xs):
    return model.unroll(xs)


def recomputed(model, xs):
    return model.unroll(xs, recompute=True)


def of_a_step(model, call, T=6, X=2, B=2):
    """Events of one more step, forward and backward, and those of a sequence besides."""
    totals = []
    for steps in (T, T, 2 * T):  # what happens the first time alone does not count
        xs = model.xp.asarray(helpers.inputs(Sizes(X=X), B, steps, "f"))
        model.reset_state()
        model.cleargrads()
        with stand_in.counted() as forward:
            ys = call(model, xs)
            forward = forward()
        ys.grad = model.xp.ones_like(ys.array)
        with stand_in.counted() as backward:
            ys.backward()
            backward = backward()
        totals.append((forward, backward))
    (f1, b1), (f2, b2) = totals[1:]
    step = [
        {kind: (two[kind] - one[kind]) / T for kind in one} for one, two in ((f1, f2), (b1, b2))
    ]
    once = [{kind: 2 * one[kind] - two[kind] for kind in one} for one, two in ((f1, f2), (b1, b2))]
    return step, once


def waits_of_sorts(counts):
    """CuPy 13's sorts wait, whatever the library does."""
    return counts["sort"] if chainer.backends.cuda.cupy.__version__ < "14" else 0


@pytest.mark.parametrize("options, more", [(DNC_OPTIONS[0], 0), (DNC_OPTIONS[1], 13)])
@pytest.mark.parametrize("choice, several", [("numpy", False), ("cuda", False), ("cuda", True)])
def test_the_launches_that_the_readme_gives(choice, several, options, more, monkeypatch):
    """Batch 1, forward and backward."""
    wanted = {"numpy": {8: 311, 0: 226}, "cuda": {8: 35, 0: 36} if several else {8: 20, 0: 20}}
    if several:
        monkeypatch.setattr(cuda_step, "MOST_LOCATIONS", {4: 20, 8: 20})
    for K, launches in wanted[choice].items():
        with chainer.using_config("dnc_backend", choice):
            step, _ = of_a_step(build(K, **options), unrolled, B=1)
        assert sum(counts["launch"] for counts in step) == launches + more


@pytest.mark.parametrize("call", [unrolled, with_lengths, recomputed], ids=lambda f: f.__name__)
@pytest.mark.parametrize("options", DNC_OPTIONS)
@pytest.mark.parametrize("K", [0, 8])
def test_a_step_neither_waits_nor_uploads(K, options, call):
    step, once = of_a_step(build(K, **options), call, T=9 if call is recomputed else 6)
    for counts in step:
        if call is not recomputed:  # whose segments are of unequal lengths
            assert counts["wait"] == waits_of_sorts(counts), counts
        assert counts["upload"] == 0, counts
    assert once[0]["upload"] == (call is with_lengths)  # in which order they are sorted
    assert once[1]["upload"] == 0


@pytest.mark.parametrize("K", [0, 8])
def test_single_steps_neither_wait_nor_upload(K):
    step, _ = of_a_step(build(K), step_by_step)
    for counts in step:
        assert counts["wait"] == waits_of_sorts(counts) and counts["upload"] == 0, counts


@pytest.mark.parametrize("K", [0, 8])
def test_launches_of_a_step(K):
    step, _ = of_a_step(build(K), unrolled)
    assert tuple(counts["launch"] for counts in step) == LAUNCHES[K]
    assert step[0]["sort"] == SORTS[K] and step[1]["sort"] == 0


@pytest.mark.parametrize("kind", ["dnc", "lstm"])
def test_an_iteration_waits_for_the_loss_alone(kind):
    model = build() if kind == "dnc" else LSTMBaseline(2, 3, 5, gpu=0)
    xs, targets = helpers.inputs(Sizes(), 2, 4, "f"), helpers.inputs(Sizes(X=3), 2, 4, "f")
    updater = loop.SequenceUpdater(
        Adam().setup(model), lambda rng: (xs, targets, np.array([4, 4])), np.random.default_rng(0)
    )
    updater.update()
    with stand_in.counted() as counts:
        updater.update()
        counts = counts()
    assert counts["wait"] - waits_of_sorts(counts) == 1, counts.places
    assert counts["upload"] == 2  # the inputs and the targets


# Planted mistakes


def run_once(K=3):
    model = build(K)
    ys = model.unroll(model.xp.asarray(helpers.inputs(Sizes(), 2, 3, "f")))
    return helpers.host(ys)


def test_a_numpy_array_mixed_in_is_refused(monkeypatch):
    right = heads.read
    monkeypatch.setattr(heads, "read", lambda M, w: right(M, w * np.ones(w.shape, "f")))
    with pytest.raises(TypeError, match="Unsupported type"):
        run_once()


def test_a_keyword_that_cupy_does_not_have_is_refused(monkeypatch):
    monkeypatch.setattr(
        allocation, "gather", lambda x, index: x.reshape(-1).take(index.ravel(), mode="clip")
    )
    with pytest.raises(TypeError, match="take"):
        run_once()


def test_a_function_that_cupy_does_not_have_is_refused(monkeypatch):
    monkeypatch.setattr(allocation, "stable_argsort", lambda x: x.__array_namespace__().argsort(x))
    with pytest.raises(AttributeError):
        run_once()


@pytest.mark.skipif(os.environ.get("DNC_TEST_CUPY", "") >= "14", reason="CuPy 14 takes it")
def test_the_kind_of_a_sort_is_refused_where_it_is_not_known(monkeypatch):
    monkeypatch.setattr(sorting, "stable_argsort", lambda x: x.argsort(axis=-1, kind="stable"))
    monkeypatch.setattr(allocation, "stable_argsort", sorting.stable_argsort)
    with pytest.raises(TypeError, match="argsort"):
        run_once()


@pytest.mark.parametrize(
    "kind, hidden",
    [
        ("wait", lambda x: float(x.sum()) > 1e9),
        ("wait", lambda x: x[x > 1e9]),
        ("wait", lambda x: x.__setitem__(x > 1e9, 0)),
        ("upload", lambda x: chainer.backends.cuda.cupy.array([1.0, 2.0])),
        ("upload", lambda x: x[:, [0]]),
    ],
    ids=["float", "mask read", "mask write", "array", "index"],
)
def test_a_hidden_wait_or_upload_is_counted(kind, hidden, monkeypatch):
    right = content.softmax

    def softmax(x):
        hidden(x)
        return right(x)

    before, _ = of_a_step(build(), unrolled)
    monkeypatch.setattr(content, "softmax", softmax)
    after, _ = of_a_step(build(), unrolled)
    assert after[0][kind] == before[0][kind] + 2  # that of the write head, and of the read heads


def test_what_nobody_has_written_shows(monkeypatch):
    right = allocation.scatter

    def scatter(values, index, N):
        return right(values[:, 1:], index[:, 1:], N) + chainer.backends.cuda.cupy.empty((1, 1), "f")

    monkeypatch.setattr(allocation, "scatter", scatter)
    with np.errstate(all="ignore"):
        assert np.isnan(run_once()).any()


def test_an_index_twice_in_an_assignment_is_refused(monkeypatch):
    monkeypatch.setattr(allocation, "stable_argsort", lambda x: x.argsort(axis=-1) // 2)
    with pytest.raises(ValueError, match="twice"):
        run_once()


def test_the_other_device_is_refused(monkeypatch):
    model = build(3)
    model.to_device("@cupy:1")
    model.unroll(model.device.send(helpers.inputs(Sizes(), 2, 3, "f")))
    assert model.copy().get_state().usage.array.device.id == 1
    copy = chainer.Variable
    monkeypatch.setattr(kept_state, "detached_copy", lambda v: copy(v.array.copy()))
    assert model.copy().get_state().usage.array.device.id == 0  # where nobody wants it
    with pytest.raises(ValueError, match="same as the current device"):
        model.get_state().usage.array + 1
