"""The layout: rooms whose imports run one way, and a folder that works under any name."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ROOT

# Each may import from those before it, and from itself.
ROOMS = (
    "compat",
    "arrays",
    "files",
    "terminal",
    "blas",
    "state",
    "memory",
    "kernels",
    "graph",
    "start",
    "adam",
    "checks",
    "rows",
    "kept_state",
    "link",
    "tracing",
    "baseline",
    "training",
)
FILES = sorted(path.relative_to(ROOT / "lib") for path in (ROOT / "lib").rglob("*.py"))


def imports(file):
    """(dots, module) of every import in a file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.level, name) for name in names)


def imported_room(file, dots, name):
    """The room that a relative import of this file leads to."""
    folders = file.parent.parts[: len(file.parent.parts) - (dots - 1)]
    return (*folders, *name.split("."))[0]


@pytest.mark.parametrize("file", FILES, ids=map(str, FILES))
def test_imports_inside_are_relative_and_run_one_way(file):
    room = file.parts[0].removesuffix(".py")
    for dots, name in imports(ROOT / "lib" / file):
        if dots == 0:
            assert name.split(".")[0] not in ("lib", "chainer_dnc", "tasks", "dnc") or (
                room == "compat" and name == "chainer_dnc"  # what an installation adds
            )
        elif room not in ("__init__", "__main__"):
            before = ROOMS[: ROOMS.index(room) + 1]
            assert imported_room(file, dots, name) in before, f"{file} imports {name}"


def test_tasks_import_nothing_of_the_library():
    for file in (ROOT / "tasks").rglob("*.py"):
        for dots, name in imports(file):
            assert dots or name.split(".")[0] not in ("lib", "chainer_dnc", "dnc", "chainer")


USE = """
import pickle
import numpy as np
from {name} import DNC, Adam, State

# isort: split

import chainer
import chainer.functions as F
import sys

chainer.config.dnc_backend = "{backend}"

model = DNC(3, 2, 8, 4, 2, 6, K=3)
optimizer = Adam().setup(model)
F.sum(model.unroll(np.ones((4, 2, 3), "f"))).backward()
optimizer.update()
assert isinstance(model.get_state(), State)
again = pickle.loads(pickle.dumps(model))
assert type(again) is DNC and DNC.__module__ == "{name}.link"
print(sorted(name for name in ("lib", "chainer_dnc") if name in sys.modules))
"""


def run(code, cwd, *options, **environment):
    """The standard output of a process of its own that must not fail."""
    done = subprocess.run(
        [sys.executable, *options, *(["-c", code] if code else [])],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "name, backend", [("memory_net", "numpy"), ("agents.nets.memory", "auto"), ("lib.dnc", "numpy")]
)
def test_the_folder_works_under_any_name_and_inside_another_package(tmp_path, name, backend):
    folder = tmp_path.joinpath(*name.split("."))
    shutil.copytree(ROOT / "lib", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for parent in list(folder.relative_to(tmp_path).parents)[:-1]:
        (tmp_path / parent / "__init__.py").touch()
    there = ["lib"] if name.startswith("lib.") else []
    code = USE.format(name=name, backend=backend)
    assert run(code, tmp_path, CHAINER_DNC_NO_HOOK="1") == str(there)


@pytest.mark.parametrize("first, second", [("lib", "chainer_dnc"), ("chainer_dnc", "lib")])
def test_both_names_are_one_package(first, second):
    code = f"""
import pickle, sys
import {first}
from {first} import DNC
import {second}
from {second}.graph import node as theirs
from {first}.graph import node as ours
import {second}.memory.step, {second}.training
assert {first} is {second} is sys.modules["{second}"]
assert ours is theirs and {second}.DNC is DNC
assert {first}.__name__ == {first}.__spec__.name == "{first}"
model = DNC(3, 2, 8, 4, 2, 6)
data = pickle.dumps(model, protocol=2)
assert b"{first}" in data
other = data.replace(b"c{first}.", b"c{second}.")
assert other != data and type(pickle.loads(other)) is DNC
try:
    import {second}.nowhere
except ModuleNotFoundError as error:
    print(error)
"""
    assert run(code, ROOT) == f"No module named '{second}.nowhere'"


def test_a_lib_of_another_project_stays_what_it_is(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "__init__.py").write_text("mine = True")
    (tmp_path / "lib" / "utils.py").write_text("mine = 2")
    code = "import chainer_dnc, lib, lib.utils; print(lib.mine, lib.utils.mine, chainer_dnc.DNC)"
    assert run(code, tmp_path) == "True 2 <class 'chainer_dnc.link.DNC'>"


def test_a_failed_import_leaves_another_lib_alone(tmp_path):
    (tmp_path / "chainer").mkdir()
    (tmp_path / "chainer" / "__init__.py").write_text("raise ImportError('broken')")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "utils.py").write_text("mine = 2")
    code = """
try:
    import chainer_dnc
except ImportError as error:
    import lib.utils
    print(error, lib.utils.mine)
"""
    assert run(code, tmp_path) == "broken 2"


@pytest.mark.parametrize("name", ["lib", "chainer_dnc"])
def test_the_package_is_run_in_a_checkout(name):
    assert "usage:" in run("", ROOT, "-m", name, "--help")


def test_what_is_public():
    import lib

    names = {"DNC", "Adam", "State", "Trace", "initialize", "join_rows", "take_rows", "trace"}
    assert set(lib.__all__) == names
    assert all(getattr(lib, name).__doc__ for name in lib.__all__)


def test_the_readme_lists_every_room():
    text = Path(ROOT / "README.md").read_text(encoding="utf-8")
    for name in sorted({path.parts[0] for path in FILES} - {"__init__.py", "__main__.py"}):
        assert f"lib/{name}" in text, name
