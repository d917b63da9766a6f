"""The library against the reference: outputs, states, and the gradient of every input."""

import chainer
import chainer.functions as F
import helpers
import numpy as np
import pytest
import reference
import reference_loops
from helpers import Sizes, assert_matches_reference

pytestmark = pytest.mark.usefixtures("backend")

KEPT = [0, 1, 3, 6, 9]  # of N = 6 locations: dense, sparse, sparse, all, more than all


@pytest.mark.parametrize("start", ["zero", "random"])
@pytest.mark.parametrize("B, T", [(1, 1), (3, 1), (1, 7), (3, 3)])
@pytest.mark.parametrize("R", [1, 3])
@pytest.mark.parametrize("K", KEPT)
def test_values_and_gradients(K, R, B, T, start):
    sizes = Sizes(R=R, K=K)
    state = helpers.random_state(sizes, B) if start == "random" else None
    assert_matches_reference(helpers.build(sizes), sizes, helpers.inputs(sizes, B, T), state)


@pytest.mark.parametrize("K", [0, 3])
def test_zero_state_given_as_arrays(K):
    """The gradient for a state that is zero throughout: empty memory, ties everywhere."""
    sizes = Sizes(K=K)
    assert_matches_reference(
        helpers.build(sizes), sizes, helpers.inputs(sizes, 2, 2), helpers.zero_state(sizes, 2)
    )


@pytest.mark.parametrize("lengths", [[4, 2, 0], [0, 1, 4], [2, 4, 1], [4, 4, 4], [0, 0, 0]])
@pytest.mark.parametrize("K", [0, 3])
def test_lengths(K, lengths):
    sizes = Sizes(K=K)
    xs, state = helpers.inputs(sizes, 3, 4), helpers.random_state(sizes, 3)
    assert_matches_reference(helpers.build(sizes), sizes, xs, state, lengths)
    assert_matches_reference(helpers.build(sizes), sizes, xs, state, np.array(lengths))


SATURATED = {
    "all open": {
        "erase": 1000,
        "free_gates": 1000,
        "allocation_gate": 1000,
        "write_gate": 1000,
    },
    "all shut": {
        "erase": -1000,
        "free_gates": -1000,
        "allocation_gate": -1000,
        "write_gate": -1000,
    },
    "allocate only": {"allocation_gate": 1000, "write_gate": 1000},
    "content only": {"allocation_gate": -1000, "write_gate": 1000, "write_strength": 500},
    "free all": {"free_gates": 1000, "write_gate": -1000},
    "weakest strengths": {"read_strengths": -500, "write_strength": -500},
}


@pytest.mark.parametrize("start", ["zero", "random"])
@pytest.mark.parametrize("gates", sorted(SATURATED))
@pytest.mark.parametrize("K", [0, 3])
def test_saturated_gates(K, gates, start):
    sizes = Sizes(K=K)
    model = helpers.build(sizes)
    helpers.set_bias(model, sizes, **SATURATED[gates])
    state = helpers.random_state(sizes, 2) if start == "random" else None
    assert_matches_reference(model, sizes, helpers.inputs(sizes, 2, 3), state)


@pytest.mark.parametrize("mode", range(3))
@pytest.mark.parametrize("K", [0, 3])
def test_saturated_read_modes(K, mode):
    sizes = Sizes(K=K)
    model = helpers.build(sizes)
    helpers.set_bias(model, sizes, read_modes=np.tile(np.eye(3)[mode] * 1000, sizes.R))
    assert_matches_reference(
        model, sizes, helpers.inputs(sizes, 2, 3), helpers.random_state(sizes, 2)
    )


@pytest.mark.parametrize("K", [0, 3])
def test_zero_rows_and_zero_keys(K):
    """A zero row or key has similarity 0 and passes no gradient, and nothing becomes NaN."""
    sizes = Sizes(K=K)
    state = helpers.random_state(sizes, 2)
    state["memory"][0] = 0
    state["memory"][1, [1, 4]] = 0
    xs = helpers.inputs(sizes, 2, 3)
    assert_matches_reference(helpers.build(sizes), sizes, xs, state)
    for part in ("write_key", "read_keys"):
        model = helpers.build(sizes)
        helpers.set_bias(model, sizes, **{part: 0})
        assert_matches_reference(model, sizes, xs, state)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("K", [0, 3])
def test_usage_all_zero_or_all_one(K, value):
    sizes = Sizes(K=K)
    state = helpers.random_state(sizes, 2)
    state["usage"][:] = value
    state["write_weights"][:] = 0
    state["read_weights"][:] = 0
    assert_matches_reference(helpers.build(sizes), sizes, helpers.inputs(sizes, 2, 3), state)


@pytest.mark.parametrize("K", [0, 1, 3])
def test_ties_in_usage(K):
    """Of equally used locations the lower comes first: it shows, as their contents differ."""
    sizes = Sizes(K=K)
    state = helpers.random_state(sizes, 2)
    for field in ("usage", "write_weights", "read_weights"):
        state[field][..., [4, 2]] = state[field][..., [1, 0]]
    assert_matches_reference(helpers.build(sizes), sizes, helpers.inputs(sizes, 2, 1), state)


@pytest.mark.parametrize("K", [1, 2, 3, 5])
def test_ties_in_the_sparse_link(K):
    """Equal write weights, precedences or links: the lower first, and always K of them."""
    sizes = Sizes(K=K)
    model = helpers.build(sizes)
    helpers.set_bias(model, sizes, write_key=0, allocation_gate=-1000)
    xs = helpers.inputs(sizes, 2, 2)
    state = helpers.random_state(sizes, 2)
    state["precedence"][:] = 0.1
    state["precedence"][:, 2] = 0.2
    link = np.where(np.eye(sizes.N), 0, 0.15) * np.ones((2, 1, 1))
    columns = helpers.top_columns(link, K)
    state["link"] = helpers.densify(np.take_along_axis(link, columns, 2), columns, sizes.N)
    assert_matches_reference(model, sizes, xs, state)
    state["precedence"][:] = 0
    state["link"][:] = 0
    assert_matches_reference(model, sizes, xs, state)


@pytest.mark.parametrize("K", [0, 1, 3, 5])
def test_overwriting_a_linked_location(K):
    """A one-hot write clears all links of its location, which then tie with those never set."""
    sizes = Sizes(K=K)
    model = helpers.build(sizes)
    helpers.set_bias(model, sizes, allocation_gate=1000, write_gate=1000, free_gates=-1000)
    state, xs = helpers.random_state(sizes, 2), helpers.inputs(sizes, 2, 2)
    state["usage"][:, 4] = state["write_weights"][:, 4] = 0
    got = helpers.run_library(model, sizes, xs, state)
    assert (got["final write_weights"].max(1) < 1).all()  # by then the location is used
    helpers.assert_same(got, helpers.run_reference(model, sizes, xs, state))


@pytest.mark.parametrize("magnitude", [1e-15, 1e-20, 1e-25, 1e-40, 1e-45])
def test_tiny_rows_and_keys_stay_finite(magnitude):
    """Their squares are subnormal or 0 in float32; no infinity, NaN or warning comes of it."""
    sizes = Sizes()
    model = helpers.build(sizes, np.float32)
    state, xs = helpers.random_state(sizes, 2, np.float32), helpers.inputs(sizes, 2, 3, np.float32)
    state["memory"] *= np.float32(magnitude)
    cotangents = helpers.random_cotangents(sizes, 2, 3, np.float32)
    for _ in range(2):
        run = helpers.run_library(model, sizes, xs, state, cotangents)
        assert all(np.isfinite(array).all() for array in run.values())
        helpers.set_bias(model, sizes, read_keys=magnitude, write_key=magnitude)


@pytest.mark.parametrize("K", [0, 3])
def test_larger_sizes(K):
    """Sizes at which the library's sums run in another order than the reference's."""
    sizes = Sizes(X=9, Y=7, N=33, W=17, R=4, H=20, K=K)
    model = helpers.build(sizes, scale=0.2)
    assert_matches_reference(
        model, sizes, helpers.inputs(sizes, 2, 4), helpers.random_state(sizes, 2), rtol=1e-8
    )


@pytest.mark.parametrize("R", [1, 3])
@pytest.mark.parametrize("K", [0, 3])
def test_float32_is_as_exact_as_the_reference(K, R):
    """The error against the float64 reference is at most twice that of the float32 reference.

    Errors are root mean squares over several seeds, as the largest single error is luck, plus a
    floor for what rounds but once.
    """
    sizes = Sizes(N=12, R=R, K=K)
    ours, plain, scale = {}, {}, {}
    for seed in range(12):
        model = helpers.build(sizes, np.float32, seed, scale=0.4)
        xs = helpers.inputs(sizes, 1, 6, np.float32, seed)
        state = helpers.random_state(sizes, 1, np.float32, seed)
        cotangents = helpers.random_cotangents(sizes, 1, 6, np.float32, seed)
        arguments = (model, sizes, xs, state, cotangents)
        true = helpers.run_reference(*arguments, dtype=np.float64)
        runs = ((ours, helpers.run_library(*arguments)), (plain, helpers.run_reference(*arguments)))
        for name, expected in true.items():
            scale[name] = scale.get(name, 0) + np.square(expected).sum()
            for errors, run in runs:
                assert run[name].dtype == np.float32
                errors[name] = errors.get(name, 0) + np.square(run[name] - expected).sum()
    floor = np.finfo(np.float32).eps
    for name in scale:
        got, allowed = (np.sqrt(e[name] / scale[name]) for e in (ours, plain))
        assert got <= 2 * allowed + floor, (name, got, allowed)


@pytest.mark.gpu
@pytest.mark.parametrize("lengths", [None, [4, 0, 2]])
@pytest.mark.parametrize("K", [0, 3])
def test_gpu_values_and_gradients(K, lengths):
    sizes = Sizes(K=K)
    model = helpers.build(sizes)
    model.to_device("@cupy:0")
    xs = helpers.inputs(sizes, 3, 4)
    assert_matches_reference(model, sizes, xs, None, lengths)
    assert_matches_reference(model, sizes, xs, helpers.random_state(sizes, 3), lengths)


# The reference itself


@pytest.mark.parametrize("start", ["zero", "random"])
@pytest.mark.parametrize("R", [1, 3])
@pytest.mark.parametrize("K", [0, 1, 3, 6])
def test_the_two_references_agree(K, R, start):
    sizes, B, T, lengths = Sizes(R=R, K=K), 2, 5, [5, 3]
    model, xs = helpers.build(sizes), helpers.inputs(sizes, B, T)
    state = (helpers.random_state if start == "random" else helpers.zero_state)(sizes, B)
    arrays = helpers.run_reference(model, sizes, xs, state, lengths=lengths)
    params = {path: param.array.tolist() for path, param in model.namedparams()}
    for b, length in enumerate(lengths):
        first = {field: array[b].tolist() for field, array in state.items()}
        ys, final = reference_loops.unroll(params, xs[:length, b].tolist(), first, K)
        np.testing.assert_allclose(arrays["ys"][:length, b], ys, rtol=1e-12, atol=1e-14)
        assert not arrays["ys"][length:, b].any()
        for field in reference.FIELDS:
            np.testing.assert_allclose(
                arrays[f"final {field}"][b], final[field], rtol=1e-12, atol=1e-14, err_msg=field
            )


@pytest.mark.parametrize("K", [0, 3])
def test_the_gradients_of_the_reference_are_numeric(K):
    """Along a random direction of each input, by a difference quotient of fourth order."""
    sizes, B, T = Sizes(K=K), 1, 3
    model, rng = helpers.build(sizes), np.random.default_rng(4)
    arrays = {path: param.array for path, param in model.namedparams()}
    arrays.update(helpers.random_state(sizes, B), xs=helpers.inputs(sizes, B, T))
    cotangents = helpers.random_cotangents(sizes, B, T)
    kept_links = arrays["link"] > 0

    def total(variables):
        start = {field: variables[field] for field in reference.FIELDS}
        ys, final = reference.unroll(variables, variables["xs"], start, K)
        return sum(
            F.sum((ys if name == "ys" else final[name]) * g) for name, g in cotangents.items()
        )

    variables = {name: chainer.Variable(array) for name, array in arrays.items()}
    total(variables).backward()
    step = 1e-4
    for name, array in arrays.items():
        direction = rng.normal(size=array.shape)
        if name == "link":
            direction *= kept_links  # where a link is 0 the top K changes: no derivative

        def value(h, name=name, direction=direction):
            moved = {key: chainer.Variable(a) for key, a in arrays.items()}
            moved[name] = chainer.Variable(arrays[name] + h * direction)
            with chainer.no_backprop_mode():
                return float(total(moved).array)

        numeric = 8 * (value(step) - value(-step)) - (value(2 * step) - value(-2 * step))
        numeric /= 12 * step
        analytic = (variables[name].grad * direction).sum()
        np.testing.assert_allclose(analytic, numeric, rtol=1e-8, atol=1e-9, err_msg=name)
