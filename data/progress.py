"""How far a job is, said in one line: for logs, where a bar would be noise and silence looks like a
program that hangs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

SOON = 10.0
"""seconds before the first line, so that a quick job says nothing"""
EVERY = 60.0
"""seconds between two lines"""


def line(label: str, done: int, total: int, rate: float, unit: str = "") -> str:
    """For example "scan: 200 of 1000 rows (20.0 %), 12/s, 0:01:07 left".

    rate: of `unit` per second; 0 where it is not known yet, and then neither is the time left.
    """
    what = f" {unit}" if unit else ""
    share = 100 * done / max(total, 1)
    if rate <= 0:
        return f"{label}: {done} of {total}{what} ({share:.1f} %), time left not known yet"
    left = (total - done) / rate
    return f"{label}: {done} of {total}{what} ({share:.1f} %), {speed(rate)}, {clock(left)} left"


def figures(found: Mapping[str, Any]) -> str:
    """What a job ends with; figures of one kind are in brackets. For example "objects 360, counts
    (train 190, val 76), complete yes"."""

    def said(value: Any) -> str:
        if isinstance(value, Mapping):
            return f"({figures(value)})"
        if isinstance(value, bool):
            return "yes" if value else "no"
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{name.replace('_', ' ')} {said(value)}" for name, value in found.items())


def speed(rate: float) -> str:
    """A rate per second; per minute or hour where less than one is done in a second or minute."""
    for times, per in ((1, "s"), (60, "min"), (3600, "h")):
        if rate * times >= 1 or per == "h":
            break
    value = rate * times
    return f"{value:.0f}/{per}" if value >= 10 or value == round(value) else f"{value:.1f}/{per}"


def clock(seconds: float) -> str:
    """A time as hours:minutes:seconds."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


class Lines:
    """Says how far a job is, after `SOON` seconds and then every `EVERY`.

    label: what is done. total: how many items. file: where to; standard error if none.
    """

    def __init__(
        self,
        label: str,
        total: int,
        file: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label, self._total, self._file, self._now = label, total, file, now
        self._began = now()
        self._next = self._began + SOON

    def __call__(self, done: int) -> None:
        """So many items are done."""
        now = self._now()
        if now < self._next or done >= self._total:
            return
        self._next = now + EVERY
        rate = done / max(now - self._began, 1e-9)
        text = line(self._label, done, self._total, rate)
        print(text, file=self._file or sys.stderr, flush=True)
