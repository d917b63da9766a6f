"""What holds whatever the weights are: bounds, planted cases, symmetries, ways of running."""

import chainer
import chainer.functions as F
import helpers
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import reference
from helpers import Sizes

pytestmark = pytest.mark.usefixtures("backend")

OPEN, SHUT = 1000.0, -1000.0  # through a sigmoid exactly 1 and 0


@st.composite
def models(draw, kept=(0, 1, 2, 4)):
    """A small model with weights from tame to wild, inputs for a few steps, a state or None."""
    sizes = Sizes(
        X=draw(st.integers(1, 3)),
        Y=draw(st.integers(1, 3)),
        N=draw(st.integers(1, 7)),
        W=draw(st.integers(1, 4)),
        R=draw(st.integers(1, 3)),
        H=draw(st.integers(1, 4)),
        K=draw(st.sampled_from(kept)),
    )
    seed, B = draw(st.integers(0, 10**6)), draw(st.integers(1, 3))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    scale = draw(st.sampled_from([0.3, 1.0, 5.0, 30.0]))
    model = helpers.build(sizes, dtype, seed, scale)
    xs = helpers.inputs(sizes, B, draw(st.integers(1, 8)), dtype, seed)
    state = helpers.random_state(sizes, B, dtype, seed) if draw(st.booleans()) else None
    return sizes, model, xs, state


def each_state(model, sizes, xs, state):
    """Run step by step; after each step all of the state as NumPy arrays, the link densified."""
    model.set_state(None if state is None else helpers.library_state(sizes, state))
    for x in xs:
        with chainer.no_backprop_mode():  # not around the yield: it would leak out
            model(x)
        yield helpers.state_arrays(model.get_state())


def permuted(state, order):
    """The same state with the memory locations renumbered."""
    axes = {"memory": 1, "usage": 1, "precedence": 1, "write_weights": 1, "read_weights": 2}
    moved = {field: np.take(state[field], order, axis) for field, axis in axes.items()}
    moved["link"] = state["link"][:, order][:, :, order]
    return dict(state, **moved)


# Bounds


@hypothesis.given(models())
def test_bounds(case):
    sizes, model, xs, state = case
    slack = 20 * np.finfo(xs.dtype).eps
    for s in each_state(model, sizes, xs, state):
        for field in ("write_weights", "read_weights", "precedence"):
            assert s[field].min() >= -slack, field
            assert s[field].sum(-1).max() <= 1 + slack, field
        assert -slack <= s["usage"].min() and s["usage"].max() <= 1 + slack
        link = s["link"]
        assert link.min() >= -slack
        assert link.sum(1).max() <= 1 + slack and link.sum(2).max() <= 1 + slack
        assert not np.diagonal(link, axis1=1, axis2=2).any()
        if sizes.sparse:
            assert (link != 0).sum(2).max() <= sizes.K
        assert all(np.isfinite(array).all() for array in s.values())


@hypothesis.given(models(kept=(1, 2, 4)))
def test_the_sparse_link_is_never_above_the_dense_one(case):
    """Read by content alone, links do not feed back, so both models write the same all along."""
    sizes, sparse, xs, state = case
    helpers.set_bias(sparse, sizes, read_modes=[SHUT, OPEN, SHUT] * sizes.R)
    full = sizes._replace(K=0)
    dense = helpers.build(full, xs.dtype)
    for path, param in sparse.namedparams():
        dict(dense.namedparams())[path].array = param.array
    slack = 20 * np.finfo(xs.dtype).eps
    runs = [each_state(m, s, xs, state) for m, s in ((sparse, sizes), (dense, full))]
    for kept, whole in zip(*runs):
        np.testing.assert_allclose(kept["write_weights"], whole["write_weights"], atol=slack)
        assert (kept["link"] <= whole["link"] + slack).all()
        assert (kept["link"] >= -slack).all()


@pytest.mark.parametrize("K", [6, 7, 100])
def test_keeping_all_is_the_dense_matrix(K):
    sizes = Sizes(N=6)
    xs, state = helpers.inputs(sizes, 2, 4), helpers.random_state(sizes, 2)
    cotangents = helpers.random_cotangents(sizes, 2, 4)
    runs = []
    for s in (sizes, sizes._replace(K=K)):
        runs.append(helpers.run_library(helpers.build(s), s, xs, state, cotangents))
    for name in runs[0]:
        np.testing.assert_array_equal(runs[0][name], runs[1][name], name)


# Planted cases


@pytest.mark.parametrize("K", [0, 1, 3])
def test_one_hot_writes_are_linked_in_their_order(K):
    """From the precedence *before* the write; one updated too early makes every link 0 here."""
    sizes = Sizes(N=5, K=K)
    model = helpers.build(sizes)
    helpers.set_bias(model, sizes, allocation_gate=OPEN, write_gate=OPEN, free_gates=SHUT)
    expected = np.zeros((5, 5))
    for t, state in enumerate(each_state(model, sizes, helpers.inputs(sizes, 1, 5), None)):
        np.testing.assert_array_equal(state["write_weights"][0], np.eye(5)[t])
        np.testing.assert_array_equal(state["precedence"][0], np.eye(5)[t])
        np.testing.assert_array_equal(state["usage"][0], np.arange(5) < t)  # w counts a step later
        if t:
            expected[t, t - 1] = 1
        np.testing.assert_array_equal(state["link"][0], expected)


@pytest.mark.parametrize("K", [0, 1, 3])
def test_links_are_followed_forward_and_backward(K):
    sizes = Sizes(N=5, R=2, K=K)
    model = helpers.build(sizes)
    modes = [SHUT, SHUT, OPEN, OPEN, SHUT, SHUT]
    helpers.set_bias(model, sizes, write_gate=SHUT, free_gates=SHUT, read_modes=modes)
    state = helpers.zero_state(sizes, 1)
    state["link"][0, [1, 2, 3, 4], [0, 1, 2, 3]] = 1
    state["read_weights"][0, :, 2] = 1
    (after,) = each_state(model, sizes, helpers.inputs(sizes, 1, 1), state)
    np.testing.assert_array_equal(after["read_weights"][0], np.eye(5)[[3, 1]])


@pytest.mark.parametrize("K", [0, 2])
def test_a_full_write_and_a_free_gate(K):
    """A full write makes the usage 1; what was read at free gate 1 is unused a step later."""
    sizes = Sizes(N=4, R=1, K=K)
    model = helpers.build(sizes)
    helpers.set_bias(model, sizes, free_gates=OPEN)
    state = helpers.random_state(sizes, 1)
    state["write_weights"][:] = [1, 1, 0, 0]
    state["read_weights"][:] = [0, 1, 0, 1]
    (after,) = each_state(model, sizes, helpers.inputs(sizes, 1, 1), state)
    expected = [1, 0, state["usage"][0, 2], 0]
    np.testing.assert_array_equal(after["usage"][0], expected)


def test_an_erasing_write_replaces_the_row():
    sizes = Sizes(N=4)
    model = helpers.build(sizes)
    vector = [1.0, -2.0, 3.0, 0.0]
    helpers.set_bias(
        model, sizes, allocation_gate=OPEN, write_gate=OPEN, erase=OPEN, write_vector=vector
    )
    helpers.set_bias(model, sizes, free_gates=SHUT)
    state = helpers.random_state(sizes, 1)
    state["usage"][:] = [1, 1, 0, 1]
    state["write_weights"][:] = 0
    (after,) = each_state(model, sizes, helpers.inputs(sizes, 1, 1), state)
    expected = state["memory"].copy()
    expected[0, 2] = vector
    np.testing.assert_array_equal(after["memory"], expected)


def write_with_gates(model, sizes, gates):
    """One step for each write gate, all by allocation, nothing ever freed: the state after each."""
    helpers.set_bias(model, sizes, allocation_gate=OPEN, free_gates=SHUT)
    for gate, x in zip(gates, helpers.inputs(sizes, 1, len(gates))):
        helpers.set_bias(model, sizes, write_gate=OPEN if gate == 1 else np.log(gate / (1 - gate)))
        with chainer.no_backprop_mode():
            model(x[:1])
        yield helpers.state_arrays(model.get_state())


def test_departure_links_are_not_normalised():
    """Why the sparse link does not divide by the kept sums as the paper's does.

    One write at gate 1, then 39 at gate 0.01. Normalised, each of the 39 counts as a whole write,
    and the column of the first location sums to more than 30; here it sums to no more than 1.
    """
    sizes = Sizes(N=40, W=3, R=1, K=8)
    model = helpers.build(sizes)
    link, precedence = np.zeros((40, 40)), np.zeros(40)  # the paper's
    for state in write_with_gates(model, sizes, [1] + [0.01] * 39):
        write = state["write_weights"][0]
        w_hat, p_hat = (keep_and_normalise(v, sizes.K) for v in (write, precedence))
        link = (1 - w_hat[:, None] - w_hat) * link + np.outer(w_hat, p_hat)
        link[link < 1 / sizes.K] = 0
        np.fill_diagonal(link, 0)
        precedence = (1 - write.sum()) * precedence + write
    assert link.sum(0).max() > 30
    assert state["link"].sum(1).max() <= 1
    np.testing.assert_allclose(state["link"][0, 1:, 0], 0.01 * 0.99 ** np.arange(39), rtol=0.1)


def keep_and_normalise(v, K):
    kept = np.where(reference.top(v, K), v, 0)
    return kept / kept.sum() if kept.any() else kept


# Symmetries and ways of running


@pytest.mark.parametrize("K", [0, 1, 3])
def test_permuting_the_locations_changes_no_output(K):
    sizes = Sizes(K=K)
    model, xs = helpers.build(sizes), helpers.inputs(sizes, 2, 6)
    state, order = helpers.random_state(sizes, 2), np.array([3, 0, 5, 1, 2, 4])
    cotangents = helpers.random_cotangents(sizes, 2, 6)
    plain = helpers.run_library(model, sizes, xs, state, {"ys": cotangents["ys"]})
    moved = helpers.run_library(model, sizes, xs, permuted(state, order), {"ys": cotangents["ys"]})
    final = {field: plain[f"final {field}"] for field in reference.FIELDS}
    for field, expected in permuted(final, order).items():
        np.testing.assert_allclose(moved[f"final {field}"], expected, rtol=1e-9, atol=1e-12)
    same = ["ys", "gradient of xs", "gradient of c", "gradient of read_vectors"]
    same += [f"gradient of {path}" for path, _ in model.namedparams()]
    helpers.assert_same({name: moved[name] for name in same}, {name: plain[name] for name in same})


@pytest.mark.parametrize("lengths", [None, [3, 5, 0]])
@pytest.mark.parametrize("K", [0, 3])
def test_a_batch_is_its_sequences_one_by_one(K, lengths):
    sizes, B, T = Sizes(K=K), 3, 5
    model, xs = helpers.build(sizes), helpers.inputs(sizes, B, T)
    state = helpers.random_state(sizes, B)
    cotangents = helpers.random_cotangents(sizes, B, T)
    batch = helpers.run_library(model, sizes, xs, state, cotangents, lengths)
    time_first = ("ys", "gradient of xs")
    summed = {f"gradient of {path}": 0 for path, _ in model.namedparams()}
    for b in range(B):
        one = helpers.run_library(
            model,
            sizes,
            xs[:, b : b + 1],
            {field: array[b : b + 1] for field, array in state.items()},
            {n: g[:, b : b + 1] if n == "ys" else g[b : b + 1] for n, g in cotangents.items()},
            None if lengths is None else lengths[b : b + 1],
        )
        for name in summed:
            summed[name] = summed[name] + one.pop(name)
        helpers.assert_same(
            {n: batch[n][:, b : b + 1] if n in time_first else batch[n][b : b + 1] for n in one},
            one,
        )
    helpers.assert_same({name: batch[name] for name in summed}, summed)


def run_in_chunks(model, sizes, xs, state, cotangents, chunks):
    """Fed in chunks, None being a single step: the results as run_library gives them."""
    model.cleargrads()
    start = helpers.library_state(sizes, state, chainer.Variable)
    model.set_state(start)
    v = chainer.Variable(xs)
    ys, t = [], 0
    for chunk in chunks:
        if chunk is None:
            ys.append(model(v[t])[None])
            t += 1
        else:
            ys.append(model.unroll(v[t : t + chunk]))
            t += chunk
    ys, final = F.concat(ys, axis=0), model.get_state()
    helpers.weighted_sum(ys, final, cotangents).backward()
    results = {"ys": ys.array, "gradient of xs": v.grad}
    results.update({f"final {f}": array for f, array in helpers.state_arrays(final).items()})
    results.update({f"gradient of {path}": p.grad for path, p in model.namedparams()})
    for field in reference.FIELDS:
        leaf = helpers.differentiable_link(start) if field == "link" else getattr(start, field)
        results[f"gradient of {field}"] = helpers.gradient(leaf)
    return results


@pytest.mark.parametrize("chunks", [[None] * 6, [1] * 6, [2, None, 3], [None, 5]])
@pytest.mark.parametrize("K", [0, 3])
def test_unroll_is_its_steps(K, chunks):
    sizes, B, T = Sizes(K=K), 2, 6
    model, xs = helpers.build(sizes), helpers.inputs(sizes, B, T)
    state = helpers.random_state(sizes, B)
    cotangents = helpers.random_cotangents(sizes, B, T)
    whole = helpers.run_library(model, sizes, xs, state, cotangents)
    parts = run_in_chunks(model, sizes, xs, state, cotangents, chunks)
    helpers.assert_same(parts, whole, rtol=1e-10)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("K", [0, 3])
def test_a_batch_may_shrink_and_grow_back(K, whole):
    """Sequences that are not fed keep their state, and gradients pass through that."""
    sizes, fed = Sizes(K=K), [3, 2, 1, 3]
    model, xs = helpers.build(sizes), helpers.inputs(sizes, 3, 4)
    state = helpers.random_state(sizes, 3)
    cotangents = helpers.random_cotangents(sizes, 3, 4)
    start = helpers.library_state(sizes, state, chainer.Variable)
    model.set_state(start)
    model.cleargrads()
    total = 0
    for t, b in enumerate(fed):
        y = model.unroll(xs[t : t + 1, :b])[0] if whole else model(xs[t, :b])
        assert y.shape == (b, sizes.Y)
        assert model.get_state().h.shape == (3, sizes.H)
        total += F.sum(y * cotangents["ys"][t, :b])
    final = model.get_state()
    cotangents.pop("ys")
    (total + helpers.weighted_sum(None, final, cotangents)).backward()
    got = {f"final {f}": array for f, array in helpers.state_arrays(final).items()}
    got.update({f"gradient of {path}": p.grad for path, p in model.namedparams()})
    got["gradient of memory"] = start.memory.grad

    # The same by the reference: each sequence alone over the steps that it was fed in.
    params = {path: chainer.Variable(p.array) for path, p in model.namedparams()}
    leaves = {field: chainer.Variable(array) for field, array in state.items()}
    total, ends = 0, []
    ys_cotangent = helpers.random_cotangents(sizes, 3, 4)["ys"]
    for b in range(3):
        current = {field: v[b] for field, v in leaves.items()}
        for t in range(4):
            if b < fed[t]:
                y, current = reference.step(params, current, chainer.Variable(xs[t, b]), K)
                total += F.sum(y * ys_cotangent[t, b])
        ends.append(current)
        total += sum(F.sum(current[field] * cotangents[field][b]) for field in cotangents)
    total.backward()
    want = {f"final {f}": np.stack([e[f].array for e in ends]) for f in reference.FIELDS}
    want.update({f"gradient of {path}": v.grad for path, v in params.items()})
    want["gradient of memory"] = leaves["memory"].grad
    helpers.assert_same(got, want)


# Everything is reached


@pytest.mark.parametrize("R", [1, 3])
@pytest.mark.parametrize("K", [0, 2])
def test_every_parameter_and_every_part_of_the_interface_learns(K, R):
    """From the outputs alone, from the zero state, and number by number: nothing is detached."""
    sizes = Sizes(R=R, K=K)
    model = helpers.build(sizes, seed=8)
    cotangents = helpers.random_cotangents(sizes, 2, 5)
    run = helpers.run_library(
        model, sizes, helpers.inputs(sizes, 2, 5), None, {"ys": cotangents["ys"]}
    )
    for path, _ in model.namedparams():
        assert run[f"gradient of {path}"].all(), path
    for name, rows in helpers.interface_rows(sizes).items():
        largest = np.abs(run["gradient of /controller/linear/b"][rows]).min()
        assert largest > 1e-12, name


def test_what_is_read_reaches_the_controller_one_step_later():
    sizes = Sizes()
    model, xs = helpers.build(sizes), helpers.inputs(sizes, 1, 2)
    state, seen = helpers.random_state(sizes, 1), []
    for memory in (state["memory"], state["memory"][:, ::-1].copy()):
        seen.append(list(each_state(model, sizes, xs, dict(state, memory=memory))))
    (first, second), (other_first, other_second) = seen
    np.testing.assert_array_equal(first["h"], other_first["h"])
    assert (first["read_vectors"] != other_first["read_vectors"]).all()
    assert (second["h"] != other_second["h"]).all()
