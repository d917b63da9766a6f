"""The kernels in CUDA C++: their text for a dtype, and the compiled functions on a device."""

from functools import cache
from pathlib import Path

import numpy as np
from chainer.backends import cuda

from ..arrays import SMALLEST_NORMAL, SMALLEST_SQUARE

FOLDER = Path(__file__).with_name("cuda")
FILES = ("block.cu", "forward.cu", "backward.cu", "cell.cu")
OPTIONS = ("--std=c++14",)
TYPES = {"f": "float", "d": "double"}


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
