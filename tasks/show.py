"""Sequences as text."""

import sys

import numpy as np


def matrix(values, precision=3):
    """A matrix, whole, one row a line."""
    rounded = np.round(np.asarray(values, dtype=np.float64), precision) + 0.0  # no "-0."
    return np.array2string(
        rounded,
        precision=precision,
        suppress_small=True,
        threshold=sys.maxsize,
        max_line_width=sys.maxsize,
    )


def example(x, target, output, model_name):
    """One sequence as three matrices under their headings.

    Args: x (T, X), target (T, Y) and output (T, Y); model_name heads the output.
    """
    parts = (("Input Data:", x), ("Target Data:", target), (f"{model_name} Output:", output))
    return "\n".join(f"{heading}\n{matrix(values)}" for heading, values in parts)


def side_by_side(x, target, output):
    """One sequence in a line a row: input | target | output. Arguments as in `example`."""
    columns = [matrix(values, precision=2).split("\n") for values in (x, target, output)]
    rows = (" | ".join(row[2:].rstrip("]") for row in rows) for rows in zip(*columns))
    return "\n".join(f"  {row}" for row in rows)
