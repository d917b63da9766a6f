"""What was compiled and kept on disk: no file there, nor the lack of one, ends a program."""

import os
import shutil
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest
from command_line import ROOT

# Most start processes: once, under one name, is enough.
pytestmark = pytest.mark.slow

kept = pytest.importorskip("lib.kernels.kept", reason="needs Numba")

SMALL = """
    import sys
    import numpy as np
    from lib.kernels import adam_pass, compiled
    x = np.ones(3, "f")
    adam_pass.approach(x, np.zeros(3, "f"), np.float32(0.25))
    print(x)
"""
COMPILING = "Compiling the CPU kernels"
ONCE = f"{COMPILING}, once; they are kept in "


def run(folder, code=SMALL, path=ROOT):
    """Run Python with that cache; standard error, after the numbers were seen to be right."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, "[0.75 0.75 0.75]\n"), done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A folder with what one kernel compiles to."""
    folder = tmp_path_factory.mktemp("kept")
    assert run(folder).startswith(ONCE + str(folder))
    return folder


@pytest.fixture
def folder(compiled, tmp_path):
    """The same for a test to damage."""
    return shutil.copytree(compiled, tmp_path / "kept")


def file_in(folder):
    (file,) = folder.rglob("*.kept")
    return file


def flip(at):
    def damage(file):
        data = bytearray(file.read_bytes())
        data[int(at * (len(data) - 1))] ^= 0x10
        file.write_bytes(data)

    return damage


def become_folder(file):
    file.unlink()
    file.mkdir()


DAMAGE = {
    "empty": lambda file: file.write_bytes(b""),
    "cut in its digest": lambda file: file.write_bytes(file.read_bytes()[:10]),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"x"),
    "garbage": lambda file: file.write_bytes(np.random.default_rng(0).bytes(5000)),
    **{f"a bit at {at}": flip(at) for at in (0, 0.01, 0.3, 0.5, 0.77, 1)},
    "gone": lambda file: file.unlink(),
}


def test_it_is_compiled_once(folder):
    assert run(folder) == ""


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_compiled_anew_and_mended(damage, folder):
    damage(file_in(folder))
    errors = run(folder)
    assert errors.startswith(ONCE) and errors.count("\n") == 1
    assert run(folder) == ""


def test_where_a_folder_stands_in_its_place(folder):
    become_folder(file_in(folder))
    for _ in range(2):
        errors = run(folder).splitlines()
        assert len(errors) == 2 and errors[0].startswith(ONCE)
        assert "could not be kept" in errors[1] and "approach" in errors[1]


def test_what_does_not_unpickle_is_compiled_anew(folder, monkeypatch):
    """Written whole by a Numba of another build, say."""
    monkeypatch.setattr(kept.pickle, "loads", lambda code: 1 / 0)
    function = kept.KeptFunction(test_it_is_compiled_once)
    monkeypatch.setattr(kept.FunctionCache, "load_overload", lambda *args: kept.pickle.loads(b""))
    assert function.load_overload(None, None) is None


@pytest.mark.parametrize("failing", ["os.fsync", "os.replace"])
def test_a_disk_that_is_full(failing, folder):
    file_in(folder).unlink()
    code = f"""
    import errno, os
    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")
    {failing} = fail
    """
    errors = run(folder, textwrap.dedent(code) + textwrap.dedent(SMALL)).splitlines()
    assert len(errors) == 2 and "could not be kept" in errors[1]
    assert "No space left" in errors[1] and "approach" in errors[1]
    assert not list(folder.rglob("*.tmp"))


def test_a_change_of_the_source_counts_and_its_time_does_not(tmp_path):
    copy = shutil.copytree(
        ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    source = copy / "kernels" / "adam_pass.py"
    assert run(tmp_path, path=tmp_path).startswith(ONCE)
    os.utime(source, (1e9, 1e9))
    assert run(tmp_path, path=tmp_path) == ""
    os.utime(source)
    assert run(tmp_path, path=tmp_path) == ""
    source.write_text(source.read_text() + "\n# changed\n")
    assert run(tmp_path, path=tmp_path).startswith(ONCE)


def test_from_an_archive(tmp_path):
    archive = tmp_path / "packages.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in (ROOT / "lib").rglob("*.py"):
            packed.write(file, file.relative_to(ROOT))
    home = 'import os; os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = os.getcwd()\n'
    for first in (True, False):
        errors = run(tmp_path, home + textwrap.dedent(SMALL), path=archive)
        assert errors.count("\n") == first and (COMPILING in errors) == first


def test_where_nobody_reads_what_is_said(folder):
    file_in(folder).unlink()
    for closed in ("sys.stderr = None", "sys.stderr.close()", "os.close(2)"):
        code = f"import os, sys; {closed}\n" + textwrap.dedent(SMALL)
        assert run(folder, code) == ""


def test_what_a_kernel_calls_in_another_file_counts_too():
    from lib.kernels import adam_pass, compiled, lstm_loops, sequence_loops

    sources = compiled.shared_sources(sequence_loops.advance.py_func)
    for called in ("step", "cell", "inverse_lengths", "squash", "link_dense"):
        assert f"def {called}(" in sources
    assert "def step(" not in compiled.shared_sources(lstm_loops.advance.py_func)
    sources = compiled.shared_sources(adam_pass.update.py_func)
    assert "def kernel(" in sources and "class Part(" in sources and "def cell(" not in sources


def test_no_machine_code_is_made_of_what_is_only_a_part():
    """Nor is it optimised by itself, which shows in what is not yet inlined into it."""
    from lib.kernels import compiled

    part = compiled.inlined(lambda x: x + 1)
    whole = compiled.kernel(lambda x: part(x) + part(2 * x))
    assert whole(3) == 11
    (code,) = part.overloads.values()
    engine = code.library._codegen._engine
    names = [function.name for function in code.library.get_defined_functions()]
    assert names and not any(map(engine.is_symbol_defined, names))
    assert code.library.codegen is code.library


def test_a_bar_counts_all_that_a_kernel_calls_and_ends(monkeypatch):
    from types import SimpleNamespace

    from numba.core import event

    from lib.kernels import progress, sequence_loops

    bars = []

    class Bar:
        def __init__(self, total, done=0, label=None):
            self.total, self.done, self.closed = total, 0, False
            bars.append(self)

        def update(self):
            self.done += 1

        def close(self):
            self.closed = True

    monkeypatch.setattr(progress, "progress_bar", Bar)
    kernel = sequence_loops.advance.py_func
    shown, called = progress.Progress(kernel), progress.called_by(kernel)
    names = {function.__name__ for function in called}
    assert {"step", "cell", "link_dense", "link_sparse", "inverse_lengths"} <= names
    for function in (*called, *called, kernel):
        happened = SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=function)})
        shown.on_end(happened)
    (bar,) = bars
    assert bar.done == len(called) == bar.total - 1 and bar.closed
    assert shown not in event._registered["numba:compile"]


def test_where_nobody_looks_there_is_no_bar_and_no_thread(monkeypatch, capsys):
    import threading

    from lib.terminal import NoBar, progress_bar

    before = threading.active_count()
    assert isinstance(progress_bar(3), NoBar)
    assert threading.active_count() == before


def test_code_just_compiled_gives_the_numbers_of_code_that_was_kept(tmp_path):
    """Optimised once more or once less it would not: sums may be formed in any order."""
    code = """
        import hashlib
        import numpy as np
        import chainer.functions as F
        from lib import DNC, Adam

        np.random.seed(0)
        digest = hashlib.sha256()
        for sizes in ((7, 5, 2, 6, 3), (70, 13, 3, 9, 8)):
            model = DNC(3, 2, *sizes, cell_clip=0.5, bounded_reads=True)
            optimizer = Adam().setup(model)
            for _ in range(5):
                model.reset_state()
                model.cleargrads()
                xs = np.random.normal(size=(6, 3, 3)).astype("f")
                F.sum(model.unroll(xs, lengths=[6, 2, 5]) ** 2).backward()
                optimizer.update()
                for param in model.params():
                    digest.update(param.array.tobytes() + param.grad.tobytes())
        print(digest.hexdigest())
    """
    runs = [
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=ROOT,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        for _ in range(2)
    ]
    assert [COMPILING in run.stderr for run in runs] == [True, False]
    assert runs[0].stdout == runs[1].stdout and len(runs[0].stdout) == 65
