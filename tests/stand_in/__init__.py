"""A strict stand-in for CuPy, on NumPy arrays: for tests of the GPU's code without a GPU.

``install()`` before Chainer is imported. Refused is what CuPy refuses: NumPy arrays mixed in,
names and keywords that the CuPy of that version does not have, arrays of another device than the
current one. (CuPy lets some of it pass where one GPU can reach into the other's memory.) Counted
are waits for the device, uploads, launches, copies and sorts; ``empty`` gives no numbers. Kernels
in CUDA C++ run as such, compiled for the CPU.

What it cannot see, and what therefore nobody has seen:

- time: not of a kernel, nor of its launch, nor whether a GPU is faster than a CPU;
- CUDA's own libraries: products and sums round otherwise there, sorts and scans are theirs;
- threads that really run at once, and what they see of each other's memory without a barrier:
  here one thread runs until it waits at a barrier;
- registers, shared memory and alignment as a GPU has them, beyond the limits checked;
- streams: here all has happened when a call returns;
- what CuPy does inside its functions. A function counts as one launch, and waits and uploads
  where its source was seen to: masks in an index, ``bincount``, more than 8 arrays joined, the
  sorts of CuPy 13, all that brings numbers to the host.
"""

import importlib.machinery
import json
import sys
import types
from pathlib import Path

import numpy as np

from . import devices, emulate, functions, kernels
from .array import ndarray
from .events import Counts, counted

VERSIONS = ("13.6", "14.2")
__all__ = ["VERSIONS", "Counts", "counted", "emulate", "install", "kernels"]

CONSTANTS = "newaxis inf nan pi e float16 float32 float64 int8 int16 int32 int64 uint8 uint16 "
CONSTANTS += "uint32 uint64 bool_ complex64 complex128 intp dtype generic number integer floating"


def module(name, **members):
    """A module in its place."""
    made = types.ModuleType(name)
    made.__path__ = []
    made.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    vars(made).update(members)
    sys.modules[name] = made
    if "." in name:
        parent, child = name.rsplit(".", 1)
        setattr(sys.modules[parent], child, made)
    return made


def install(version=VERSIONS[-1]):
    """Make ``import cupy`` give the stand-in for a version of it; before Chainer is imported."""
    if "chainer" in sys.modules:
        raise RuntimeError("Chainer was imported before")
    file = Path(__file__).with_name(f"names-{version}.json")
    names = json.loads(file.read_text(encoding="utf-8"))
    cupy = module("cupy", __version__=names["version"], ndarray=ndarray)
    vars(cupy).update((name, getattr(np, name)) for name in CONSTANTS.split())
    vars(cupy).update(functions.build(names))
    cupy.get_array_module = lambda *args: cupy if any(isinstance(a, ndarray) for a in args) else np
    for name in ("ElementwiseKernel", "ReductionKernel", "RawModule"):
        setattr(cupy, name, getattr(kernels, name))
    cupy.memoize = devices.memoize
    cupy.clear_memo = lambda: None
    cupy.fuse = lambda *args, **kwargs: args[0] if args else lambda function: function
    pool = types.SimpleNamespace(free_all_blocks=lambda: None)
    cupy.get_default_memory_pool = cupy.get_default_pinned_memory_pool = lambda: pool
    surroundings()
    return cupy


def surroundings():
    """What Chainer imports of CuPy besides arrays."""
    runtime = types.SimpleNamespace(getDeviceCount=lambda: devices.COUNT)
    runtime.getDevice = devices.current
    runtime.CUDARuntimeError = type("CUDARuntimeError", (RuntimeError,), {})
    runtime.getDeviceProperties = lambda device: {"name": b"a stand-in"}
    runtime.driverGetVersion = runtime.runtimeGetVersion = lambda: 12000
    parts = {"Device": devices.Device, "Event": devices.Event, "Stream": devices.Stream}
    module("cupy.cuda", runtime=runtime, is_available=lambda: True, **parts)
    module("cupy.cuda.cublas")
    module("cupy._util", PerformanceWarning=type("PerformanceWarning", (Warning,), {}))
    module("cupyx", scatter_add=functions.scatter_add)
    for name in ("cupyx.scipy", "cupyx.scipy.linalg", "cupyx.scipy.special"):
        module(name)
