"""How far a scan is: rows, rows a second, time left. On a terminal as a bar, elsewhere as a line
every minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from data.progress import EVERY, line


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f}/s" if task.speed else "")


class Rows:
    """Counts rows. total: of the whole scan; done: of parts that were there already."""

    def __init__(self, total: int, console: Console | None = None):
        self.total, self.done, self.new = total, 0, 0
        self._console = console or Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(
            *(*columns, _Rate(), TimeRemainingColumn(elapsed_when_finished=True)),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("scan", total=total)
        self._began = self._said = time.monotonic()

    @contextmanager
    def bar(self, label: str, items: int) -> Iterator[Callable[[int], None]]:
        """For `data.jobs.run`, which counts parts; rows are counted by `tick`."""
        self._began = self._said = time.monotonic()
        with self._bar:
            yield lambda parts: None

    def start(self, done: int) -> None:
        """Some rows are there already; they do not count for the rate."""
        self.done = done
        self._bar.reset(self._task, completed=done, total=self.total)

    def tick(self, rows: int) -> None:
        """Counts rows that were just done."""
        self.new += rows
        self._bar.update(self._task, completed=self.done + self.new)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said >= EVERY:
            self._said = now
            self._console.print(self.line(), markup=False, soft_wrap=True)

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.new / max(time.monotonic() - self._began, 1e-9)

    def line(self) -> str:
        """Everything in one line."""
        return line(
            "scan", self.done + self.new, self.total, self.rate if self.new else 0.0, "rows"
        )
