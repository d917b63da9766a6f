"""What Chainer 7.8.1, its last release, needs on today's Python, NumPy and CuPy.

Chainer asks for a few things that Python, NumPy and setuptools have dropped since. :func:`apply`
supplies those that are missing and then imports Chainer, so it must run before anything else
imports Chainer. ``import lib`` does that. Four things are supplied, one function each below:

====================================  ========================================  ==================
what                                  asked for by (``chainer/...``)            gone since
====================================  ========================================  ==================
``numpy.sctypes``                     ``functions/array/as_strided.py:10,252``  NumPy 2.0
``numpy.float``                       ``functions/array/resize_images.py:179``  NumPy 1.24
``numpy.distutils``,                  ``_environment_check.py:6-7``             Python 3.12,
``pkg_resources``                                                               setuptools 74, 82
``pkg_resources.WorkingSet``,         ``testing/helper.py:6``,                  setuptools 82
``.ResolutionError``                  ``testing/doctest_helper.py:3``
====================================  ========================================  ==================

No module is left under a name that another library might look for: ``import pkg_resources`` fails
after :func:`apply` exactly if it failed before.

:func:`cuda_problem` says in one line why a GPU cannot be used.
"""

import contextlib
import sys
import types
import warnings
from importlib.machinery import PathFinder

import numpy

# CuPy 12 and 13 look for cuDNN and NCCL when they are imported. Neither is needed here.
_OPTIONAL_LIBRARIES = (r"\s*cuDNN is not enabled", r"\s*(cudnn|nccl) library could not be loaded")


def apply():
    """Supply what Chainer misses, and import it. Calling this again does nothing.

    Raises:
        ImportError: If Chainer is not installed.

    """
    if "chainer" not in sys.modules:
        _forget_failed_import()
        _skip_environment_check()
    _supply_numpy_names()
    _supply_pkg_resources_to_testing()
    _import_chainer()


def _forget_failed_import():
    """Drop what an earlier ``import chainer`` left behind when it failed half-way.

    Python takes back the package itself, but keeps the submodules that had come through. A second
    import would leave those unattached to the new package.
    """
    for name in [name for name in sys.modules if name.startswith("chainer.")]:
        del sys.modules[name]


def _skip_environment_check():
    """Put an empty check in the place of ``chainer/_environment_check.py``.

    Its lines 6-7 import ``numpy.distutils.system_info`` and ``pkg_resources``. All that it does
    with them is to warn of two things that are no trouble today: a macOS that offers Accelerate,
    and a CuPy other than 7. (It also stops on Python 3.5.0.) So the check goes, and neither module
    is needed, and where they are still to be had, their slow and deprecated import is spared.
    """
    name = "chainer._environment_check"
    module = types.ModuleType(name, "Stands in for Chainer's check of its environment.")
    module.check = lambda: None
    sys.modules[name] = module


def _supply_numpy_names():
    """Give ``numpy`` back ``sctypes`` and ``float``, as they were in NumPy 1.

    ``sctypes['int']`` is read by ``functions/array/as_strided.py:10`` at import, ``['float']`` by
    line 252 in the backward pass; ``float`` by ``functions/array/resize_images.py:179-196``.
    """
    names = {
        "sctypes": {
            "int": [numpy.int8, numpy.int16, numpy.int32, numpy.int64],
            "float": [numpy.float16, numpy.float32, numpy.float64, numpy.longdouble],
        },
        "float": float,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy 1.23 has numpy.float, and warns when it is read
        missing = [name for name in names if not hasattr(numpy, name)]
    for name in missing:
        setattr(numpy, name, names[name])


def _supply_pkg_resources_to_testing():
    """Let ``chainer.testing``, which ``chainer.gradient_check`` imports, be imported at any time.

    ``testing/helper.py:6`` and ``testing/doctest_helper.py:3`` import ``pkg_resources``.
    """
    if _TestingFinder not in sys.meta_path:
        sys.meta_path.insert(0, _TestingFinder)


class _TestingFinder:
    """Imports two modules of ``chainer.testing`` with a ``pkg_resources`` at hand, if need be."""

    NAMES = ("chainer.testing.helper", "chainer.testing.doctest_helper")

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        spec = PathFinder.find_spec(name, path, target) if name in cls.NAMES else None
        if spec is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                with _pkg_resources():
                    execute(module)

            spec.loader.exec_module = exec_module
        return spec


@contextlib.contextmanager
def _pkg_resources():
    """Have ``import pkg_resources`` succeed for the time of the block: the real one if it can."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*pkg_resources")  # deprecated since 67.5
        try:
            import pkg_resources  # noqa: F401
        except Exception:  # also of other kinds: an old setuptools on a new Python
            stands_in = True
            sys.modules["pkg_resources"] = _pkg_resources_stand_in()
        else:
            stands_in = False
        try:
            yield
        finally:
            if stands_in:
                del sys.modules["pkg_resources"]


def _pkg_resources_stand_in():
    """Return a ``pkg_resources`` that knows of no package.

    ``chainer.testing.with_requires`` then skips its test, ``without_requires`` runs it.
    """

    class ResolutionError(Exception):
        pass

    class WorkingSet:
        def require(self, *requirements):
            raise ResolutionError("pkg_resources is not installed: nothing is known of packages")

    module = types.ModuleType("pkg_resources", "Stands in for the one that setuptools dropped.")
    module.ResolutionError = ResolutionError
    module.WorkingSet = WorkingSet
    return module


def _import_chainer():
    """Import Chainer without the warnings that optional CUDA libraries are not there."""
    with warnings.catch_warnings():
        for message in _OPTIONAL_LIBRARIES:
            warnings.filterwarnings("ignore", message=message)
        try:
            from chainer.backends import cuda
        except ModuleNotFoundError as error:
            if error.name != "chainer":
                raise
            raise ImportError(
                "Chainer is not installed. Plain `pip install chainer` fails today: run `make run`"
                " once, or see 'Installing' in README.md"
            ) from None
        if cuda.available:
            cuda.check_cuda_available()  # warns once in a process if there is no cuDNN: now


def cuda_problem(device=0):
    """Say why a GPU cannot be used.

    Args:
        device (int): Ordinal of the GPU.

    Returns:
        None if it can be used, else one line: what is missing, and how to come by it.

    """
    from chainer.backends import cuda

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
