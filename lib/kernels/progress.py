"""A bar that shows how far the compilation of a kernel is, on a terminal."""

from types import CodeType

from numba.core import event

from ..terminal import progress_bar

_COMPILE = "numba:compile"


class Progress(event.Listener):
    """Shows itself while a kernel is compiled: by the compiled functions that it calls.

    Args:
        kernel: a function in Python.
    """

    def __init__(self, kernel):
        self._kernel = kernel
        self._left = called_by(kernel)
        self._bar = progress_bar(len(self._left) + 1, label=kernel.__name__)
        event.register(_COMPILE, self)

    def on_start(self, happened):
        """Nothing is done yet."""

    def on_end(self, happened):
        """Count a function that is done; the kernel itself is the last."""
        function = getattr(happened.data.get("dispatcher"), "py_func", None)
        if function in self._left:
            self._left.remove(function)
            self._bar.update()
        if function is self._kernel:
            event.unregister(_COMPILE, self)
            self._bar.close()


def called_by(kernel):
    """The compiled functions of this package that a kernel calls, directly or not."""
    found, new = set(), [kernel]
    while new:
        function = new.pop()
        named = (function.__globals__.get(name) for name in names_in(function.__code__))
        called = {getattr(each, "py_func", getattr(each, "chosen_by_type", None)) for each in named}
        called -= {None, *found}
        found |= called
        new += called
    return found


def names_in(code):
    """All names that a function looks up, those of the functions inside it as well."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)
