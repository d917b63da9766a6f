"""Archives and arrays written byte by byte, so that they may say of themselves what is not true."""

import io
import struct
import zlib
from typing import NamedTuple, Optional

import numpy as np

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


class Entry(NamedTuple):
    """One entry; what is None is as it has to be.

    Attributes:
        name: of the entry.
        data: as they lie in the archive, compressed where `method` says so.
        method: how they are compressed.
        flags: 1 is encrypted.
        size: that is announced for what is unpacked.
        crc: of what is unpacked.
        at: where the list of entries says that the entry begins.
    """

    name: str
    data: bytes
    method: int = STORED
    flags: int = 0
    size: Optional[int] = None
    crc: Optional[int] = None
    at: Optional[int] = None


def archive(entries):
    """The bytes of a .zip file."""
    content, central = bytearray(), bytearray()
    for entry in entries:
        name, at = entry.name.encode(), len(content) if entry.at is None else entry.at
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        size = len(entry.data) if entry.size is None else entry.size
        common = struct.pack(
            "<HHHHHIIIHH",
            *(20, entry.flags, entry.method, 0, 0x21, crc, len(entry.data), size, len(name), 0),
        )
        content += _LOCAL + common + name + entry.data
        after = struct.pack("<HHHII", 0, 0, 0, 0, at)
        central += _CENTRAL + struct.pack("<H", 20) + common + after + name
    count = min(len(entries), 0xFFFF)
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(central), len(content), 0)
    return bytes(content + central + _END + end)


def npy(array):
    """The bytes of a .npy file of an array without objects."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def announcing(descr, shape, data=b"", version=1, padding=0):
    """The bytes of a .npy file whose header says this, of whatever follows it."""
    return headed(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}", data,
                  version, padding)  # fmt: skip


def headed(header, data=b"", version=1, padding=0):
    """The bytes of a .npy file with this header."""
    text = header.encode() + b" " * padding + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def zeros_deflated(mebibytes):
    """That many MiB of zeros in a thousandth of the room, and their checksum."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block, crc, packed = bytes(2**20), 0, bytearray()
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(mebibytes):
        packed += first
        crc = zlib.crc32(block, crc)
    return bytes(packed + packer.flush()), crc
