"""What has been compiled, kept on disk for the next run.

Numba keeps it too, in two files a function: where one of them is empty, cut short or of another
build, or where the disk is full, all calls end with an error. Here a file that does not hold what
was written into it counts for nothing, and one that cannot be written costs the next start time.
"""

import hashlib
import os
import pickle
import sys
from functools import cache

import numba
from numba.core.caching import FunctionCache, NullCache
from numba.core.serialize import dumps

from ..files import write_atomically
from .progress import Progress


class KeptFunction(FunctionCache):
    """What was compiled of one function.

    Args:
        function: in Python.
        also: what it depends on besides its file, a string.

    Raises:
        RuntimeError: there is no folder that could be written.
        OSError: the file of the function cannot be read.
    """

    def __init__(self, function, also=""):
        super().__init__(function)
        stamp = repr((numba.__version__, also, self._impl.locator.get_source_stamp()))
        self._cache_file = _Files(os.path.join(self.cache_path, self._impl.filename_base), stamp)

    def load_overload(self, sig, target_context):
        """What was kept for a signature; None, and a line for the user, if it must be compiled."""
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # it was written whole, by something that differs all the same
            found = None
        if found is None:
            say(f"Compiling the CPU kernels, once; they are kept in {self.cache_path}.")
            Progress(self._py_func)
        return found

    def save_overload(self, sig, data):
        """Keep what was compiled, or say that it could not be."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            say(f"They could not be kept, and will be compiled again: {error}")


class Unkept(NullCache):
    """For where no folder could be found to keep anything.

    Args:
        function: in Python.
    """

    def __init__(self, function):
        super().__init__()
        self._function = function

    def load_overload(self, sig, target_context):
        """None, and a line for the user."""
        say("Compiling the CPU kernels; no folder could be found to keep them.")
        Progress(self._function)


class _Files:
    """A file for each signature: a digest, and what it is the digest of."""

    def __init__(self, base, stamp):
        self._base, self._stamp = base, stamp.encode()

    def load(self, key):
        """What was saved, of the same source; else None."""
        try:
            with open(self._path(key), "rb") as file:
                digest, code = file.read(32), file.read()
        except OSError:
            return None
        return pickle.loads(code) if digest == self._digest(code) else None

    def save(self, key, data):
        """Write the file anew; OSError."""
        code = dumps(data)
        write_atomically(self._path(key), lambda file: file.write(self._digest(code) + code))

    def _path(self, key):
        return f"{self._base}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.kept"

    def _digest(self, code):
        return hashlib.sha256(self._stamp + code).digest()


@cache
def say(line):
    """Print a line for the user, the same one once; nothing where nobody can see it."""
    if sys.stderr is not None:
        try:
            print(line, file=sys.stderr, flush=True)
        except (OSError, ValueError):  # it is full, or closed
            pass
