"""Optional packages that are there and do not work: one warning, and the plain code."""

import os
import subprocess
import sys
import textwrap

import pytest
from command_line import ROOT, TINY

# Most start processes: once, under one name, is enough.
pytestmark = pytest.mark.slow

BREAKS = {
    "ImportError": "raise ImportError('numpy.core.multiarray failed to import')",
    "SystemError": "raise SystemError('initialization of _internal failed\\nwithout an exception')",
    "SystemExit": "raise SystemExit(1)",
    "AttributeError": "import numpy; numpy.no_such_thing",
    "OSError": "raise OSError('libLLVM.so: cannot open shared object file')",
    "no version": "__version__ = 'unknown'",
    "nothing in it": "",
}


def broken(folder, name, code):
    """A folder with a package of that name which fails as the code does."""
    package = folder / "broken" / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    return package.parent


def run(arguments, first=None, **environment):
    """Run Python with a folder before all others."""
    path = os.pathsep.join(map(str, filter(None, (first, ROOT))))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


STEP = """
    import numpy as np
    from lib import DNC, Adam
    import chainer.functions as F
    model = DNC(3, 2, 8, 4, 1, 4)
    optimizer = Adam().setup(model)
    model.cleargrads()
    F.sum(model.unroll(np.ones((3, 1, 3), "f"))).backward()
    optimizer.update()
    model.reset_state()
    print(model(np.ones((1, 3), "f")).shape)
"""


@pytest.mark.parametrize("code", BREAKS.values(), ids=BREAKS.keys())
def test_a_numba_that_does_not_work(code, tmp_path):
    done = run(["-c", textwrap.dedent(STEP)], broken(tmp_path, "numba", code))
    assert (done.returncode, done.stdout) == (0, "(1, 2)\n"), done.stderr
    assert done.stderr.count("RuntimeWarning") == 1 and "Traceback" not in done.stderr
    assert "The slower NumPy code is used" in done.stderr


def test_a_numba_that_is_told_not_to_compile():
    pytest.importorskip("numba")
    done = run(["-c", textwrap.dedent(STEP)], NUMBA_DISABLE_JIT="1")
    assert (done.returncode, done.stdout) == (0, "(1, 2)\n"), done.stderr
    assert done.stderr.count("NUMBA_DISABLE_JIT") == 1


@pytest.mark.parametrize("code", BREAKS.values(), ids=BREAKS.keys())
def test_a_matplotlib_that_does_not_work(code, tmp_path):
    folder = broken(tmp_path, "matplotlib", code)
    given = [ROOT / "dnc.py", *TINY, "--seed", 1, "--iterations", 40, "--log_interval", 2]
    done = run([*given, "--out", tmp_path / "out"], folder)
    assert done.returncode == 0 and "Done: " in done.stdout, done.stderr
    assert done.stderr.count("\n") == 1 and "is no loss curve" in done.stderr
    assert (tmp_path / "out" / "dnc_addition_iter_40.npz").exists()
    asked = [ROOT / "dnc.py", "--out", tmp_path / "out", "--test_seq_len", 3, "--test_samples", 1]
    done = run([*asked, "--plot", tmp_path / "x.png"], folder)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "no picture could be made" in done.stderr


# What ends Python here, Chainer's own import does not survive.
@pytest.mark.parametrize("name", sorted(BREAKS.keys() - {"SystemExit"}))
def test_a_cupy_that_does_not_work(name, tmp_path):
    folder = broken(tmp_path, "cupy", BREAKS[name])
    given = [ROOT / "dnc.py", *TINY, "--seed", 1, "--iterations", 1, "--out", tmp_path / "out"]
    assert run(given, folder).returncode == 0
    done = run([*given, "--gpu", 0], folder)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "gpu 0" in done.stderr
