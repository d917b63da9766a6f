"""What users rely on: names, shapes, state, copies, files, dtypes, memory, errors that explain."""

import copy
import gc
import inspect
import io
import pickle
import tracemalloc
import weakref

import chainer
import chainer.functions as F
import helpers
import numpy as np
import pytest
import reference
from chainer.links.rnn.lstm import LSTMBase
from helpers import Sizes

from lib import DNC

SIZES = Sizes(X=3, Y=2, N=5, W=4, R=2, H=6)
BOTH = pytest.mark.parametrize("sizes", [SIZES, SIZES._replace(K=2)], ids=["dense", "sparse"])

# Path, shape. A contract: snapshots depend on it.
SCHEMA = {
    "/controller/linear/W": (35, 6),
    "/controller/linear/b": (35,),
    "/controller/lstm/lateral/W": (24, 6),
    "/controller/lstm/upward/W": (24, 11),
    "/controller/lstm/upward/b": (24,),
    "/read_out/W": (2, 8),
    "/read_out/b": (2,),
}


def started(sizes, dtype=np.float32, B=3, T=2, seed=0):
    """A model that has run and therefore has a state, held by no graph."""
    model = helpers.build(sizes, dtype, seed)
    with chainer.no_backprop_mode():
        model.unroll(helpers.inputs(sizes, B, T, dtype))
    return model


def snapshot(state):
    """Copies of all arrays of a state, for comparing later."""
    return {field: array.copy() for field, array in helpers.state_arrays(state).items()}


def assert_equal(got, want):
    assert got.keys() == want.keys()
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], name)


# Construction and parameters


def test_signature():
    parameters = inspect.signature(DNC).parameters
    names = ["X", "Y", "N", "W", "R", "lstm_hidden_dim", "K", "gpu", "cell_clip", "bounded_reads"]
    assert list(parameters) == names
    defaults = [parameters[name].default for name in names[6:]]
    assert defaults == [8, -1, None, False]
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in names[8:])


def schema(model):
    return {path: param.shape for path, param in model.namedparams()}


def test_parameter_schema():
    model = DNC(3, 2, 5, 4, 2, 6)
    assert isinstance(model, chainer.Chain)
    assert schema(model) == SCHEMA
    assert all(param.dtype == np.float32 for param in model.params())
    assert isinstance(model.controller.lstm, LSTMBase)


@pytest.mark.parametrize("N, K", [(1, 0), (100, 8), (100, 100)])
def test_no_parameter_depends_on_the_memory(N, K):
    assert schema(DNC(3, 2, N, 4, 2, 6, K=K)) == SCHEMA


def test_numpy_integers_are_sizes():
    assert schema(DNC(*(np.int64(v) for v in (3, 2, 5, 4, 2, 6)), K=np.int32(2))) == SCHEMA


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_input_width_may_be_deferred(dtype, unroll):
    """The first call decides it, outside the dtype configuration of the construction too."""
    with chainer.using_config("dtype", dtype):
        model = DNC(None, 2, 5, 4, 2, 6)
    xs = helpers.inputs(SIZES, 2, 1, dtype)
    ys = model.unroll(xs) if unroll else model(xs[0])
    assert schema(model) == SCHEMA
    assert {param.dtype for param in model.params()} == {np.dtype(dtype)}
    assert ys.dtype == dtype
    model.cleargrads()
    F.sum(ys).backward()
    assert model.controller.lstm.upward.W.grad.any()
    with pytest.raises((ValueError, TypeError), match="3"):
        model(np.zeros((2, 4), dtype))


def test_parameters_start_as_those_of_chainers_links_but_for_the_interface():
    model = DNC(3, 2, 5, 4, 2, 6)
    for path, param in model.namedparams():
        assert np.isfinite(param.array).all()
        assert param.array.any() == (path != "/read_out/b"), path
    bias = model.controller.linear.b.array
    started = dict.fromkeys(helpers.interface_rows(SIZES), 0.0)
    started.update(read_strengths=np.log(5) + 2.5, write_strength=np.log(5) + 2.5)
    started.update(write_gate=2, allocation_gate=2, free_gates=-2)
    for name, rows in helpers.interface_rows(SIZES).items():
        np.testing.assert_allclose(bias[rows], started[name], rtol=1e-6, err_msg=name)
    assert not bias[:2].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_new_parameters_start_alike_and_keep_the_dtype(dtype):
    """Copies with new parameters, loaded and copied ones, outside the dtype's configuration."""
    with chainer.using_config("dtype", dtype):
        model, deferred, other = (DNC(X, 2, 5, 4, 2, 6) for X in (3, None, None))
    file = io.BytesIO()
    chainer.serializers.save_npz(file, model)
    file.seek(0)
    chainer.serializers.load_npz(file, deferred)
    other.copyparams(model)
    new = model.copy(mode="init")
    for each in (deferred, other, new, *model.repeat(2)):
        assert {param.dtype for param in each.params()} == {np.dtype(dtype)}
    for each in (new, *model.repeat(2)):
        bias, started = each.controller.linear.b.array, model.controller.linear.b.array
        np.testing.assert_array_equal(bias, started)
        assert (each.read_out.W.array != model.read_out.W.array).any()


@BOTH
def test_parameters_may_be_replaced_between_calls(sizes):
    """Nothing computed from them outlives a call, whether they are replaced or changed in place."""
    xs = helpers.inputs(sizes, 2, 2)
    model, other = helpers.build(sizes, seed=0), helpers.build(sizes, seed=1)
    before = model.unroll(xs).array
    for path, param in model.namedparams():
        array = dict(other.namedparams())[path].array
        if path.endswith("/b"):
            param.array[...] = array
        else:
            param.array = np.asfortranarray(array)
    model.reset_state()
    after = model.unroll(xs).array
    assert (before != after).all()
    np.testing.assert_allclose(after, other.unroll(xs).array, rtol=1e-12)


@BOTH
def test_an_optimizer_trains_it(sizes):
    model = helpers.build(sizes, np.float32)
    optimizer = chainer.optimizers.Adam(1e-2).setup(model)
    xs, losses = helpers.inputs(sizes, 2, 4, np.float32), []
    for _ in range(60):
        model.reset_state()
        loss = F.mean(F.square(model.unroll(xs) - 0.3))
        model.cleargrads()
        loss.backward()
        optimizer.update()
        losses.append(float(loss.array))
    assert losses[-1] < 0.2 * losses[0]


# Inputs


@BOTH
@pytest.mark.parametrize("wrap", [np.array, chainer.Variable, chainer.as_variable])
def test_inputs_may_be_arrays_or_variables(sizes, wrap):
    xs = helpers.inputs(sizes, 2, 3)
    expected = helpers.build(sizes).unroll(xs).array
    model = helpers.build(sizes)
    ys = model.unroll(wrap(xs))
    assert isinstance(ys, chainer.Variable) and ys.shape == (3, 2, sizes.Y)
    np.testing.assert_array_equal(ys.array, expected)
    model.reset_state()
    for x, y in zip(xs, expected):
        np.testing.assert_allclose(model(wrap(x)).array, y, rtol=1e-12, atol=1e-15)


@BOTH
def test_inputs_may_be_laid_out_in_any_way(sizes):
    xs = helpers.inputs(sizes, 4, 6)
    state, cotangents = helpers.random_state(sizes, 4), helpers.random_cotangents(sizes, 4, 6)
    expected = helpers.run_library(helpers.build(sizes), sizes, xs, state, cotangents)
    wide = np.zeros((12, 4, 2 * sizes.X))
    wide[::-2, :, ::2] = xs
    model = helpers.build(sizes)
    for param in model.params():
        param.array = np.asfortranarray(param.array)
    for strided in (wide[::-2, :, ::2], np.asfortranarray(xs)):
        model.cleargrads()
        x = chainer.Variable(strided)
        start = helpers.library_state(
            sizes, state, lambda a: chainer.Variable(np.asfortranarray(a))
        )
        model.set_state(start)
        ys = model.unroll(x)
        helpers.weighted_sum(ys, model.get_state(), cotangents).backward()
        got = {"ys": ys.array, "gradient of xs": x.grad, "gradient of memory": start.memory.grad}
        got.update({f"gradient of {path}": p.grad for path, p in model.namedparams()})
        helpers.assert_same(got, {name: expected[name] for name in got}, rtol=1e-12)


@BOTH
def test_nothing_that_goes_in_is_modified(sizes):
    """Every array that goes in is read-only here: inputs, parameters, state."""

    def frozen(array):
        array = array.copy()
        array.flags.writeable = False
        return array

    model = helpers.build(sizes)
    for param in model.params():
        param.array = frozen(param.array)
    state = helpers.random_state(sizes, 2)
    model.set_state(helpers.library_state(sizes, state, lambda a: chainer.Variable(frozen(a))))
    xs = helpers.inputs(sizes, 2, 4)
    ys = model.unroll(chainer.Variable(frozen(xs[:3])), lengths=[3, 1])
    y = model(chainer.Variable(frozen(xs[3])))
    ys.grad = frozen(np.ones(ys.shape))
    model.cleargrads()
    (F.sum(y) + F.sum(ys) + F.sum(model.get_state().memory)).backward()


# State


@BOTH
def test_state_has_the_fields_of_the_contract(sizes):
    state = started(sizes, B=3).get_state()
    N, W, R, H = sizes.N, sizes.W, sizes.R, sizes.H
    shapes = {
        "memory": (3, N, W),
        "usage": (3, N),
        "precedence": (3, N),
        "write_weights": (3, N),
        "read_weights": (3, R, N),
        "read_vectors": (3, R * W),
        "c": (3, H),
        "h": (3, H),
    }
    assert isinstance(state, tuple)
    assert set(state._fields) == set(shapes) | {"link"}
    for field, shape in shapes.items():
        value = getattr(state, field)
        assert isinstance(value, chainer.Variable), field
        assert (value.shape, value.dtype) == (shape, np.float32), field
    if not sizes.sparse:
        assert isinstance(state.link, chainer.Variable)
        assert state.link.shape == (3, N, N)
        return
    values, columns = state.link
    assert isinstance(values, chainer.Variable)
    assert (values.shape, values.dtype) == ((3, N, sizes.K), np.float32)
    columns = helpers.host(columns)
    assert (columns.shape, columns.dtype) == ((3, N, sizes.K), np.int32)
    assert (0 <= columns).all() and (columns < N).all()


@BOTH
def test_a_new_and_a_reset_model_have_no_state(sizes):
    model = helpers.build(sizes)
    xs = helpers.inputs(sizes, 2, 3)
    assert model.get_state() is None and model.h is None and model.c is None
    first = model.unroll(xs).array
    second = model.unroll(xs).array
    model.reset_state()
    assert model.get_state() is None and model.h is None and model.c is None
    third = model.unroll(xs).array
    np.testing.assert_array_equal(first, third)
    assert (first != second).all()


@BOTH
def test_the_controllers_state(sizes):
    """Read as World Models and ChainerRL programs read that of an L.LSTM."""
    model = started(sizes)
    state = model.get_state()
    np.testing.assert_array_equal(model.get_h().data[0], state.h.array[0])
    np.testing.assert_array_equal(model.get_c().data[0], state.c.array[0])
    assert isinstance(model.h, chainer.Variable) and isinstance(model.c, chainer.Variable)
    np.testing.assert_array_equal(model.h.array, state.h.array)
    np.testing.assert_array_equal(model.c.array, state.c.array)


@BOTH
@pytest.mark.parametrize("wrap", [np.array, chainer.Variable])
def test_state_out_and_in(sizes, wrap):
    xs = helpers.inputs(sizes, 2, 6)
    model = helpers.build(sizes)
    whole = model.unroll(xs).array
    model.reset_state()
    model.unroll(xs[:3])
    state = model.get_state()
    other = helpers.build(sizes)
    link = state.link
    if sizes.sparse:
        link = (wrap(link[0].array), helpers.host(link[1]))
    else:
        link = wrap(link.array)
    fields = {f: wrap(getattr(state, f).array) for f in state._fields if f != "link"}
    other.set_state(type(state)(link=link, **fields))
    np.testing.assert_allclose(other.unroll(xs[3:]).array, whole[3:], rtol=1e-12)
    model.unroll(xs)
    model.set_state(state)
    np.testing.assert_allclose(model.unroll(xs[3:]).array, whole[3:], rtol=1e-12)


@BOTH
def test_state_none_is_the_zero_state(sizes):
    xs = helpers.inputs(sizes, 2, 3)
    model = helpers.build(sizes)
    expected = model.unroll(xs).array
    model.set_state(None)
    assert model.get_state() is None
    np.testing.assert_array_equal(model.unroll(xs).array, expected)
    model.set_state(helpers.library_state(sizes, helpers.zero_state(sizes, 2)))
    np.testing.assert_array_equal(model.unroll(xs).array, expected)


@BOTH
@pytest.mark.parametrize("field", reference.FIELDS)
def test_a_field_that_is_none_is_zero(sizes, field):
    x, arrays = helpers.inputs(sizes, 2, 1)[0], helpers.random_state(sizes, 2)
    model = helpers.build(sizes)
    state = helpers.library_state(sizes, arrays)
    model.set_state(state._replace(**{field: None}))
    y = model(x).array
    arrays[field][...] = 0
    model.set_state(helpers.library_state(sizes, arrays))
    np.testing.assert_array_equal(y, model(x).array)


@BOTH
def test_a_state_once_returned_stays_what_it_was(sizes):
    model = helpers.build(sizes)
    xs = helpers.inputs(sizes, 3, 4)
    states = []
    for x in xs:
        model(x)
        states.append((model.get_state(), snapshot(model.get_state())))
    F.sum(model.unroll(xs)).backward()
    model(xs[0, :1])
    model.reset_state()
    model(xs[0, :1])
    for state, copied in states:
        assert_equal(helpers.state_arrays(state), copied)


@BOTH
def test_an_error_leaves_the_state_alone(sizes):
    model = started(sizes, B=2)
    before = snapshot(model.get_state())
    for bad in (np.zeros((3, sizes.X), "f"), np.zeros((2, sizes.X + 1), "f"), None):
        with pytest.raises((ValueError, TypeError)):
            model(bad)
    with pytest.raises((ValueError, TypeError)):
        model.unroll(np.zeros((2, 2, sizes.X), "f"), lengths=[1, 5])
    with pytest.raises((ValueError, TypeError)):
        model.set_state(model.get_state()._replace(usage=np.zeros((2, 1), "f")))
    assert_equal(helpers.state_arrays(model.get_state()), before)


# Copies and files


def copies():
    return [
        ("copy", lambda m: m.copy()),
        ("copy of parameters", lambda m: m.copy(mode="copy")),
        ("pickle", lambda m: pickle.loads(pickle.dumps(m))),
        ("deepcopy", copy.deepcopy),
        ("inside a chain", lambda m: chainer.Sequential(m).copy()[0]),
    ]


@BOTH
@pytest.mark.parametrize("how, make", copies(), ids=[name for name, _ in copies()])
def test_a_copy_goes_on_from_the_same_state_and_alone(sizes, how, make):
    model = started(sizes)
    xs = helpers.inputs(sizes, 3, 3, np.float32, seed=9)
    before = snapshot(model.get_state())
    other = make(model)
    assert_equal(snapshot(other.get_state()), before)
    for field in ("memory", "h"):
        assert getattr(other.get_state(), field) is not getattr(model.get_state(), field)
    ys = other.unroll(xs).array
    assert_equal(snapshot(model.get_state()), before)
    np.testing.assert_array_equal(model.unroll(xs).array, ys)
    other.reset_state()
    assert other.get_state() is None and model.get_state() is not None
    other(xs[0, :1])
    assert model.get_state().h.shape[0] == 3


def test_a_copy_shares_parameters_as_links_do():
    model = DNC(3, 2, 5, 4, 2, 6)
    shared, own, new = model.copy(), model.copy(mode="copy"), model.copy(mode="init")
    for param, s, o in zip(model.params(), shared.params(), own.params()):
        assert s.array is param.array
        assert o.array is not param.array
        np.testing.assert_array_equal(o.array, param.array)
    assert (new.read_out.W.array != model.read_out.W.array).any()
    model.copy()(np.zeros((1, 3), "f"))
    assert model.get_state() is None


@BOTH
def test_a_copy_before_the_first_step(sizes):
    model = helpers.build(sizes)
    for _, make in copies():
        other = make(model)
        other(helpers.inputs(sizes, 1, 1)[0])
        assert model.get_state() is None and other.get_state() is not None


def test_a_model_of_deferred_width_can_be_copied_and_pickled():
    for _, make in copies():
        other = make(DNC(None, 2, 5, 4, 2, 6))
        other(np.zeros((1, 3), "f"))
        assert schema(other) == SCHEMA


@BOTH
@pytest.mark.parametrize("how, make", copies(), ids=[name for name, _ in copies()])
def test_a_copy_in_the_middle_of_a_graph_starts_a_new_one(sizes, how, make):
    model = helpers.build(sizes)
    model(chainer.Variable(helpers.inputs(sizes, 2, 1)[0]))
    other = make(model)
    assert model.h.creator is not None
    assert other.h.creator is None and other.get_state().memory.creator is None
    assert_equal(snapshot(other.get_state()), snapshot(model.get_state()))
    other.cleargrads()
    F.sum(other(helpers.inputs(sizes, 2, 1)[0])).backward()
    assert other.read_out.W.grad.any()


@pytest.mark.parametrize("X", [3, None])
@pytest.mark.parametrize("N, K", [(5, 2), (5, 0), (50, 8)])
def test_weights_in_a_file_load_into_any_memory(tmp_path, X, N, K):
    file = str(tmp_path / "weights.npz")
    model = helpers.build(SIZES._replace(K=2), np.float32)
    xs = helpers.inputs(SIZES, 2, 3, np.float32)
    chainer.serializers.save_npz(file, model)
    with np.load(file, allow_pickle=False) as weights:
        assert {"/" + name: weights[name].shape for name in weights} == SCHEMA
    other = DNC(X, 2, N, 4, 2, 6, K=K)
    chainer.serializers.load_npz(file, other)
    for (path, param), loaded in zip(model.namedparams(), other.params()):
        np.testing.assert_array_equal(loaded.array, param.array, path)
    ys = other.unroll(xs).array
    if (N, K) == (5, 2):
        np.testing.assert_array_equal(ys, model.unroll(xs).array)


def test_saving_is_the_same_after_a_step(tmp_path):
    """The weights alone are saved, and saving does not disturb the state."""
    model = started(SIZES)
    before = snapshot(model.get_state())
    chainer.serializers.save_npz(str(tmp_path / "a.npz"), model)
    with np.load(str(tmp_path / "a.npz"), allow_pickle=False) as weights:
        assert {"/" + name for name in weights} == set(SCHEMA)
    assert_equal(snapshot(model.get_state()), before)


# Graphs


@BOTH
def test_truncated_backpropagation_gives_the_gradient_of_the_last_chunk(sizes):
    xs = helpers.inputs(sizes, 2, 6)
    model = helpers.build(sizes)
    loss = sum(F.sum(model(x)) for x in xs[:3])
    loss.unchain_backward()
    detached = model.get_state()
    for field in detached._fields:
        variable = helpers.differentiable_link(detached) if field == "link" else None
        variable = getattr(detached, field) if variable is None else variable
        assert variable.creator is None, field
    model.cleargrads()
    loss = sum(F.sum(model(x)) for x in xs[3:])
    loss.backward()
    got = {path: param.grad for path, param in model.namedparams()}

    other = helpers.build(sizes)
    with chainer.no_backprop_mode():
        other.unroll(xs[:3])
    other.cleargrads()
    F.sum(other.unroll(xs[3:])).backward()
    helpers.assert_same(got, {path: param.grad for path, param in other.namedparams()})


@BOTH
@pytest.mark.parametrize("unroll", [False, True])
def test_truncated_backpropagation_does_not_grow(sizes, unroll):
    model = helpers.build(sizes._replace(N=64, W=16), np.float32)
    xs = helpers.inputs(sizes, 4, 5, np.float32)
    optimizer = chainer.optimizers.SGD(1e-3).setup(model)
    held = []
    tracemalloc.start()
    try:
        for _ in range(24):
            loss = F.sum(model.unroll(xs)) if unroll else sum(F.sum(model(x)) for x in xs)
            model.cleargrads()
            loss.backward()
            loss.unchain_backward()
            optimizer.update()
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert held[-1] < held[16] + 0.1 * held[0]  # caches have filled by then


@BOTH
def test_without_backprop_nothing_is_kept(sizes):
    model = helpers.build(sizes._replace(N=64, W=16), np.float32)
    xs = helpers.inputs(sizes, 2, 64, np.float32)
    with chainer.no_backprop_mode():
        model.unroll(xs[:1])  # what the first call alone brings
        tracemalloc.start()
        try:
            ys = model.unroll(xs)
            gc.collect()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        y = model(xs[0])
    state = model.get_state()
    assert ys.creator is None and y.creator is None
    assert state.memory.creator is None and state.h.creator is None
    assert helpers.differentiable_link(state).creator is None
    one_state = sum(array.nbytes for array in helpers.state_arrays(state).values())
    assert held < 3 * (one_state + ys.array.nbytes)


@BOTH
def test_a_look_at_the_state_without_a_graph_cuts_nothing(sizes):
    xs, found = helpers.inputs(sizes, 2, 3), []
    for look in (False, True):
        model = helpers.build(sizes)
        model(xs[0])
        if look:
            with chainer.no_backprop_mode():
                assert model.h is model.get_state().h
                model.copy()
        F.sum(model(xs[1]) ** 2).backward()
        found.append(model.controller.lstm.upward.W.grad)
    np.testing.assert_array_equal(*found)


@BOTH
def test_states_given_out_lie_on_the_way_to_the_next_step(sizes):
    """Their gradients have what comes through the next step, and to cut them cuts it."""
    xs, model = helpers.inputs(sizes, 2, 2), helpers.build(sizes)
    model(xs[0])
    state = model.get_state()
    fields = [state.memory, state.h, state.c, state.read_vectors]
    leaves = [chainer.Variable(field.array.copy()) for field in fields]
    got = chainer.grad([F.sum(model(xs[1]) ** 2)], fields)
    names = dict(zip(("memory", "h", "c", "read_vectors"), leaves))
    model.set_state(state._replace(**names))
    want = chainer.grad([F.sum(model(xs[1]) ** 2)], leaves)
    for one, other in zip(got, want):
        np.testing.assert_allclose(one.array, other.array, rtol=1e-9)
        assert one.array.any()


@BOTH
def test_a_state_given_out_before_the_graph_is_cut_is_a_leaf_of_the_next(sizes):
    xs, model = helpers.inputs(sizes, 2, 2), helpers.build(sizes)
    loss = F.sum(model(xs[0]))
    h = model.h
    loss.unchain_backward()
    F.sum(model(xs[1]) ** 2).backward()
    assert h.grad is not None and h.grad.any()


def test_an_output_of_the_controller_that_is_kept_keeps_no_memory():
    model = helpers.build(Sizes(X=3, Y=2, N=5, W=4, R=2, H=6, K=0))
    xs, kept, memories = helpers.inputs(Sizes(X=3), 2, 4), [], []
    for x in xs:
        loss = F.sum(model(x))
        kept.append(model.h)
        memories.append(weakref.ref(model.get_state().memory.array))
        loss.backward()
        loss.unchain_backward()
        model.cleargrads()
    gc.collect()
    assert [memory() is None for memory in memories] == [True, True, True, False]


@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize("field", ["h", "c", "read_vectors"])
def test_a_state_changed_in_place_leaves_the_gradient_of_its_step(field, unrolled):
    sizes = Sizes(X=3, Y=2, N=5, W=4, R=2, H=6, K=2)
    x, found = helpers.inputs(sizes, 2, 1), []
    for change in (False, True):
        model = helpers.build(sizes)
        y = model.unroll(x) if unrolled else model(x[0])
        if change:
            getattr(model.get_state(), field).array[...] = 0
        F.sum(y**2).backward()
        found.append([param.grad for param in model.params()])
    for one, other in zip(*found):
        np.testing.assert_array_equal(one, other)


@BOTH
def test_a_whole_sequence_is_one_node(sizes):
    model = helpers.build(sizes)
    ys = model.unroll(helpers.inputs(sizes, 2, 5))
    state = model.get_state()
    node = ys.creator_node
    (token,) = state.h.creator_node.inputs  # which stands for all fields
    assert node is token.creator_node
    assert state.h.creator_node is state.memory.creator_node
    assert state.h.creator_node is helpers.differentiable_link(state).creator_node
    params = {id(param.node) for param in model.params()}
    assert params <= {id(variable) for variable in node.inputs}


@BOTH
def test_the_graph_goes_when_its_outputs_go(sizes):
    model = helpers.build(sizes)
    ys = model.unroll(helpers.inputs(sizes, 2, 3))
    node = weakref.ref(ys.creator_node)
    del ys
    model.reset_state()
    gc.collect()
    assert node() is None


@BOTH
def test_backward_may_run_again(sizes):
    """The backward pass leaves what it needs as it was."""
    model = helpers.build(sizes)
    loss = F.sum(model.unroll(helpers.inputs(sizes, 2, 3)))
    runs = []
    for _ in range(2):
        model.cleargrads()
        loss.backward()
        runs.append({path: param.grad.copy() for path, param in model.namedparams()})
    assert_equal(runs[0], runs[1])


@BOTH
def test_gradients_add_up_over_calls(sizes):
    model = helpers.build(sizes)
    xs = helpers.inputs(sizes, 2, 3)
    model.cleargrads()
    F.sum(model.unroll(xs)).backward()
    once = {path: param.grad.copy() for path, param in model.namedparams()}
    model.reset_state()
    F.sum(model.unroll(xs)).backward()
    twice = {path: param.grad / 2 for path, param in model.namedparams()}
    helpers.assert_same(twice, once, rtol=1e-12)


@BOTH
def test_chainer_grad(sizes):
    model = helpers.build(sizes)
    x = chainer.Variable(helpers.inputs(sizes, 2, 3))
    y = F.sum(model.unroll(x))
    (gx,) = chainer.grad([y], [x])
    model.cleargrads()
    y.backward()
    np.testing.assert_allclose(gx.array, x.grad, rtol=1e-12)


@pytest.mark.parametrize("unroll", [False, True])
def test_second_derivatives_say_that_they_are_not_offered(unroll):
    model = helpers.build(SIZES)
    x = chainer.Variable(helpers.inputs(SIZES, 2, 3))
    y = model.unroll(x) if unroll else model(x[0])
    with pytest.raises(Exception, match="(?i)second|double"):
        (gx,) = chainer.grad([F.sum(F.square(y))], [x], enable_double_backprop=True)
        F.sum(F.square(gx)).backward()


# Numbers


def test_float64_by_configuration_and_for_good():
    with chainer.using_config("dtype", np.float64):
        model = DNC(3, 2, 5, 4, 2, 6)
    y = model(np.zeros((2, 3)))
    assert y.dtype == np.float64
    state = model.get_state()
    fields = [getattr(state, field) for field in state._fields if field != "link"]
    assert all(v.dtype == np.float64 for v in fields + [helpers.differentiable_link(state)])
    assert all(param.dtype == np.float64 for param in model.params())


def test_float32_stays_under_another_configuration():
    model = DNC(3, 2, 5, 4, 2, 6)
    with chainer.using_config("dtype", np.float64):
        assert model(np.zeros((2, 3), "f")).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, chainer.mixed16])
def test_half_precision_is_refused(dtype):
    with chainer.using_config("dtype", dtype):
        with pytest.raises((ValueError, TypeError), match="float16|mixed16"):
            DNC(3, 2, 5, 4, 2, 6)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, bool])
def test_another_dtype_than_the_models_is_refused(dtype):
    model, name = started(SIZES), np.dtype(dtype).name
    with pytest.raises((ValueError, TypeError), match=f"float32.*{name}|{name}.*float32"):
        model(np.zeros((3, 3), dtype))
    with pytest.raises((ValueError, TypeError), match=f"float32.*{name}|{name}.*float32"):
        model.unroll(np.zeros((2, 3, 3), dtype))
    state = model.get_state()
    with pytest.raises((ValueError, TypeError), match="usage"):
        model.set_state(state._replace(usage=state.usage.array.astype(dtype)))


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_runs_stay_finite(sizes, dtype):
    """300 steps with wild weights, written, freed and erased over and over."""
    for scale in (1, 30):
        model = helpers.build(sizes, dtype, scale=scale)
        model.cleargrads()
        ys = model.unroll(helpers.inputs(sizes, 2, 300, dtype))
        F.sum(ys).backward()
        assert np.isfinite(ys.array).all()
        for path, param in model.namedparams():
            assert np.isfinite(param.grad).all(), path


# Errors: the argument's name, what was given, what is allowed


def refuses(call, *words):
    """A ValueError or TypeError, not Chainer's InvalidType, that has all these words in it."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    for word in words:
        assert word in str(caught.value), f"{word!r} not in {str(caught.value)!r}"


ARGUMENTS = dict(X=3, Y=2, N=5, W=4, R=2, lstm_hidden_dim=6)


@pytest.mark.parametrize("name", list(ARGUMENTS))
@pytest.mark.parametrize("value", [0, -1, 2.5, "3", [3]])
def test_sizes_must_be_positive_integers(name, value):
    refuses(lambda: DNC(**dict(ARGUMENTS, **{name: value})), name, repr(value), "integer")


@pytest.mark.parametrize("name", list(ARGUMENTS))
def test_sizes_that_no_machine_holds(name):
    """Of them the memory alone would show at the first call."""
    refuses(lambda: DNC(**dict(ARGUMENTS, **{name: 2**62})), f"{name}={2**62}")


@pytest.mark.parametrize("name", ["Y", "N", "W", "R", "lstm_hidden_dim"])
def test_only_the_input_width_may_be_none(name):
    refuses(lambda: DNC(**dict(ARGUMENTS, **{name: None})), name, "None")


@pytest.mark.parametrize("value", [-1, 2.5, "3", None])
def test_the_number_of_kept_links_must_not_be_negative(value):
    refuses(lambda: DNC(K=value, **ARGUMENTS), "K", repr(value))


@pytest.mark.parametrize(
    "value", [0, -1, 0.0, np.nan, np.inf, 1e39, 1e-60, 10**400, True, "1", [1], np.ones(1)]
)
def test_the_clip_must_be_positive_and_finite(value):
    refuses(lambda: DNC(cell_clip=value, **ARGUMENTS), "cell_clip", repr(value), "float32")


@pytest.mark.parametrize("value", [0, 1, None, "yes", 0.5])
def test_bounded_reads_is_a_flag(value):
    refuses(lambda: DNC(bounded_reads=value, **ARGUMENTS), "bounded_reads", repr(value), "True")


@pytest.mark.parametrize("value", [0, 1, None, "no"])
def test_recompute_is_a_flag(value):
    xs = np.zeros((2, 3, 3), "f")
    refuses(lambda: started(SIZES).unroll(xs, recompute=value), "recompute", repr(value), "True")


@pytest.mark.parametrize("value", ["0", 0.5, None])
def test_the_gpu_must_be_an_integer(value):
    refuses(lambda: DNC(gpu=value, **ARGUMENTS), "gpu", repr(value))


def test_a_gpu_without_cupy_is_a_value_error(monkeypatch):
    monkeypatch.setattr(chainer.backends.cuda, "available", False)
    for gpu in (0, 7):
        with pytest.raises(ValueError, match="gpu"):
            DNC(gpu=gpu, **ARGUMENTS)


@pytest.mark.parametrize(
    "x, words",
    [
        (np.zeros(3, "f"), ["x", "(3,)"]),
        (np.zeros((1, 3, 3), "f"), ["x", "(1, 3, 3)"]),
        (np.zeros((3, 4), "f"), ["x", "4", "3"]),
        (np.zeros((3, 0), "f"), ["x", "0", "3"]),
        (np.zeros((4, 3), "f"), ["x", "4", "3"]),
        ([[0.0, 0.0, 0.0]], ["x", "list"]),
        (None, ["x", "None"]),
        ("abc", ["x", "str"]),
    ],
)
def test_inputs_of_a_step(x, words):
    model = started(SIZES, B=3)
    refuses(lambda: model(x), *words)
    if isinstance(x, np.ndarray):
        refuses(lambda: model(chainer.Variable(x)), *words)


@pytest.mark.parametrize(
    "xs, words",
    [
        (np.zeros((3, 3), "f"), ["xs", "(3, 3)"]),
        (np.zeros((1, 1, 3, 3), "f"), ["xs", "(1, 1, 3, 3)"]),
        (np.zeros((2, 3, 4), "f"), ["xs", "4", "3"]),
        (np.zeros((0, 3, 3), "f"), ["xs"]),
        (np.zeros((2, 4, 3), "f"), ["xs", "4", "3"]),
        ([np.zeros((3, 3), "f")], ["xs", "list"]),
        (None, ["xs", "None"]),
    ],
)
def test_inputs_of_a_sequence(xs, words):
    model = started(SIZES, B=3)
    refuses(lambda: model.unroll(xs), *words)


def test_no_time_is_a_value_error():
    for model in (helpers.build(SIZES), started(SIZES, np.float64)):
        for shape in ((0, 3, 3), (0, 0, 3)):
            with pytest.raises(ValueError, match="at least one step"):
                model.unroll(np.zeros(shape))


@pytest.mark.parametrize(
    "lengths",
    [
        [1, 2],
        [1, 2, 3, 4],
        [1, 2, 5],
        [-1, 2, 3],
        [1.0, 2.5, 3.0],
        [[1, 2, 3]],
        3,
        "abc",
        ["1"] * 3,
        [True, 2, 3],  # NumPy makes [1, 2, 3] of it
        [[1], [2, 3], 4],
        np.ma.array([1, 2, 3], mask=[0, 1, 0]),
    ],
)
def test_lengths(lengths):
    model = started(SIZES, B=3)
    refuses(lambda: model.unroll(np.zeros((4, 3, 3), "f"), lengths=lengths), "lengths")


@pytest.mark.parametrize("lengths", [[4, 0, 2], (4, 0, 2), np.array([4, 0, 2], np.int32)])
def test_lengths_may_be_any_sequence_of_integers(lengths):
    xs = helpers.inputs(SIZES, 3, 4)
    expected = helpers.build(SIZES).unroll(xs, [4, 0, 2]).array
    np.testing.assert_array_equal(helpers.build(SIZES).unroll(xs, lengths=lengths).array, expected)
    assert not expected[:, 1].any() and not expected[2:, 2].any() and expected[1, 2].any()


@BOTH
@pytest.mark.parametrize("junk", [np.nan, np.inf, -1e300])
@pytest.mark.parametrize("recompute", [False, True])
def test_what_stands_after_the_end_never_matters(sizes, junk, recompute):
    """Of outputs, states and all gradients, not a bit."""
    lengths, found = [4, 0, 2], []
    for padding in (0, junk):
        model, xs = helpers.build(sizes), helpers.inputs(sizes, 3, 4)
        xs[:, 1] = xs[2:, 2] = padding
        model.cleargrads()
        x = chainer.Variable(xs)
        ys = model.unroll(x, lengths, recompute)
        cotangents = helpers.random_cotangents(sizes, 3, 4)
        helpers.weighted_sum(ys, model.get_state(), cotangents).backward()
        results = {path: param.grad for path, param in model.namedparams()}
        results.update(helpers.state_arrays(model.get_state()), ys=ys.array, xs=x.grad)
        found.append({name: array.copy() for name, array in results.items()})
    assert_equal(*found)
    assert np.isfinite(found[1]["xs"]).all()


@BOTH
@pytest.mark.parametrize("field", reference.FIELDS)
def test_the_state_of_a_sequence_that_takes_no_part_never_matters(sizes, field):
    """It stays what it is, and no gradient of a weight has to do with it."""
    found = []
    for junk in (0, np.nan):
        model = started(sizes, B=3)
        value = getattr(model.get_state(), field)
        (value[0] if isinstance(value, tuple) else value).array[1] = junk
        model.cleargrads()
        F.sum(model.unroll(helpers.inputs(sizes, 3, 3, np.float32), [3, 0, 2])).backward()
        found.append({path: param.grad.copy() for path, param in model.namedparams()})
    assert_equal(*found)
    assert all(np.isfinite(gradient).all() for gradient in found[1].values())


@BOTH
@pytest.mark.parametrize("field", reference.FIELDS)
def test_a_state_of_another_shape(sizes, field):
    model = started(sizes, B=3)
    state = model.get_state()
    before = snapshot(state)

    def change(f):
        value = getattr(state, field)
        if isinstance(value, tuple):
            return state._replace(link=(f(value[0].array), f(helpers.host(value[1]))))
        return state._replace(**{field: f(value.array)})

    for f in (lambda a: a[..., :-1], lambda a: a[0], lambda a: a[..., None]):
        refuses(lambda f=f: model.set_state(change(f)), field)
    refuses(
        lambda: model.set_state(change(lambda a: a[:2])), "state"
    )  # which one is wrong, is open
    refuses(lambda: model.set_state(state._replace(**{field: 3.0})), field)
    assert_equal(snapshot(model.get_state()), before)


def test_a_state_of_another_kind():
    sparse, dense = SIZES._replace(K=2), SIZES
    states = {s: started(s, B=3).get_state() for s in (sparse, dense)}
    refuses(lambda: started(dense).set_state(states[sparse]), "link")
    refuses(lambda: started(sparse).set_state(states[dense]), "link")
    for bad in (3, "state", (np.zeros((1, 5, 4), "f"),), {"memory": 1}):
        refuses(lambda bad=bad: started(dense).set_state(bad), "state")


def test_a_state_of_no_sequences_and_columns_that_are_no_array():
    sparse, dense = SIZES._replace(K=2), SIZES
    empty = np.zeros((0, 5, 4), "f")
    for sizes in (sparse, dense):
        other = started(sizes)
        other.set_state((empty,) + (None,) * 8)
        assert other.h.shape == (0, 6) and other(np.zeros((0, 3), "f")).shape == (0, 2)
        refuses(lambda other=other: other(np.zeros((1, 3), "f")), "0 sequences")
    model = started(sparse)
    link = model.get_state().link
    for bad in (link[1].array.tolist(), chainer.Variable(None)):
        given = model.get_state()._replace(link=(link[0], bad))
        refuses(lambda given=given: model.set_state(given), "columns")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("kind", [np.matrix, np.ma.MaskedArray])
def test_arrays_that_are_more_than_arrays(kind):
    refuses(lambda: started(SIZES)(kind(np.zeros((3, 3), "f"))), "x", kind.__name__)


@pytest.mark.parametrize("bad", [5, -1])
def test_link_columns_out_of_range(bad):
    model = started(SIZES._replace(K=2), B=3)
    state = model.get_state()
    values, columns = state.link
    columns = helpers.host(columns).copy()
    columns[1, 2, 1] = bad
    refuses(lambda: model.set_state(state._replace(link=(values, columns))), "link")
    twice = helpers.host(state.link[1]).copy()
    twice[1, 4, 1] = twice[1, 4, 0]
    values = np.ones_like(values.array)
    refuses(lambda: model.set_state(state._replace(link=(values, twice))), "link")
    floats = helpers.host(state.link[1]).astype("f")
    refuses(lambda: model.set_state(state._replace(link=(values, floats))), "link")


# Devices


@pytest.mark.gpu
@BOTH
def test_gpu_state_moves_with_the_link(sizes):
    model = started(sizes)
    on_cpu = model.get_state()
    before = snapshot(on_cpu)
    xs = helpers.inputs(sizes, 3, 2, np.float32)
    expected = model.copy().unroll(xs).array
    model.to_device("@cupy:0")
    assert isinstance(model.get_state().memory.array, chainer.backends.cuda.ndarray)
    assert isinstance(on_cpu.memory.array, np.ndarray)
    assert_equal(snapshot(model.get_state()), before)
    ys = model.unroll(model.xp.asarray(xs))
    np.testing.assert_allclose(helpers.host(ys), expected, rtol=1e-4, atol=1e-5)
    moved = pickle.loads(pickle.dumps(model))
    moved.to_device("@numpy")
    assert isinstance(moved.get_state().memory.array, np.ndarray)
    moved.unroll(xs)


@pytest.mark.gpu
@BOTH
def test_gpu_by_argument(sizes):
    model = DNC(3, 2, 5, 4, 2, 6, K=sizes.K, gpu=0)
    assert all(isinstance(p.array, chainer.backends.cuda.ndarray) for p in model.params())
    F.sum(model(model.xp.zeros((2, 3), "f"))).backward()
    refuses(lambda: model(np.zeros((2, 3), "f")), "x")
