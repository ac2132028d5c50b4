"""A FITS binary table as a memory map: some columns of some rows, without reading the others. Of a
table in an object store the bytes of these rows are fetched.

    table = opened(path, {"ra": "ra", "flux_z": "flux_z"})     # None: not an ordinary table
    view, found, part_of_datasum = table.read(start, stop, ["ra"])
    values, unknown = table.values("flux_z", view["flux_z"][rows])

Only the ordinary case is handled: one value a row, as FITS stores it. A file that is damaged, a
column that is scaled, has several values a row, arrays of variable length or another unit, gives
None, and `data.cataloguefile` reads or refuses it. So there is one place that says what is wrong
with a file.

Checksums are those of Seaman, Pence & Rots 2012 (FITS Standard 4.0, appendix J): the sum of 32-bit
words, the first byte the highest, in ones' complement arithmetic, which is modulo 2^32 - 1.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from data.declared import unit_problem
from data.stores import PIECE, Place, Remote, pinned
from data.storetroubles import StoreError
from lensjax.units import ZERO_POINT

Declared = tuple[int | None, int | None]
"""DATASUM of a part's header, and the sum of the header itself if it has a CHECKSUM"""
BLOCK = 2880
"""bytes; FITS pads headers and data to a multiple of it"""
WORD = 4
"""bytes that a checksum adds at a time"""
ALL_ONES = 2**32 - 1
"""a sum in ones' complement that stands for zero"""
BLOCK_BYTES = 1 << 18
"""bytes that are looked at together, so that they stay in the processor's cache"""
_FORMATS = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_SIZES = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16}
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

    rows: how many. width: bytes of a row. part: where the table lies. others: the file's other
    parts. dtype: the wanted columns that there are, by their names here, in the file's byte order.
    logical: those that hold true and false. nulls: TNULL of those that have one.
    """

    path: Place
    rows: int
    width: int
    part: Part
    others: tuple[Part, ...]
    dtype: np.dtype
    logical: frozenset[str]
    nulls: dict[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that there are."""
        return tuple(self.dtype.names or ())

    def read(
        self, start: int, stop: int, first: Iterable[str]
    ) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
        """The rows start to stop: their view, a map of the file (of a store, their bytes); copies
        of the columns `first`, (rows,) each in native byte order; and the sum of their words, 0
        where the file has no checksums. Every page is looked at once.

        What follows the table's last row, the heap and the padding, belongs to it. A word on a
        border belongs to the later range, so that the sums of ranges that make up the table add up
        to that of its data.
        """
        end = self.part.end - self.part.data
        a = start * self.width // WORD * WORD
        b = end if stop == self.rows else stop * self.width // WORD * WORD
        rows = stop - start
        ahead = start * self.width - a
        size = max(b - a, ahead + rows * self.width)
        if not size:
            return np.empty(0, self.dtype), {}, 0
        place = self.part.data + a
        bytes_ = _stored(self.path, place, size)
        view = bytes_[ahead : ahead + rows * self.width].view(self.dtype)
        found = {n: np.empty(rows, self.dtype[n].newbyteorder("=")) for n in first}
        summed = self.part.datasum is not None or self.part.checksum
        total, step = 0, max(1, BLOCK_BYTES // max(self.width, 1))
        for at in range(0, rows, step):
            block = slice(at, min(at + step, rows))
            if summed:
                total += sum_of_words(
                    bytes_[self._word(start + at, a) : self._word(start + block.stop, a)]
                )
            for name, column in found.items():
                column[block] = view[name][block]
        if summed and stop == self.rows:
            total += sum_of_words(bytes_[self._word(stop, a) :])
        return view, found, total % ALL_ONES

    def _word(self, row: int, begin: int) -> int:
        """Where the words of a row begin, counted from `begin`."""
        return row * self.width // WORD * WORD - begin

    def declared(self) -> Declared:
        """What the table's header says of sums."""
        return self._declared(self.part)

    def _declared(self, p: Part) -> Declared:
        return p.datasum, checksum(self.path, p.begin, p.data) if p.checksum else None

    def damaged_beside(self) -> bool:
        """Whether a checksum of another part of the file is wrong."""
        return any(
            damaged(self._declared(p), checksum(self.path, p.data, p.end))
            for p in self.others
            if p.datasum is not None or p.checksum
        )

    def values(self, name: str, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Values of a column in native byte order, and which of them are missing (None: none, or
        the values themselves say). TNULL is compared with what is stored."""
        if name in self.logical:
            byte = np.ascontiguousarray(stored).view(np.uint8)
            true = byte == ord("T")
            unknown = ~(true | (byte == ord("F")))
            return true, unknown if unknown.any() else None
        value = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        return value, value == self.nulls[name] if name in self.nulls else None


def opened(path: Place, wanted: dict[str, str], zero_point: float = ZERO_POINT) -> Mapped | None:
    """The first table of a FITS file; None when the file or a wanted column is not ordinary.
    Raises StoreError where a store does not answer.

    wanted: name in the file, in lower case, to name here. zero_point: of its fluxes.
    """
    if not path.name.lower().endswith((".fits", ".fit")):
        return None
    try:
        (path,) = pinned([path])
        with warnings.catch_warnings(), path.open("rb") as handle:
            warnings.simplefilter("error")
            parts = _parts(handle)
        found = next(i for i, (h, _) in enumerate(parts) if h.get("XTENSION") == "BINTABLE")
        header, part = parts[found]
        if "ZIMAGE" in header or "ZTABLE" in header or "THEAP" in header:
            return None
        others = tuple(p for i, (_, p) in enumerate(parts) if i != found)
        return _described(path, header, part, others, wanted, zero_point)
    except StoreError:
        raise
    except Exception:  # a dozen kinds on damaged bytes; the ordinary reader says which
        return None


def damaged(declared: Declared, data_sum: int) -> str:
    """What a checksum says is wrong with a part whose data has this sum; "" if nothing."""
    datasum, header = declared
    if datasum is not None and (datasum - data_sum) % ALL_ONES:
        return "DATASUM of the table is not that of its data"
    if header is not None and (header + data_sum) % ALL_ONES:
        return "CHECKSUM of the table is not that of its header and data"
    return ""


def checksum(path: Place, start: int, stop: int) -> int:
    """Sum of the 32-bit words of a file from offset start to stop, as FITS counts it: between 0 and
    2^32 - 1."""
    total, step = 0, PIECE if isinstance(path, Remote) else BLOCK_BYTES
    for at in range(start, stop, step):
        size = min(step, stop - at)
        total += sum_of_words(_stored(path, at, size))
    return total % ALL_ONES or (ALL_ONES if total else 0)


def _stored(path: Place, start: int, size: int) -> np.ndarray:
    """Bytes of a file, (size,) uint8: a map of one on disk, a copy of those of a store."""
    if isinstance(path, Remote):
        return np.frombuffer(path.bytes(start, start + size), np.uint8)
    return np.memmap(path, np.uint8, "r", start, (size,)).view(np.ndarray)


def sum_of_words(content: np.ndarray) -> int:
    """Sum of the 32-bit words in some bytes, a multiple of four, up to multiples of 2^32 - 1."""
    words = content.view(">u4")
    pair = words[: len(words) // 2 * 2].view(">u8").astype(np.uint64)
    # The sum of pairs wraps at 2^64, but that of their lower halves does not reach it.
    high, both = int((pair >> np.uint64(32)).sum()), int(pair.sum())
    odd = int(words[-1]) if len(words) % 2 else 0
    return high + (both - (high << 32)) % 2**64 + odd


def _parts(handle: BinaryIO) -> list[tuple[dict[str, Any], Part]]:
    """Every header of a FITS file with its place. Raises what astropy raises on damaged ones, and
    ValueError for a file that is shorter than its headers say, or longer."""
    from astropy.io import fits

    size = handle.seek(0, 2)
    at, found = 0, []
    while at < size:
        handle.seek(at)
        header = fits.Header.fromfile(handle)
        # A look into a Header costs far more than one into a dict; of doubles the first one counts.
        facts = {card.keyword: card.value for card in reversed(list(header.cards))}
        data = handle.tell()
        sides = [facts[f"NAXIS{i + 1}"] for i in range(facts["NAXIS"])]
        values = facts.get("GCOUNT", 1) * (facts.get("PCOUNT", 0) + math.prod(sides))
        length = abs(facts["BITPIX"]) // 8 * values if sides else 0
        end = data + -(-length // BLOCK) * BLOCK
        if length < 0 or end > size or (not at and facts.get("SIMPLE") is not True):
            raise ValueError("truncated")
        given = str(facts.get("DATASUM", "")).strip()
        has = bool(str(facts.get("CHECKSUM", "")).strip())
        found.append((facts, Part(at, data, end, int(given) if given else None, has)))
        at = end
    return found


def _described(
    path: Place,
    header: dict[str, Any],
    part: Part,
    others: tuple[Part, ...],
    wanted: dict[str, str],
    zero_point: float,
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
            if unit_problem(name, header.get(f"TUNIT{i}"), zero_point):
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
