"""Memories whose rows threads share, against the reference; and memory that is taken again."""

import importlib

import chainer
import chainer.functions as F
import helpers
import numpy as np
import pytest
from helpers import Sizes

shared_rows = pytest.importorskip("lib.kernels.shared_rows", reason="needs Numba")
recycled, threads = map(importlib.import_module, ("lib.kernels.recycled", "lib.kernels.threads"))


@pytest.fixture
def shared(monkeypatch):
    """Every memory counts as large."""
    monkeypatch.setattr(shared_rows, "LARGE", 1)
    called = []
    together = shared_rows.together

    def seen(*arguments):
        called.append(None)
        together(*arguments)

    monkeypatch.setattr(shared_rows, "together", seen)
    yield
    assert called


@pytest.mark.parametrize("options", [{}, {"cell_clip": 0.5, "bounded_reads": True}])
@pytest.mark.parametrize("B, lengths", [(1, None), (3, [2, 4, 0])])
@pytest.mark.parametrize("N, K", [(37, 0), (37, 4), (5, 2)])
def test_against_the_reference(N, K, B, lengths, options, shared):
    """Five rows are fewer than parts."""
    sizes = Sizes(N=N, W=5, R=3, K=K)
    model, xs = helpers.build(sizes, **options), helpers.inputs(sizes, B, 4)
    for state in (None, helpers.random_state(sizes, B)):
        helpers.assert_matches_reference(model, sizes, xs, state, lengths)


@pytest.mark.parametrize("K", [0, 4])
def test_steps_one_by_one_and_recomputed(K, shared):
    sizes = Sizes(N=20, K=K)
    model, xs = helpers.build(sizes), helpers.inputs(sizes, 2, 5)
    want = gradients(model, lambda: model.unroll(xs))
    for run in (
        lambda: model.unroll(xs, recompute=True),
        lambda: F.stack([model(x) for x in xs]),
    ):
        for got, expected in zip(gradients(model, run), want):
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def gradients(model, run):
    """Outputs and gradients of the parameters, from the state of a new sequence on."""
    model.reset_state()
    model.cleargrads()
    ys = run()
    F.sum(ys**2).backward()
    return [ys.array, *(param.grad for param in model.params())]


def test_the_number_of_threads_changes_nothing(shared, monkeypatch):
    sizes = Sizes(N=600, W=8, K=4)
    model, xs = helpers.build(sizes, np.float32), helpers.inputs(sizes, 2, 5, np.float32)
    results = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", count)
        results.append(gradients(model, lambda: model.unroll(xs)))
    for other in results[1:]:
        for got, want in zip(other, results[0]):
            np.testing.assert_array_equal(got, want)


@pytest.mark.slow
def test_a_memory_that_is_large():
    """As it is, in float32: the same as the plain code up to rounding."""
    sizes = Sizes(N=shared_rows.LARGE + 3, W=8, R=2, K=8)
    model, xs = helpers.build(sizes, np.float32), helpers.inputs(sizes, 1, 3, np.float32)
    assert shared_rows.worth_sharing(1, sizes.N) and not shared_rows.worth_sharing(4, sizes.N)
    found = []
    for backend in ("numpy", "numba"):
        with chainer.using_config("dnc_backend", backend):
            found.append(gradients(model, lambda: model.unroll(xs)))
    for got, want in zip(*found):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


# Memory taken again


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks from a hundred bytes on, a thousand of them at most, and none to begin with."""
    monkeypatch.setattr(recycled, "LARGE", 100)
    monkeypatch.setattr(recycled, "MOST", 1000)
    monkeypatch.setattr(recycled, "_kept", {})


def address(array):
    return array.__array_interface__["data"][0]


def test_a_block_is_taken_again_when_nobody_holds_it(small_blocks):
    array = recycled.empty((5, 25), np.float32)
    assert array.shape == (5, 25) and array.dtype == np.float32 and type(array) is np.ndarray
    where, view = address(array), array[2:, ::3].T
    del array
    view[...] = 7
    assert address(recycled.empty((125,), "f")) != where  # the view holds it
    assert (view == 7).all()
    del view
    again = [recycled.empty((125,), "f") for _ in range(2)]
    assert where in map(address, again)


def kept():
    return sorted(map(len, recycled._kept.values()))


def test_a_smaller_array_takes_the_smallest_block_that_will_do(small_blocks):
    """The lengths of sequences differ, and so do the sizes of what is kept of them."""
    arrays = [recycled.empty((n,), "f") for n in (30, 90, 60)]
    where = address(arrays[2])
    del arrays
    assert kept() == [120, 240, 360]
    array = recycled.empty((5, 5), "d")
    assert address(array) == where and kept() == [120, 360]


def test_no_more_is_kept_than_is_allowed_and_the_oldest_goes_first(small_blocks):
    for n in (50, 75, 100, 125):  # 1,400 bytes in all
        array = recycled.empty((n,), "f")
        del array
    assert kept() == [400, 500]
    array = recycled.empty((130,), "f")  # none is large enough
    assert kept() == [400, 500]
    del array
    assert kept() == [520]


@pytest.mark.parametrize("shape", [(0, 5), (3,), (400,)])
def test_small_and_huge_arrays_are_ordinary(shape, small_blocks):
    array = recycled.empty(shape, "f")
    assert array.shape == shape and array.base is None
    del array
    assert kept() == []
