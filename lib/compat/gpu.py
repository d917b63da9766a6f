"""Why a GPU cannot be used, in one line."""

import sys


def cuda_problem(device=0):
    """Say why a GPU cannot be used.

    Args:
        device (int): Ordinal of the GPU.

    Returns:
        None if it can be used, else one line: what is missing, and how to come by it.

    """
    from chainer.backends import cuda  # not before Chainer has what it misses

    if not cuda.available:
        return _cupy_problem(cuda._resolution_error)
    cupy = cuda.cupy
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CUDARuntimeError, which only a working CuPy could name
        return (
            f"CuPy {cupy.__version__} finds no NVIDIA driver that it can use"
            f" ({_root_cause(error)}): install or update the driver until nvidia-smi lists the GPU"
        )
    if count == 0:
        return (
            f"CuPy {cupy.__version__} sees no GPU:"
            " nvidia-smi must list it, and CUDA_VISIBLE_DEVICES must not hide it"
        )
    if not 0 <= device < count:
        return f"there is no GPU {device}: CuPy sees {count}, numbered from 0"
    return None


def _cupy_problem(error):
    """Say why Chainer found no CuPy to work with, from the exception that it met."""
    if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
        return f"CuPy is not installed: {_cupy_advice()}"
    cause = _root_cause(error)
    if "libcuda.so" in cause:
        return f"CuPy finds no NVIDIA driver ({cause}): install the driver of the GPU"
    return f"CuPy finds no CUDA libraries that it can use ({cause}): {_cupy_advice()}"


def _cupy_advice():
    if sys.version_info < (3, 10):  # CuPy 13 is the last for Python 3.9, and brings no libraries
        return "install a CUDA 12 toolkit and pip install cupy-cuda12x (CUDA 13: cupy-cuda13x)"
    return "pip install 'cupy-cuda12x[ctk]>=14' (driver of CUDA 13: 'cupy-cuda13x[ctk]>=14')"


def _root_cause(error):
    """Return the first line of the exception at the bottom of a chain; CuPy's own are long."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip()
