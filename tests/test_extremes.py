"""float32 at the ends of its range against the float64 reference: no NaN, no infinity, no warning.

One part of the model at a time is brought there, so that all that the reference comes to is within
float32's range too, gradients included. Then numbers agree to 1e-4 of the largest of their array.
Where extremes meet, a function may jump (a strength of 1e30 between rows that are alike), rounding
decides, and only bounds are checked.
"""

import functools
import warnings

import chainer
import chainer.functions as F
import helpers
import numpy as np
import pytest
import reference
from helpers import Sizes

from lib.memory import bounds, content

# Nothing here depends on the name of the package: once is enough.
pytestmark = [pytest.mark.usefixtures("backend"), pytest.mark.slow]

KINDS = pytest.mark.parametrize("K", [0, 3])
OPTIONS = pytest.mark.parametrize(
    "options", [{}, {"cell_clip": 0.5, "bounded_reads": True}], ids=["paper", "bounded"]
)
B, T = 2, 2
LARGE, SMALL, SUBNORMAL = 1e30, 1e-30, 1e-42
WEIGHTINGS = ("write_weights", "read_weights", "precedence", "usage", "link")


def times(factor, *names):
    """A change of the inputs "xs" or of fields of the state: their numbers times a factor."""

    def change(model, sizes, given):
        for name in names:
            given[name] = given[name] * np.float32(factor)

    return change


def held(**values):
    """A change of the model: parts of the interface vector are held at a value."""
    return lambda model, sizes, given: helpers.set_bias(model, sizes, **values)


def equal(usage, **values):
    """All locations are used alike, and all that is written is written by allocation."""

    def change(model, sizes, given):
        given["usage"] = np.full_like(given["usage"], usage)
        helpers.set_bias(model, sizes, allocation_gate=LARGE, free_gates=-LARGE, **values)

    return change


def gates(write, allocation, free):
    return held(write_gate=write, allocation_gate=allocation, free_gates=free, erase=write)


CHANGES = {
    "inputs 1e30": times(LARGE, "xs"),
    "inputs 1e-30": times(SMALL, "xs"),
    "inputs 1e-42": times(SUBNORMAL, "xs"),
    "inputs 0": times(0, "xs"),
    "memory 1e30": times(LARGE, "memory"),
    "memory 1e20": times(1e20, "memory"),
    "memory 1e-20": times(1e-20, "memory"),
    "memory 1e-30": times(SMALL, "memory"),
    "reads 1e30": times(LARGE, "read_vectors"),
    "reads 1e20": times(1e20, "read_vectors"),
    "reads 1e-42": times(SUBNORMAL, "read_vectors"),
    "cell 1e30": times(LARGE, "c"),
    "cell 1e-42": times(SUBNORMAL, "c"),
    "h 1e-42": times(SUBNORMAL, "h"),
    "weightings 1e-42": times(SUBNORMAL, "usage", "precedence", "write_weights", "read_weights"),
    "weightings 0": times(0, "usage", "precedence", "link", "write_weights", "read_weights"),
    "links 1e-30": times(SMALL, "link"),
    "keys 1e30": held(read_keys=LARGE, write_key=LARGE),
    "keys 1e20": held(read_keys=1e20, write_key=1e20),
    "keys 1e-20": held(read_keys=1e-20, write_key=1e-20),
    "keys 1e-30": held(read_keys=SMALL, write_key=SMALL),
    "written 1e30": held(write_vector=LARGE),
    "written 1e20": held(write_vector=1e20),
    "written 1e-42": held(write_vector=SUBNORMAL),
    "strengths 1e4": held(read_strengths=1e4, write_strength=1e4),
    "strengths 1e30": held(read_strengths=LARGE, write_strength=LARGE),
    "strengths 1": held(read_strengths=-LARGE, write_strength=-LARGE),
    "gates open": gates(LARGE, LARGE, LARGE),
    "gates shut": gates(-LARGE, -LARGE, -LARGE),
    "all looked up": gates(LARGE, -LARGE, -LARGE),
    "modes": held(read_modes=[LARGE, 0, -LARGE, -LARGE, LARGE, LARGE]),
    "usages 0": equal(0.0),
    "usages 0.5": equal(0.5),
    "usages 1": equal(1.0),
    "usages 1e-42": equal(SUBNORMAL),
}


def changed(change, K, options):
    """Arguments of a run of the library and of the reference."""
    sizes = Sizes(K=K)
    model = helpers.build(sizes, np.float32, **options)
    given = helpers.random_state(sizes, B, np.float32)
    given["xs"] = helpers.inputs(sizes, B, T, np.float32)
    change(model, sizes, given)
    xs = given.pop("xs")
    cotangents = helpers.random_cotangents(sizes, B, T, np.float32)
    chosen = {name: cotangents[name] for name in ("ys", "memory", "read_weights", "c")}
    return model, sizes, xs, given, chosen


@functools.cache
def expected(name, K, **options):
    """What the reference gives, once for all backends; Chainer's softplus warns of overflow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return helpers.run_reference(*changed(CHANGES[name], K, options), dtype=np.float64)


@pytest.mark.parametrize("name", CHANGES)
@KINDS
@OPTIONS
def test_values_and_gradients(options, K, name):
    got = helpers.run_library(*changed(CHANGES[name], K, options))
    want = expected(name, K, **options)
    assert all(np.abs(array).max(initial=0) < np.finfo("f").max for array in want.values())
    helpers.assert_same(got, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("magnitude", [SUBNORMAL, 0])
@KINDS
@OPTIONS
def test_lengths_that_float32_cannot_invert_count_as_zero(options, K, magnitude):
    """A row and a key whose inverse length is beyond float32, all in all a look-up of nothing."""
    runs = []
    for factor in (magnitude, 0):
        change = times(factor, "memory")
        model, sizes, xs, state, chosen = changed(change, K, options)
        helpers.set_bias(model, sizes, read_keys=factor, write_key=factor)
        runs.append(helpers.run_library(model, sizes, xs, state, chosen))
    helpers.assert_same(*runs, rtol=1e-6)


# All at once


@pytest.mark.parametrize("seed", range(20))
@KINDS
@OPTIONS
def test_bounds_with_all_parts_at_extremes(options, K, seed):
    """Each part at an extreme of its own, drawn at random; forward, as gradients may overflow."""
    rng, sizes = np.random.default_rng(seed), Sizes(K=K)
    model = helpers.build(sizes, np.float32, seed, **options)
    magnitudes = [0, SUBNORMAL, SMALL, 1e-20, 1, 1e4, 1e20, LARGE]
    for name, rows in helpers.interface_rows(sizes).items():
        width = rows.stop - rows.start
        values = rng.choice(magnitudes, width) * rng.choice([-1, 1], width)
        if rng.random() < 0.7:
            helpers.set_bias(model, sizes, **{name: values})
    state, xs = helpers.random_state(sizes, B, np.float32), helpers.inputs(sizes, B, 6, np.float32)
    for name in ("memory", "read_vectors", "c"):
        state[name] *= np.float32(rng.choice(magnitudes))
    got = helpers.run_library(model, sizes, xs * np.float32(rng.choice(magnitudes)), state)
    assert all(np.isfinite(array).all() for array in got.values())
    assert_in_bounds({field: got[f"final {field}"] for field in WEIGHTINGS})


def assert_in_bounds(state, slack=1e-5):
    """Usages, and sums of weightings, of rows and of columns of links, lie in 0…1."""
    for field in WEIGHTINGS:
        assert state[field].min() >= -slack, field
    assert state["usage"].max() <= 1 + slack
    sums = {field: state[field].sum(-1) for field in WEIGHTINGS if field != "usage"}
    sums["columns"] = state["link"].sum(1)
    for field, total in sums.items():
        assert total.max() <= 1 + slack, field


# 10,000 steps

LONG = Sizes(X=2, Y=2, N=5, W=3, R=1, H=3)


@KINDS
def test_ten_thousand_steps_stay_in_bounds(K):
    """Of a wild model, looked at every 500 steps: no sum drifts."""
    sizes = LONG._replace(K=K)
    model = helpers.build(sizes, np.float32, scale=5)
    for xs in np.split(helpers.inputs(sizes, 1, 10_000, np.float32), 20):
        with chainer.no_backprop_mode():
            ys = model.unroll(xs)
        assert np.isfinite(ys.array).all()
        assert_in_bounds(helpers.state_arrays(model.get_state()))


def reference_chunks(model, xs, size):
    """The outputs and the state of the reference in float64 after each chunk of steps."""
    params = {path: chainer.Variable(p.array.astype("d")) for path, p in model.namedparams()}
    zeros = helpers.zero_state(LONG, 1)
    state, ys = {field: chainer.Variable(array[0]) for field, array in zeros.items()}, []
    for x in xs[:, 0].astype("d"):
        with chainer.no_backprop_mode(), chainer.using_config("type_check", False):
            y, state = reference.step(params, state, chainer.Variable(x))
        ys.append(y.array)
        if len(ys) == size:
            yield np.stack(ys), {field: v.array for field, v in state.items()}
            ys = []


@pytest.mark.slow
def test_ten_thousand_steps_are_those_of_the_reference():
    """Of a tame model with a dense link: what is rounded off fades away.

    Not so in a wild one, which is chaotic, nor in a sparse link, where rounding decides which of
    two entries is kept. And which of two locations used alike is which, it decides here too: so
    nothing is compared by location.
    """
    model, xs = helpers.build(LONG, np.float32), helpers.inputs(LONG, 1, 10_000, np.float32)
    for k, (want, state) in enumerate(reference_chunks(model, xs, 500)):
        with chainer.no_backprop_mode():
            ys = model.unroll(xs[500 * k : 500 * (k + 1)]).array[:, 0]
        np.testing.assert_allclose(ys, want, rtol=0, atol=1e-3)
        got = helpers.state_arrays(model.get_state())
        for field in ("c", "h", "read_vectors"):
            np.testing.assert_allclose(got[field][0], state[field], rtol=0, atol=1e-3)
        for field in WEIGHTINGS:
            assert abs(got[field].sum() - state[field].sum()) < 1e-3, field


@pytest.mark.slow
def test_the_gradient_of_ten_thousand_steps():
    """Of a tame model: finite, and the same in segments that are run twice."""
    xs, found = helpers.inputs(LONG, 1, 10_000, np.float32), []
    for recompute in (False, True):
        model = helpers.build(LONG, np.float32)
        model.cleargrads()
        F.mean(F.square(model.unroll(xs, recompute=recompute))).backward()
        found.append({path: param.grad for path, param in model.namedparams()})
    assert all(np.isfinite(grad).all() for grad in found[0].values())
    helpers.assert_same(*found, rtol=1e-4)


@pytest.mark.parametrize("scale", [0, 1e-25, 1e25])
def test_the_bits_of_a_sequence_do_not_depend_on_its_neighbours(scale, backend):
    """One row that needs more than float32 is computed otherwise, and it alone."""
    vectors = np.random.default_rng(0).normal(size=(2, 50, 7)).astype("f")
    odd = vectors.copy()
    odd[1] *= np.float32(scale)
    for function in (content.inverse_norms, bounds.feed_scale):
        np.testing.assert_array_equal(function(odd)[0], function(vectors)[0])
