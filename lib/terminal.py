"""Progress shown on a terminal."""

import os
import sys

from tqdm import tqdm


class NoBar:
    """In the place of a bar where nobody would see it: tqdm starts a thread even then."""

    def update(self):
        """Do nothing."""

    def close(self):
        """Do nothing."""


def progress_bar(total, done=0, label=None):
    """A bar of tqdm's with the time left; nothing where standard error is no terminal."""
    if not on_terminal():
        return NoBar()
    size = {"dynamic_ncols": True}
    if os.get_terminal_size(sys.stderr.fileno()).columns == 0:
        size = {"ncols": 80, "nrows": 24}  # tqdm draws nothing where it does not know the size
    return tqdm(total=total, initial=done, desc=label, leave=False, **size)


def on_terminal():
    """Whether standard error is one, and its size can be asked for."""
    try:
        return sys.stderr.isatty() and bool(os.get_terminal_size(sys.stderr.fileno()))
    except (AttributeError, OSError, ValueError):  # it is None, no file, or closed
        return False
