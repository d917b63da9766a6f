"""Imports run in a process of their own: what is tested is what the first one does."""

import importlib.util
import os
import subprocess
import sys
import textwrap
import types
import warnings
from pathlib import Path

import numpy
import pytest
from chainer.backends import cuda

from lib import compat
from lib.compat import shims

ROOT = Path(__file__).resolve().parents[1]
OLD_NUMPY = int(numpy.__version__.split(".")[0]) < 2


def run(code, *options, path=()):
    """Run `code` in a fresh interpreter."""
    paths = os.pathsep.join([*map(str, path), str(ROOT)])
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "CHAINER_DNC_NO_HOOK": "1"},
        cwd=ROOT,
        timeout=120,
    )


def output(code, *options, path=()):
    """Run `code`, which must not fail, and return what it prints."""
    done = run(code, *options, path=path)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def failure(code, path=()):
    """Run `code`, which must fail, and return the last line that it prints."""
    done = run(code, path=path)
    assert done.returncode == 1, done.stdout
    return done.stderr.strip().splitlines()[-1]


def package(folder, name, source):
    """Write a package that is found before any installed one, and return the folder."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(textwrap.dedent(source))
    return folder


APPLY = "from lib import compat; compat.apply();"


class TestEntries:
    def test_float_is_there(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy 1.23 warns of it
            assert numpy.float is float

    def test_sctypes_are_there(self):
        assert numpy.int64 in numpy.sctypes["int"]
        assert numpy.dtype("f") in numpy.sctypes["float"]

    def test_resize_images_reads_numpy_float(self):
        import chainer.functions as F

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # NumPy 1.23 has it, and warns
            y = F.resize_images(numpy.ones((1, 1, 2, 2), "f"), (4, 4))
        assert y.shape == (1, 1, 4, 4)

    def test_as_strided_reads_numpy_sctypes(self):
        import chainer
        from chainer.functions.array.as_strided import as_strided

        x = chainer.Variable(numpy.arange(4, dtype="f"))
        y = as_strided(x, (3, 2), (1, 1), 0)
        y.grad = numpy.ones((3, 2), "f")
        y.backward()
        numpy.testing.assert_array_equal(x.grad, [1, 2, 2, 1])

    def test_environment_is_not_checked(self):
        out = output(f"import sys; {APPLY} print('numpy.distutils.system_info' in sys.modules)")
        assert out == "False"

    def test_gradient_check_is_importable_later(self):
        assert output(f"{APPLY} from chainer import gradient_check, testing; print(testing.attr)")

    def test_requirements_cannot_be_met_without_pkg_resources(self):
        stand_in = shims._pkg_resources_stand_in()
        with pytest.raises(stand_in.ResolutionError, match="not installed"):
            stand_in.WorkingSet().require("numpy")


class TestNothingElseIsTouched:
    @pytest.mark.parametrize("name", ["float", "sctypes"])
    def test_what_numpy_has_stays(self, monkeypatch, name):
        monkeypatch.setitem(vars(numpy), name, "here")
        compat.apply()
        assert getattr(numpy, name) == "here"

    def test_pkg_resources_is_as_it_was(self):
        code = f"""
            import importlib.util, sys
            {APPLY}
            import chainer.testing
            found = importlib.util.find_spec("pkg_resources")
            print(found is not None, "numpy.distutils" in sys.modules)
        """
        installed = importlib.util.find_spec("pkg_resources") is not None
        assert output(code) == f"{installed} False"

    def test_a_real_pkg_resources_is_used(self, tmp_path):
        source = """
            import warnings
            warnings.warn("pkg_resources is deprecated as an API")
            class ResolutionError(Exception): pass
            class WorkingSet: pass
        """
        code = f"""
            import sys
            {APPLY}
            assert "pkg_resources" not in sys.modules
            from chainer.testing import helper
            print(helper.pkg_resources.__file__)
        """
        path = [package(tmp_path, "pkg_resources", source)]
        assert output(code, "-W", "error", path=path).startswith(str(tmp_path))

    def test_a_broken_pkg_resources_is_passed_over(self, tmp_path):
        path = [package(tmp_path, "pkg_resources", "import pkgutil; pkgutil.gone")]
        code = f"{APPLY} from chainer.testing import helper; print(helper.pkg_resources.__doc__)"
        assert "Stands in" in output(code, path=path)

    def test_filters_of_warnings_are_as_they_were(self):
        code = f"""
            import warnings
            import numpy
            before = list(warnings.filters)
            {APPLY}
            import chainer.testing
            print([f for f in before if f not in warnings.filters])
        """
        assert output(code) == "[]"

    def test_twice_is_as_good_as_once(self):
        before = list(sys.meta_path)
        compat.apply()
        assert sys.meta_path == before


class TestImportOrder:
    USE = """
        import chainer, chainer.functions as F, chainer.links as L, numpy
        model = L.LSTM(2, 3)
        optimizer = chainer.optimizers.Adam().setup(model)
        optimizer.update(lambda: F.sum(model(numpy.ones((1, 2), "f"))))
        from chainer import gradient_check
        x = numpy.ones((2, 2))
        gradient_check.check_backward(F.tanh, x, x, dtype="d")
        print(chainer.utils.WalkerAlias.__name__, chainer.training.Trainer.__name__)
    """

    def test_with_warnings_as_errors(self):
        code = APPLY + textwrap.dedent(self.USE)
        assert output(code, "-W", "error") == "WalkerAlias Trainer"

    def test_after_an_import_of_chainer_that_failed(self):
        code = """
            import sys
            import numpy
            vars(numpy).pop("sctypes", None)
            sys.modules["pkg_resources"] = None
            try:
                import chainer
            except Exception:
                assert "chainer.backends" in sys.modules
            else:
                raise AssertionError("this Chainer needs no help")
            del sys.modules["pkg_resources"]
        """
        code = textwrap.dedent(code) + APPLY + textwrap.dedent(self.USE)
        assert output(code) == "WalkerAlias Trainer"

    @pytest.mark.skipif(not OLD_NUMPY, reason="Chainer cannot be imported first on NumPy 2")
    def test_after_chainer(self):
        pytest.importorskip("numpy.distutils.system_info")
        pytest.importorskip("pkg_resources")
        code = "import chainer\n" + APPLY + textwrap.dedent(self.USE)
        assert output(code) == "WalkerAlias Trainer"

    def test_without_chainer(self):
        hide = """
            import sys
            class Finder:
                @staticmethod
                def find_spec(name, path=None, target=None):
                    if name == "chainer":
                        raise ModuleNotFoundError("No module named 'chainer'", name=name)
            sys.meta_path.insert(0, Finder)
        """
        assert failure(textwrap.dedent(hide) + APPLY).startswith(
            "ImportError: Chainer is not installed. Plain `pip"
        )

    def test_a_broken_chainer_tells_its_own_story(self, tmp_path):
        path = [package(tmp_path, "chainer", "import nowhere")]
        assert failure(APPLY, path=path) == "ModuleNotFoundError: No module named 'nowhere'"


class TestOptionalLibraries:
    """A CuPy without cuDNN and NCCL warns of it when Chainer imports it."""

    CUPY = """
        import sys, types, warnings
        from unittest import mock
        warnings.warn("\\nnccl library could not be loaded.\\n\\nReason: ImportError")
        __version__ = "13.6.0"
        __path__ = []
        class ndarray: pass
        def __getattr__(name):
            if name.startswith("__") or name in ("cudnn", "util"):
                raise AttributeError(name)
            return mock.MagicMock()
        class PerformanceWarning(Warning): pass
        _util = types.SimpleNamespace(PerformanceWarning=PerformanceWarning)
        cuda = sys.modules["cupy.cuda"] = mock.MagicMock(__path__=[])
        sys.modules["cupy._util"] = _util
        for name in ("cupyx", "cupyx.scipy", "cupyx.scipy.linalg", "cupyx.scipy.special"):
            sys.modules[name] = mock.MagicMock(__path__=[])
    """

    @pytest.fixture
    def path(self, tmp_path):
        return [package(tmp_path, "cupy", self.CUPY)]

    def test_nothing_is_said(self, path):
        code = f"""
            {APPLY}
            from chainer.backends import cuda
            assert cuda.available and not cuda.cudnn_enabled
            cuda.check_cuda_available()
            print("quiet")
        """
        assert output(code, "-W", "error", path=path) == "quiet"

    def test_other_warnings_are_heard(self, path):
        with open(path[0] / "cupy" / "__init__.py", "a") as file:
            file.write("\nwarnings.warn('something else')\n")
        code = f"""
            import warnings
            with warnings.catch_warnings(record=True) as heard:
                {APPLY}
            print([str(warning.message) for warning in heard])
        """
        assert output(code, path=path) == "['something else']"


def fake_cupy(count, version="14.2.0"):
    """Return a CuPy that answers how many GPUs there are, by raising if `count` is an exception."""

    def get_device_count():
        if isinstance(count, Exception):
            raise count
        return count

    runtime = types.SimpleNamespace(getDeviceCount=get_device_count)
    return types.SimpleNamespace(__version__=version, cuda=types.SimpleNamespace(runtime=runtime))


class TestCudaProblem:
    @pytest.fixture
    def cupy(self, monkeypatch):
        def install(count):
            monkeypatch.setattr(cuda, "available", True)
            monkeypatch.setattr(cuda, "cupy", fake_cupy(count))

        return install

    @pytest.fixture
    def no_cupy(self, monkeypatch):
        def fail(error):
            monkeypatch.setattr(cuda, "available", False)
            monkeypatch.setattr(cuda, "_resolution_error", error)

        return fail

    @pytest.mark.parametrize("device", [0, 1])
    def test_none(self, cupy, device):
        cupy(2)
        assert compat.cuda_problem(device) is None

    @pytest.mark.parametrize("device", [2, -1])
    def test_ordinal_out_of_range(self, cupy, device):
        cupy(2)
        line = f"there is no GPU {device}: CuPy sees 2, numbered from 0"
        assert compat.cuda_problem(device) == line

    def test_no_gpu(self, cupy):
        cupy(0)
        assert compat.cuda_problem().startswith("CuPy 14.2.0 sees no GPU: nvidia-smi must list")

    def test_no_driver(self, cupy):
        cupy(RuntimeError("cudaErrorInsufficientDriver: too old"))
        assert "(cudaErrorInsufficientDriver: too old): install or update" in compat.cuda_problem()

    def test_not_installed(self, no_cupy):
        no_cupy(ModuleNotFoundError("No module named 'cupy'", name="cupy"))
        line = compat.cuda_problem()
        assert line.startswith("CuPy is not installed: ")
        assert "cupy-cuda12x" in line and "cupy-cuda13x" in line

    def test_no_libraries(self, no_cupy):
        no_cupy(ImportError("libcublas.so.12: cannot open shared object file\nmore"))
        line = compat.cuda_problem()
        assert "(libcublas.so.12: cannot open shared object file): " in line
        assert "cupy-cuda12x" in line and "\n" not in line

    def test_cupy_12_without_a_driver(self, no_cupy):
        error = ImportError("=====\nFailed to import CuPy.\n=====")
        error.__cause__ = ImportError("libcuda.so.1: cannot open shared object file")
        no_cupy(error)
        line = compat.cuda_problem()
        assert line.startswith("CuPy finds no NVIDIA driver (libcuda.so.1: cannot open shared")

    @pytest.mark.parametrize("python, hint", [((3, 9), "toolkit"), ((3, 10), "[ctk]")])
    def test_advice_fits_the_python(self, no_cupy, monkeypatch, python, hint):
        no_cupy(ModuleNotFoundError("No module named 'cupy'", name="cupy"))
        monkeypatch.setattr(sys, "version_info", python)
        assert hint in compat.cuda_problem()

    @pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed")
    def test_as_it_is_here(self):
        assert compat.cuda_problem().startswith("CuPy is not installed: ")
