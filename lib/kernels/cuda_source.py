"""The kernels in CUDA C++: their text for a dtype, the compiled functions on a device, launches."""

from functools import cache
from pathlib import Path

import numpy as np
from chainer.backends import cuda

from ..arrays import SMALLEST_NORMAL, SMALLEST_SQUARE

FOLDER = Path(__file__).with_name("cuda")
FILES = ("arrays.cu", "block.cu", "links.cu", "forward.cu", "backward.cu", "large.cu", "cell.cu")
OPTIONS = ("--std=c++14",)
TYPES = {"f": "float", "d": "double"}
INT = np.int32


@cache
def source(char):
    """The CUDA C++ of all kernels, for float32 ("f") or float64 ("d")."""
    constants = {
        "SMALLEST_NORMAL": f"real({SMALLEST_NORMAL[char]!s})",
        "SMALLEST_SQUARE": f"{SMALLEST_SQUARE[char]!s}",
        "LARGEST": f"real({np.finfo(char).max!s})",
    }
    lines = [f"typedef {TYPES[char]} real;"]
    lines += [f"#define {name} {value}" for name, value in constants.items()]
    lines += [FOLDER.joinpath(file).read_text(encoding="utf-8") for file in FILES]
    return "\n".join(lines)


def kernel(name, char):
    """A kernel on the current device, compiled when it is first wanted there."""
    return _kernel(name, char, cuda.cupy.cuda.runtime.getDevice())


@cache
def _kernel(name, char, device):
    return _module(char, device).get_function(name)


@cache
def _module(char, device):
    return cuda.cupy.RawModule(code=source(char), options=OPTIONS)


def launch(name, grid, block, arrays, sizes, dtype, more=(), shared=0):
    """Run a kernel on arrays in C order, sizes as C's int, and more arrays.

    Args:
        name: of the kernel.
        grid: a tuple, the numbers of blocks; none of them 0, which CUDA refuses.
        block: the number of threads in each.
        arrays: CuPy arrays.
        sizes: integers.
        dtype: float32 or float64.
        more: CuPy arrays.
        shared: bytes of shared memory for each block.

    Raises:
        TypeError: an array is of another floating dtype. The kernel would write beyond its end.
    """
    for array in (*arrays, *more):
        if array.dtype != dtype and array.dtype.kind == "f":
            raise TypeError(f"{name} takes arrays of {dtype.name}, not {array.dtype.name}")
    arguments = (*arrays, *map(INT, sizes), *more)
    kernel(name, dtype.char)(grid, (block,), arguments, shared_mem=shared)
