"""Files that were changed since they were written: bytes flipped, ends cut off."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import compare
from .bench import Outcome, unexpected
from .runs import EVERY, NAME, ROOT, Started, command

_COMPILING = "Compiling the CPU kernels"
_LEFT_OUT = ("Damaged snapshot ",)
_QUICK = 100_000  # bytes of a kernel that is compiled in a second or two


def flipped(data, rng):
    """Some bits are others."""
    for _ in range(rng.integers(1, 9)):
        if data:
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)


def cut(data, rng):
    """The end is missing."""
    del data[rng.integers(len(data) + 1) :]


def zeroed(data, rng):
    """A piece is zeros, as where a disk never wrote it."""
    start = rng.integers(len(data) + 1)
    stop = min(len(data), start + rng.integers(1, 5000))
    data[start:stop] = bytes(stop - start)


def grown(data, rng):
    """There is more at the end, or in the middle."""
    at = rng.choice([len(data), rng.integers(len(data) + 1)])
    data[at:at] = rng.bytes(rng.integers(1, 1000))


def shuffled(data, rng):
    """Two pieces have changed places."""
    a, b = sorted(rng.integers(len(data) + 1, size=2))
    data[:] = data[b:] + data[a:b] + data[:a]


_WAYS = (flipped, flipped, flipped, cut, cut, zeroed, grown, shuffled)


def harm(path, rng):
    """Damage a file in one of these ways; whether it is another now."""
    before = path.read_bytes()
    data = bytearray(before)
    _WAYS[rng.integers(len(_WAYS))](data, rng)
    path.write_bytes(data)
    return data != before


def snapshots(bench, rng, index):
    """The newest snapshots are damaged, one to three of them, and all of them now and then."""
    newest = int(rng.integers(1, compare.LAST // EVERY)) * EVERY
    folder = bench.until(newest)
    there = compare.iterations_in(folder)[::-1]
    many = len(there) if rng.integers(10) == 0 else min(len(there), rng.integers(1, 4))
    harmed = sum(harm(compare.snapshot_in(folder, each), rng) for each in there[:many])
    return bench.conclude(folder, harmed, allowed=_LEFT_OUT)


def others(bench, rng, index):
    """The log and the configuration are damaged, while training is still on or at its end."""
    folder = bench.until(int(rng.integers(1, compare.LAST // EVERY + 1)) * EVERY)
    finished = compare.snapshot_in(folder).exists()
    kinds = ["log"] if finished else ["log", "config"]
    harmed = sum(harm(folder / f"{NAME}_{kind}.json", rng) for kind in kinds)
    return bench.conclude(folder, harmed)


def kernels(bench, rng, index):
    """Kept kernels are damaged: each is compiled anew, and training is the same."""
    caches = bench.new()
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(caches)}
    kept = sorted((ROOT / "lib" / "kernels" / "__pycache__").glob("*.kept"))
    cache = Path(_cache_folder(environment))
    for path in kept:
        shutil.copy(path, cache)
    small = [path for path in kept if path.stat().st_size < _QUICK]
    # The larger ones take long to be compiled.
    path = rng.choice(kept if rng.integers(4) == 0 else small)
    harmed = harm(cache / path.name, rng)
    folder = bench.until(compare.LAST - EVERY)
    ended = Started(command(folder), env=environment).wait()
    wrong = unexpected(ended, [_COMPILING])
    differing = compare.differences(folder, bench.whole)
    return Outcome(harmed, bool(differing), (*wrong, *differing))


def _cache_folder(environment):
    """The folder in which kernels are kept; it is there then."""
    code = "from lib.kernels import adam_pass; print(adam_pass.approach._cache.cache_path)"
    words = [sys.executable, "-c", code]
    return subprocess.check_output(words, cwd=ROOT, env=environment, text=True).strip()
