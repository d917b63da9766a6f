"""``python record.py FILE``: write down the names and signatures of the CuPy that is installed.

No GPU is needed for it. The stand-in offers what is written there, and nothing else.
"""

import inspect
import json
import sys

import cupy
import numpy as np


def parameters(function):
    """The parameters as in a ``def``, with None for each default; None where they are not told."""
    try:
        found = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return from_docstring(function)
    plain = [p.replace(annotation=p.empty) for p in found]
    return str(
        inspect.Signature([p if p.default is p.empty else p.replace(default=None) for p in plain])
    )[1:-1]


def from_docstring(function):
    """The same of a compiled method, whose signature stands in the first line."""
    line = (getattr(function, "__doc__", None) or "").strip().split("\n")[0]
    if "(" not in line:
        return None
    inside = line[line.index("(") + 1 : line.rindex(")")].split(", ")
    names = [part.split("=")[0].split(" ")[-1] + "=None" * ("=" in part) for part in inside]
    return ", ".join(names)


def record():
    """What there is in both CuPy and NumPy."""
    both = {name: getattr(cupy, name) for name in sorted(vars(cupy)) if hasattr(np, name)}
    ufuncs = [name for name, value in both.items() if isinstance(value, cupy.ufunc)]
    functions = {
        name: parameters(value)
        for name, value in both.items()
        if callable(value) and not inspect.isclass(value) and name not in ufuncs
    }
    methods = {
        name: parameters(getattr(cupy.ndarray, name))
        for name in dir(np.ndarray)
        if not name.startswith("_") and callable(getattr(cupy.ndarray, name, None))
    }
    return {
        "version": cupy.__version__,
        "ufuncs": ufuncs,
        "functions": functions,
        "methods": methods,
    }


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(record(), file, indent=0)
        file.write("\n")
