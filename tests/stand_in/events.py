"""What a GPU would have been asked for, counted, with the places that asked for it."""

import collections
import contextlib
import os
import sys

KINDS = ("wait", "upload", "download", "launch", "copy", "sort")
_HERE = os.path.dirname(__file__)
_happened = collections.Counter()


def note(kind, what):
    """Count an event at the first frame outside the stand-in and Chainer."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        frame = frame.f_back
    name = "/".join(frame.f_code.co_filename.split(os.sep)[-2:])
    _happened[kind, what, f"{name}:{frame.f_lineno}"] += 1


def _is_inside(filename):
    return filename.startswith(_HERE) or f"{os.sep}chainer{os.sep}" in filename


class Counts(dict):
    """Events by kind, all kinds; ``places`` has them by (kind, what, place)."""

    def __init__(self, places):
        super().__init__({kind: 0 for kind in KINDS})
        self.places = places
        for (kind, *_), times in places.items():
            self[kind] += times


@contextlib.contextmanager
def counted():
    """A function that gives the :class:`Counts` since the block began."""
    before = _happened.copy()
    yield lambda: Counts(_happened - before)
