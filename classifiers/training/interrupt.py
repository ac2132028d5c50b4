"""Being stopped between two updates instead of in the middle of one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Terminated(Exception):
    """SIGTERM arrived and everything that was done is saved."""


class Request:
    """signal: the number of the signal that asked to stop, 0 while none has."""

    signal = 0


@contextmanager
def deferred() -> Iterator[Request]:
    """Within the block SIGINT and SIGTERM only leave a request. A second SIGINT interrupts at
    once."""
    request = Request()

    def handle(number: int, frame: object) -> None:
        if request.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal = number

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def immediate() -> Iterator[None]:
    """Within the block SIGTERM raises Terminated at once: where nothing has to be saved first."""

    def handle(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
