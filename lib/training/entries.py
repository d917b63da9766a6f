"""What the entries of a snapshot may hold.

Chainer takes what it is given: moments of Adam of whatever shape, which compiled loops then read
and write beyond their ends, a count below 0, a log that is no list. So all are looked at before.
"""

import json

import numpy as np

# What is text, by how a name ends; all else beside arrays is a number.
_ROWS, _TEXT = "/_log", ("/random_state", "/_names", "/_log")
_COUNTS = ("/t", "/updates", "/iteration", "/_n", "/epoch")
_MOST = 2**31 - 1  # iterations that can be asked for


def check(arrays):
    """ValueError where an entry is not what training has saved under its name.

    Args:
        arrays: by name; of parts that are not called as those of a run nothing is asked.
    """
    for name, array in arrays.items():
        weight = _weight(name)
        if weight in arrays:
            if array.dtype.kind != "f" or array.shape != arrays[weight].shape:
                shape = arrays[weight].shape
                raise ValueError(f"{name} is {array.dtype}{array.shape}, not floats{shape}")
        elif name.startswith(("optimizer/", "trainer/")) or name == "average/updates":
            _check_single(name, array)


def _weight(name):
    """The weight whose shape an array has to have, by the array's name; None for what is none."""
    part, _, rest = name.partition("/")
    if part == "optimizer":
        rest, _, moment = rest.rpartition("/")
        return f"model/{rest}" if moment in ("m", "v", "vhat") else None
    return f"model/{rest}" if part in ("model", "average") else None


def _check_single(name, array):
    if array.ndim:
        raise ValueError(f"{name} has shape {array.shape}")
    if name.endswith(_TEXT) or "/_plot_" in name:
        _check_json(name, json.loads(str(array)))
    elif array.dtype.kind not in "biuf":
        raise ValueError(f"{name} is no number")
    elif name.endswith(_COUNTS) and not (array.dtype.kind in "iu" and 0 <= array <= _MOST):
        raise ValueError(f"{name} is {array}")


def _check_json(name, value):
    if name.endswith(_ROWS):
        fits = isinstance(value, list) and all(map(_is_row, value))
    elif "/_plot_" in name:
        fits = isinstance(value, dict) and all(
            np.asarray(points, float).shape in ((0,), (len(points), 2)) for points in value.values()
        )
    elif name.endswith("/_names"):
        fits = isinstance(value, list) and all(isinstance(each, str) for each in value)
    else:
        fits = isinstance(value, dict)
    if not fits:
        raise ValueError(f"{name} is {str(value)[:100]}")


def _is_row(row):
    numbers = isinstance(row, dict) and all(type(row[name]) in (int, float) for name in row)
    return numbers and {"loss", "iteration", "elapsed_time"} <= row.keys()
