"""One case at a time, in this process."""

import tempfile
import traceback
import zlib
from functools import cache

import numpy as np

from .bench import Bench, Outcome

_folder = None


def begin(folder):
    """Have the cases work in this folder, which whoever calls removes."""
    global _folder
    _folder = folder
    bench.cache_clear()


@cache
def bench():
    """The one of this process."""
    return Bench(tempfile.mkdtemp(dir=_folder))


def do(kind, seed, index):
    """The outcome of one case."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.name.encode()), index])
    try:
        outcome = kind.case(bench(), rng, index)
    except Exception:
        outcome = Outcome(1, 1, (traceback.format_exc(),))
    told = tuple(f"{kind.name}, case {index}: {line}" for line in outcome.wrong)
    return outcome._replace(wrong=told)
