"""What runs CUDA C++ on the CPU in these tests, tested itself; and what NVRTC makes of the kernels.

Neither CuPy nor a GPU is needed.
"""

import ctypes
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import ROOT
from stand_in import emulate

from lib.kernels import cuda_source

needs_compiler = pytest.mark.skipif(emulate.PROBLEM is not None, reason=str(emulate.PROBLEM))
# Nothing here depends on the name of the package: once is enough.
pytestmark = pytest.mark.slow

TOY = """
// y[b] = Σ_i x[b, i], and the lanes of the first warp turned around.
__global__ void sum(const double* x, double* y, int* turned, int n) {
    extern __shared__ double partial[];
    int me = threadIdx.x;
    double mine = 0;
    for (int i = me; i < n; i += blockDim.x) mine += x[blockIdx.x * n + i];
    partial[me] = mine;
    for (int by = blockDim.x / 2; by > 0; by /= 2) {
        __syncthreads();
        if (me < by) partial[me] += partial[me + by];
    }
    if (me == 0) y[blockIdx.x] = partial[0];
    if (me < 32) turned[me] = __shfl_xor_sync(0xffffffffu, me, 31);
}
"""


def run_toy(source=TOY, schedule=0, shared=64 * 8, **options):
    x = np.random.default_rng(0).normal(size=(3, 100))
    y, turned = np.full(3, np.nan), np.zeros(32, np.int32)
    library = emulate.build(emulate.translate(source))
    arguments = [x, y, turned, np.int32(100)]
    emulate.launch(library, "sum", (3,), (64,), arguments, shared, schedule=schedule, **options)
    assert (turned == np.arange(31, -1, -1)).all()
    return np.abs(y - x.sum(axis=1)).max()


@needs_compiler
@pytest.mark.parametrize("schedule", range(5))
def test_shared_memory_barriers_and_lanes(schedule):
    assert run_toy(schedule=schedule) < 1e-12


@needs_compiler
def test_a_missing_barrier_shows():
    source = TOY.replace("__syncthreads();", "")
    assert max(run_toy(source, schedule) for schedule in range(5)) > 1e-3


@needs_compiler
@pytest.mark.parametrize(
    "wrong, by, said",
    [
        ("__syncthreads();", "if (me % 2) __syncthreads(); else __syncwarp();", "deadlock"),
        ("double mine = 0;", "double mine = 0; if (me > 40) return;", "never reach"),
        ("partial[me] = mine;", "partial[me + 1] = mine;", "beyond the shared memory"),
        ("0xffffffffu", "0x0000ffffu", "does not name"),
    ],
)
def test_what_a_gpu_would_hang_at_is_an_error(wrong, by, said):
    with pytest.raises(emulate.LaunchError, match=said):
        run_toy(TOY.replace(wrong, by))


@needs_compiler
@pytest.mark.parametrize(
    "grid, block, shared, said",
    [
        ((1,), (2048,), 8, "more than 1024"),
        ((1,), (64,), 300_000, "more shared memory"),
        ((0,), (64,), 8, "no block"),
        ((1, 65_536), (64,), 8, "too many"),
    ],
)
def test_what_cuda_does_not_launch_is_an_error(grid, block, shared, said):
    library = emulate.build(emulate.translate(TOY))
    with pytest.raises(emulate.LaunchError, match=said):
        emulate.launch(library, "sum", grid, block, [np.zeros(9)] * 3 + [9], shared)


@needs_compiler
def test_blocks_come_in_several_orders():
    source = "__global__ void number(int* order, int* next) { order[blockIdx.x] = (*next)++; }"
    library, orders = emulate.build(emulate.translate(source)), []
    for schedule in range(4):
        order = np.zeros(9, np.int32)
        arguments = [order, np.zeros(1, np.int32)]
        emulate.launch(library, "number", (9,), (1,), arguments, schedule=schedule)
        orders.append(order.tolist())
    assert orders[:2] == [list(range(9)), list(range(8, -1, -1))]
    assert all(sorted(order) == list(range(9)) for order in orders)
    assert orders[2] not in orders[:2] and orders[3] not in orders[:3]


def left_out(program, *barriers):
    """The lines that a program of the stand-in prints about kernels without these barriers."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"stand_in.{program}", *barriers],
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_compiler
def test_barriers_left_out_of_the_kernels_are_found_out():
    """Some of each kernel; ``stand_in/barriers.py`` does it with all of them, in half a minute."""
    source = cuda_source.source("d")
    barriers = ["1", "5", "8", "12", "17", "21", "29", "33"]
    *found, last = [line.split("\t") for line in left_out("barriers", *barriers)]
    assert [line[:2] for line in found] == [[number, "caught"] for number in barriers]
    assert last == ["as it is", "right"]
    assert all(line[2] in source for line in found)


needs_sanitizer = pytest.mark.skipif("emulate.sanitizer_problem()", reason="no ThreadSanitizer")


def races_with(*changes):
    """The pairs of lines of the kernels that meet with these changes, or barriers left out."""
    *pairs, last = left_out("races", *changes)
    assert last == f"{len(pairs)} pairs of lines meet"
    return pairs


@needs_sanitizer
def test_no_two_threads_of_the_kernels_are_at_one_place_at_once():
    assert races_with() == []


@needs_sanitizer
def test_races_that_no_order_of_threads_shows_are_found_out():
    """Two threads that add to one number, and lanes of a warp that read what others wrote."""
    found = "\n".join(races_with("16", "24"))
    assert "s.g_written[n] += sum" in found and "squared += double(v[w])" in found


@needs_sanitizer
def test_races_between_blocks_are_found_out():
    """Launches that need what others write in them; two sequences or blocks at one place."""
    forward = "write_head(s, shared);\n    for=>allocate(s, shared); write_head(s, shared); for"
    backward = "usage_backward(s);\n}=>usage_backward(s); activate_backward(s);\n}"
    sequences = "(gridDim.x + sequence) * N + n] = =>(1 + sequence) * N + n] = "
    rows = "if (!is_own(s, i)) continue;\n        Candidate mine=>\n        Candidate mine"
    found = "\n".join(races_with(forward, backward, sequences, rows))
    for line in (
        "dnc_write\ts.allocated[s.order[j]] = (1 - u) * product;",
        "dnc_usage_backward\tif (threadIdx.x % 32 == 0) own_part(s)[s.at.free_gates + r] = -sum;",
        "dnc_write\tdescending[sequence * N + n] = -s.new_write[n];",
        "dnc_link_sparse\ts.new_link[i * K + rank] = value;",
    ):
        assert line in found, found


# NVRTC, which compiles for GPUs that are not there


def nvrtc():
    """The library from its wheel, or None."""
    spec = importlib.util.find_spec("nvidia")
    folders = [] if spec is None else map(Path, spec.submodule_search_locations)
    files = (folder / "cuda_nvrtc" / "lib" / "libnvrtc.so.12" for folder in folders)
    return next((ctypes.CDLL(str(file)) for file in files if file.exists()), None)


def compile_for(library, architecture, char):
    """Size of the machine code, and what the compiler says."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    text = cuda_source.source(char).encode()
    assert library.nvrtcCreateProgram(ctypes.byref(program), text, b"dnc.cu", 0, None, None) == 0
    options = [f"--gpu-architecture=sm_{architecture}", *cuda_source.OPTIONS, "-default-device"]
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    status = library.nvrtcCompileProgram(program, len(options), given)
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    if status == 0:
        library.nvrtcGetCUBINSize(program, ctypes.byref(size))
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return size.value if status == 0 else 0, log.value.decode()


@pytest.mark.skipif("nvrtc() is None", reason="nvidia-cuda-nvrtc-cu12 is not installed")
@pytest.mark.parametrize("architecture, char", [(70, "f"), (80, "d"), (90, "f"), ("newest", "f")])
def test_nvrtc_compiles_the_kernels(architecture, char):
    library, count = nvrtc(), ctypes.c_int()
    library.nvrtcGetNumSupportedArchs(ctypes.byref(count))
    supported = (ctypes.c_int * count.value)()
    library.nvrtcGetSupportedArchs(supported)
    chosen = max(supported) if architecture == "newest" else architecture
    size, log = compile_for(library, chosen, char)
    assert size > 0, log
    assert "error" not in log
