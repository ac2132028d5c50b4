"""A FITS binary table as a memory map: some columns of some rows, without reading the others.

    table = opened(path, {"ra": "ra", "flux_z": "flux_z"})     # None: not an ordinary table
    values, unknown = table.at("ra", rows)                     # native byte order
    sums = table.sum_of(start, stop)                           # part of DATASUM

Only the ordinary case is handled: one value a row, as FITS stores it. A file that is damaged, a
column that is scaled, has several values a row or arrays of variable length, gives None, and
`data.cataloguefile` reads or refuses it. So there is one place that says what is wrong with a file.

Checksums are those of Seaman, Pence & Rots 2012 (FITS Standard 4.0, appendix J): the sum of 32-bit
words, the first byte the highest, in ones' complement arithmetic, which is modulo 2^32 - 1.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int

BLOCK = 2880
"""bytes; FITS pads headers and data to a multiple of it"""
WORD = 4
"""bytes that a checksum adds at a time"""
ALL_ONES = 2**32 - 1
"""a sum in ones' complement that stands for zero"""
_CHUNK = 1 << 15
"""pairs of words that are summed at a time, so that they stay in the processor's cache"""
_FORMATS = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_SIZES = {**{"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8}, "C": 8, "M": 16}
_DESCRIPTORS = {"P": 8, "Q": 16}


@dataclass(frozen=True)
class Part:
    """One header and its data. begin, data, end: offsets in the file; the end is padded. datasum,
    checksum: whether the header has them, and the first one's value."""

    begin: int
    data: int
    end: int
    datasum: int | None
    checksum: bool


@dataclass(frozen=True)
class Mapped:
    """An ordinary FITS table on disk.

    rows, width: of the table, in bytes. part: where it lies. others: the file's other parts.
    nulls: TNULL of a column. columns: name here to that of the file's, for every wanted column that
    there is. dtype: of the wanted columns, in the file's byte order.
    """

    path: Path
    rows: int
    width: int
    part: Part
    others: tuple[Part, ...]
    dtype: np.dtype
    logical: frozenset[str]
    nulls: dict[str, int]
    first: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that there are."""
        return tuple(self.dtype.names or ())

    def between(self, start: int, stop: int) -> Mapped:
        """The same table with only the rows start to stop."""
        return replace(self, first=self.first + start, rows=stop - start)

    def view(self) -> np.ndarray:
        """The wanted columns of the rows, (rows,) structured, as a map of the file."""
        if not self.rows:
            return np.empty(0, self.dtype)
        at = self.part.data + self.first * self.width
        return np.memmap(self.path, self.dtype, "r", at, (self.rows,)).view(np.ndarray)

    def sum_of(self, start: int, stop: int) -> int:
        """Sum of the words of the data from row `start` to row `stop`; what follows the last row,
        the heap and the padding, belongs to it. Words are whole: a word on a border belongs to the
        later range, so that the sums of ranges that make up the table add up to that of its data.
        """
        a = start * self.width // WORD * WORD
        size = self.part.end - self.part.data
        b = size if stop == self.rows else stop * self.width // WORD * WORD
        return checksum(self.path, self.part.data + a, self.part.data + b)

    def damaged(self, datasum: int) -> str:
        """What a checksum says is wrong with the table, whose data has this sum; "" if nothing."""
        p = self.part
        if p.datasum is not None and (p.datasum - datasum) % ALL_ONES:
            return f"DATASUM of the table is {p.datasum}, its data gives {datasum}"
        if p.checksum and (datasum + checksum(self.path, p.begin, p.data)) % ALL_ONES:
            return "CHECKSUM of the table is not that of its header and data"
        return ""

    def damaged_beside(self) -> bool:
        """Whether a checksum of another part of the file is wrong."""
        for p in self.others:
            if p.datasum is None and not p.checksum:
                continue
            data = checksum(self.path, p.data, p.end)
            whole = data + checksum(self.path, p.begin, p.data)
            if (p.datasum is not None and (p.datasum - data) % ALL_ONES) or (
                p.checksum and whole % ALL_ONES
            ):
                return True
        return False


def values_at(
    data: np.ndarray, table: Mapped, name: str, rows: Int[np.ndarray, " k"]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Values of a column in some rows of the view, (k,) in native byte order, and which of them are
    missing (None: none, or the values themselves say). TNULL is compared with what is stored."""
    column = data[name]
    stored = column if len(rows) == len(data) else column[rows]
    if name in table.logical:
        byte = np.ascontiguousarray(stored).view(np.uint8)
        true = byte == ord("T")
        unknown = ~(true | (byte == ord("F")))
        return true, unknown if unknown.any() else None
    value = stored.astype(stored.dtype.newbyteorder("="))
    if name in table.nulls:
        return value, value == table.nulls[name]
    return value, None


def opened(path: Path, wanted: dict[str, str]) -> Mapped | None:
    """The first table of a FITS file; None when the file or a wanted column is not ordinary.

    wanted: name in the file, in lower case, to name here.
    """
    if not path.name.lower().endswith((".fits", ".fit")):
        return None
    try:
        with warnings.catch_warnings(), open(path, "rb") as handle:
            warnings.simplefilter("error")
            parts = _parts(handle)
        found = next(i for i, (h, _) in enumerate(parts) if h.get("XTENSION") == "BINTABLE")
        header, part = parts[found]
        if "ZIMAGE" in header or "ZTABLE" in header or "THEAP" in header:
            return None
        others = tuple(p for i, (_, p) in enumerate(parts) if i != found)
        return _described(path, header, part, others, wanted)
    except Exception:  # a dozen kinds on damaged bytes; the ordinary reader says which
        return None


def checksum(path: Path, start: int, stop: int) -> int:
    """Sum of the 32-bit words of a file from offset start to stop, as FITS counts it: between 0 and
    2^32 - 1."""
    if stop <= start:
        return 0
    count = (stop - start) // WORD
    words = np.memmap(path, ">u4", "r", start, (count,)).view(np.ndarray)
    pairs = words[: count // 2 * 2].view(">u8")
    total = int(words[-1]) if count % 2 else 0
    for at in range(0, len(pairs), _CHUNK):
        pair = pairs[at : at + _CHUNK].astype(np.uint64)
        # The sum of pairs wraps at 2^64, but that of their lower halves does not reach it.
        high, both = int((pair >> np.uint64(32)).sum()), int(pair.sum())
        total += high + (both - (high << 32)) % 2**64
    return total % ALL_ONES or (ALL_ONES if total else 0)


def _parts(handle: BinaryIO) -> list[tuple[Any, Part]]:
    """Every header of a FITS file with its place. Raises what astropy raises on damaged ones, and
    ValueError for a file that is shorter than its headers say, or longer."""
    from astropy.io import fits

    size = handle.seek(0, 2)
    at, found = 0, []
    while at < size:
        handle.seek(at)
        header = fits.Header.fromfile(handle)
        data = handle.tell()
        sides = [header[f"NAXIS{i + 1}"] for i in range(header["NAXIS"])]
        values = header.get("GCOUNT", 1) * (header.get("PCOUNT", 0) + math.prod(sides))
        length = abs(header["BITPIX"]) // 8 * values if sides else 0
        end = data + -(-length // BLOCK) * BLOCK
        if length < 0 or end > size or (not at and header.get("SIMPLE") is not True):
            raise ValueError("truncated")
        given = str(header.get("DATASUM", "")).strip()
        has = bool(str(header.get("CHECKSUM", "")).strip())
        found.append((header, Part(at, data, end, int(given) if given else None, has)))
        at = end
    return found


def _described(
    path: Path, header: Any, part: Part, others: tuple[Part, ...], wanted: dict[str, str]
) -> Mapped | None:
    """The table that a header describes, or None."""
    offset = 0
    fields: dict[str, tuple[str, int]] = {}
    nulls: dict[str, int] = {}
    logical: set[str] = set()
    for i in range(1, header["TFIELDS"] + 1):
        match = re.fullmatch(r"\s*(\d*)([A-Z])(.*?)\s*", header[f"TFORM{i}"])
        if match is None:
            return None
        repeat, code = int(match[1] or 1), match[2]
        name = wanted.get(str(header.get(f"TTYPE{i}", "")).strip().lower())
        if name is not None:
            plain = (code == "A" and repeat > 0) or (code in _FORMATS and repeat == 1)
            scaled = header.get(f"TSCAL{i}", 1) != 1 or header.get(f"TZERO{i}", 0) != 0
            if not plain or scaled or match[3] or f"TDIM{i}" in header or name in fields:
                return None
            fields[name] = (f"S{repeat}" if code == "A" else _FORMATS[code], offset)
            null = header.get(f"TNULL{i}")
            if code in "BIJK" and null is not None:
                nulls[name] = int(null)
            if code == "L":
                logical.add(name)
        if code == "X":
            offset += -(-repeat // 8)
        elif code in _DESCRIPTORS:
            offset += _DESCRIPTORS[code] * repeat
        else:
            offset += _SIZES[code] * repeat
    if offset != header["NAXIS1"] or header["NAXIS"] != 2:
        return None
    dtype = np.dtype(
        {
            "names": list(fields),
            "formats": [form for form, _ in fields.values()],
            "offsets": [place for _, place in fields.values()],
            "itemsize": offset,
        }
    )
    rows = int(header["NAXIS2"])
    return Mapped(path, rows, offset, part, others, dtype, frozenset(logical), nulls)
