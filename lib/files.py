"""Files written whole or not at all."""

import contextlib
import errno
import json
import os

# What a file system answers that cannot do what it is asked, as CIFS, FUSE and some pipes do.
_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def write_atomically(path, write):
    """Write a file so that a crash at any moment leaves either the old one whole or the new one.

    Args:
        path: where the file will be.
        write: called with a binary file to write to.

    Raises:
        OSError: it cannot be written; it names the file.
    """
    # Within the same folder, as only a move inside one file system is atomic.
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            _sync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(os.path.dirname(path) or ".")
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)
        raise


def write_json(path, value):
    """Write a JSON file, atomically."""
    text = json.dumps(value, indent=2) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def _sync(descriptor):
    """Have it on the disk, where the file system knows how."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise


def _sync_folder(folder):
    """Have the new name itself on the disk; only POSIX systems open folders."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # files may be made there, but not listed
        return
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)
