"""Records of a split one by one, in any order, without holding the split in memory.

`Records` finds where every record starts, and checks lengths against their CRC and files against
shards.json. It then reads and checks single records from any thread or process. `batches` runs
Grain over an order of rows: reading, checking and decoding happen ahead of the consumer. The order
is given, so a stopped pipeline goes on when it is given the rest of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from data import loader, shards, tfrecord
from lensjax.errors import InputError


@dataclass(frozen=True)
class Records:
    """The records of a split.

    files: of the split, in order. file, number, place, length (N,): in which file each record is,
    its number there, where its data begins and how long it is. size: side of the cutouts, pixels.
    bands: how many."""

    files: tuple[Path, ...]
    file: Int[np.ndarray, " n"]
    number: Int[np.ndarray, " n"]
    place: Int[np.ndarray, " n"]
    length: Int[np.ndarray, " n"]
    size: int
    bands: int

    def __len__(self) -> int:
        return len(self.file)

    def only(self, rows: Int[np.ndarray, " m"]) -> Records:
        """Some of them, in this order."""
        return replace(
            self,
            file=self.file[rows],
            number=self.number[rows],
            place=self.place[rows],
            length=self.length[rows],
        )

    def __getitem__(self, row: int) -> Float[np.ndarray, "s s c"]:
        """The cutout of a row, nanomaggies. Raises InputError naming file and record when its
        checksum is wrong or it is no cutout."""
        return self.together([row])[0]

    def together(self, rows: Int[np.ndarray, " m"] | Sequence[int]) -> Float[np.ndarray, "m s s c"]:
        """The cutouts of several rows, each read to its place in one array. Raises InputError as
        for a single one."""
        images = np.empty((len(rows), self.size, self.size, self.bands), np.float32)
        for row, image in zip(rows, images):
            self._read(int(row), image)
        return images

    def ids(self) -> list[str]:
        """The galaxy_id of every record, in order. Checksums of data are not compared: a damaged
        record is refused when its cutout is read. Raises InputError for what is no cutout."""
        columns: dict[str, list[Any]] = {"galaxy_id": []}
        for row in range(len(self)):
            data = self._content(row)[: self.length[row]]
            self._decode(row, data, None, columns)
        return columns["galaxy_id"]

    def _content(self, row: int) -> bytes:
        """Data of a record and its checksum, as they are in the file."""
        path = self.files[self.file[row]]
        size = int(self.length[row]) + tfrecord.FOOTER.size
        try:
            with open(path, "rb", buffering=0) as handle:
                return os.pread(handle.fileno(), size, int(self.place[row]))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None

    def _read(self, row: int, image: Float[np.ndarray, "s s c"]) -> None:
        path, number = self.files[self.file[row]], int(self.number[row])
        content, length = self._content(row), int(self.length[row])
        data = content[:length]
        if (
            len(content) != length + tfrecord.FOOTER.size
            or tfrecord.masked(data) != tfrecord.FOOTER.unpack_from(content, length)[0]
        ):
            raise InputError(
                f"{path}, record {number}: truncated, or the checksum of its data is wrong; "
                f"{loader.CURE}"
            )
        self._decode(row, data, image, {})

    def _decode(
        self,
        row: int,
        data: bytes,
        image: Float[np.ndarray, "s s c"] | None,
        columns: dict[str, list[Any]],
    ) -> None:
        """`loader.decode` for columns of text."""
        try:
            loader.decode(data, image, columns, dict.fromkeys(columns, str))
        except (ValueError, KeyError, IndexError) as error:
            path, number = self.files[self.file[row]], self.number[row]
            raise InputError(
                f"{path}, record {number}: not a cutout of {shards.NAME} {shards.VERSION} "
                f"({error}); {loader.CURE}"
            ) from None


def records(folder: str | Path, split: str) -> Records:
    """Where the records of a split are. Raises InputError naming the file that is missing, of
    another size, or not a TFRecord file."""
    where, listed = shards.located(folder), shards.index(folder)
    entries = [entry for entry in listed["shards"] if entry["split"] == split]
    paths = tuple(where / entry["file"] for entry in entries)
    rows = [
        (file, number, *found)
        for file, (path, entry) in enumerate(zip(paths, entries))
        for number, found in enumerate(_places(path, entry))
    ]
    file, number, place, length = np.array(rows, np.int64).reshape(-1, 4).T
    return Records(paths, file, number, place, length, listed["size"], len(listed["bands"]))


def _places(path: Path, entry: dict[str, Any]) -> Iterator[tuple[int, int]]:
    try:
        bytes_ = path.stat().st_size
    except FileNotFoundError:
        raise InputError(f"{path}: missing, {shards.INDEX} lists it; {loader.CURE}") from None
    if bytes_ != entry["bytes"]:
        raise InputError(
            f"{path}: {bytes_} bytes, {shards.INDEX} says {entry['bytes']}; {loader.CURE}"
        )
    place = number = 0
    with open(path, "rb", buffering=0) as handle:
        while place < bytes_:
            header = os.pread(handle.fileno(), tfrecord.HEADER.size, place)
            length, crc = (
                tfrecord.HEADER.unpack(header) if len(header) == tfrecord.HEADER.size else (0, -1)
            )
            if tfrecord.masked(header[:8]) != crc:
                raise InputError(
                    f"{path}, record {number}: the checksum of its length is wrong; {loader.CURE}"
                )
            yield place + tfrecord.HEADER.size, length
            place, number = place + tfrecord.HEADER.size + length + tfrecord.FOOTER.size, number + 1
    if number != entry["records"] or place != bytes_:
        raise InputError(
            f"{path}: {number} records, {shards.INDEX} says {entry['records']}; {loader.CURE}"
        )


@dataclass(frozen=True)
class _Batched:
    """What Grain sees: the rows of a run in their order, a whole batch at a time.

    From single cutouts Grain would make a batch by copying them, which costs as much as reading
    them. And of n processes each would take every n-th cutout, so that cutouts changed places."""

    records: Records
    rows: Int[np.ndarray, " m"]
    batch: int

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch)

    def __getitem__(self, index: Any) -> Float[np.ndarray, "b s s c"]:
        first = int(index) * self.batch
        return self.records.together(self.rows[first : first + self.batch])


def batches(
    source: Records,
    rows: Int[np.ndarray, " m"] | Sequence[int],
    batch: int,
    threads: int = 1,
    ahead: int = 64,
    workers: int = 0,
) -> Iterator[Float[np.ndarray, "b s s c"]]:
    """Cutouts of `rows`, `batch` at a time in this order; the last batch may be shorter.

    threads: how many read ahead; more than one pays only where a read waits, as on a network disk.
    ahead: how many cutouts are read ahead at least. workers: if not 0, this many processes read
    instead of threads. The batches are the same in any case.
    """
    import grain

    buffered = max(-(-ahead // batch), 1)
    whole = grain.MapDataset.source(_Batched(source, np.asarray(rows, np.int64), batch))
    options = grain.ReadOptions(num_threads=min(threads, buffered), prefetch_buffer_size=buffered)
    if not workers:
        yield from whole.to_iter_dataset(options)
        return
    from absl import flags

    # Grain asks for flags that only a program of absl's would have parsed.
    flags.FLAGS.mark_as_parsed()
    yield from whole.to_iter_dataset(options).mp_prefetch(
        grain.MultiprocessingOptions(num_workers=workers)
    )
