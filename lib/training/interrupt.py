"""Ctrl-C, SIGTERM and a closed terminal as a request to stop at the next good moment."""

import signal
import threading


class Stopped(KeyboardInterrupt):
    """The request came while there was nothing to be saved."""


class Interrupt:
    """A context that turns the first Ctrl-C or SIGTERM into a request; the second one kills.

    SIGHUP is a request too, and never kills: it comes twice when a terminal closes, or together
    with a SIGTERM. What was ignored when the program started (``nohup``, a shell's background)
    stays ignored.

    Attributes:
        signum: number of the signal that came, or None.
        at_once: whether a request raises :class:`Stopped` where it comes, as it may as long as
            nothing has been done that would be lost.
    """

    def __init__(self):
        self.signum = None
        self.at_once = False
        self._before = {}
        self._noting = False

    def __enter__(self):
        kinds = ("SIGINT", "SIGTERM", "SIGHUP")
        # Only the main thread may set handlers.
        if threading.current_thread() is threading.main_thread():
            signums = [getattr(signal, kind) for kind in kinds if hasattr(signal, kind)]
            present = {signum: signal.getsignal(signum) for signum in signums}
            # None is a handler that was not set from Python.
            self._before = {s: h for s, h in present.items() if h not in (signal.SIG_IGN, None)}
        for signum in self._before:
            signal.signal(signum, self._note)
        return self

    def __exit__(self, *exc_info):
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum, frame):
        if self._noting:
            return
        self._noting = True
        self.signum = signum
        if signum in (signal.SIGINT, signal.SIGTERM):
            # Has Python call this for all that came together, now: of one whose turn comes when it
            # has no handler any more Python would print a traceback.
            signal.raise_signal(signum)
            for each in self._before.keys() & {signal.SIGINT, signal.SIGTERM}:
                signal.signal(each, signal.SIG_DFL)
        self._noting = False
        if self.at_once:
            self.at_once = False
            raise Stopped

    @property
    def exit_status(self):
        """The status a shell gives a process that this signal ended: 130, 143 or 129."""
        return 128 + self.signum
