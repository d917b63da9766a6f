"""Two devices, of which one is current: what lies on the other may not be computed with."""

import contextlib
import functools

from .events import note

COUNT = 2
_current = [0]


def current():
    """The ordinal of the current device."""
    return _current[0]


class Device:
    """``cupy.cuda.Device``."""

    def __init__(self, device=None):
        self.id = current() if device is None else int(device)
        if not 0 <= self.id < COUNT:
            raise ValueError(f"cudaErrorInvalidDevice: {self.id}")
        self._before = []

    def __enter__(self):
        self._before.append(current())
        self.use()
        return self

    def __exit__(self, *error):
        _current[0] = self._before.pop()

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self):
        return self.id

    def __str__(self):
        return f"<CUDA Device {self.id}>"

    compute_capability = "80"

    def use(self):
        _current[0] = self.id

    def synchronize(self):
        note("wait", "Device.synchronize")


class Stream:
    """``cupy.cuda.Stream``: everything has happened by the time it is asked."""

    def __init__(self, *args, **kwargs):
        pass

    null = None

    def synchronize(self):
        note("wait", "Stream.synchronize")

    def record(self, event=None):
        return event

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


Stream.null = Stream()


class Event:
    """``cupy.cuda.Event``."""

    def __init__(self, *args, **kwargs):
        pass

    def record(self, stream=None):
        pass

    def synchronize(self):
        note("wait", "Event.synchronize")


def memoize(for_each_device=False):
    """``cupy.memoize``."""

    def decorate(function):
        kept = functools.cache(lambda device, *args: function(*args))

        @functools.wraps(function)
        def call(*args):
            return kept(current() if for_each_device else None, *args)

        call.clear = kept.cache_clear
        return call

    return decorate


@contextlib.contextmanager
def device_of(array):
    """Within it the device of an array is current."""
    with Device(array._device):
        yield
