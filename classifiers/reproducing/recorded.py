"""Which steps a record or a run directory asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data import config, record
from data.verb import Verb
from lensjax.errors import InputError, some

WHOLE = "run.json"
"""The record of `lensjax run`, which is one of no step."""


@dataclass(frozen=True)
class Recorded:
    """What is to be done again. out: the run directory. steps: names, in the order of the chain.
    records: of these and of every step that they come after, by name. settings: of these."""

    out: Path
    steps: tuple[str, ...]
    records: Mapping[str, dict[str, Any]]
    settings: Mapping[str, Any]

    @property
    def before(self) -> tuple[str, ...]:
        """Steps that are not done again, whose files are read."""
        return tuple(name for name in self.records if name not in self.steps)

    def path(self, step: str) -> Path:
        """The file of a record."""
        return self.out / "records" / f"{step}.json"


def recorded(path: Path, chain: Mapping[str, Verb]) -> Recorded:
    """What `path` asks for: the one step whose record it is, or every step of a run directory or of
    the record of a whole run. chain: the verbs that are steps.

    Raises InputError where there is no record, where it is of no step, where a step before it has
    none, and where the steps before it have written something else since.
    """
    path = Path(path)
    if path.is_dir() or path.name == WHOLE:
        out = path if path.is_dir() else path.parent.parent
        steps = [name for name in chain if (out / "records" / f"{name}.json").is_file()]
        if not steps:
            raise InputError(f"{out}: no run directory, records/ has the record of no step")
    else:
        out, steps = path.parent.parent, [_step(path, chain)]
    records = {name: _read(out, name) for name in steps}
    for name in steps:
        for other in _before(out, name, records[name]):
            records.setdefault(other, _read(out, other))
    for name in steps:
        if not record.made_of(out, records[name]):
            after = some(list(records[name]["after"]), 9)
            raise InputError(
                f"{out}: {after} wrote other files after {name!r} had read them, so that its "
                f"record cannot hold; run `lensjax {name} --out {out}` first"
            )
    asked = Recorded(out, tuple(steps), records, {})
    settings = {
        name: config.validated(cls, records[name]["config"], str(asked.path(name)))
        for name in steps
        if (cls := chain[name].settings) is not None
    }
    return replace(asked, settings=settings)


def _step(path: Path, chain: Mapping[str, Verb]) -> str:
    if not path.is_file():
        raise InputError(f"{path}: no such record; a run directory has them in records/")
    try:
        found = json.loads(path.read_text())
        name = str(found["step"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not the record of a step") from None
    if path.parent.name != "records":
        raise InputError(f"{path}: not in the folder records/ of a run directory")
    if name not in chain:
        whole = next((n for n in chain if name.startswith(f"{n}-")), "")
        cure = f"; give {path.with_name(f'{whole}.json')}, the record of all of it" if whole else ""
        raise InputError(f"{path}: {name!r} is no step that can be done again by itself{cure}")
    return name


def _read(out: Path, name: str) -> dict[str, Any]:
    found = record.read(out, name)
    if found is None:
        raise InputError(f"{out}: step {name!r} has no record; run `lensjax {name} --out {out}`")
    return found


def _before(out: Path, name: str, one: dict[str, Any]) -> Iterator[str]:
    """The steps before this one, and those before them."""
    for other in one["after"]:
        yield other
        yield from _before(out, other, _read(out, other))
