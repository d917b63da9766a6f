"""Snapshots made to do harm are refused: nothing is run, made or given what they ask for."""

import os
import resource
from pathlib import Path

from . import compare
from .bench import ERROR, Outcome, errors, unexpected
from .forgeries import ASKING, SAYING, TRAP
from .runs import EVERY, LAST, Forked, command

FORGERIES = {**ASKING, **SAYING}
_BEFORE = LAST - 2 * EVERY  # the newest whole snapshot; the forged one comes after it
_LINES = ("Damaged snapshot ", *ERROR)
# Beside what a run takes, and a few copies of what the file itself holds.
_MORE = 32 * 2**10
_COPIES = 4
_ROOM = 2**29


def case(bench, rng, index):
    """One forgery, as the newest snapshot of a run that is to go on, and of one to be tested."""
    forge = list(FORGERIES.values())[index]
    content = forge(compare.load(compare.snapshot_in(bench.whole, _BEFORE + EVERY)))
    wrong, lost = [], False
    for testing in (False, True):
        folder = bench.until(_BEFORE)
        compare.snapshot_in(folder, _BEFORE + EVERY).write_bytes(content)
        before = compare.contents(folder)
        ended, grown = _watched(folder, testing)
        wrong += unexpected(ended, _LINES)
        wrong += _judged(ended, before == compare.contents(folder), testing)
        usual = _usual(bench, testing)
        if grown > usual + _MORE + _COPIES * len(content) // 2**10:
            wrong.append(f"it took {(grown - usual) // 2**10} MiB more than usual")
        if ended.status == 0 and not testing:
            differing = compare.differences(folder, bench.whole)
            lost, wrong = bool(differing), wrong + differing
        wrong += _traps(folder)
        bench.remove(folder)
    name = list(FORGERIES)[index]
    return Outcome(1, lost, tuple(f"{name}: {line}" for line in wrong))


def _watched(folder, testing):
    """How the run ended, and how many KiB it grew by; it has no room for what would be huge."""
    tests = ["--out", str(folder), "--test_seq_len", "3", "--test_samples", "1"]

    def plant():
        os.chdir(folder)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + _ROOM, size + _ROOM))

    idle = Forked([], lambda: os._exit(0)).wait().peak
    ended = Forked(tests if testing else command(folder), plant).wait()
    return ended, ended.peak - idle


def _usual(bench, testing):
    """By how many KiB a run grows of which no snapshot is forged; measured once."""
    if testing not in bench.growth:
        folder = bench.until(_BEFORE)
        bench.growth[testing] = _watched(folder, testing)[1]
        bench.remove(folder)
    return bench.growth[testing]


def _judged(ended, untouched, testing):
    """It is left out, or refused in one line with all files as they were."""
    wrong = []
    if ended.status not in (0, 1, 2):
        wrong.append(f"it ends with {ended.status}")
    if not untouched and (ended.status or testing):
        wrong.append("files have changed")
    told = errors(ended)
    if len(told) != bool(ended.status):
        wrong.append(f"it tells {len(told)} errors and ends with {ended.status}")
    if "Unable to allocate" in ended.err or "out of memory" in ended.err:
        wrong.append(f"it tried to allocate: {ended.err}")
    return wrong


def _traps(folder):
    places = (folder, *folder.parents, Path("/tmp"), Path.cwd())
    found = [path for place in places for path in place.glob(f"{TRAP}*")]
    for path in found:
        path.unlink()
    return [f"it made {path}" for path in found]
