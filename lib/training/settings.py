"""The settings of a run: their names, defaults and help, and which of them a snapshot keeps."""

import math
import random
from argparse import ArgumentTypeError
from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple, Optional

from ..start import STARTS
from . import values
from .tables import as_text

# What chooses the snapshot is not chosen by it.
_CHOOSING = frozenset({"task", "lstm_only"})
# What only matters at the start stays what it was.
STARTING = frozenset({"seed", "memory", "input_scale", "forget_bias"})
# What is no part of the model, and goes for an LSTM alone too.
_TRAINING = frozenset({"average", "rate_peak", "rate_fall"})


class _ForTask(NamedTuple):
    """Defaults that depend on the task."""

    memory: str
    batch_size: int


# While so many batches last, the learning rate stays at its peak.
_AT_PEAK = 12000
_FOR_TASK = {
    "addition": _ForTask("accumulate", 1),
    "repeat": _ForTask("recall", 1),
    "priority_sort": _ForTask("select", 16),
}


def _setting(default, group, text, parse=None, metavar=None, saved=True, before=None):
    """One setting, as an argument of the command line too.

    Args:
        default: the only place where it stands.
        group: heading in the help.
        text: what the help says of it.
        parse: turns the argument's text into the value; None for a choice or a switch.
        metavar: name of the value in the help.
        saved: whether it belongs to the run, and its snapshots; else to one call of the program.
        before: what holds for the paper's model, and for snapshots older than the setting.
    """
    about = {"group": group, "text": text, "parse": parse, "metavar": metavar, "saved": saved}
    return field(default=default, metadata={**about, "before": before})


def _sequences(batches, batch_size):
    """How many they hold, rounded up, as far as the command line goes."""
    return min(math.ceil(batches * batch_size), values.MOST)


@dataclass(frozen=True)
class Settings:
    """What one call of the program is to do: the arguments of the command line, all of them.

    What is not given comes from the snapshot that the run goes on from (:meth:`over`), else it is
    the default. ``given`` are the names of what was given.
    """

    task: str = _setting("addition", "the task", "what to learn")
    max_seq_len: int = _setting(
        12, "the task", "training lengths are drawn up to this", values.integer(1), "L"
    )
    max_seq_wid: int = _setting(
        6, "the task", "columns of the input; the last marks the delimiter", values.integer(1), "C"
    )
    hps: tuple[int, ...] = _setting(
        (256, 64, 4, 256, 8),
        "the model",
        "memory locations, word width, read heads, LSTM hidden units, and the entries kept per row "
        "of the sparse link matrix (0: all, dense)",
        values.sizes,
        "N,W,R,H,K",
    )
    lstm_only: bool = _setting(
        False,
        "the model",
        "the controller alone, for comparison: an LSTM of the same hidden units, no memory",
    )
    gpu: int = _setting(
        -1, "the model", "ordinal of the GPU to run on; -1 is the CPU", values.integer(-1), "G"
    )
    iterations: int = _setting(
        100000,
        "training",
        "batches to train on, those before a resume included",
        values.integer(1),
        "I",
    )
    batch_size: Optional[int] = _setting(
        None,
        "training",
        f"sequences in a batch (default: {_FOR_TASK['priority_sort'].batch_size} for "
        "priority_sort, else 1)",
        values.integer(1),
        "B",
    )
    lr: float = _setting(1e-4, "training", "learning rate, the alpha of Adam", values.rate, "A")
    rate_peak: float = _setting(
        3.0,
        "the recipe",
        "the learning rate starts at this times --lr",
        values.rate,
        "R",
        before=1.0,
    )
    rate_fall: Optional[int] = _setting(
        None,
        "the recipe",
        "from this many sequences of a process on, the learning rate falls with the square of "
        f"their number (default: those of {_AT_PEAK} batches); 0: it does not",
        values.integer(0),
        "S",
        before=0,
    )
    average: float = _setting(
        0.999,
        "the recipe",
        "weights averaged over training are what is tested: how much of the average an update "
        "leaves; 0: the last weights",
        values.share,
        "D",
        before=0.0,
    )
    cell_clip: float = _setting(
        1.0,
        "the recipe",
        "each step starts from the controller's cell state clipped to ±C; 0: not clipped",
        values.clip,
        "C",
        before=0.0,
    )
    bounded_reads: bool = _setting(
        True,
        "the recipe",
        "the controller is fed r/√(1+|r|²) in place of the read vectors r: True or False",
        values.switch,
        "B",
        before=False,
    )
    input_scale: float = _setting(
        3.0,
        "the recipe",
        "weights of the controller that see the input start with a standard deviation of S/√X; 0: "
        "as Chainer draws them",
        values.scale,
        "S",
        before=0.0,
    )
    memory: str = _setting(
        "task",
        "the recipe",
        "how the memory starts: recall (rows kept apart, looked up sharply), accumulate (all that "
        "is written adds up), mixed (half of the heads for each), select (rows kept apart, and "
        "taken by one key), plain (as a new DNC), or task: accumulate for addition, recall for "
        "repeat, select for priority_sort",
        values.one_of("task", "recall", "accumulate", "mixed", "select", "plain"),
        "M",
        before="plain",
    )
    forget_bias: Optional[float] = _setting(
        None,
        "the recipe",
        "bias with which the controller's forget gates start (default: -5 for accumulate, -8 for "
        "select, else -2); Chainer's is 1",
        values.weight,
        "F",
        before=1.0,
    )
    past_decay: Optional[float] = _setting(
        None,
        "the recipe",
        "weight decay, times the learning rate, of what the controller sees of its own past "
        "(default: 300 for accumulate, else 0)",
        values.bound,
        "P",
        before=0.0,
    )
    paper: bool = _setting(
        False,
        "the recipe",
        "none of the above: the paper's model, and its last weights",
        saved=False,
    )
    distributed: bool = _setting(
        False,
        "training",
        "one of several processes that mpiexec has started, each with a batch of its own",
        saved=False,
    )
    seed: Optional[int] = _setting(
        None,
        "training",
        "decides all that is random; random by default, and printed",
        values.integer(0, 2**63),
        "S",
    )
    out: str = _setting(
        "result",
        "training",
        "folder of snapshots, log and configuration",
        values.folder,
        "DIR",
        saved=False,
    )
    log_interval: int = _setting(
        500, "training", "iterations that each printed loss is the mean of", values.integer(1), "I"
    )
    snapshot_interval: int = _setting(
        50000, "training", "iterations from one snapshot to the next", values.integer(1), "I"
    )
    test_seq_len: int = _setting(
        0,
        "testing",
        "test the trained model on this length; 0 is off",
        values.integer(0),
        "L",
        saved=False,
    )
    test_samples: int = _setting(
        100, "testing", "sequences to test it on", values.integer(1), "S", saved=False
    )
    plot: str = _setting(
        "",
        "testing",
        "draw the example into this file, and what the memory did meanwhile",
        values.picture,
        "FILE",
        saved=False,
    )
    given: frozenset = frozenset()

    @classmethod
    def of(cls, given):
        """Settings of a dictionary of what was given; a seed is drawn where none was."""
        plain = {}
        if given.get("paper"):
            given = {**BEFORE, **given}
        elif given.get("lstm_only"):  # there is no memory to keep the past in its place
            plain = {name: value for name, value in BEFORE.items() if name not in _TRAINING}
        return cls(**{**plain, **given}, given=frozenset(given))._decided()

    def _decided(self):
        """The same with a value where the default depends on others, and a seed."""
        task = _FOR_TASK[self.task]
        memory = task.memory if self.memory == "task" else self.memory
        batch_size = self.batch_size or task.batch_size
        defaults = {
            "batch_size": batch_size,
            "rate_fall": _sequences(_AT_PEAK, batch_size),
            "seed": random.SystemRandom().randrange(2**32),
            **STARTS.get(memory, STARTS["recall"])._asdict(),
        }
        undecided = {name: it for name, it in defaults.items() if getattr(self, name) is None}
        return replace(self, memory=memory, **undecided)

    def over(self, saved):
        """These settings with what was not given taken from a snapshot's configuration.

        What a training that goes on has started with stays, its random state too.
        """
        mine = self.given if self.test_seq_len else self.given - STARTING
        found = self.of_snapshot(saved, without=mine | _CHOOSING)
        if "rate_fall" in mine or "batch_size" not in mine:
            return found
        # The rate is what it was, and goes on to fall, however large the batches are from now on.
        before = saved.get("batch_size", found.batch_size)
        return replace(found, rate_fall=_sequences(found.rate_fall / before, found.batch_size))

    def of_snapshot(self, saved, without=()):
        """The settings that a snapshot's configuration tells of, for those named the present.

        Args:
            saved: what :func:`of_config` makes of the configuration.
            without: names for which it has no say.
        """
        saved = {**BEFORE, **saved}
        names = [name for name in self.saved if name in saved and name not in without]
        return replace(self, **{name: saved[name] for name in names})

    @property
    def saved(self):
        """What a snapshot keeps, a dictionary."""
        return {s.name: getattr(self, s.name) for s in SETTINGS if s.metadata["saved"]}

    @property
    def kind(self):
        """The kind of model: "dnc" or "lstm"."""
        return "lstm" if self.lstm_only else "dnc"

    @property
    def name(self):
        """What the names of the run's files begin with."""
        return f"{self.kind}_{self.task}"


def of_config(saved):
    """A snapshot's configuration with each value as the command line would have made it.

    Raises:
        ValueError: one is none that the command line would take; names it.
    """
    return {name: _checked(name, value) for name, value in saved.items() if name in _BY_NAME}


def _checked(name, value):
    setting = _BY_NAME[name]
    if setting.default is False or name == "task":  # a switch, or a choice
        if type(value) is type(setting.default):
            return value
        raise ValueError(f"{name} is {value!r}")
    try:
        if isinstance(value, list) and not isinstance(setting.default, tuple):
            raise ArgumentTypeError(f"is {value!r}")
        return setting.metadata["parse"](as_text(value))  # JSON has made lists of tuples
    except ArgumentTypeError as error:
        raise ValueError(f"{name} {error}") from error


SETTINGS = [setting for setting in fields(Settings) if setting.metadata]
_BY_NAME = {setting.name: setting for setting in SETTINGS}
# The paper's model: also that of snapshots older than these settings.
BEFORE = {s.name: s.metadata["before"] for s in SETTINGS if s.metadata["before"] is not None}
