"""Arguments of the links drawn at random: each accepted and right, or refused with a reason.

DNC_EXAMPLES=5000 draws as many cases for each test. A warning is a failure, as in all tests.
"""

import fractions

import chainer
import chainer.functions as F
import helpers
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from arguments import DTYPES, FORMS, HUGE, ODD, array_of, in_form, integers, numbers, refused_unless
from helpers import Sizes

from lib import DNC
from lib.baseline import LSTMBaseline

B, T = 3, 4
DENSE, SPARSE = Sizes(), Sizes(K=2)

# Construction

WRONG_SIZES = st.one_of(ODD, st.integers(-(2**70), 0), HUGE)
CLIPS = st.one_of(
    ODD,
    st.floats(),
    st.floats(0.001, 1000),
    st.integers(-2, 3),
    st.sampled_from([np.float64(0.5), np.float32(2), np.int8(1), 1e39, 1e-60, 10**400]),
)


@st.composite
def constructions(draw, names):
    """Arguments of a constructor, and which of them is wrong, or ""."""
    arguments = {name: draw(integers(1, 4)) for name in names}
    wrong = draw(st.sampled_from(["", *names]))
    if wrong:
        arguments[wrong] = draw(WRONG_SIZES)
    return arguments, wrong


@hypothesis.given(constructions(["Y", "N", "W", "R", "lstm_hidden_dim"]), st.data())
def test_sizes_of_a_dnc(case, data):
    arguments, wrong = case
    arguments["X"] = data.draw(st.one_of(st.none(), integers(1, 4)))
    arguments["K"] = data.draw(st.one_of(integers(0, 5), HUGE))
    with refused_unless(not wrong, wrong):
        model = DNC(**arguments)
        names = ("Y", "N", "W", "R", "lstm_hidden_dim", "K")
        assert list(model.sizes) == [int(arguments[name]) for name in names]
        assert all(type(size) is int for size in model.sizes)


@hypothesis.given(constructions(["X", "Y", "lstm_hidden_dim"]))
def test_sizes_of_the_baseline(case):
    arguments, wrong = case
    with refused_unless(not wrong, wrong):
        model = LSTMBaseline(**arguments)
        assert model(np.zeros((2, int(arguments["X"])), "f")).shape == (2, int(arguments["Y"]))


@hypothesis.given(st.one_of(ODD, st.integers(-3, -1), HUGE))
def test_kept_links_and_input_width(value):
    """K is 0 or more, however large; X may be None."""
    with refused_unless(isinstance(value, int) and not isinstance(value, bool) and value >= 0, "K"):
        DNC(3, 2, 5, 4, 2, 6, K=value)
    with refused_unless(value is None, "X"):
        DNC(value, 2, 5, 4, 2, 6)


def in_range_of_float32(value):
    """Whether a value is a number, above 0 and finite as float32."""
    kinds = (int, float, np.integer, np.floating, fractions.Fraction)
    huge = isinstance(value, int) and abs(value) > 10**300  # no float is
    if huge or isinstance(value, bool) or not isinstance(value, kinds):
        return False
    with np.errstate(all="ignore"):
        return 0 < np.float32(float(value)) < np.inf


@hypothesis.given(st.sampled_from([DNC, LSTMBaseline]), CLIPS)
def test_clips(kind, value):
    sizes = (3, 2, 5, 4, 2, 6) if kind is DNC else (3, 2, 6)
    with refused_unless(value is None or in_range_of_float32(value), "cell_clip", repr(value)):
        model = kind(*sizes, cell_clip=value)
        assert model.options.cell_clip == (None if value is None else float(value))


@hypothesis.given(st.sampled_from([DNC, LSTMBaseline]), st.one_of(ODD, HUGE, st.integers(-9, -2)))
def test_devices(kind, value):
    with refused_unless(False, "gpu"):
        kind(*(3, 2, 5, 4, 2, 6) if kind is DNC else (3, 2, 6), gpu=value)


@hypothesis.given(ODD)
def test_flags(value):
    flag = isinstance(value, (bool, np.bool_))
    with refused_unless(flag, "bounded_reads", repr(value)):
        DNC(3, 2, 5, 4, 2, 6, bounded_reads=value)
    with refused_unless(flag, "recompute", repr(value)):
        helpers.build(DENSE, np.float32).unroll(np.zeros((2, 1, 2), "f"), recompute=value)


# Inputs

SHAPES = st.one_of(
    st.sampled_from([(B, 2), (2, 2), (1, 2)]),
    st.sampled_from([(B, 1), (B, 2, 1), (B, 1, 2), (0, 2), (B + 1, 2), (B, 0), (2,), ()]),
    st.lists(st.integers(0, B + 1), max_size=3).map(tuple),
)


@st.composite
def inputs(draw, times):
    """What may be given as an input; with axes of time for a sequence, before the batch."""
    shape = (*draw(st.sampled_from(times)), *draw(SHAPES))
    return in_form(numbers(shape, draw(DTYPES), draw(st.integers(0, 99))), draw(FORMS))


def fits(xs, axes):
    """Whether inputs of that many axes before the width suit a model of width 2 and a batch B."""
    array = array_of(xs)
    if array is None or array.ndim <= axes:
        return False
    *steps, batch = array.shape[:axes]
    return batch <= B and 0 not in steps and int(np.prod(array.shape[axes:])) == 2


def dnc_case(sizes):
    """A DNC, its state of a batch B, and its reference: from (T, b, X) to (T, b, Y)."""
    model = helpers.build(sizes, np.float32, cell_clip=0.5, bounded_reads=True)
    state = helpers.random_state(sizes, B, np.float32)
    model.set_state(helpers.library_state(sizes, state))

    def reference(xs, lengths=None):
        rows = {field: array[: xs.shape[1]] for field, array in state.items()}
        return helpers.run_reference(model, sizes, xs, rows, None, lengths, np.float64)["ys"]

    return model, reference


def baseline_case():
    """The same of the baseline."""
    np.random.seed(0)  # from where Chainer draws the weights
    model = LSTMBaseline(2, 3, 5, cell_clip=0.5)
    with chainer.no_backprop_mode():
        model(np.ones((B, 2), "f"))
    start = [v.array.astype("d") for v in model.get_state()]
    p = {path: param.array.astype("d") for path, param in model.namedparams()}

    def reference(xs, lengths=None):
        (c, h), ys = (v[: xs.shape[1]] for v in start), []
        for t, x in enumerate(xs.astype("d")):
            z = x @ p["/lstm/upward/W"].T + p["/lstm/upward/b"] + h @ p["/lstm/lateral/W"].T
            c, h = (v.array for v in F.lstm(np.clip(c, -0.5, 0.5), z))
            ys.append(h @ p["/linear/W"].T + p["/linear/b"])
            if lengths is not None:
                ys[-1][np.array(lengths) <= t] = 0
        return np.stack(ys)

    return model, reference


CASES = pytest.mark.parametrize(
    "case",
    [lambda: dnc_case(DENSE), lambda: dnc_case(SPARSE), baseline_case],
    ids=["dense", "sparse", "baseline"],
)


def assert_right(ys, xs, reference, lengths=None):
    """Outputs of a sequence are those of the reference, and of the shape that goes with inputs."""
    array = array_of(xs)
    assert ys.shape == (*array.shape[:2], 3) and ys.dtype == np.float32
    if array.shape[1]:
        flat = array.reshape(*array.shape[:2], 2)
        np.testing.assert_allclose(ys.array, reference(flat, lengths), rtol=1e-4, atol=1e-5)


@CASES
@hypothesis.given(x=inputs([()]))
def test_inputs_of_a_step(case, x):
    model, reference = case()
    before = model.get_state()
    with refused_unless(fits(x, 1), "x "):
        with chainer.no_backprop_mode():
            y = model(x)
        assert_right(y[None], x[None], reference)
        return
    assert model.get_state() is before


@CASES
@hypothesis.given(xs=inputs([(T,), (T,), (T,), (1,), (0,), ()]))
def test_inputs_of_a_sequence(case, xs):
    model, reference = case()
    before = model.get_state()
    with refused_unless(fits(xs, 2), "xs "):
        with chainer.no_backprop_mode():
            ys = model.unroll(xs)
        assert_right(ys, xs, reference)
        return
    assert model.get_state() is before


# Lengths

STEPS = st.one_of(*[st.integers(0, T)] * 3, st.integers(-1, T + 1), HUGE, ODD)
LENGTHS = st.one_of(
    ODD,
    STEPS,
    st.lists(st.integers(0, T), min_size=B, max_size=B),
    st.lists(st.integers(-1, T + 1), min_size=B, max_size=B),
    st.lists(STEPS, min_size=B, max_size=B),
    st.lists(STEPS, max_size=B + 1).map(tuple),
    st.lists(st.lists(st.integers(0, T), max_size=2), max_size=B),
    st.sampled_from(
        ["abc", b"abc", range(B), iter([1, 2, 3]), {1, 2, 3}, dict.fromkeys((1, 2, 3))]
    ),
)
WRAPS = st.sampled_from(
    ["as it is"] * 3 + ["i1", "u8", ">i4", "f8", "O", "?", "masked", "Variable"]
)


def wrapped(lengths, wrap):
    """Lengths as an array of that dtype, or another object, where they are integers at all."""
    if wrap == "as it is" or not isinstance(lengths, (list, tuple)):
        return lengths
    plain = all(type(n) is int and 0 <= n <= T for n in lengths)
    array = np.array(lengths if plain else [0] * len(lengths), int)
    if wrap in ("masked", "Variable"):
        return np.ma.array(array) if wrap == "masked" else chainer.Variable(array)
    return array.astype(wrap)


def are_steps(lengths):
    """Whether these are B integers in 0…T, in something with an order."""
    if isinstance(lengths, (chainer.Variable, np.ma.MaskedArray)):
        return False
    if isinstance(lengths, np.ndarray):
        kind, lengths = lengths.dtype.kind, lengths.tolist()
        if kind not in "iu":
            return False
    if not isinstance(lengths, (list, tuple, range)) or len(lengths) != B:
        return False
    return all(type(n) is int and 0 <= n <= T for n in lengths)


@CASES
@hypothesis.given(lengths=LENGTHS, wrap=WRAPS, recompute=st.booleans())
def test_lengths(case, lengths, wrap, recompute):
    model, reference = case()
    lengths, xs = wrapped(lengths, wrap), numbers((T, B, 2), "f4")
    options = {"recompute": recompute} if isinstance(model, DNC) else {}
    before = model.get_state()
    with refused_unless(lengths is None or are_steps(lengths), "lengths"):
        with chainer.no_backprop_mode():
            ys = model.unroll(xs, lengths, **options)
        assert_right(ys, xs, reference, lengths)
        return
    assert model.get_state() is before
