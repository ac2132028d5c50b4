"""JSON from somebody else's hands: every complaint names the file and the place in it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensjax.errors import InputError, some

MOST = 1e30
"""Largest absolute value of a number that is read."""


@dataclass(frozen=True)
class Node:
    """A value in a JSON file, and where it stands. Every method that cannot give what it is asked
    for raises InputError."""

    file: Path
    place: str
    value: Any

    def fail(self, why: str) -> InputError:
        """The exception that says what is wrong with this value."""
        return InputError(f"{self.file}: {self.place or 'the file'}: {why}")

    def __getitem__(self, key: str) -> Node:
        return Node(self.file, f"{self.place}.{key}" if self.place else key, self.value[key])

    def object(self, needed: str, known: str) -> Node:
        """This value, if it is an object that has all keys in `needed` and no others than these and
        those in `known`; each argument is a string with blanks between keys."""
        if not isinstance(self.value, dict):
            raise self.fail(f"should be an object, not {_kind(self.value)}")
        wanted = needed.split()
        missing = [key for key in wanted if key not in self.value]
        unknown = [repr(key) for key in self.value if key not in {*wanted, *known.split()}]
        if missing:
            raise self.fail(f"the key {some(missing, 8)} is missing")
        if unknown:
            raise self.fail(f"the key {some(unknown, 8)} is not known")
        return self

    def list(self) -> list[Node]:
        """The items of this list."""
        if not isinstance(self.value, list):
            raise self.fail(f"should be a list, not {_kind(self.value)}")
        return [Node(self.file, f"{self.place}[{i}]", v) for i, v in enumerate(self.value)]

    def number(self) -> float:
        """Its value as a finite number, which single precision can hold too."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.fail(f"should be a number, not {_kind(self.value)}")
        try:
            found = float(self.value)
        except OverflowError:
            found = math.inf
        if not math.isfinite(found):
            raise self.fail("should be a finite number")
        if abs(found) > MOST:
            raise self.fail(f"is {found:g}: it should be between -{MOST:g} and {MOST:g}")
        return found

    def choice(self, known: tuple[str, ...]) -> str:
        """Its value, one of several strings."""
        if self.value not in known:
            said = repr(self.value)[:60] if isinstance(self.value, str) else _kind(self.value)
            raise self.fail(f"is {said}; it can be {', '.join(known)}")
        return self.value


def read_json(path: Path, largest: int) -> Node:
    """The top of a JSON file. Raises InputError, which names the file, where it cannot be read, has
    more bytes than `largest`, is no JSON, has NaN or Infinity, or a key twice in one object."""
    try:
        with path.open("rb") as handle:
            read = handle.read(largest + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if len(read) > largest:
        raise InputError(f"{path}: has more than {largest / 2**20:g} MB")
    try:
        value = json.loads(
            read.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_unique
        )
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{path}: is no JSON: {error}") from None
    return Node(path, "", value)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:60]!r} is there twice")
        found[key] = value
    return found


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    words = {bool: "true or false", dict: "an object", list: "a list", str: "a string"}
    return words.get(type(value), "a number")
