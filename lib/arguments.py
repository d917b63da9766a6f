"""The arguments of the command line: their defaults, what they may be, and their help."""

import argparse
import math
import os

from lib.config import as_text

# A run's configuration. What is not given comes from its snapshot, or else from here.
DEFAULTS = {
    "task": "addition",
    "max_seq_len": 12,
    "max_seq_wid": 6,
    "hps": [256, 64, 4, 256, 8],
    "lstm_only": False,
    "gpu": -1,
    "iterations": 100000,
    "batch_size": 1,
    "lr": 1e-4,
    "seed": None,
    "log_interval": 500,
    "snapshot_interval": 50000,
}
# What belongs to one call of the program, and is no part of a snapshot.
CALL_DEFAULTS = {"out": "result", "test_seq_len": 0, "test_samples": 100}

_EPILOG = """\
examples:
  python dnc.py                                   learn to add up to 12 digits
  python dnc.py --test_seq_len 30                 see it add up 30 digits
  python dnc.py --lstm_only                       the same without a memory, to compare
  python dnc.py --task repeat --hps 64,16,1,64,8  another task, a smaller model

A run that was stopped (Ctrl-C) goes on when the program is started again. What is not given then,
or in a test, is as the snapshot has it.
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message):
        """End the program with status 2."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def integer(least, most=2**31 - 1):
    """A parser of integers within these bounds."""

    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"must be an integer from {least} to {most}, got {text!r}"
            )
        return value

    return parse


def rate(text):
    """Parse a positive, finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive, finite number, got {text!r}")
    return value


def sizes(text):
    """Parse "N,W,R,H,K" to a list of five ints."""
    try:
        N, W, R, H, K = text.split(",")
        return [*map(integer(1), (N, W, R, H)), integer(0)(K)]
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(
            "must be five integers N,W,R,H,K separated by commas, N, W, R and H at least 1 and "
            f"K at least 0, got {text!r}"
        ) from None


def folder(text):
    """A folder, or the path of a new one; nothing is made here."""
    there = os.path.abspath(text)
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if not text or not os.path.isdir(there):
        raise argparse.ArgumentTypeError(f"must be a folder or the path of a new one, got {text!r}")
    return text


def build_parser(tasks):
    """The command line; an argument that is not given is absent from the parsed namespace.

    Args:
        tasks: names to choose from.
    """
    parser = Parser(
        prog="dnc.py",
        usage="python dnc.py [arguments]",
        description="Train a Differentiable Neural Computer on a toy task, or test a trained one.",
        epilog=_EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=26, width=100
        ),
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    add = _adder(parser.add_argument_group("the task"))
    add("task", None, "what to learn", choices=tasks)
    add("max_seq_len", "L", "training lengths are drawn up to this", type=integer(1))
    add("max_seq_wid", "C", "columns of the input; the last marks the delimiter", type=integer(1))
    add = _adder(parser.add_argument_group("the model"))
    add(
        "hps",
        "N,W,R,H,K",
        "memory locations, word width, read heads, LSTM hidden units, and the entries kept per row "
        "of the sparse link matrix (0: all, dense)",
        type=sizes,
    )
    lstm_only = "the controller alone, for comparison: an LSTM of the same hidden units, no memory"
    add("lstm_only", None, lstm_only, action="store_true")
    add("gpu", "G", "ordinal of the GPU to run on; -1 is the CPU", type=integer(-1))
    _add_training(_adder(parser.add_argument_group("training")))
    add = _adder(parser.add_argument_group("testing"))
    add("test_seq_len", "L", "test the trained model on this length; 0 is off", type=integer(0))
    add("test_samples", "S", "sequences to test it on", type=integer(1))
    parser.add_argument_group("help").add_argument("-h", "--help", action="help", help="this text")
    return parser


def _add_training(add):
    add("iterations", "I", "batches to train on, those before a resume included", type=integer(1))
    add("batch_size", "B", "sequences in a batch", type=integer(1))
    add("lr", "A", "learning rate, the alpha of Adam", type=rate)
    add(
        "seed",
        "S",
        "decides all that is random; random by default, and printed",
        type=integer(0, 2**63),
    )
    add("out", "DIR", "folder of snapshots, log and configuration", type=folder)
    add("snapshot_interval", "I", "iterations from one snapshot to the next", type=integer(1))
    add("log_interval", "I", "iterations that each printed loss is the mean of", type=integer(1))


def _adder(group):
    """Like `add_argument`, with the default in the help alone."""
    defaults = {**DEFAULTS, **CALL_DEFAULTS}

    def add(name, metavar, text, **options):
        if metavar is not None:
            options["metavar"] = metavar
        if defaults[name] is not None and "action" not in options:
            text = f"{text} (default: {as_text(defaults[name])})"
        group.add_argument(f"--{name}", help=text, **options)

    return add
