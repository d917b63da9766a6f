"""Ctrl-C and SIGTERM as a request to stop at the next good moment."""

import signal


class Interrupt:
    """A context that turns the first Ctrl-C or SIGTERM into a request; the second one kills.

    Attributes:
        signum: number of the signal that came, or None.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.signum = None
        self._before = {}

    def __enter__(self):
        self._before = {signum: signal.signal(signum, self._note) for signum in self._SIGNALS}
        return self

    def __exit__(self, *exc_info):
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum, frame):
        self.signum = signum
        for each in self._SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    @property
    def exit_status(self):
        """The status a shell gives a process that this signal ended: 130 or 143."""
        return 128 + self.signum
