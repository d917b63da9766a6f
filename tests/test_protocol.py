"""What programs written for ``chainer.links.LSTM`` do with it, done with a DNC."""

import io

import chainer
import chainer.functions as F
import chainer.links as L
import helpers
import numpy as np
import pytest
from chainer import function_hooks, link_hooks
from helpers import Sizes

from lib import DNC, State, initialize, join_rows, take_rows

SIZES = Sizes(X=3, Y=2, N=5, W=4, R=2, H=6)
BOTH = pytest.mark.parametrize("sizes", [SIZES, SIZES._replace(K=2)], ids=["dense", "sparse"])
CALLS = pytest.mark.parametrize("call", [DNC.__call__, lambda m, x: m.unroll(x[None])[0]])


def started(sizes=SIZES, B=3, dtype=np.float64):
    """A model that has run, without a graph."""
    model = helpers.build(sizes, dtype)
    with chainer.no_backprop_mode():
        model.unroll(helpers.inputs(sizes, B, 2, dtype))
    return model


# Walking over links


def test_nobody_finds_an_lstm_inside():
    model = DNC(3, 2, 5, 4, 2, 6)
    assert not [link for link in model.links() if isinstance(link, L.LSTM)]
    stateful = [link for link in model.links() if hasattr(link, "reset_state")]
    assert stateful == [model]


def test_no_attribute_is_taken_for_a_weight():
    model = DNC(3, 2, 5, 4, 2, 6)
    for name in ("W", "b", "gamma", "beta", "in_size", "out_size"):
        assert not hasattr(model, name)
    assert model.sizes._asdict() == dict(Y=2, N=5, W=4, R=2, H=6, K=8)


def test_chainers_lstm_may_be_replaced_by_a_dnc(monkeypatch):
    monkeypatch.setattr(L, "LSTM", lambda n_in, n_out: DNC(n_in, n_out, 5, 4, 1, n_out))
    model = L.LSTM(3, 6)
    assert model(np.zeros((2, 3), "f")).shape == (2, 6)


# The controller's state


@BOTH
@pytest.mark.parametrize("wrap", [np.array, chainer.Variable])
def test_c_and_h_may_be_assigned(sizes, wrap):
    model = started(sizes)
    before = model.get_state()
    rng = np.random.default_rng(5)
    c, h = rng.normal(size=(2, 3, sizes.H))
    model.c = wrap(c)
    model.h = wrap(h)
    got, want = helpers.state_arrays(model.get_state()), helpers.state_arrays(before)
    want.update(c=c, h=h)
    helpers.assert_same(got, want, rtol=0, atol=0)
    x = helpers.inputs(sizes, 3, 1)[0]
    y = model(x)
    other = helpers.build(sizes)
    other.set_state(before._replace(c=c, h=h))
    np.testing.assert_array_equal(y.array, other(x).array)


def test_gradients_flow_into_what_was_assigned():
    model, x = started(), helpers.inputs(SIZES, 3, 1)[0]
    h = chainer.Variable(np.full((3, 6), 0.1))
    model.h = h
    F.sum(model(x)).backward()
    assert h.grad.any()


@BOTH
@pytest.mark.parametrize("wrap", [lambda v: v.array, lambda v: chainer.Variable(v.array)])
def test_an_lstms_way_to_cut_the_graph(sizes, wrap):
    """Truncated by hand: h = h.array, c = c.array. Nothing of the memory goes on either."""
    model, xs = helpers.build(sizes), helpers.inputs(sizes, 2, 2)
    first = chainer.Variable(xs[0])
    model(first)
    before = helpers.state_arrays(model.get_state())
    model.h, model.c = wrap(model.h), wrap(model.c)
    helpers.assert_same(helpers.state_arrays(model.get_state()), before, rtol=0, atol=0)
    model.cleargrads()
    F.sum(model(xs[1])).backward()
    assert first.grad is None and model.read_out.W.grad.any()


def test_what_the_graph_led_to_keeps_it():
    model, xs = helpers.build(SIZES), helpers.inputs(SIZES, 2, 2)
    first = chainer.Variable(xs[0])
    model(first)
    model.h = model.h * 0.5
    F.sum(model(xs[1])).backward()
    assert first.grad.any()


@BOTH
def test_assigned_to_a_new_model_the_rest_is_zero(sizes):
    model, other = helpers.build(sizes), helpers.build(sizes)
    h = np.full((2, sizes.H), 0.3)
    model.h = h
    other.set_state(State(*[None] * 8, h=h))
    assert not model.c.array.any() and not model.get_state().memory.array.any()
    x = helpers.inputs(sizes, 2, 1)[0]
    np.testing.assert_array_equal(model(x).array, other(x).array)


@pytest.mark.parametrize("name", ["c", "h"])
def test_none_resets(name):
    model = started()
    setattr(model, name, None)
    assert model.get_state() is None and model.c is None and model.h is None


@pytest.mark.parametrize("name", ["c", "h"])
@pytest.mark.parametrize("bad", [np.zeros((2, 6)), np.zeros((3, 5)), np.zeros((3, 6), "f"), 3.0])
def test_what_does_not_fit_is_not_assigned(name, bad):
    model = started()
    before = getattr(model, name).array.copy()
    with pytest.raises((ValueError, TypeError), match=f"state.{name}"):
        setattr(model, name, bad)
    np.testing.assert_array_equal(getattr(model, name).array, before)


@BOTH
@pytest.mark.parametrize("by_name", [False, True])
def test_set_state_as_chainers_lstm_takes_it(sizes, by_name):
    """All of the state is given: what the memory held is gone."""
    model = started(sizes, B=2)
    c, h = map(chainer.Variable, np.random.default_rng(6).normal(size=(2, 4, sizes.H)))
    model.set_state(c=c, h=h) if by_name else model.set_state(c, h)
    got = helpers.state_arrays(model.get_state())
    want = {**helpers.zero_state(sizes, 4), "c": c.array, "h": h.array}
    helpers.assert_same(got, want, rtol=0, atol=0)
    F.sum(model(helpers.inputs(sizes, 4, 1)[0])).backward()
    assert c.grad.any() and h.grad.any()


def test_a_state_and_c_exclude_each_other():
    model = started()
    with pytest.raises(TypeError, match="exclude"):
        model.set_state(model.get_state(), c=model.c)


# Rows of states


@BOTH
def test_rows_of_a_state_and_states_joined(sizes):
    model = helpers.build(sizes)
    xs = helpers.inputs(sizes, 3, 6)
    model.unroll(xs[:3])
    state = model.get_state()
    whole = model.unroll(xs[3:]).array
    for rows in ([2, 0], np.array([1, 1, 2]), slice(1, 3)):
        model.set_state(take_rows(state, rows))
        ys = model.unroll(xs[3:][:, rows]).array
        np.testing.assert_allclose(ys, whole[:, rows], rtol=1e-12)
    halves = [take_rows(state, slice(2)), take_rows(state, [2])]
    assert isinstance(halves[0], State)
    model.set_state(join_rows(halves))
    np.testing.assert_allclose(model.unroll(xs[3:]).array, whole, rtol=1e-12)
    with pytest.raises(ValueError, match="states"):
        join_rows([])
    for wrong in (lambda: take_rows(state, 1), lambda: take_rows(None, [0])):
        with pytest.raises(TypeError, match="must be"):
            wrong()
    with pytest.raises(TypeError, match="NoneType"):
        join_rows([state, None])


@BOTH
def test_rows_that_are_none(sizes):
    """What NumPy would take for an index of several axes, a mask or a new axis."""
    model = helpers.build(sizes)
    model.unroll(helpers.inputs(sizes, 3, 1))
    state = model.get_state()
    assert take_rows(state, (0, 1)).h.shape == (2, sizes.H)
    for rows in ([[0, 1]], None, [True, False, True], [0.0], [3], [-4], np.array(1), "0"):
        with pytest.raises((TypeError, ValueError), match="rows must be"):
            take_rows(state, rows)


def test_states_that_do_not_join():
    dense, sparse = Sizes(), Sizes(K=2)
    for other in (sparse, dense._replace(N=5), dense._replace(W=3)):
        states = [
            helpers.library_state(sizes, helpers.random_state(sizes, 2)) for sizes in (dense, other)
        ]
        with pytest.raises(ValueError, match=r"states\[1\]"):
            join_rows(states)
    single = helpers.library_state(dense, helpers.random_state(dense, 2, np.float32))
    with pytest.raises(TypeError, match="float64, not float32|float32, not float64"):
        join_rows([states[0], single])


@BOTH
def test_gradients_flow_through_rows(sizes):
    """A sequence that two hypotheses go on from gets the gradient of both."""
    model = helpers.build(sizes)
    arrays = helpers.random_state(sizes, 2)
    start = helpers.library_state(sizes, arrays, chainer.Variable)
    x = helpers.inputs(sizes, 3, 1)[0]
    model.set_state(join_rows([take_rows(start, [1, 0]), take_rows(start, slice(0, 1))]))
    F.sum(model(x)).backward()
    got = start.memory.grad.copy()
    expected = np.zeros_like(got)
    for b, source in enumerate((1, 0, 0)):
        alone = helpers.library_state(sizes, arrays, chainer.Variable)
        model.set_state(take_rows(alone, [source]))
        F.sum(model(x[b : b + 1])).backward()
        expected += alone.memory.grad
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-14)


@BOTH
def test_arrays_have_rows_too(sizes):
    arrays = helpers.library_state(sizes, helpers.random_state(sizes, 3))
    both = join_rows([take_rows(arrays, [0]), take_rows(arrays, slice(1, 3))])
    for got, want in zip(both, arrays):
        np.testing.assert_array_equal(np.asarray(got[0]), np.asarray(want[0]))


@BOTH
@pytest.mark.parametrize("wrap", [np.array, chainer.Variable])
def test_states_of_arrays_and_of_variables_join(sizes, wrap):
    other = chainer.Variable if wrap is np.array else np.array
    states = [
        helpers.library_state(sizes, helpers.random_state(sizes, 2), each) for each in (wrap, other)
    ]
    both = join_rows(states)
    assert isinstance(both.memory, chainer.Variable) and both.memory.dtype == np.float64


@BOTH
def test_the_zero_state(sizes):
    model, x = helpers.build(sizes), helpers.inputs(sizes, 2, 1)[0]
    expected = model(x).array
    model.set_state(model.zero_state(2))
    np.testing.assert_array_equal(model(x).array, expected)


# Batches and inputs


@BOTH
@pytest.mark.parametrize("with_state", [False, True])
def test_an_empty_batch_gives_an_empty_output_and_keeps_the_state(sizes, with_state):
    model = started(sizes) if with_state else helpers.build(sizes)
    before = model.get_state()
    y = model(np.zeros((0, 3)))
    ys = model.unroll(np.zeros((4, 0, 3)), lengths=[])
    assert y.shape == (0, 2) and ys.shape == (4, 0, 2) and y.dtype == ys.dtype == np.float64
    if not with_state:
        assert model.get_state() is None
        return
    got = helpers.state_arrays(model.get_state())
    helpers.assert_same(got, helpers.state_arrays(before), rtol=0, atol=0)


def test_an_empty_batch_in_the_middle_of_a_graph():
    model, x = helpers.build(SIZES), helpers.inputs(SIZES, 2, 1)[0]
    results = []
    for middle in (lambda: None, lambda: model(np.zeros((0, 3)))):
        model.cleargrads()
        model.reset_state()
        model(x)
        middle()
        F.sum(model(x)).backward()
        results.append({path: p.grad.copy() for path, p in model.namedparams()})
    helpers.assert_same(*results, rtol=1e-12)


@BOTH
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_an_empty_batch_has_zero_gradients(sizes, recompute, with_state):
    model = started(sizes) if with_state else helpers.build(sizes)
    model.cleargrads()
    F.sum(model.unroll(np.zeros((4, 0, 3)), recompute=recompute)).backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.params())


@BOTH
def test_a_state_of_no_sequences(sizes):
    """All hypotheses of a beam search are finished."""
    model = started(sizes)
    for state in (take_rows(model.get_state(), []), model.zero_state(0)):
        model.set_state(state)
        assert model.get_state().h.shape == (0, 6)
        assert model(np.zeros((0, 3))).shape == (0, 2)


def test_an_empty_batch_decides_a_deferred_width():
    model = DNC(None, 2, 5, 4, 2, 6)
    model(np.zeros((0, 3), "f"))
    assert model.X == 3


@CALLS
@pytest.mark.parametrize("wrap", [np.array, chainer.Variable])
def test_more_axes_are_flattened_as_by_chainers_links(call, wrap):
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 2))
    with chainer.using_config("dtype", np.float64):
        model = DNC(None, 2, 5, 4, 2, 6)
    y = call(model, wrap(x)).array
    assert model.X == 12
    model.reset_state()
    np.testing.assert_array_equal(y, call(model, x.reshape(2, 12)).array)
    with pytest.raises(ValueError, match="width X of 12"):
        call(model, x[:, :2])


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_another_dtype_is_refused_with_the_cast_to_write(dtype):
    model, x = DNC(3, 2, 5, 4, 2, 6), np.zeros((2, 3), dtype)
    with pytest.raises(TypeError) as caught:
        model(x)
    assert 'x.astype("float32")' in str(caught.value) and dtype in str(caught.value)
    assert model(eval(str(caught.value).split("give ")[1], {"x": x})).shape == (2, 2)
    if dtype == "float64":
        with pytest.raises(TypeError, match="chainer.functions.cast") as caught:
            model(chainer.Variable(x))
        cast = str(caught.value).split("give ")[1]
        assert model(eval(cast, {"x": x, "chainer": chainer})).shape == (2, 2)


# Hooks


@CALLS
def test_spectral_normalization_of_an_inner_link_acts(call):
    """The same outputs and gradients as with the normalised weight in its place."""
    model, x = helpers.build(SIZES), helpers.inputs(SIZES, 2, 1)[0]
    raw = model.controller.lstm.upward.W
    hook = link_hooks.SpectralNormalization(n_power_iteration=50)
    model.controller.lstm.upward.add_hook(hook)
    with chainer.using_config("train", False):
        model(x)  # has the hook initialised
        model.reset_state()
        model.cleargrads()
        y = call(model, x)
        F.sum(y).backward()
    assert model.controller.lstm.upward.W is raw
    sigma = np.linalg.svd(raw.array, compute_uv=False)[0]
    other = helpers.build(SIZES)
    other.controller.lstm.upward.W.array = raw.array / sigma
    np.testing.assert_allclose(y.array, other(x).array, rtol=1e-5, atol=1e-6)
    assert raw.grad.any() and abs((raw.grad * raw.array).sum()) < 1e-5  # its scale does not matter


def test_a_weight_is_put_back_when_a_call_fails():
    model = started()
    raw = model.read_out.W
    model.read_out.add_hook(link_hooks.SpectralNormalization())
    with pytest.raises(ValueError, match="dnc_backend"), chainer.using_config("dnc_backend", "no"):
        model(helpers.inputs(SIZES, 3, 1)[0])
    assert model.read_out.W is raw


def test_a_weight_is_put_back_when_another_hook_fails():
    class Fails(chainer.LinkHook):
        name = "Fails"

        def forward_preprocess(self, args):
            raise RuntimeError("no")

    model = started()
    raw = model.controller.lstm.upward.W
    model.controller.lstm.upward.add_hook(link_hooks.SpectralNormalization())
    model.read_out.add_hook(Fails())
    with pytest.raises(RuntimeError, match="no"):
        model(helpers.inputs(SIZES, 3, 1)[0])
    assert model.controller.lstm.upward.W is raw


def test_function_hooks_see_numbers():
    model, xs, printed = helpers.build(SIZES), helpers.inputs(SIZES, 2, 3), io.StringIO()
    with function_hooks.PrintHook(file=printed), function_hooks.TimerHook() as timer:
        F.sum(sum(model(x) for x in xs)).backward()
    assert "Unroll" in printed.getvalue()
    assert {"Unroll", "Token"} <= set(timer.summary())


def test_the_gradient_of_a_token_is_an_array_that_joins_when_added():
    from lib.graph.single_steps import TokenGradient

    one, two = TokenGradient.of(["a"], "f"), TokenGradient.of(["b", "c"], "f")
    total = one + two
    total += one.copy()
    assert total.records == ["a", "b", "c", "a"] and one.records == ["a"]
    assert float(total.sum()) == 0 and total.dtype == np.float32
    np.multiply(total, 2, out=total)
    assert np.isfinite(total).all()


# Parameters drawn anew


def test_the_start_can_be_set_again():
    """Chainer's PTB example draws all parameters in ±0.1."""
    model = DNC(3, 2, 5, 4, 2, 6)
    started = model.controller.linear.b.array.copy()
    for param in model.params():
        param.array[...] = np.random.uniform(-0.1, 0.1, param.shape)
    weights = model.controller.linear.W.array.copy()
    initialize(model)
    np.testing.assert_array_equal(model.controller.linear.b.array, started)
    np.testing.assert_array_equal(model.controller.linear.W.array, weights)
