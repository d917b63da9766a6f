"""DNCs in Chainer scripts that train as soon as they are imported, from their unmodified sources.

Of a script only imports, functions, classes and plain aliases (``xp = np``) are run. Chainer is
made to work by this project's ``lib/compat/shims.py``, loaded by its path: the name ``lib`` stays
free.
"""

import ast
import importlib.util
import os
import re
import types

HERE = os.path.dirname(os.path.abspath(__file__))
SHIMS = os.path.join(HERE, os.pardir, os.pardir, "lib", "compat", "shims.py")
PRINT_STATEMENT = re.compile(r"^([ \t]*)print[ \t]+(.+)$", re.MULTILINE)
KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


def original(path):
    """github.com/AdeelMufti/DifferentiableNeuralComputer, ``dnc.py``."""
    script = definitions(script_at(path, "dnc.py"))

    def build(s):
        return script.DNC(s["X"], s["Y"], s["N"], s["W"], s["R"], s["H"], s["K"])

    return lambda sizes: iteration(build(sizes), sizes)


def yos1up(path):
    """github.com/yos1up/DNC, ``main.py``: a full link, and a controller as wide as its output."""
    script = definitions(script_at(path, "main.py"))

    def build(s):
        return script.DNC(s["X"], s["Y"], s["N"], s["W"], s["R"])

    return lambda sizes: iteration(build(sizes), sizes)


LOADERS = {"original": original, "yos1up": yos1up}


def script_at(path, name):
    """The script at a path that names it or its folder."""
    return os.path.join(path, name) if os.path.isdir(path) else path


def definitions(path):
    """A module of what a script imports and defines, without what it then does."""
    load_shims().install()
    with open(path, encoding="utf-8") as file:
        tree = parse(file.read(), path)
    tree.body = [statement for statement in tree.body if defines(statement)]
    module = types.ModuleType("script")
    exec(compile(tree, path, "exec"), vars(module))
    return module


def load_shims():
    """``lib.compat.shims`` of this project, under another name."""
    spec = importlib.util.spec_from_file_location("shims_for_benchmarks", SHIMS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parse(source, path):
    """The syntax tree; print statements of Python 2 are read as calls."""
    try:
        return ast.parse(source, path)
    except SyntaxError:
        return ast.parse(PRINT_STATEMENT.sub(r"\1print(\2)", source), path)


def defines(statement):
    """Whether a statement of a script only imports, defines or names something."""
    if isinstance(statement, ast.Try):
        return all(map(defines, statement.body))
    alias = isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name)
    return alias or isinstance(statement, KEPT)


def iteration(model, sizes):
    """A training iteration, one call of the link a step, as these scripts do it."""
    import chainer
    import chainer.functions as F
    import numpy as np

    rng = np.random.default_rng(0)
    xs = np.eye(sizes["X"], dtype=np.float32)[rng.integers(sizes["X"], size=sizes["T"])]
    targets = rng.random((sizes["T"], 1, sizes["Y"]), dtype=np.float32)
    optimizer = chainer.optimizers.Adam(alpha=1e-4)
    optimizer.setup(model)

    def run():
        model.reset_state()
        loss = 0
        for x, target in zip(xs, targets):
            loss += F.sum((model(chainer.Variable(x[None])) - target) ** 2)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        loss.unchain_backward()

    return run
