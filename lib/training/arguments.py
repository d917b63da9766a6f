"""The command line: a parser made of the settings."""

import argparse

from .settings import SETTINGS, Settings
from .tables import as_text

_EPILOG = """\
examples:
  {command}                                   learn to add up to 12 digits
  {command} --test_seq_len 30                 see it add up 30 digits
  {command} --lstm_only                       the same without a memory, to compare
  {command} --task repeat --hps 64,16,1,64,8  another task, a smaller model

A run that was stopped (Ctrl-C) goes on when the program is started again. What is not given then,
or in a test, is as the snapshot has it.
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message):
        """End the program with status 2."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def build_parser(tasks, command="python dnc.py"):
    """The command line; an argument that is not given is absent from the parsed namespace.

    Args:
        tasks: names to choose from.
        command: how the program is called.
    """
    parser = Parser(
        prog=command.split()[-1],
        usage=f"{command} [arguments]",
        description="Train a Differentiable Neural Computer on a toy task, or test a trained one.",
        epilog=_EPILOG.format(command=command),
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=26, width=100
        ),
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    groups = {}
    for setting in SETTINGS:
        heading = setting.metadata["group"]
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        _add(groups[heading], setting, choices=tasks if setting.name == "task" else None)
    parser.add_argument_group("help").add_argument("-h", "--help", action="help", help="this text")
    return parser


def _add(group, setting, choices):
    """An argument, with the default in its help alone."""
    about, text = setting.metadata, setting.metadata["text"]
    if setting.default is False:
        group.add_argument(f"--{setting.name}", action="store_true", help=text)
        return
    if setting.default not in (None, ""):
        text = f"{text} (default: {as_text(setting.default)})"
    options = {"choices": choices} if choices else {"type": about["parse"]}
    if about["metavar"]:
        options["metavar"] = about["metavar"]
    group.add_argument(f"--{setting.name}", help=text, **options)


def parse(parser, argv=None):
    """The :class:`Settings` that a command line gives; ends the program where it is wrong."""
    return Settings.of(vars(parser.parse_args(argv)))
