"""The package installed, as a wheel and editable, in an environment that has nothing else of it."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap

import numpy as np
import pytest
from command_line import ROOT

pytestmark = pytest.mark.slow
SOURCES = ("lib", "tasks", "dnc.py", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md")
NEEDS_HELP = int(np.__version__.split(".")[0]) >= 2  # Chainer alone fails on NumPy 2


class Environment:
    """A virtual environment that sees the packages of this one, but not its .pth files."""

    def __init__(self, folder, *install):
        command = [sys.executable, "-m", "venv", "--without-pip", folder]
        subprocess.run(command, check=True, capture_output=True)
        self.python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        self.site = type(folder)(self.run("-c", code))
        (self.site / "packages_of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
        self.pip("install", "--no-deps", "--no-build-isolation", *install)

    def pip(self, *arguments):
        """Run this environment's pip on that one."""
        command = [sys.executable, "-m", "pip", "--python", self.python, *arguments]
        done = subprocess.run(map(str, command), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, *arguments, cwd=None, status=0, **environment):
        """What a Python of the environment prints."""
        kept = {n: v for n, v in os.environ.items() if n not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=cwd or self.python.parent,
            env={**kept, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return (done.stdout if status == 0 else done.stderr).strip()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installed(request, sources, tmp_path_factory):
    how = ["-e", sources] if request.param == "editable" else [sources]
    environment = Environment(tmp_path_factory.mktemp(request.param) / "env", *how)
    kernels = environment.run("-c", "from chainer_dnc import kernels; print(kernels.__path__[0])")
    take_compiled_kernels(environment.site.joinpath(kernels, "__pycache__"))
    return environment


def take_compiled_kernels(folder):
    """Spare the time to compile them again: what Numba keeps goes by the content of their files."""
    folder.mkdir(exist_ok=True)
    for file in (ROOT / "lib" / "kernels" / "__pycache__").glob("*.nb[ic]"):
        shutil.copy2(file, folder)


def test_the_sources_of_the_cuda_kernels_come_along(installed):
    code = (
        "from chainer_dnc.kernels.cuda_source import source; print(source('f').count('__global__'))"
    )
    assert installed.run("-c", code) == "19"


@pytest.mark.parametrize("options", [(), ("-I",), ("-W", "error")])
def test_chainer_may_be_imported_first(installed, options):
    code = "import chainer; import chainer_dnc; from chainer import gradient_check; print('both')"
    assert installed.run(*options, "-c", code) == "both"


def test_a_start_imports_nothing_heavy(installed):
    code = "import sys; print({'numpy', 'chainer', 'chainer_dnc', 'lib'} & set(sys.modules))"
    assert installed.run("-c", code) == "set()"


def test_it_can_be_switched_off(installed):
    off = {"CHAINER_DNC_NO_HOOK": "1"}
    assert installed.run("-c", "import chainer_dnc, chainer; print('yes')", **off) == "yes"
    assert installed.run("-c", "import lib", status=1, **off).endswith("No module named 'lib'")
    if NEEDS_HELP:
        installed.run("-c", "import chainer", status=1, **off)


def test_a_program_with_a_lib_of_its_own(installed, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "utils.py").write_text("mine = True")
    (tmp_path / "program.py").write_text(
        "import chainer\nfrom lib import utils\nfrom chainer_dnc import DNC\nprint(utils.mine, DNC)"
    )
    printed = installed.run(tmp_path / "program.py", cwd=tmp_path)
    assert printed == "True <class 'chainer_dnc.link.DNC'>"


@pytest.mark.parametrize("order", ["chainer_dnc, lib", "lib, chainer_dnc"])
def test_lib_is_an_alias(installed, order):
    code = f"""
        import pickle
        import {order}
        from lib import DNC
        from lib.graph import node
        from chainer_dnc.graph import node as same
        assert DNC is chainer_dnc.DNC and node is same
        data = pickle.dumps(DNC(3, 2, 8, 4, 2, 6), protocol=2)
        assert type(pickle.loads(data.replace(b"cchainer_dnc.", b"clib."))) is DNC
        print(lib.__name__)
    """
    assert installed.run("-c", textwrap.dedent(code)) == "chainer_dnc"


@pytest.mark.skipif(os.name != "posix", reason="asks for forkserver")
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_workers_that_import_chainer_first(installed, tmp_path, method):
    (tmp_path / "work.py").write_text(
        "import chainer\nimport chainer.links as L\n"
        "def work(model):\n    import numpy as np\n    return model(np.ones((1, 3), 'f')).shape\n"
    )
    (tmp_path / "program.py").write_text(
        textwrap.dedent(f"""
            import multiprocessing
            from work import work
            from chainer_dnc import DNC
            if __name__ == "__main__":
                with multiprocessing.get_context("{method}").Pool(2) as pool:
                    print(pool.map(work, [DNC(3, 2, 8, 4, 2, 6)] * 2))
        """)
    )
    assert installed.run(tmp_path / "program.py", cwd=tmp_path) == "[(1, 2), (1, 2)]"


@pytest.mark.parametrize("command", ["script", "module"])
def test_the_program_is_installed(installed, tmp_path, command):
    given = ["--hps", "8,4,1,8,2", "--iterations", "3", "--out", tmp_path / "new"]
    start = [installed.python.parent / "chainer-dnc"] if command == "script" else []
    start = start or ["-m", "chainer_dnc"]
    assert "Done: " in installed.run(*start, *given, cwd=tmp_path)
    assert (tmp_path / "new" / "dnc_addition_iter_3.npz").exists()
    tested = installed.run(*start, *given, "--test_seq_len", "2", cwd=tmp_path)
    assert "Over 100 sequences of length 2:" in tested


def readme_examples():
    """The Python of README.md that needs nothing but the package."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return [block for block in blocks if "chainerrl" not in block and "adder" not in block]


def test_the_examples_of_the_readme(installed, tmp_path):
    examples = readme_examples()
    assert len(examples) >= 5
    (tmp_path / "examples.py").write_text("\n".join(examples))
    # The trained models are in the repository alone.
    shutil.copytree(ROOT / "asset" / "trained", tmp_path / "asset" / "trained")
    installed.run("-W", "error", tmp_path / "examples.py", cwd=tmp_path)


def test_a_folder_of_its_name_is_not_in_the_way_of_chainer(installed, tmp_path):
    """The parent of a clone, say: found first, as a namespace package, where that is editable."""
    (tmp_path / "chainer_dnc").mkdir()
    code = "import importlib.util; print(importlib.util.find_spec('chainer') is not None)"
    assert installed.run("-c", code, cwd=tmp_path) == "True"


def test_uninstalling_leaves_nothing(sources, tmp_path):
    for how in ([sources], ["-e", sources]):
        environment = Environment(tmp_path / f"env{len(how)}", *how)
        assert (environment.site / "chainer_dnc.pth").exists()
        environment.pip("uninstall", "--yes", "chainer-dnc")
        left = [path for path in environment.site.rglob("*") if path.is_file()]
        assert [path.name for path in left] == ["packages_of_the_tests.pth"]
