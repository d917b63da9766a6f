"""The tests are tested: each of these mistakes, planted in the library, must be caught.

The first group must fail the comparison with the reference at an ordinary random point. The second
is right at random points and wrong at planted zeros, ones or ties alone, which is why those are
test inputs.
"""

import chainer
import helpers
import numpy as np
import pytest
from helpers import Sizes, assert_matches_reference

from lib.graph import sequence
from lib.kernels import backends
from lib.memory import (
    activations,
    allocation,
    bounds,
    content,
    heads,
    interface,
    linkage,
    sorting,
    sparse_linkage,
)


@pytest.fixture(autouse=True)
def plain_backend():
    """The bugs are planted in the plain functions, so these must run."""
    with chainer.using_config("dnc_backend", "numpy"):
        yield


LINKS = {0: linkage, 3: sparse_linkage}  # by K


def wrap(monkeypatch, module, name, change):
    """Replace a function by ``change(the function, its arguments)``."""
    right = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *arguments: change(right, *arguments))


def wrap_step(monkeypatch, name, change):
    """The same for a function that is called by way of the plain backend."""
    right = getattr(backends.PLAIN, name)
    changed = {name: lambda *arguments: change(right, *arguments)}
    monkeypatch.setattr(backends, "PLAIN", backends.PLAIN._replace(**changed))


def without(position):
    """The gradient at this position of what a function returns is lost: its input is detached."""

    def change(right, *arguments):
        gradients = list(right(*arguments))
        gradients[position] = np.zeros_like(gradients[position])
        return tuple(gradients)

    return change


# Wrong everywhere


def precedence_updated_before_the_link(patch, K):
    def change(right, link, precedence, write_weights):
        return right(link, linkage.update_precedence(precedence, write_weights), write_weights)

    wrap(patch, LINKS[K], "update_link", change)


def forward_and_backward_swapped(patch, K):
    forward, backward = LINKS[K].forward_weighting, LINKS[K].backward_weighting
    patch.setattr(LINKS[K], "forward_weighting", backward)
    patch.setattr(LINKS[K], "backward_weighting", forward)


def diagonal_kept(patch, K):
    def outer_product(S, Q, w, p):
        return np.take_along_axis(w, S, 1)[:, :, None] * np.take_along_axis(p, Q, 1)[:, None]

    patch.setattr(linkage, "clear_diagonal", lambda x: None)
    patch.setattr(sparse_linkage, "outer_product", outer_product)
    patch.setattr(sparse_linkage, "off_diagonal", lambda columns: np.ones(columns.shape, bool))


def precedence_never_fades(patch, K):
    wrap(patch, linkage, "update_precedence", lambda right, p, w: p + w)


def read_modes_in_another_order(patch, K):
    def change(right, modes, backward, recalled, forward):
        return right(modes[:, :, ::-1], backward, recalled, forward)

    wrap(patch, heads, "read_weighting", change)


def softplus_for_oneplus(patch, K):
    wrap(patch, interface, "oneplus", lambda right, x: right(x) - 1)


def erased_after_writing(patch, K):
    def change(right, M, w, erase, vector):
        return (M + w[:, :, None] * vector[:, None]) * (1 - w[:, :, None] * erase[:, None])

    wrap(patch, heads, "write", change)


def usage_without_the_last_write(patch, K):
    def change(right, usage, write_weights, retained):
        return right(usage, 0 * write_weights, retained)

    wrap(patch, allocation, "update_usage", change)


def interface_cut_in_another_order(patch, K):
    def change(right, xi, W, R):
        i = right(xi, W, R)
        return i._replace(allocation_gate=i.write_gate, write_gate=i.allocation_gate)

    wrap(patch, interface, "parse", change)


def keys_detached(patch, K):
    wrap(patch, content, "content_weighting_backward", without(1))


def strengths_detached(patch, K):
    wrap(patch, content, "content_weighting_backward", without(2))


def usage_detached(patch, K):
    def change(right, trace, g):
        return np.zeros_like(right(trace, g))

    wrap(patch, allocation, "allocation_backward", change)


def free_gates_detached(patch, K):
    wrap(patch, allocation, "retention_backward", without(0))


def precedence_detached(patch, K):
    wrap(patch, LINKS[K], "update_link_backward", without(1))


def links_detached_from_the_write(patch, K):
    wrap(patch, LINKS[K], "update_link_backward", without(2))


def cell_detached(patch, K):
    wrap_step(patch, "cell_backward", without(0))


def whole_product_in_the_gradient_of_one_factor(patch, K):
    def change(right, x):
        return np.broadcast_to(x.prod(axis=1, keepdims=True), x.shape)

    wrap(patch, allocation, "product_of_others", change)


def sigmoid_slope_too_steep(patch, K):
    wrap(patch, interface, "sigmoid_backward", lambda right, y, gy: gy * y)


def softmax_gradient_without_its_mean(patch, K):
    wrap(patch, activations, "softmax_backward", lambda right, y, gy: y * gy)
    patch.setattr(interface, "softmax_backward", activations.softmax_backward)


def read_vectors_of_the_first_step_forever(patch, K):
    """The controller is fed what was read before the sequence at every step."""
    first = []

    def change(right, *arguments):
        after, read_vectors, trace = right(*arguments)
        first.append(read_vectors)
        return after, first[0], trace

    wrap_step(patch, "step", change)


def last_step_left_out_of_the_gradients(patch, K):
    def change(right, records):
        records[0].g_out[-2:] = 0  # of the two sequences
        return right(records)

    wrap(patch, sequence, "parameter_gradients", change)


EVERYWHERE = [
    precedence_updated_before_the_link,
    forward_and_backward_swapped,
    diagonal_kept,
    precedence_never_fades,
    read_modes_in_another_order,
    softplus_for_oneplus,
    erased_after_writing,
    usage_without_the_last_write,
    interface_cut_in_another_order,
    keys_detached,
    strengths_detached,
    usage_detached,
    free_gates_detached,
    precedence_detached,
    links_detached_from_the_write,
    cell_detached,
    whole_product_in_the_gradient_of_one_factor,
    sigmoid_slope_too_steep,
    softmax_gradient_without_its_mean,
    read_vectors_of_the_first_step_forever,
    last_step_left_out_of_the_gradients,
]


def compare_at_a_random_point(K):
    sizes = Sizes(K=K)
    xs, state = helpers.inputs(sizes, 2, 3), helpers.random_state(sizes, 2)
    assert_matches_reference(helpers.build(sizes), sizes, xs, state)


@pytest.mark.parametrize("K", sorted(LINKS))
@pytest.mark.parametrize("plant", EVERYWHERE, ids=lambda plant: plant.__name__)
def test_caught_at_a_random_point(monkeypatch, plant, K):
    compare_at_a_random_point(K)
    plant(monkeypatch, K)
    with pytest.raises(AssertionError, match="off by"):
        compare_at_a_random_point(K)


# Wrong with the options alone


def clip_passes_all_gradients(patch):
    wrap(patch, bounds, "clip", lambda right, c, limit: (right(c, limit)[0], None))


def clipped_state_handed_out(patch):
    def change(right, c, z):
        new, h, trace = right(c, z)
        return np.clip(new, -CLIP, CLIP), h, trace

    wrap_step(patch, "cell", change)


def scale_of_the_reads_detached(patch):
    def change(right, reads, g_fed, bounded):
        return g_fed * bounds.feed_scale(reads)

    wrap(patch, bounds, "feed_backward", change)


def each_head_by_its_own_norm(patch):
    def change(right, reads):
        heads = reads.reshape(*reads.shape[:-1], -1, Sizes().W)
        return np.repeat(right(heads)[..., 0], Sizes().W, axis=-1)

    wrap(patch, bounds, "feed_scale", change)


def weights_think_the_reads_were_fed_unbounded(patch):
    def change(right, reads, bounded):
        return reads if reads.ndim == 3 else right(reads, bounded)  # a sequence, a step

    wrap(patch, bounds, "feed", change)


CLIP = 0.4
WITH_OPTIONS = [
    clip_passes_all_gradients,
    clipped_state_handed_out,
    scale_of_the_reads_detached,
    each_head_by_its_own_norm,
    weights_think_the_reads_were_fed_unbounded,
]


def compare_with_options():
    sizes = Sizes()
    xs, state = helpers.inputs(sizes, 2, 3), helpers.random_state(sizes, 2)
    model = helpers.build(sizes, cell_clip=CLIP, bounded_reads=True)
    assert_matches_reference(model, sizes, xs, state)


@pytest.mark.parametrize("plant", WITH_OPTIONS, ids=lambda plant: plant.__name__)
def test_caught_with_the_options(monkeypatch, plant):
    compare_with_options()
    plant(monkeypatch)
    with pytest.raises(AssertionError, match="off by"):
        compare_with_options()


# Wrong at zeros, ones and ties alone


def with_an_unused_location(sizes, state):
    state["usage"][:, 3] = state["write_weights"][:, 3] = 0
    return helpers.build(sizes)


def with_a_location_freed_whole(sizes, state):
    model = helpers.build(sizes)
    helpers.set_bias(model, sizes, free_gates=1000)
    state["read_weights"][:, 0] = np.eye(sizes.N)[2]
    return model


def with_an_empty_location(sizes, state):
    state["memory"][:, 1] = 0
    return helpers.build(sizes)


def with_equal_usages(sizes, state):
    for field in ("usage", "write_weights", "read_weights"):
        state[field][..., 4] = state[field][..., 1]
    return helpers.build(sizes)


def allocation_gradient_that_divides(patch):
    """Right for u > 0: the sum over j > k of g_j (1 - u_j) P_j, divided by u_k."""

    def change(right, trace, g_weights):
        u, P = trace.usage, trace.products
        g = np.take_along_axis(g_weights, trace.order, 1)
        later = np.cumsum((g * (1 - u) * P)[:, ::-1], axis=1)[:, ::-1] - g * (1 - u) * P
        g_sorted = later / np.where(u == 0, 1, u) - g * P
        g_usage = np.empty_like(g_sorted)
        np.put_along_axis(g_usage, trace.order, g_sorted, 1)
        return g_usage

    wrap(patch, allocation, "allocation_backward", change)


def retention_gradient_that_divides(patch):
    def change(right, x):
        return x.prod(axis=1, keepdims=True) / np.where(x == 0, 1, x)

    wrap(patch, allocation, "product_of_others", change)


def zero_rows_with_a_small_number_added(patch):
    def change(right, vectors):
        return 1 / np.maximum(np.sqrt((vectors**2).sum(-1)), 1e-8)

    wrap(patch, content, "inverse_norms", change)


def later_location_first_among_equals(patch):
    def change(right, x):
        return x.shape[-1] - 1 - right(x[..., ::-1])

    wrap(patch, sorting, "stable_argsort", change)
    for module in (allocation, sparse_linkage):
        patch.setattr(module, "stable_argsort", sorting.stable_argsort)


AT_SPECIAL_POINTS = [
    (allocation_gradient_that_divides, with_an_unused_location),
    (retention_gradient_that_divides, with_a_location_freed_whole),
    (zero_rows_with_a_small_number_added, with_an_empty_location),
    (later_location_first_among_equals, with_equal_usages),
]


@pytest.mark.parametrize("plant, point", AT_SPECIAL_POINTS, ids=lambda f: f.__name__)
def test_caught_at_a_special_point(monkeypatch, plant, point):
    sizes = Sizes()
    state, xs = helpers.random_state(sizes, 2), helpers.inputs(sizes, 2, 1)
    model = point(sizes, state)
    assert_matches_reference(model, sizes, xs, state)
    plant(monkeypatch)
    compare_at_a_random_point(0)
    with pytest.raises(AssertionError, match="off by"):
        assert_matches_reference(model, sizes, xs, state)


def test_a_state_overwritten_in_place_is_caught(monkeypatch):
    """Outputs and gradients may come out right all the same: only a look at the old state tells."""

    def change(right, memory, *rest):
        memory[...] = right(memory, *rest)
        return memory

    sizes = Sizes()
    model, xs = helpers.build(sizes), helpers.inputs(sizes, 2, 2)
    model(xs[0])
    state = model.get_state()
    before = state.memory.array.copy()
    wrap(monkeypatch, heads, "write", change)
    model(xs[1])
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(state.memory.array, before)
