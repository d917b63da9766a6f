"""States drawn at random, given to a DNC, cut and joined: each right, or refused with a reason.

DNC_EXAMPLES=5000 draws as many cases for each test. A warning is a failure, as in all tests.
"""

import chainer
import helpers
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import reference
from arguments import DTYPES, FORMS, HUGE, ODD, array_of, in_form, numbers, refused_unless
from helpers import Sizes

from lib import State, join_rows, take_rows

B = 3
DENSE, SPARSE = Sizes(), Sizes(K=2)
BOTH = pytest.mark.parametrize("sizes", [DENSE, SPARSE], ids=["dense", "sparse"])
FIELDS = list(reference.FIELDS)


def start(sizes, batch=B, dtype=np.float32):
    """A State of arrays."""
    return helpers.library_state(sizes, helpers.random_state(sizes, batch, dtype))


def leaves(state):
    """All arrays of a state by name, the parts of a sparse link as two."""
    link = state.link if isinstance(state.link, (tuple, list)) else (state.link,)
    fields = {f"link{k}": part for k, part in enumerate(link)}
    return {**{f: getattr(state, f) for f in FIELDS if f != "link"}, **fields}


@st.composite
def shapes(draw, shape):
    """That shape, or one that is like it or can be broadcast to it, or any."""
    axis = draw(st.integers(0, len(shape) - 1))
    changed = list(shape)
    changed[axis] = draw(st.sampled_from([0, 1, shape[axis] - 1, shape[axis] + 1]))
    others = [shape, shape[1:], (1, *shape), (*shape, 1), shape[:-1], (), tuple(changed)]
    return draw(st.sampled_from([shape, tuple(changed), *others]))


@st.composite
def fields(draw, shape):
    """Something in the place of a field of that shape."""
    if draw(st.integers(0, 9)) == 0:
        return draw(ODD)
    return in_form(numbers(draw(shapes(shape)), draw(DTYPES)), draw(FORMS))


def dense_state(values, sizes, batch):
    """Fields, some of them None, as the reference takes them."""
    state = helpers.zero_state(sizes, batch)
    for name in FIELDS:
        value = getattr(values, name)
        if name == "link" and sizes.sparse and value is not None:
            value = helpers.densify(helpers.host(value[0]), helpers.host(value[1]), sizes.N)
        if value is not None:
            state[name] = helpers.host(value)
    return state


def assert_goes_on(model, sizes, values, batch):
    """What was accepted is the state: a step from there is that of the reference."""
    xs = helpers.inputs(sizes, batch, 1, np.float32)
    with chainer.no_backprop_mode():
        got = model(xs[0]).array
    if batch:
        state = dense_state(values, sizes, batch)
        want = helpers.run_reference(model, sizes, xs, state, dtype=np.float64)["ys"][0]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


# A state for a model


def one_batch(fields, like):
    """Whether fields are arrays of the shapes that others have, but for the batch they share."""
    arrays = {name: array_of(value) for name, value in fields.items()}
    if any(array is None or array.ndim == 0 for array in arrays.values()):
        return False
    batches = {len(array) for array in arrays.values()}
    same = all(array.shape[1:] == like[name].shape[1:] for name, array in arrays.items())
    return same and len(batches) <= 1


@BOTH
@hypothesis.given(data=st.data())
def test_fields(sizes, data):
    """One field may be anything, others are missing."""
    model, values = helpers.build(sizes, np.float32), start(sizes)
    name = data.draw(st.sampled_from([f for f in FIELDS if f != "link" or not sizes.sparse]))
    value = data.draw(fields(getattr(values, name).shape))
    missing = data.draw(st.sets(st.sampled_from(FIELDS))) - {name}
    values = values._replace(**dict.fromkeys(missing, None), **{name: value})
    given = {f: v for f, v in leaves(values).items() if v is not None and f != "link1"}
    full, pair = leaves(start(sizes)), name == "link" and isinstance(value, (tuple, list))
    with refused_unless(not pair and one_batch(given, full), "state."):
        model.set_state(data.draw(st.sampled_from([State._make, tuple, list]))(values))
        batch = len(next(iter(given.values()))) if given else 1
        assert_goes_on(model, sizes, values, batch)
        return
    assert model.get_state() is None


@hypothesis.given(data=st.data())
def test_columns(data):
    """Integers in 0…N-1, in a row that is not zero all different."""
    model, values = helpers.build(SPARSE, np.float32), start(SPARSE)
    numbers, columns = values.link
    wanted = data.draw(st.lists(st.integers(-1, SPARSE.N), min_size=2, max_size=2))
    row = data.draw(st.integers(0, SPARSE.N - 1))
    dtype = data.draw(st.sampled_from(["i4", "i8", ">i4", "i1", "f4", "O", "?"]))
    columns[1, row] = wanted
    numbers[1, row] *= data.draw(st.sampled_from([0, 1]))
    in_range = 0 <= min(wanted) and max(wanted) < SPARSE.N
    distinct = wanted[0] != wanted[1] or not numbers[1, row].any()
    if dtype == "?":
        columns = columns > 0
    values = values._replace(link=(numbers, columns.astype(dtype)))
    with refused_unless(
        np.dtype(dtype).kind == "i" and in_range and distinct, "state.link.columns"
    ):
        model.set_state(values)
        numbers[1, row, 1] *= distinct
        assert_goes_on(model, SPARSE, values, B)


@BOTH
@hypothesis.given(data=st.data())
def test_links_of_another_kind(sizes, data):
    """A pair for a sparse link, one array for a dense one; half of a pair is none."""
    model, values = helpers.build(sizes, np.float32), start(sizes)
    pair, whole = start(SPARSE).link, start(DENSE).link
    halves = [(pair[0], None), (None, pair[1]), (None, None), pair[:1], (*pair, pair[0]), [*pair]]
    link = data.draw(st.one_of(st.sampled_from([pair, whole, *halves]), ODD))
    if sizes.sparse:
        right = link is None or isinstance(link, (tuple, list)) and len(link) == 2
        right = right and (link is None or (link[0] is None) == (link[1] is None))
    else:
        right = link is None or link is whole
    with refused_unless(right, "state.link"):
        model.set_state(values._replace(link=link))
        missing = link is None or link is not whole and link[0] is None
        assert_goes_on(model, sizes, values._replace(link=None if missing else link), B)


@BOTH
@hypothesis.given(data=st.data())
def test_the_controllers_state(sizes, data):
    """c and h together, or one of them assigned to a model that has a state.

    With None for h, c would be taken for the whole state.
    """
    values, name = start(sizes), data.draw(st.sampled_from(["c", "h"]))
    value = data.draw(fields((B, sizes.H)))
    array, model = array_of(value), helpers.build(sizes, np.float32)
    right = array is not None and array.shape == (B, sizes.H)
    blamed = "state." if value is not None else "state"  # if not that field, those of before
    with refused_unless(right or value is None and name == "c", blamed):
        alone = State(*[None] * 7, values.c, values.h)._replace(**{name: value})
        model.set_state(alone.c, alone.h)
        assert_goes_on(model, sizes, alone, B)
    model.set_state(values)
    with refused_unless(right or value is None, f"state.{name}"):
        setattr(model, name, value)
        if value is not None:
            assert_goes_on(model, sizes, values._replace(**{name: value}), B)


# Rows

INTEGERS = st.integers(-B - 1, B)
ROWS = st.one_of(
    ODD,
    INTEGERS,
    st.lists(st.integers(-B, B - 1), max_size=5),
    st.lists(st.one_of(INTEGERS, INTEGERS, HUGE, ODD), max_size=3),
    st.lists(INTEGERS, max_size=3).map(tuple),
    st.lists(st.lists(INTEGERS, max_size=2), max_size=2),
    st.builds(slice, *[st.one_of(st.none(), st.integers(-4, 4), HUGE, ODD)] * 3),
    st.lists(st.integers(-B, B - 1), max_size=5).map(np.array),
    st.builds(
        lambda rows, dtype: np.array(rows, dtype),
        st.lists(st.integers(0, B), max_size=4),
        st.sampled_from(["i1", "u8", ">i4", "f4", "O", "?"]),
    ),
    st.sampled_from([..., range(2), iter([0]), np.array([[0, 1]]), np.array(1), "01", (slice(2),)]),
    st.sampled_from([np.ma.array([0, 1], mask=[0, 1]), chainer.Variable(np.array([0]))]),
)


def index_of(rows):
    """The list of the sequences that rows name, or None where they are wrong."""
    if isinstance(rows, slice):
        try:
            return list(range(B))[rows]
        except (TypeError, ValueError):
            return None
    if isinstance(rows, np.ndarray) and rows.dtype.kind in "iu" and rows.ndim == 1:
        rows = None if isinstance(rows, np.ma.MaskedArray) else rows.tolist()
    if not isinstance(rows, (list, tuple, range)):
        return None
    whole = all(type(row) in (int, np.int64) and -B <= row < B for row in rows)
    return [range(B)[row] for row in rows] if whole else None


@BOTH
@hypothesis.given(rows=ROWS, variables=st.booleans())
def test_rows(sizes, rows, variables):
    wrap = chainer.Variable if variables else np.array
    state = helpers.library_state(sizes, helpers.random_state(sizes, B, np.float32), wrap)
    index = index_of(rows)
    with refused_unless(index is not None, "rows"):
        taken = leaves(take_rows(state, rows))
        for name, array in leaves(state).items():
            np.testing.assert_array_equal(helpers.host(taken[name]), helpers.host(array)[index])


@st.composite
def parts(draw):
    """A state to be joined with others, or something else; and its kind, None where it is none."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.one_of(ODD, st.just((1, 2)), st.just(State(*[None] * 9)))), None
    sizes = draw(st.sampled_from([DENSE, DENSE, SPARSE, DENSE._replace(N=5), SPARSE._replace(K=3)]))
    dtype = draw(st.sampled_from([np.float32, np.float32, np.float64]))
    state = take_rows(start(sizes, 2, dtype), slice(draw(st.integers(0, 2))))
    if draw(st.integers(0, 9)) == 0:
        usage = draw(st.sampled_from([None, state.usage.tolist(), np.array(0.5)]))
        return state._replace(usage=usage), None
    if draw(st.booleans()):
        state = state._replace(memory=chainer.Variable(state.memory))
    return state, (sizes, dtype)


@hypothesis.given(st.lists(parts(), max_size=3), st.sampled_from([list, tuple, iter]))
def test_states_joined(case, kind):
    states, kinds = [part for part, _ in case], {kind for _, kind in case}
    with refused_unless(len(kinds) == 1 and None not in kinds and kind is not iter, "states"):
        joined = leaves(join_rows(kind(states)))
        for name, array in joined.items():
            want = np.concatenate([helpers.host(leaves(state)[name]) for state in states])
            np.testing.assert_array_equal(helpers.host(array), want)


@hypothesis.given(st.one_of(ODD, st.just(State(*[None] * 9)), st.just((1, 2))))
def test_rows_and_states_of_nothing(value):
    with refused_unless(False, "state"):
        take_rows(value, [0])
    with refused_unless(False, "states"):
        join_rows(value)
    with refused_unless(value is None or type(value) is State, "state"):
        helpers.build(DENSE, np.float32).set_state(value)
