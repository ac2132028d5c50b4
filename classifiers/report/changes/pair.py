"""The two runs, and what of either is compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from classifiers.audit.axes import Axis, Grid
from classifiers.audit.injectionset import InjectionSet
from classifiers.report.collect import Run, collect
from classifiers.selection import tablefile
from lensjax.errors import InputError

SIDES = ("first", "second")


@dataclass(frozen=True)
class Side:
    """One run. name: as the page calls it. injections, axes: of its audit, with the measured axes;
    None and empty where it has none."""

    name: str
    run: Run
    injections: InjectionSet | None
    axes: tuple[Axis, ...]

    @property
    def grid(self) -> Grid:
        """Its axes by kind."""
        kinds = ("drawn", "host", "measured")
        return Grid(*(tuple(a for a in self.axes if a.kind == kind) for kind in kinds))


@dataclass(frozen=True)
class Pair:
    """The two runs that are compared; a difference is always the second minus the first."""

    first: Side
    second: Side

    def __iter__(self) -> Iterator[Side]:
        yield from (self.first, self.second)

    @cached_property
    def names(self) -> tuple[str, str]:
        """What the two are called."""
        return self.first.name, self.second.name


def read(first: Path, second: Path) -> Pair:
    """Reads two run directories. Raises InputError for one that is none, and as `collect` does."""
    return Pair(*(_side(path, name) for path, name in zip((first, second), named(first, second))))


def named(first: Path, second: Path) -> tuple[str, str]:
    """Short names of two paths: their last parts, as many as tell them apart."""
    parts = [Path(p).absolute().parts for p in (first, second)]
    for n in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-n:]) for p in parts]
        if names[0] != names[1]:
            return names[0], names[1]
    raise InputError(f"{first}: is both of the runs; give two")


def _side(out: Path, name: str) -> Side:
    if not (out / "manifest.parquet").is_file():
        raise InputError(f"{out}: no run directory, it has no manifest.parquet (`lensjax run`)")
    run = collect(out)
    if run.audit is None:
        return Side(name, run, None, ())
    axes = tablefile.read(out / "audit" / "completeness.parquet")[1].get("axes", [])
    known = tuple(_axis(axis) for axis in axes)
    return Side(name, run, InjectionSet.load(out / "audit" / "injections.parquet"), known)


def _axis(found: dict[str, Any]) -> Axis:
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
    return Axis(**plain)


def step(side: Side, name: str) -> dict[str, Any]:
    """The settings of a step by its record; empty without one."""
    return side.run.records.get(name, {}).get("config", {})
