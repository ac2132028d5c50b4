"""Stamps out of TFRecord shards (`data.shards`), one record after the other.

Every record is checked against its CRC32C. A damaged record is one refused row; where the length of
a record is damaged, or the file ends too early, nothing behind it can be found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import google_crc32c
import numpy as np

from classifiers.scanning.stamps import Part, Stamp, columns
from data import loader, shards, tfrecord
from data.quality import rejected
from data.survey import Survey
from lensjax.errors import InputError


@dataclass(frozen=True)
class Shards:
    """The shards of some splits. folder: with shards.json, or of a run."""

    folder: Path
    survey: Survey
    side: int
    splits: tuple[str, ...]
    on_bad_file: Literal["stop", "quarantine"] = "stop"

    @classmethod
    def of(
        cls,
        folder: Path,
        survey: Survey,
        splits: Sequence[str],
        on_bad_file: Literal["stop", "quarantine"] = "stop",
    ) -> Shards:
        """Raises InputError when there are no shards, or they are of another survey."""
        listed = shards.index(folder)
        shards.agree(listed, survey, shards.located(folder) / shards.INDEX)
        return cls(shards.located(folder), survey, int(listed["size"]), tuple(splits), on_bad_file)

    def parts(self) -> list[Part]:
        """A part for every shard."""
        entries = [e for e in shards.index(self.folder)["shards"] if e["split"] in self.splits]
        return [
            Part(e["file"].replace(".tfrecord", ""), e["records"], (e["file"], e["crc32c"]))
            for e in entries
        ]

    def stamps(self, part: Part) -> Iterator[Stamp]:
        """See `stamps.Source`. A shard that is missing, too short or without readable lengths is
        one that cannot be read."""
        kinds = shards.kinds(shards.index(self.folder))
        kept = [name for name in columns(self.survey) if name in kinds]
        file, crc = part.what
        path, seen = self.folder / file, 0
        try:
            for data in _records(path, crc, part.rows):
                if seen == part.rows:
                    raise InputError(f"{path}: more than the {part.rows} records of its index")
                yield self._stamp(file, seen, data, kinds, kept)
                seen += 1
            if seen < part.rows:
                raise _Lost(seen, f"is missing; {shards.INDEX} says that there are {part.rows}")
        except _Lost as lost:
            problem = f"{path}, record {lost.number}: {lost}"
            if self.on_bad_file == "stop":
                raise InputError(f"{problem}; {loader.CURE}") from None
            for row in range(seen, part.rows):
                yield Stamp({"source": file, "row": row}, None, problem)

    def _stamp(
        self, file: str, number: int, data: bytes | None, kinds: dict[str, type], kept: list[str]
    ) -> Stamp:
        known: dict[str, Any] = {"source": file, "row": number}
        if data is None:
            return Stamp(known, None, "the checksum of its data is wrong")
        image = np.empty((self.side, self.side, len(self.survey.bands)), np.float32)
        found: dict[str, list[Any]] = {name: [] for name in kept}
        try:
            loader.decode(data, image, found, kinds)
        except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
            return Stamp(known, None, f"not a cutout of {shards.NAME} ({error})")
        known |= {name: _present(value) for name, (value,) in found.items()}
        reason = rejected(image, self.side, self.survey)
        return Stamp(known, None if reason else image, reason)


def _present(value: Any) -> Any:
    """A value of a shard, None where it has none (`data.shards`)."""
    if isinstance(value, str):
        return value or None
    return None if value != value or (isinstance(value, int) and value == -1) else value


class _Lost(Exception):
    """Where a shard cannot be read on. number: of the first record that is lost."""

    def __init__(self, number: int, why: str):
        super().__init__(why)
        self.number = number


def _records(path: Path, crc: str, rows: int) -> Iterator[bytes | None]:
    """The records of a file, None for one whose data fail their checksum. crc, rows: of the whole
    file, from the index. Raises InputError at the end of another file: one that has another
    checksum although all of its records are there and whole. Raises _Lost where the file cannot be
    read on."""
    number, damaged, whole = 0, False, 0
    try:
        with open(path, "rb", buffering=1 << 20) as handle:
            end = path.stat().st_size
            while header := handle.read(tfrecord.HEADER.size):
                if len(header) < tfrecord.HEADER.size:
                    raise _Lost(number, "truncated in its header")
                length, of_length = tfrecord.HEADER.unpack(header)
                if tfrecord.masked(header[:8]) != of_length:
                    raise _Lost(number, "the checksum of its length is wrong")
                if handle.tell() + length + tfrecord.FOOTER.size > end:
                    raise _Lost(number, "truncated")
                data, footer = handle.read(length), handle.read(tfrecord.FOOTER.size)
                for piece in (header, data, footer):
                    whole = google_crc32c.extend(whole, piece)
                good = tfrecord.masked(data) == tfrecord.FOOTER.unpack(footer)[0]
                damaged |= not good
                yield data if good else None
                number += 1
    except OSError as error:
        raise _Lost(number, error.strerror or str(error)) from None
    if number == rows and not damaged and whole.to_bytes(4, "big").hex() != crc:
        raise InputError(f"{path}: whole, but not the file of {shards.INDEX}; {loader.CURE}")
