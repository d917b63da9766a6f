"""CUDA C++ on the CPU: compiled by g++ with ``cpu_cuda.h``, called through ctypes."""

import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
KEPT = HERE / "__pycache__" / "cpu_cuda"
PROBLEM = None
if not shutil.which("g++"):
    PROBLEM = "g++ is not installed, which makes CUDA C++ run on the CPU"
elif platform.machine() not in ("x86_64", "AMD64"):
    PROBLEM = "CUDA C++ runs on x86-64 CPUs alone here"

# Finds races between threads, in a program of its own.
SANITIZED = ("-std=c++17", "-O1", "-g", "-w", "-fsanitize=thread", "-pthread")

SHARED = re.compile(r"extern\s+__shared__\s+([\w:]+)\s+(\w+)\s*\[\s*\]\s*;")
POINTER = r"\1* \2 = static_cast<\1*>(cpu_cuda::dynamic_shared());"
BOUNDS = r"(?:__launch_bounds__\([^)]*\)\s*)?"
KERNEL = re.compile(rf"__global__\s+{BOUNDS}void\s+{BOUNDS}(\w+)\s*\(")
VISIBLE = 'extern "C" __attribute__((visibility("default")))'
CALLER = """
{visible} const char* cpu_cuda_launch_{name}(
    const unsigned* d, size_t shared, int strict, unsigned long schedule, void** arguments) {{
  cpu_cuda::schedule = schedule;
  return cpu_cuda::run({{d[0], d[1], d[2]}}, {{d[3], d[4], d[5]}}, shared, strict,
                [](void* a) {{ cpu_cuda::call(&{name}, static_cast<void**>(a)); }}, arguments);
}}
"""


def sanitizer_problem():
    """Why no races can be looked for here, or None."""
    if PROBLEM is not None:
        return PROBLEM
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "nothing")
        command = ["g++", *SANITIZED, "-x", "c++", "-", "-o", program]
        made = subprocess.run(command, input="int main() {}", text=True, capture_output=True)
        if made.returncode or subprocess.run([program], capture_output=True).returncode:
            return "ThreadSanitizer does not run here"
    return None


class LaunchError(RuntimeError):
    """What a GPU would refuse, hang at, or have no defined result for."""


def translate(source):
    """What g++ takes: dynamic shared memory as a pointer, and a caller for each kernel."""
    names = dict.fromkeys(KERNEL.findall(source))
    source = SHARED.sub(POINTER, source)
    callers = [CALLER.format(visible=VISIBLE, name=name) for name in names]
    return "\n".join([(HERE / "cpu_cuda.h").read_text(), source, *callers])


@functools.cache
def build(text, options=()):
    """The library of a C++ source, kept for the next run; RuntimeError where g++ refuses it."""
    key = hashlib.sha256(repr((text, options)).encode()).hexdigest()[:24]
    library = KEPT / f"{key}.so"
    if not library.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        source, made = KEPT / f"{key}.{os.getpid()}.cpp", KEPT / f"{key}.{os.getpid()}.tmp"
        source.write_text(text)
        # No contraction: a GPU may round a product and a sum once, and need not.
        command = ["g++", "-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-w"]
        command += ["-fvisibility=hidden", *options, source, "-o", made]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        source.unlink()
        if done.returncode:
            raise RuntimeError(done.stderr[:4000])
        os.replace(made, library)
    return ctypes.CDLL(str(library))


def cell(argument):
    """An argument of a kernel as C has it; arrays as their addresses."""
    if isinstance(argument, np.ndarray):
        return ctypes.c_void_p(argument.ctypes.data)
    if isinstance(argument, np.generic):
        return np.ctypeslib.as_ctypes_type(argument.dtype)(argument.item())
    if isinstance(argument, float):
        return ctypes.c_double(argument)
    return ctypes.c_longlong(argument)  # CuPy passes a Python int in 8 bytes; C takes the lower 4


def launch(library, name, grid, block, arguments, shared=0, strict=True, schedule=0):
    """Run a kernel to its end.

    LaunchError where it does not get there.

    Args:
        library: what :func:`build` gave for the source of :func:`translate`.
        name: of the kernel.
        grid: number of blocks, up to three numbers.
        block: number of threads, up to three numbers.
        arguments: NumPy arrays and scalars.
        shared: bytes of dynamic shared memory.
        strict: whether a barrier that some threads of a block have left for good is an error.
        schedule: the order of blocks and threads: 0 ascending, 1 descending, else a seed.
    """
    sizes = (*grid, *[1] * (3 - len(grid)), *block, *[1] * (3 - len(block)))
    cells = [cell(argument) for argument in arguments]
    pointers = (ctypes.c_void_p * len(cells))(*(ctypes.addressof(each) for each in cells))
    function = getattr(library, f"cpu_cuda_launch_{name}")
    function.restype = ctypes.c_char_p
    problem = function(
        (ctypes.c_uint * 6)(*sizes),
        ctypes.c_size_t(shared),
        ctypes.c_int(strict),
        ctypes.c_ulong(schedule),
        pointers,
    )
    if problem is not None:
        raise LaunchError(f"{name}: {problem.decode()}")
