"""The TFRecord container, written and read without TensorFlow.

A record has four parts: its length (8 bytes, little endian), the masked CRC32C of the length (4
bytes), the data, and the masked CRC32C of the data (4 bytes). masked(c) is
((c >> 15 | c << 17) + 0xa282ead8) mod 2^32. Every byte of a file is covered, so a flipped byte, a
cut or padding is always found.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import google_crc32c

from lensjax.errors import InputError

HEADER, FOOTER = struct.Struct("<QI"), struct.Struct("<I")


def masked(data: bytes | memoryview) -> int:
    """Masked CRC32C of some bytes."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def framed(data: bytes) -> bytes:
    """One record as it stands in a file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, FOOTER.pack(masked(length)), data, FOOTER.pack(masked(data))))


def write(path: Path, records: Iterable[bytes]) -> int:
    """Writes records to a file and returns their number. To replace a file as a whole, give the
    path that `data.files.replacing` yields."""
    n = 0
    with open(path, "wb") as handle:
        for data in records:
            handle.write(framed(data))
            n += 1
    return n


def read(path: Path) -> Iterator[bytes]:
    """The records of a file in order, each checked. Raises InputError naming the file, the record
    (counted from 0) and what is wrong with it."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); write the shards again with "
            "`lensjax survey --force`"
        ) from None
    yield from records(content, path)


def records(content: bytes, path: Path | str) -> Iterator[bytes]:
    """As `read`, of a file's content already in memory; path is named in errors."""
    place, number, end = 0, 0, len(content)
    while place < end:
        if place + HEADER.size > end:
            raise _broken(path, number, "truncated in its header")
        length, length_crc = HEADER.unpack_from(content, place)
        if masked(content[place : place + 8]) != length_crc:
            raise _broken(path, number, "the checksum of its length is wrong")
        start = place + HEADER.size
        place = start + length + FOOTER.size
        if place > end:
            raise _broken(
                path, number, f"truncated: {length} bytes announced, {max(end - start, 0)} left"
            )
        data = content[start : start + length]
        if masked(data) != FOOTER.unpack_from(content, start + length)[0]:
            raise _broken(path, number, "the checksum of its data is wrong")
        yield data
        number += 1


def _broken(path: Path | str, number: int, reason: str) -> InputError:
    return InputError(
        f"{path}, record {number}: {reason}; write the shards again with `lensjax survey --force`"
    )
