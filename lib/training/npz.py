"""The arrays of a .npz file that may be damaged, or made to do harm.

``numpy.load`` believes what such a file says of itself: it makes room for the array that a header
announces before it looks for its numbers, and unpacks an archive that swells a thousandfold.
"""

import io
import math
import zipfile

import numpy as np

# Weights hardly shrink when they are compressed, and moments that are still zero shrink well.
_SWELL = 64
_AT_LEAST = 2**20
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read(content):
    """The arrays by name.

    Args:
        content: bytes, of the whole file.

    Raises:
        Exception: it is no whole .npz file, or not such a one; of a dozen kinds, as zipfile and
            NumPy raise them.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise ValueError("two of its entries have one name")
        size = sum(entry.file_size for entry in entries)
        if size > _SWELL * max(len(content), _AT_LEAST):
            raise ValueError(f"it has {len(content):,} bytes and announces {size:,}")
        return {_name(entry): _array(archive, entry) for entry in entries}


def _name(entry):
    if not entry.filename.endswith(".npy"):
        raise ValueError(f"there is something else than an array in it: {entry.filename!r}")
    return entry.filename[: -len(".npy")]


def _array(archive, entry):
    """One array, if it is as large as it says; and of its own memory, as training writes there."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{entry.filename} is compressed in a way that NumPy does not use")
    with archive.open(entry) as stream:
        shape, fortran_order, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
        if dtype.hasobject:
            raise ValueError(f"{entry.filename} holds Python objects")
        announced, there = math.prod(shape) * dtype.itemsize, entry.file_size - stream.tell()
        if announced != there or (dtype.itemsize == 0 and shape):
            raise ValueError(f"{entry.filename} announces {announced:,} bytes and has {there:,}")
        order = "F" if fortran_order else "C"
        return np.ndarray(shape, dtype, stream.read(), order=order).copy(order)
