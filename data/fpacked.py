"""Tables that fpack has compressed, from FITS Standard 4.0, section 10.3.

Such a table has one row for some thousand rows of the original, and in it each column as a string
of bytes of its own, so that only wanted columns are decompressed. GZIP_1 is gzip of the values as
FITS stores them, GZIP_2 the same after all first bytes, then all second bytes, and so on. RICE_1 is
left to astropy: such a column is, byte for byte, an image of one dimension that is compressed in
tiles.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection
from io import BytesIO
from typing import Any

import numpy as np

from data.stores import Place
from lensjax.errors import InputError

KEPT = ("TNULL", "TSCAL", "TZERO", "TUNIT", "TDIM")
"""What is said of a column and stays true when it is decompressed"""
_SIZES = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16}
_PARTS = {"C": 2, "M": 2}
"""numbers in a value"""
CURE = "decompress the file with funpack, or give it as .fits.gz"


def unpacked(path: Place, hdu: Any, wanted: Collection[str]) -> Any:
    """The BinTableHDU with the wanted columns of a compressed one, its rows in order.

    hdu: of astropy, with ZTABLE. wanted: names in lower case; the first of equal ones counts.
    Raises InputError for a column that cannot be read here, and ValueError, zlib.error or KeyError
    where the file is damaged.
    """
    from astropy.io import fits

    given = hdu.header
    rows, step = int(given["ZNAXIS2"]), int(given["ZTILELEN"])
    if step < 1 or rows < 0 or -(-rows // step) != given["NAXIS2"]:
        raise ValueError("ZTILELEN and ZNAXIS2 are not those of this table")
    header = fits.Header([("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2)])
    fields: list[tuple[int, str, int]] = []
    for i in range(1, given["TFIELDS"] + 1):
        name = str(given.get(f"TTYPE{i}", "")).strip()
        if name.lower() in wanted and name.lower() not in {n.lower() for _, n, _ in fields}:
            fields.append((i, name, _width(path, name, given, i)))
    width = sum(size for *_, size in fields)
    header.update({"NAXIS1": width, "NAXIS2": rows, "PCOUNT": 0, "GCOUNT": 1})
    header["TFIELDS"] = len(fields)
    content, start = np.empty((rows, width), np.uint8), 0
    for n, (i, name, size) in enumerate(fields, 1):
        header[f"TTYPE{n}"], header[f"TFORM{n}"] = name, given[f"ZFORM{i}"]
        header.update({f"{key}{n}": given[f"{key}{i}"] for key in KEPT if f"{key}{i}" in given})
        content[:, start : start + size] = _column(path, hdu, i, rows, step, size)
        start += size
    head = header.tostring().encode("ascii")
    body = content.tobytes() + bytes(-content.size % 2880)
    return fits.BinTableHDU.fromstring(head + body, uint=True)


def _form(given: Any, i: int) -> tuple[int, str]:
    """How many values a row of the original column has, and the letter of their type."""
    match = re.fullmatch(r"\s*(\d*)([A-Z]).*", str(given[f"ZFORM{i}"]))
    if match is None:
        raise ValueError(f"ZFORM{i} is {given[f'ZFORM{i}']!r}")
    return int(match[1] or 1), match[2]


def _width(path: Place, name: str, given: Any, i: int) -> int:
    """Bytes of the column in a row."""
    repeat, code = _form(given, i)
    if code not in _SIZES:
        raise InputError(
            f"{path}: column {name} is compressed and has the type {code} of FITS (bits, or arrays "
            f"of variable length), which cannot be read here; {CURE}"
        )
    return repeat * _SIZES[code]


def _column(path: Place, hdu: Any, i: int, rows: int, step: int, width: int) -> np.ndarray:
    """Bytes of a column, (rows, width)."""
    given = hdu.header
    method = str(given[f"ZCTYP{i}"]).strip()
    repeat, code = _form(given, i)
    size = _SIZES[code] // _PARTS.get(code, 1)
    if method == "RICE_1" and code in "BIJ":
        return _rice(hdu, i, rows * repeat, step * repeat, size).reshape(rows, width)
    if method not in ("GZIP_1", "GZIP_2", "NOCOMPRESS"):
        raise InputError(
            f"{path}: column {given[f'TTYPE{i}']} is compressed by {method}, which cannot be read "
            f"here; {CURE}"
        )
    found = np.empty((rows, width), np.uint8)
    for start, stored in zip(range(0, rows, step), _stored(hdu, i), strict=True):
        stop = min(start + step, rows)
        expected = (stop - start) * width
        content = stored if method == "NOCOMPRESS" else _gunzip(stored, expected)
        if len(content) != expected:
            raise ValueError(f"column {i} has {len(content)} bytes in place of {expected}")
        value = np.frombuffer(content, np.uint8)
        if method == "GZIP_2":
            value = value.reshape(size, -1).T
        found[start:stop] = value.reshape(stop - start, width)
    return found


def _stored(hdu: Any, i: int) -> list[bytes]:
    """The compressed bytes of a column, of each tile. Not taken from hdu.data, where they would be
    scaled by TSCAL and TZERO, which are the original's. Raises ValueError where the descriptors
    lead out of the heap."""
    where = hdu.fileinfo()
    heap = int(hdu.header.get("THEAP", hdu.header["NAXIS1"] * hdu.header["NAXIS2"]))
    space = hdu.header["NAXIS1"] * hdu.header["NAXIS2"] + hdu.header["PCOUNT"] - heap
    table = hdu.data.view(np.ndarray)
    found = []
    for size, offset in table[table.dtype.names[i - 1]].tolist():
        if min(size, offset) < 0 or offset + size > space:
            raise ValueError(f"column {i} lies outside the table's heap")
        where["file"].seek(where["datLoc"] + heap + offset)
        found.append(where["file"].read(size))
    return found


def _gunzip(stored: bytes, expected: int) -> bytes:
    """What was compressed, of which no more is made than there should be and a byte."""
    machine = zlib.decompressobj(wbits=31)
    content = machine.decompress(stored, expected + 1)
    if len(content) <= expected and not machine.eof:
        content += machine.decompress(machine.unconsumed_tail, 1)  # reads the checksum
        if not machine.eof:
            raise ValueError("compressed bytes are cut off")
    return content


def _rice(hdu: Any, i: int, values: int, step: int, size: int) -> np.ndarray:
    """Bytes of a column of integers that RICE_1 has compressed, (values * size,)."""
    from astropy.io import fits

    pieces = _stored(hdu, i)
    ends = np.cumsum([len(piece) for piece in pieces])
    places = [(len(p), end - len(p)) for p, end in zip(pieces, ends, strict=True)]
    facts = [("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 16)]
    facts += [("NAXIS2", len(pieces)), ("PCOUNT", int(ends[-1]) if len(ends) else 0)]
    facts += [("GCOUNT", 1), ("TFIELDS", 1), ("TTYPE1", "COMPRESSED_DATA"), ("TFORM1", "1QB")]
    facts += [("ZIMAGE", True), ("ZCMPTYPE", "RICE_1"), ("ZBITPIX", 8 * size), ("ZNAXIS", 1)]
    facts += [("ZNAXIS1", values), ("ZTILE1", min(step, values))]
    facts += [("ZNAME1", "BLOCKSIZE"), ("ZVAL1", 32), ("ZNAME2", "BYTEPIX"), ("ZVAL2", size)]
    content = np.array(places, ">i8").tobytes() + b"".join(pieces)
    head = fits.Header(facts).tostring().encode("ascii")
    if not values:
        return np.empty(0, np.uint8)
    primary = fits.PrimaryHDU().header.tostring().encode("ascii")
    with fits.open(BytesIO(primary + head + content + bytes(-len(content) % 2880))) as hdus:
        stored = np.asarray(hdus[1].data)
    return np.frombuffer(stored.astype(stored.dtype.newbyteorder(">")).tobytes(), np.uint8)
