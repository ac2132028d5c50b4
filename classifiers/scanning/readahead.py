"""A thread that reads parts while the finders score: the mapper of `data.jobs` for one machine.

The thread goes through the parts in order and puts their batches into a queue of a few places, so
that memory is bounded. It does not wait for a part to be scored and written before it opens the
next one. An error of the source belongs to its part and is raised there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from classifiers.scanning.stamps import Batch, Part, Source, batches
from data.jobs import Item, Mapper, Task


@dataclass(frozen=True)
class Opened:
    """A part whose batches are read elsewhere."""

    part: Part
    batches: Iterator[Batch]


def ahead(source: Source, batch: int, places: int) -> Mapper:
    """The mapper. batch: stamps in a batch. places: batches that are read ahead."""

    def mapped(
        items: Sequence[Item], task: Task, advance: Callable[[int], None]
    ) -> list[dict[str, Any]]:
        entries = []
        reader = _Reader(source, [part for _, part in items], batch, places)
        try:
            for i, (name, part) in enumerate(items):
                entries.append(task((name, Opened(part, reader.of(i)))))
                advance(len(entries))
        finally:
            reader.stop()
        return entries

    return mapped


class _Reader:
    """The thread and its queue of (number of the part, batch, error or None at the end)."""

    def __init__(self, source: Source, parts: list[Part], batch: int, places: int):
        self._queue: queue.Queue[tuple[int, Any]] = queue.Queue(places)
        self._source, self._parts, self._batch = source, parts, batch
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="read ahead", daemon=True)
        self._thread.start()

    def of(self, number: int) -> Iterator[Batch]:
        """Batches of a part. Those of parts before it, which were given up, are passed over."""
        while True:
            of, found = self._queue.get()
            if of < number:
                continue
            if found is None:
                return
            if isinstance(found, BaseException):
                raise found
            yield found

    def stop(self) -> None:
        """Ends the thread once it has read what it is reading."""
        self._stopped.set()
        self._thread.join(timeout=60)

    def _read(self) -> None:
        source = self._source
        for number, part in enumerate(self._parts):
            end: BaseException | None = None
            try:
                rows = source.stamps(part)
                for found in batches(rows, source.side, len(source.survey.bands), self._batch):
                    if not self._put(number, found):
                        return
            except Exception as error:  # whatever it is, it is raised where the part is scored
                end = error
            if not self._put(number, end):
                return

    def _put(self, number: int, what: Any) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put((number, what), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
