"""What the numbers were measured on."""

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

from benchmarks.arguments import THREAD_VARIABLES


def describe():
    """Processor, cores, versions and threads, as a dict."""
    return {
        "processor": processor(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba", "chainer")},
        "BLAS threads": next(filter(None, map(os.environ.get, THREAD_VARIABLES)), "left to BLAS"),
        "Numba threads": os.environ.get("NUMBA_NUM_THREADS", "left to Numba"),
    }


def report(machine):
    """The same as one line of Markdown."""
    names = {"numpy": "NumPy", "numba": "Numba", "chainer": "Chainer"}
    unnamed = ("processor", "system")
    parts = (v if k in unnamed else f"{names.get(k, k)} {v}" for k, v in machine.items())
    return "Measured on: " + ", ".join(parts) + "."


def processor():
    """Its model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def cores():
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def version(package):
    """Of an installed package, or a word that it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def peak_memory():
    """The most bytes that this process has had in memory, or None where nobody counts them.

    Linux counts those of the parent into ``ru_maxrss`` of a child, so VmHWM is read there.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
