"""Snapshots made to do harm: each asks for memory, for code to be run, or for files elsewhere."""

import json
import pickle
import zlib

import numpy as np

from .archives import BZIP2, DEFLATED, LZMA, Entry, announcing, archive, headed, npy
from .archives import zeros_deflated as deflated

W = "model/controller/lstm/upward/W"
STATE = "trainer/updater/random_state"
ITERATION = "trainer/updater/iteration"
CURVE = "trainer/extensions/PlotReport/"
LOG = "trainer/extensions/LogReport/_log"
# Nothing of what they ask for may be there afterwards.
TRAP = "torture-trap"
_HUGE = 2**31 - 1
_DEEP = "[" * 100_000 + "]" * 100_000


class Trap:
    """Unpickled, it makes a file."""

    def __reduce__(self):
        return open, (TRAP, "w")


def _entries(arrays):
    return [Entry(f"{name}.npy", npy(array)) for name, array in arrays.items()]


def _with(**options):
    """A forgery with other entries: `name` and `data` of one that is put in the place of W."""

    def forge(arrays):
        rest = [entry for entry in _entries(arrays) if entry.name != f"{W}.npy"]
        return archive([*rest, Entry(**{"name": f"{W}.npy", **options})])

    return forge


def _more(*more):
    return lambda arrays: archive([*_entries(arrays), *more])


def _array(name, value):
    """A forgery in which one array is another."""
    return lambda arrays: archive(_entries({**arrays, name: np.asarray(value)}))


def _config(**changed):
    def forge(arrays):
        config = {**json.loads(str(arrays["config"])), **changed}
        return archive(_entries({**arrays, "config": np.asarray(json.dumps(config))}))

    return forge


def _state(**changed):
    def forge(arrays):
        state = {**json.loads(str(arrays[STATE])), **changed}
        return archive(_entries({**arrays, STATE: np.asarray(json.dumps(state))}))

    return forge


def _weight(change):
    return lambda arrays: archive(_entries({**arrays, W: change(arrays[W])}))


def _listed(change):
    def forge(arrays):
        names = change(sorted(set(arrays) - {"entries"}))
        return archive(_entries({**arrays, "entries": np.asarray(json.dumps(names))}))

    return forge


def _without(*names):
    return lambda arrays: archive(_entries({n: arrays[n] for n in arrays if n not in names}))


def _bomb(mebibytes, **options):
    def forge(arrays):
        packed, crc = deflated(mebibytes)
        told = {"size": mebibytes * 2**20, "crc": crc, **options}
        return _with(data=packed, method=DEFLATED, **told)(arrays)

    return forge


def _swelling_weight(arrays):
    """1 GiB in an entry that is a proper array, as far as its header goes."""
    head = announcing("'<f4'", (2**28,))
    packed, _ = deflated(1024)
    start = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = start.compress(head) + start.flush(zlib.Z_FULL_FLUSH) + packed
    return _with(data=data, method=DEFLATED, size=2**30 + len(head), crc=0)(arrays)


def _overlapping(arrays):
    """Each of a hundred entries is also a part of the one before."""
    inner = _with(data=bytes(2**20))(arrays)
    return archive([*_entries(arrays), Entry("a.npy", inner), *(
        Entry(f"{number}.npy", b"", at=0) for number in range(100))])  # fmt: skip


def _objects():
    head = headed("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }")
    return head + pickle.dumps([Trap()])


ASKING = {
    "objects": _with(data=_objects()),
    "a pickle in place of the archive": lambda arrays: pickle.dumps(Trap()),
    "a pickle as an entry": _more(Entry("x.pkl", pickle.dumps(Trap()))),
    "code in a header": _with(data=headed(f"open('{TRAP}', 'w')")),
    "objects within a structure": _with(
        data=announcing("[('a', '|O')]", (1,), pickle.dumps([Trap()]))
    ),
    "a huge shape": _with(data=announcing("'<f4'", (2**40,))),
    "a huge shape, some of it there": _with(data=announcing("'<f4'", (2**31, 4), bytes(2**20))),
    "a shape beyond 64 bits": _with(data=announcing("'<f4'", (2**62, 16))),
    "a shape that comes to 0": _with(data=announcing("'<f4'", (2**32, 2**32), b"")),
    "no rows of a huge width": _with(data=announcing("'<f4'", (0, 2**62), b"")),
    "a negative shape": _with(data=announcing("'<f4'", (-1, 8), bytes(32))),
    "a shape of two negatives": _with(data=announcing("'<f4'", (-8, -1), bytes(32))),
    "a shape of truths": _with(data=announcing("'<f4'", (True, True), bytes(4))),
    "a shape of a thousand sides": _with(data=announcing("'<f4'", (1,) * 1000, bytes(4))),
    "items of 2 GiB": _with(data=announcing("'|S2147483647'", (0,))),
    "items of nothing, many": _with(data=announcing("'|V0'", (2**60,))),
    "a header of megabytes": _with(
        data=announcing("'<f4'", (1,), bytes(4), version=2, padding=30_000_000)
    ),
    "a header longer than the file": _with(data=b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
    "a deep header": _with(data=headed("(" * 9000)),
    "a version of no kind": _with(data=headed("{}", version=9)),
    "a bomb": _bomb(4096 - 1),
    "a bomb that is an array": _swelling_weight,
    "a bomb that says it is small": _bomb(2048, size=1000),
    "overlapping entries": _overlapping,
    "100,000 entries": lambda arrays: archive([Entry(f"{n}.npy", b"") for n in range(100_000)]),
    "a name in the folder above": _more(Entry(f"../{TRAP}.npy", npy(np.zeros(3)))),
    "a name from the root": _more(Entry(f"/tmp/{TRAP}.npy", npy(np.zeros(3)))),
    "a name of Windows": _more(Entry(f"C:\\{TRAP}.npy", npy(np.zeros(3)))),
    "a weight above": _more(Entry(f"model/../../{TRAP}.npy", npy(np.zeros(3)))),
    "a name with a zero": _more(Entry("model\0/x.npy", npy(np.zeros(3)))),
    "a name of 60 KB": _more(Entry("x" * 60_000 + ".npy", npy(np.zeros(3)))),
    "two entries of one name": _more(Entry(f"{W}.npy", npy(np.zeros(3)))),
    "encrypted": _with(data=bytes(1000), flags=1),
    "LZMA": _with(data=bytes(1000), method=LZMA, size=2**31),
    "bzip2": _with(data=bytes(1000), method=BZIP2, size=2**31),
    "a method of no kind": _with(data=bytes(1000), method=77),
    "deflated, and no such data": _with(data=b"\xff" * 1000, method=DEFLATED, size=50_000),
}
SAYING = {
    "entries that are missing": _listed(lambda names: [*names, "model/more"]),
    "entries that are not listed": _listed(lambda names: names[1:]),
    "a list that is a number": _listed(len),
    "a list of lists": _listed(lambda names: [names]),
    "a deep list": _array("entries", _DEEP),
    "an entry more": lambda a: archive(_entries({**a, "model/more": np.zeros(3)})),
    "no configuration": _without("config"),
    "a deep configuration": _array("config", _DEEP),
    "a configuration of numbers": _array("config", np.arange(9)),
    "a number of a million digits": _array("config", '{"seed": ' + "9" * 1_000_000 + "}"),
    "H of 2^31 - 1": _config(hps=[8, 4, 1, _HUGE, 2]),
    "N of 2^31 - 1": _config(hps=[_HUGE, 4, 1, 8, 2]),
    "W of 2^31 - 1": _config(hps=[8, _HUGE, 1, 8, 2]),
    "sizes below 0": _config(hps=[-8, 4, 1, 8, 2]),
    "sizes without an end": _config(hps=[1e400, 4, 1, 8, 2]),
    "sizes in words": _config(hps="many"),
    "sizes in a dictionary": _config(hps={"N": 8}),
    "six sizes": _config(hps=[8, 4, 1, 8, 2, 2]),
    "a huge batch": _config(batch_size=_HUGE),
    "a batch below 0": _config(batch_size=-1),
    "a batch of 10^30": _config(batch_size=10**30),
    "a batch of a list": _config(batch_size=[1] * 1000),
    "huge lengths": _config(max_seq_len=_HUGE),
    "huge widths": _config(max_seq_wid=_HUGE),
    "a rate of NaN": _config(lr=float("nan")),
    "a seed below 0": _config(seed=-1),
    "an interval of 0": _config(snapshot_interval=0),
    "a task of no name": _config(task="../../x"),
    "a task that is a list": _config(task=["addition"]),
    "a GPU": _config(gpu=99),
    "an iteration below 0": _array(ITERATION, -5),
    "an iteration of a fraction": _array(ITERATION, 54.5),
    "an iteration in words": _array(ITERATION, "many"),
    "iterations": _array(ITERATION, np.arange(5)),
    "an iteration of NaN": _array(ITERATION, np.nan),
    "an iteration of 2^63": _array(ITERATION, np.uint64(2**63)),
    "another generator": _state(bit_generator="MT19937"),
    "a state below 0": _state(state={"state": -1, "inc": 1}),
    "a state too large": _state(state={"state": 2**200, "inc": 1}),
    "a state in words": _state(state="many"),
    "no state": _array(STATE, "null"),
    "a state that is a list": _array(STATE, "[1, 2]"),
    "a deep state": _array(STATE, _DEEP),
    "a state of numbers": _array(STATE, np.arange(7)),
    "weights of another shape": _weight(lambda w: w[:-1]),
    "weights without a shape": _weight(lambda w: w[0, 0]),
    "weights of a thousand times the size": _weight(lambda w: np.tile(w, (1000, 1))),
    "weights in words": _weight(lambda w: w.astype(str)),
    "weights in bytes": _weight(lambda w: w.astype("S9")),
    "weights of complex numbers": _weight(lambda w: w.astype(complex)),
    "weights of times": _weight(lambda w: np.zeros(w.shape, "m8[s]")),
    "weights of structures": _weight(lambda w: np.zeros(w.shape, [("a", "f4"), ("b", "f4")])),
    "moments of another shape": _array(f"optimizer/{W[6:]}/m", np.zeros(3, "f")),
    "moments in words": _array(f"optimizer/{W[6:]}/v", "none"),
    "moments that are missing": _without(f"optimizer/{W[6:]}/m"),
    "steps below 0": _array("optimizer/t", -3),
    "averages of another shape": _array(f"average/{W[6:]}", np.zeros(3, "f")),
    "a curve that is none": _array(f"{CURVE}_plot_dnc_addition_loss.png", '{"loss": [1, 2]}'),
    "names that are numbers": _array(f"{CURVE}_summary/_names", "[1, 2]"),
    "a sum in words": _array(f"{CURVE}_summary/_summaries/0/_x", "many"),
    "a log that is none": _array(LOG, '{"a": 1}'),
    "a log of words": _array(LOG, '["a", 1]'),
    "a deep log": _array(LOG, _DEEP),
    "a time in words": _array("trainer/_snapshot_elapsed_time", "long"),
    "a time of NaN": _array("trainer/_snapshot_elapsed_time", np.nan),
}
