"""Standard output and error that cost no training when they fail."""

import contextlib
import os
import sys


class Sturdy:
    """A text stream that goes on when nothing can be written to it any more.

    It may be closed, on a full disk, or the terminal it was is gone. What its encoding does not
    have is written as its number.

    Args:
        stream: to write to; None where there is none.
        tell: called with a line when the stream fails for the first time.
        until_broken: whether a pipe that nobody reads any more is an error: BrokenPipeError.
    """

    def __init__(self, stream, tell, until_broken=False):
        self._stream, self._tell, self._until_broken = stream, tell, until_broken

    def write(self, text):
        """Write a text; the number of its characters."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._try("write", text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self):
        """Hand on what was written."""
        self._try("flush")

    def isatty(self):
        """Whether it is a terminal."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def _try(self, method, *arguments):
        if self._stream is None:
            return
        try:
            getattr(self._stream, method)(*arguments)
        except BrokenPipeError:
            if self._until_broken:
                raise
            self._lose()
        except (OSError, ValueError) as error:  # ValueError: it is closed
            self._lose()
            self._tell(f"Nothing more can be printed ({error}); the program goes on.")

    def _lose(self):
        """Write nowhere from now on, nor when Python ends what is still to be written."""
        stream, self._stream = self._stream, None
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def sturdy_outputs():
    """Within it, standard output and error are sturdy."""
    _occupy()
    before = sys.stdout, sys.stderr
    sys.stderr = Sturdy(sys.stderr, tell=lambda line: None)
    sys.stdout = Sturdy(
        sys.stdout, tell=lambda line: print(line, file=sys.stderr), until_broken=True
    )
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = before


def _occupy():
    """Open what of 0, 1 and 2 is closed: else the next file would be, and be printed into."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
