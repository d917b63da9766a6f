"""What Chainer 7.8.1, its last release, misses on today's Python and NumPy, and where it gets it.

:func:`install` changes nothing until Chainer is imported. Then these four are supplied:

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
afterwards exactly if it failed before.

This file imports nothing of this package: an installation loads it alone, by its path, when a
program imports Chainer first (``installed/_chainer_dnc.py``).
"""

import contextlib
import sys
import types
import warnings

# CuPy 12 and 13 look for cuDNN and NCCL when they are imported. Neither is needed here.
_OPTIONAL_LIBRARIES = (r"\s*cuDNN is not enabled", r"\s*(cudnn|nccl) library could not be loaded")


class Helper:
    """A finder that has some modules imported with help at hand; it finds nothing else.

    Args:
        contexts: functions by the full name of a module. What one returns is entered before the
            module's code runs, and left after it.
    """

    def __init__(self, contexts):
        self.contexts = contexts

    def find_spec(self, name, path=None, target=None):
        """What the other finders find, with the context around its execution."""
        spec = find_by_others(self, name, path, target) if name in self.contexts else None
        if spec is not None and hasattr(spec.loader, "exec_module"):
            execute, context = spec.loader.exec_module, self.contexts[name]

            def exec_module(module):
                with context() if module.__name__ == name else contextlib.nullcontext():
                    execute(module)  # by a loader that may serve other modules too

            spec.loader.exec_module = exec_module
        return spec


def find_by_others(finder, name, path=None, target=None):
    """The spec of a module as the finders after this one find it, or None.

    Those before it have been asked by then, and one of them may be asking.
    """
    finders = list(sys.meta_path)
    after = finders[finders.index(finder) + 1 :] if finder in finders else finders
    found = (f.find_spec(name, path, target) for f in after if hasattr(f, "find_spec"))
    return next((spec for spec in found if spec is not None), None)


def install():
    """Have Chainer supplied with what it misses when it is imported, unless that is seen to."""
    if not any("chainer" in getattr(finder, "contexts", ()) for finder in sys.meta_path):
        sys.meta_path.insert(0, Helper(CONTEXTS))


@contextlib.contextmanager
def _all_of_chainer():
    _forget_failed_import()
    _skip_environment_check()
    supply_numpy_names()
    with warnings.catch_warnings():
        for message in _OPTIONAL_LIBRARIES:
            warnings.filterwarnings("ignore", message=message)
        yield
        cuda = sys.modules["chainer.backends.cuda"]
        if cuda.available:
            cuda.check_cuda_available()  # warns once in a process if there is no cuDNN: now


def _forget_failed_import():
    """Drop what an earlier ``import chainer`` left behind when it failed half-way.

    Python takes back the package itself, but keeps the submodules that had come through. A second
    import would leave those unattached to the new package. (A reload has it attached.)
    """
    if not hasattr(sys.modules.get("chainer"), "backends"):
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


def supply_numpy_names():
    """Give ``numpy`` back ``sctypes`` and ``float``, as they were in NumPy 1.

    ``sctypes['int']`` is read by ``functions/array/as_strided.py:10`` at import, ``['float']`` by
    line 252 in the backward pass; ``float`` by ``functions/array/resize_images.py:179-196``.
    """
    import numpy

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


@contextlib.contextmanager
def _pkg_resources():
    """Have ``import pkg_resources`` succeed for the time of the block: the real one if it can.

    For ``chainer.testing``, which ``chainer.gradient_check`` imports.
    """
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


CONTEXTS = {
    "chainer": _all_of_chainer,
    "chainer.testing.helper": _pkg_resources,
    "chainer.testing.doctest_helper": _pkg_resources,
}
