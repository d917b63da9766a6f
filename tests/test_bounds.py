"""The options that keep the controller in bounds, against the reference and on their own."""

import pickle

import chainer
import chainer.functions as F
import helpers
import numpy as np
import pytest
from helpers import Sizes, assert_same

from lib import DNC
from lib.memory import bounds

pytestmark = pytest.mark.usefixtures("backend")

CLIP = 0.4  # the cell states of these models lie on both sides
OPTIONS = pytest.mark.parametrize(
    "options",
    [{"cell_clip": CLIP}, {"bounded_reads": True}, {"cell_clip": CLIP, "bounded_reads": True}],
    ids=["clip", "bounded", "both"],
)


def single_steps(model, xs, lengths):
    return F.stack([model(x) for x in xs])


def recomputed(model, xs, lengths):
    return model.unroll(xs, lengths, recompute=True)


class Called:
    """A model whose ``unroll`` is another way to run the same steps."""

    def __init__(self, model, call):
        self._model, self._call = model, call

    def __getattr__(self, name):
        return getattr(self._model, name)

    def unroll(self, xs, lengths=None):
        return self._call(self._model, xs, lengths)


@pytest.mark.parametrize("start", ["zero", "random"])
@pytest.mark.parametrize("call", [DNC.unroll, single_steps, recomputed], ids=lambda f: f.__name__)
@pytest.mark.parametrize("K", [0, 3])
@OPTIONS
def test_values_and_gradients(options, K, call, start):
    sizes, B, T = Sizes(K=K), 2, 5
    model = Called(helpers.build(sizes, **options), call)
    state = helpers.random_state(sizes, B) if start == "random" else None
    helpers.assert_matches_reference(model, sizes, helpers.inputs(sizes, B, T), state)


@pytest.mark.parametrize("call", [DNC.unroll, recomputed], ids=lambda f: f.__name__)
@OPTIONS
def test_lengths(options, call):
    sizes = Sizes(K=3)
    model, state = helpers.build(sizes, **options), helpers.random_state(sizes, 3)
    xs, lengths = helpers.inputs(sizes, 3, 4), [2, 4, 0]
    helpers.assert_matches_reference(Called(model, call), sizes, xs, state, lengths)


@pytest.mark.gpu
@pytest.mark.parametrize("K", [0, 3])
@OPTIONS
def test_gpu_values_and_gradients(options, K):
    sizes = Sizes(K=K)
    model = helpers.build(sizes, **options)
    model.to_device("@cupy:0")
    helpers.assert_matches_reference(
        model, sizes, helpers.inputs(sizes, 3, 4), helpers.random_state(sizes, 3), [4, 0, 2]
    )


def results(state, **options):
    """What two steps from this state come to, with random gradients coming back."""
    sizes = Sizes()
    arguments = helpers.inputs(sizes, 2, 2), state, helpers.random_cotangents(sizes, 2, 2)
    return helpers.run_library(helpers.build(sizes, **options), sizes, *arguments)


def test_a_wide_clip_changes_nothing():
    state = helpers.random_state(Sizes(), 2)
    wide, plain = results(state, cell_clip=1e6), results(state)
    assert all((wide[name] == array).all() for name, array in plain.items())


def test_the_clip_is_of_what_goes_in_not_of_what_comes_out():
    state = helpers.random_state(Sizes(), 2)
    clipped = dict(state, c=np.clip(state["c"], -CLIP, CLIP))
    got, want = results(state, cell_clip=CLIP), results(clipped, cell_clip=CLIP)
    outside = abs(state["c"]) > CLIP
    assert outside.any() and (abs(got["final c"]) > CLIP).any()
    assert not got["gradient of c"][outside].any()
    want["gradient of c"][outside] = 0  # there it stands at the limit, which still passes
    assert_same(got, want)


def test_the_limit_itself_passes_gradients():
    state = helpers.random_state(Sizes(), 2)
    state["c"][0], state["c"][1] = CLIP, -CLIP
    assert (results(state, cell_clip=CLIP)["gradient of c"] != 0).all()


def test_what_is_fed_stays_below_length_one():
    reads = np.array([[0, 0], [3, 4], [3e4, -4e4]], "f")
    fed = bounds.feed(reads, True)
    assert fed.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(fed, axis=1), [0, 5 / 26**0.5, 1], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(dtype):
    sizes = Sizes(K=3)
    model = helpers.build(sizes, dtype, cell_clip=np.float64(0.1), bounded_reads=np.True_)
    assert (model.options.cell_clip, model.options.bounded_reads) == (0.1, True)
    ys = model.unroll(helpers.inputs(sizes, 2, 3, dtype))
    F.sum(ys).backward()
    assert {ys.dtype, *(p.grad.dtype for p in model.params())} == {np.dtype(dtype)}


@pytest.mark.parametrize("copied", [lambda m: m.copy(), lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_the_options(copied):
    sizes = Sizes()
    model = helpers.build(sizes, cell_clip=CLIP, bounded_reads=True)
    xs = helpers.inputs(sizes, 2, 3)
    other = copied(model)
    with chainer.no_backprop_mode():
        np.testing.assert_array_equal(other.unroll(xs).array, model.unroll(xs).array)
