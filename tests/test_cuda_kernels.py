"""The kernels in CUDA C++ against the plain functions: on a GPU, or run as C++ by the stand-in."""

import os
import warnings

import chainer
import helpers
import numpy as np
import pytest
from chainer.backends import cuda
from helpers import Sizes
from test_backends import run_step, states, ties_zeros_and_ones, widen
from test_gpu import assert_the_baseline_is_the_same

from lib.arrays import inverse_norms
from lib.kernels import backends, cuda_check, cuda_large, cuda_source, cuda_step
from lib.memory.sparse_linkage import SparseLink

pytestmark = pytest.mark.gpu
ON_STAND_IN = "DNC_TEST_CUPY" in os.environ
if ON_STAND_IN:
    from stand_in import kernels as stand_in_kernels
TOLERANCE = {"d": {"rtol": 1e-9}, "f": {"rtol": 3e-4, "atol": 1e-6}}


@pytest.fixture(autouse=True)
def on_cuda():
    with chainer.using_config("dnc_backend", "cuda"):
        yield


def forget():
    """Have kernels compiled, and looked at, anew."""
    for found in cuda_source._kernel, cuda_source._module, cuda_check._problem, cuda_check._warn:
        found.cache_clear()


@pytest.fixture
def fresh():
    """Nothing is known of kernels, before and after."""
    forget()
    yield
    forget()


def send(x):
    if isinstance(x, tuple):
        return getattr(x, "_make", tuple)(map(send, x))
    return cuda.cupy.asarray(x)


def split(monkeypatch, locations, most=128):
    """All memories take the kernels of large ones, with about so many locations a block."""
    monkeypatch.setattr(cuda_step, "MOST_LOCATIONS", {4: 0, 8: 0})
    monkeypatch.setattr(cuda_check, "checked_N", lambda N, dtype: N)
    monkeypatch.setattr(cuda_large, "LEAST_LOCATIONS", locations)
    monkeypatch.setattr(cuda_large, "MOST_BLOCKS", most)
    monkeypatch.setattr(cuda_large, "THREADS", 64)


@pytest.fixture(params=["one block", "several"])
def way(request, monkeypatch):
    """Which of the two ways a step takes."""
    if request.param == "several":
        split(monkeypatch, 4)


class OnGPU:
    """The kernels as a backend, whose gradients come from the host."""

    @staticmethod
    def step(state, scales, xi):
        module = cuda_check.steps_for(state.usage.shape[1], xi.dtype)
        return module.step(state, scales, xi)

    @staticmethod
    def step_backward(trace, g, g_vectors):
        module = cuda_check.steps_for(trace.shape.N, trace.row_scales.dtype)
        return module.step_backward(trace, send(g), send(g_vectors))


def run_kernels(arguments):
    return {name: helpers.host(array) for name, array in run_step(OnGPU, *send(arguments)).items()}


def assert_as_plain(arguments, dtype="d"):
    helpers.assert_same(
        run_kernels(arguments), run_step(backends.PLAIN, *arguments), **TOLERANCE[dtype]
    )


SHAPES = [
    Sizes(N=2, W=1, R=1, K=1),
    Sizes(N=7, W=3, R=2),
    Sizes(N=37, W=5, R=3, K=4),
    Sizes(N=37, W=5, R=3, K=36),
    Sizes(N=128, W=40, R=1),
    Sizes(N=128, W=9, R=5, K=8),
    Sizes(N=600, W=4, R=2, K=8),
]


@pytest.mark.parametrize("dtype", "df")
@pytest.mark.parametrize("sizes", SHAPES, ids=lambda s: f"N{s.N}-W{s.W}-R{s.R}-K{s.K}")
def test_a_memory_step(sizes, dtype, way):
    for B in (1, 3):
        assert_as_plain(states(sizes, B, np.dtype(dtype).type), dtype)


@pytest.mark.parametrize("N", [1, 2, 3])
def test_the_smallest_memories(N, way):
    assert_as_plain(states(Sizes(N=N, W=2, R=1), 2, np.float64))


def test_more_locations_than_threads_in_order_and_out_of_it(way):
    """Usages next to 1, so that every rank shows, in ascending and in descending order."""
    state, scales, xi = states(Sizes(N=700, W=3, R=1), 2, np.float64)
    usage = np.linspace(0.99, 0.9999, 700)
    state.usage[0], state.usage[1] = usage, usage[::-1]
    state.write_weights[...] *= 1e-3
    state.read_weights[...] *= 1e-3
    assert_as_plain((state, scales, xi))


@pytest.mark.parametrize("K", [0, 4])
def test_ties_zeros_and_ones(K, way):
    assert_as_plain(ties_zeros_and_ones(K))


@pytest.mark.parametrize("length", [1e-30, 1e30])
def test_rows_whose_square_is_no_float32(length, way):
    state, _, xi = states(Sizes(N=20, W=5, R=2, K=3), 2, np.float32)
    state.memory[:, ::2] *= np.float32(length)
    xi[:, :5] *= np.float32(length)
    arguments = state, inverse_norms(state.memory), xi
    with np.errstate(all="ignore"):
        exact = run_step(backends.PLAIN, *map(widen, arguments))
        got = run_kernels(arguments)
    assert all(np.isfinite(array).all() for array in got.values())
    for name in ("write_weights", "read_weights", "usage", "values", "gradient of read_weights"):
        np.testing.assert_allclose(got[name], exact[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("K", [0, 8])
def test_single_precision_is_as_good_as_the_plain_one(K, way):
    errors = {"plain": 0.0, "cuda": 0.0}
    arguments = states(Sizes(N=256, W=64, R=4, K=K), 1, np.float32)
    exact = run_step(backends.PLAIN, *map(widen, arguments))
    for name, got in (
        ("plain", run_step(backends.PLAIN, *arguments)),
        ("cuda", run_kernels(arguments)),
    ):
        for field, want in exact.items():
            error = np.abs(got[field] - want).max() / np.abs(want).max()
            errors[name] = max(errors[name], error)
    assert errors["cuda"] <= 2 * errors["plain"] + 1e-6


@pytest.mark.parametrize("field", ["memory", "usage", "precedence", "write_weights"])
def test_nan_harms_nothing_but_numbers(field, way):
    """No index that it leads to may name a place outside of an array."""
    state, scales, xi = states(Sizes(N=20, W=3, R=2, K=4), 2, np.float64)
    getattr(state, field)[0, 3:9] = np.nan
    after, _, trace = OnGPU.step(*send((state, scales, xi)))
    assert isinstance(after.link, SparseLink)
    columns, order, kept = (
        helpers.host(x) for x in (after.link.columns, trace.step.order, trace.step.kept)
    )
    assert columns.min() >= 0 and columns.max() < 20
    assert (np.sort(order) == np.arange(20)).all()
    assert kept.min() >= -1 and kept[:, :, :2].min() >= 0 and kept.max() < 20
    assert np.isfinite(helpers.host(after.memory)[1]).all()


# The whole link


@pytest.mark.parametrize("options", [{}, {"cell_clip": 0.5, "bounded_reads": True}])
@pytest.mark.parametrize("lengths", [None, [4, 0, 2]])
@pytest.mark.parametrize("K", [0, 3])
def test_the_link_against_the_reference(K, lengths, options, way):
    sizes = Sizes(K=K)
    model = helpers.build(sizes, **options)
    model.to_device("@cupy:0")
    xs = helpers.inputs(sizes, 3, 4)
    for state in (None, helpers.random_state(sizes, 3)):
        helpers.assert_matches_reference(model, sizes, xs, state, lengths)


def test_the_kernels_run_where_they_are_asked_for():
    float32 = cuda.cupy.empty(1, "f")
    assert backends.backend_for(float32, 3, (6, 4, 2)).name == "cuda"
    for choice in ("auto", "numpy"):
        with chainer.using_config("dnc_backend", choice):
            assert backends.backend_for(float32, 3, (6, 4, 2)).name == "numpy"


@pytest.mark.parametrize("dtype, most", [("f", 4096), ("d", 2048)])
def test_the_largest_memory(dtype, most):
    itemsize = np.dtype(dtype).itemsize
    assert cuda_step.fits(most, itemsize) and not cuda_step.fits(most + 1, itemsize)
    assert max(cuda_step.shared_memory(most, 64, itemsize)) <= cuda_step.SHARED_MEMORY


def test_the_baseline_has_the_cell():
    assert_the_baseline_is_the_same()


@pytest.mark.two_gpus
def test_on_the_second_device(fresh, way):
    sizes = Sizes(K=3)
    model = helpers.build(sizes)
    model.to_device("@cupy:1")
    ys = model.unroll(model.device.send(helpers.inputs(sizes, 2, 3)))
    model.cleargrads()
    ys.grad = model.device.send(np.ones(ys.shape))
    ys.backward()
    assert ys.array.device.id == 1
    model.to_device("@cupy:0")
    model.unroll(model.device.send(helpers.inputs(sizes, 2, 3)))


# What fails on somebody's GPU

WRONG = {
    "precedence": ("(1 - total) * s.precedence[n]", "(1 + total) * s.precedence[n]"),
    "gradient of usage": ("g * before * (1 - w)", "g * before"),
    "gradient of xi": ("? y * (1 - y) : 1", "? y : 1"),
    "gradient of c": ("g_before[at] = g_new * f", "g_before[at] = g_new * o"),
    "fail": ("real g_a =", "real g_a = no such thing;"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("K", [0, 3])
def test_wrong_kernels_are_found_out_and_not_used(what, K, fresh, monkeypatch, way):
    right = cuda_source.source
    assert WRONG[what][0] in right("f")
    monkeypatch.setattr(cuda_source, "source", lambda char: right(char).replace(*WRONG[what]))
    with pytest.warns(RuntimeWarning, match=f"not used on GPU 0: .*{what}.*plain code"):
        backend = backends.backend_for(cuda.cupy.empty(1, "f"), K, (6, 4, 2))
    assert backend is backends.PLAIN
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        assert backends.backend_for(cuda.cupy.empty(1, "f"), K, (6, 4, 2)) is backends.PLAIN


# Of the links and of the look-ups, whose part in a step of flat weightings is small.
FAINT = [
    ("value += s.new_write[i] * s.precedence[Q[found.q]]", "value += 0"),
    (
        "i == j ? 0 : ((1 - s.new_write[i]) - s.new_write[j]) * s.link[at]",
        "i == j ? 0 : s.link[at]",
    ),
    ("atomicAdd(s.g_written + i, entry * s.precedence[j]);", ""),
    ("atomicAdd(s.g_precedence + j, entry * s.new_write[i]);", ""),
    ("atomicAdd(s.g_written + j, -from_old);", ""),
    ("along - radial * scale * (row[w] * scale)", "along"),
    ("-g_active(s, i) * expm1(1 - y)", "g_active(s, i)"),
]


@pytest.mark.slow
@pytest.mark.parametrize("wrong, by", FAINT, ids=range(len(FAINT)))
def test_faint_mistakes_are_found_out_in_large_memories(wrong, by, fresh, monkeypatch):
    right = cuda_source.source
    assert wrong in right("f")
    monkeypatch.setattr(cuda_source, "source", lambda char: right(char).replace(wrong, by))
    for N in (256, 4097):
        assert cuda_check.first_difference("f", 8, (N, 16, 2)) is not None, N


@pytest.mark.parametrize("K, sizes", [(65, (300, 4, 2)), (0, (2**26, 64, 4)), (3, (9, 2**26, 32))])
def test_beyond_the_limits_the_plain_code_runs_and_it_is_said(K, sizes, fresh):
    with pytest.warns(
        RuntimeWarning, match=r"not used on GPU 0: they have their limits: .*65|2147"
    ):
        assert backends.backend_for(cuda.cupy.empty(1, "f"), K, sizes) is backends.PLAIN


def test_where_memory_is_missing_it_is_looked_at_again(fresh, monkeypatch):
    def full(*arguments):
        raise MemoryError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(cuda_check, "first_difference", full)
        with pytest.warns(RuntimeWarning, match="no memory to look at them: out of memory"):
            assert backends.backend_for(cuda.cupy.empty(1, "f"), 3, (6, 4, 2)) is backends.PLAIN
    assert backends.backend_for(cuda.cupy.empty(1, "f"), 3, (6, 4, 2)).name == "cuda"


@pytest.mark.parametrize("wrong", ["all", "linear", "read_out", "short"])
def test_parameters_of_another_form_are_refused(wrong, way):
    """As the plain code refuses them: the kernels would write outside of their arrays."""
    sizes = Sizes(K=3)
    model = helpers.build(sizes, np.float32)
    for path, param in model.namedparams():
        if wrong == "all" or wrong in path:
            param.array = param.array.astype("d")
        if wrong == "short" and "controller/linear" in path:
            param.array = param.array[:-6].copy()
    model.to_device("@cupy:0")
    with pytest.raises((TypeError, ValueError)):
        ys = model.unroll(model.device.send(helpers.inputs(sizes, 2, 3, np.float32)))
        ys.grad = model.device.send(np.ones(ys.shape, ys.dtype))
        ys.backward()


@pytest.mark.parametrize(
    "dtype, K, sizes", [("f", 8, (256, 64, 4)), ("f", 0, (64, 16, 4)), ("d", 3, (6, 4, 2))]
)
def test_the_check_passes_with_each_of_its_draws(dtype, K, sizes, monkeypatch, way):
    default_rng = np.random.default_rng
    for seed in range(3):
        monkeypatch.setattr(np.random, "default_rng", lambda given, seed=seed: default_rng(seed))
        assert cuda_check.first_difference(dtype, K, sizes) is None


# What only the stand-in can do


@pytest.mark.stand_in
@pytest.mark.parametrize("schedule", [1, 2, 3, 4])
@pytest.mark.parametrize("K", [0, 4])
def test_threads_in_another_order(K, schedule, monkeypatch, way):
    arguments = states(Sizes(N=130, W=5, R=3, K=K), 2, np.float64)
    first = run_kernels(arguments)
    monkeypatch.setattr(stand_in_kernels.RawModule, "schedule", schedule)
    helpers.assert_same(run_kernels(arguments), first, rtol=1e-12)


@pytest.mark.stand_in
def test_launches_of_a_step_with_the_kernels():
    from test_gpu_counts import build, of_a_step, unrolled

    for K in (0, 8):
        step, once = of_a_step(build(K, cell_clip=None), unrolled)
        for counts in step:
            assert counts["wait"] == counts["upload"] == counts["sort"] == 0
        assert [counts["launch"] for counts in step] == [12, 9]
        assert all(counts["upload"] == 0 for counts in once)
