"""The CUDA kernels for large memories, several blocks a sequence; in test_cuda_kernels too."""

import re

import helpers
import numpy as np
import pytest
from chainer.backends import cuda
from helpers import Sizes
from test_backends import run_step, states
from test_cuda_kernels import (
    OnGPU,
    assert_as_plain,
    forget,
    fresh,  # noqa: F401 - a fixture
    on_cuda,  # noqa: F401 - a fixture, of every test
    run_kernels,
    send,
    split,
    way,  # noqa: F401 - a fixture
)

from lib.arrays import inverse_norms
from lib.kernels import backends, cuda_arrays, cuda_check, cuda_large, cuda_source, cuda_step
from lib.memory import interface
from lib.memory.step import MemoryState

pytestmark = pytest.mark.gpu


def test_blocks_have_all_locations_and_none_is_idle():
    for N in (*range(1, 1500), 4097, 10_000, 16_384, 16_385, 100_003, 10**7):
        blocks = cuda_large.blocks_for(N)
        each = -(-N // blocks)  # as sizes_of() in arrays.cu has it
        assert 1 <= blocks <= 128 and (blocks - 1) * each < N <= blocks * each
        assert blocks == 1 or each > 32


@pytest.mark.parametrize("locations, most", [(1, 128), (2, 1000), (13, 128), (1, 7), (100, 128)])
@pytest.mark.parametrize("K", [0, 6])
def test_any_number_of_blocks(K, locations, most, monkeypatch):
    split(monkeypatch, locations, most)
    assert_as_plain(states(Sizes(N=131, W=3, R=2, K=K), 3, np.float64))


def to_host(x):
    """A field of a state as NumPy has it."""
    return type(x)(*map(helpers.host, x)) if isinstance(x, tuple) else helpers.host(x)


@pytest.mark.parametrize("dtype, N, K", [("f", 5003, 8), ("d", 2051, 64), ("d", 2051, 0)])
def test_a_memory_that_one_block_cannot_hold(dtype, N, K):
    assert cuda_check.steps_for(N, np.dtype(dtype)) is cuda_large
    rng = np.random.default_rng(0)
    state, xi, *_ = cuda_check.step_arguments(rng, dtype, K, N, 3, 2, sharp=False)
    state = MemoryState(*map(to_host, state))
    assert_as_plain((state, inverse_norms(state.memory), helpers.host(xi)), dtype)


def test_a_look_up_that_one_block_alone_finds(monkeypatch):
    """The others' exponentials vanish next to those of the block with the row that is meant."""
    split(monkeypatch, 10)
    state, scales, xi = states(Sizes(N=64, W=4, R=2), 2, np.float64)
    at = interface.layout(4, 2)
    xi[:, at.read_strengths] = xi[:, at.write_strength] = 3000
    xi[0, at.write_key] = state.memory[0, 57]
    assert_as_plain((state, scales, xi))
    after = OnGPU.step(*send((state, scales, xi)))[2].step
    assert helpers.host(after.content)[0, 0, 57] == 1


def test_zero_and_one_at_the_ends_of_blocks(monkeypatch):
    """A usage of 0 ends the allocation in its block, for all blocks after it."""
    split(monkeypatch, 8)
    for place in (0, 7, 8, 9, 39):
        state, scales, xi = states(Sizes(N=40, W=3, R=1), 1, np.float64)
        state.usage[0] = np.linspace(0.5, 1, 40)
        state.usage[0, :place] = 0
        state.write_weights[...] = 0
        state.read_weights[...] = 0
        assert_as_plain((state, scales, xi))


@pytest.mark.parametrize("K", [0, 3])
def test_without_a_sequence_nothing_is_launched(K, way):  # noqa: F811
    """CUDA refuses a launch without a block, and so does the stand-in."""
    model = helpers.build(Sizes(K=K), "f")
    model.to_device("@cupy:0")
    for B, lengths in ((0, None), (0, []), (2, [0, 0])):
        ys = model.unroll(model.xp.zeros((3, B, 2), "f"), lengths)
        ys.grad = model.xp.ones_like(ys.array)
        ys.backward()
        assert ys.shape[:2] == (3, B) and not helpers.host(ys).any()
        model.reset_state()


def apart(x):
    """The same numbers on the GPU, in an array that is not contiguous."""
    if isinstance(x, tuple):
        return getattr(x, "_make", tuple)(map(apart, x))
    x = send(np.repeat(x, 2, axis=-1))[..., ::2]
    assert not x.flags.c_contiguous
    return x


@pytest.mark.parametrize("K", [0, 3])
def test_arrays_that_are_not_contiguous(K, way):  # noqa: F811
    arguments = states(Sizes(N=20, W=3, R=2, K=K), 2, np.float64)

    class Apart:
        step = OnGPU.step

        @staticmethod
        def step_backward(trace, g, g_vectors):
            module = cuda_check.steps_for(20, g_vectors.dtype)
            return module.step_backward(trace, apart(g), apart(g_vectors))

    got = {name: helpers.host(x) for name, x in run_step(Apart, *apart(arguments)).items()}
    helpers.assert_same(got, run_kernels(arguments), rtol=1e-12)


# What a program gets


def test_one_look_serves_all_large_memories(fresh, monkeypatch):  # noqa: F811
    monkeypatch.setattr(cuda_step, "MOST_LOCATIONS", {4: 20, 8: 20})
    monkeypatch.setattr(cuda_large, "LEAST_LOCATIONS", 9)
    seen = []
    right = cuda_check.first_difference
    monkeypatch.setattr(
        cuda_check, "first_difference", lambda *args: seen.append(args) or right(*args)
    )
    float32 = cuda.cupy.empty(1, "f")
    for N in (20, 21, 1000, 10**6):
        assert backends.backend_for(float32, 3, (N, 4, 2)).name == "cuda"
    assert seen == [("f", 3, (20, 4, 2)), ("f", 3, (21, 4, 2))]
    large = backends.backend_for(float32, 3, (1000, 4, 2))
    assert large.step is cuda_large.step and large.step_backward is cuda_large.step_backward


def test_more_than_an_int_counts_is_left_to_the_array_code(fresh):  # noqa: F811
    float32 = cuda.cupy.empty(1, "f")
    for N, W, R, K in ((2**25, 64, 1, 8), (2**25, 4, 1, 64), (2**28, 4, 2, 8)):
        with pytest.warns(RuntimeWarning, match=f"{N * max(W, K, 4 + 3 * R)} numbers of 2147"):
            forget()
            assert backends.backend_for(float32, K, (N, W, R)) is backends.PLAIN


WRONG = {
    # a partial sum of one block alone
    "precedence": ("sum += numbers[b];", "sum = numbers[0];"),
    "read_weights": ("top = max(top, peaks[b].top)", "top = peaks[0].top, sum = peaks[0].sum"),
    # the maps of earlier blocks left out
    "write_weights": ("b < blockIdx.y; b++", "b < 0; b++"),
    # f and b the other way round
    "gradient of memory": ("s.g_backward[at] = pi[0] * g", "s.g_backward[at] = pi[2] * g"),
    "link": ("S[k] = int(highest[sequence * N + k])", "S[k] = int(highest[k])"),
}


def test_wrong_kernels_of_several_blocks_are_found_out(fresh, monkeypatch):  # noqa: F811
    right = cuda_source.source
    split(monkeypatch, 9)
    for name, (old, new) in WRONG.items():
        forget()
        assert old in right("d")
        wrong = {char: right(char).replace(old, new) for char in "fd"}
        with monkeypatch.context() as patch:
            patch.setattr(cuda_source, "source", wrong.get)
            with pytest.warns(RuntimeWarning, match="not used on GPU 0: .*plain code"):
                found = backends.backend_for(cuda.cupy.empty(1, "d"), 3, (37, 5, 3))
        assert found is backends.PLAIN, name


# The tables of arguments


ENTRY = re.compile(r"X\(([\w ]+), (\w+), (.*)\)")


def table(name):
    """(C type, name, count) of each argument in a table of arrays.cu."""
    text = cuda_source.FOLDER.joinpath("arrays.cu").read_text(encoding="utf-8")
    body = re.search(rf"#define {name}\(X\)((?:.*\\\n)*.*)", text)[1]
    return [entry.groups() for entry in ENTRY.finditer(body)]


def counted(expression, s, blocks):
    """What a count of the table comes to for a sequence."""
    links = s.N * (s.K or s.N)
    given = {**s._asdict(), "size": interface.size(s.W, s.R), "BLOCKS": blocks, "LINKS": links}
    expression = re.sub(r"K \? 0 : (.*)", r"0 if K else (\1)", expression.replace("s.at.", ""))
    return eval(expression, given)


NUMBERS = {"real": 1, "int": 1, "Peak": 2, "Affine": 2}


@pytest.mark.parametrize("K", [0, 4])
@pytest.mark.parametrize("locations", [5, 64])
def test_the_tables_of_arguments_are_the_arrays(K, locations, monkeypatch):
    split(monkeypatch, locations)
    state, scales, xi = send(states(Sizes(N=37, W=5, R=3, K=K), 2, np.float32))
    blocks = cuda_large.blocks_for(37)
    step, scratch = cuda_arrays.for_step(state, scales, xi, blocks)
    s = cuda_arrays.shape_of(state)
    g = state._replace(link=state.link.values if K else state.link)
    gradient = cuda_arrays.for_gradient(step, s, g, cuda.cupy.empty((2, 15), "f"))
    for arrays, entries in (
        (step, table("STEP")),
        (scratch, table("FORWARD")),
        (gradient, table("BACKWARD")),
    ):
        assert len(arrays) == len(entries)
        assert [name for _, name, _ in entries] == list(getattr(arrays, "_fields", SCRATCH))
        for array, (kind, name, count) in zip(arrays, entries):
            *_, kind = kind.split()
            assert array.dtype == ("int32" if kind == "int" else "float32"), name
            if K or name not in ("columns", "new_columns"):  # of a dense link nothing
                assert array.size == 2 * NUMBERS[kind] * counted(count, s, blocks), name


SCRATCH = ("xi", "candidates", "peaks", "maps")


# What only the stand-in can do


@pytest.mark.stand_in
def test_launches_of_a_step_with_several_blocks(monkeypatch):
    from test_gpu_counts import build, of_a_step, unrolled, waits_of_sorts

    split(monkeypatch, 9)
    for K, launches in ((0, [21, 16]), (8, [21, 15])):
        step, once = of_a_step(build(K, cell_clip=None), unrolled)
        for counts in step:
            assert counts["wait"] == waits_of_sorts(counts) and counts["upload"] == 0
        assert [counts["launch"] for counts in step] == launches
        assert [counts["sort"] for counts in step] == [2 if K else 1, 0]
        assert all(counts["upload"] == 0 for counts in once)
