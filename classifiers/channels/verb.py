"""The verb `channels`: searches compared by their lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from data.verb import Verb


@dataclass(frozen=True)
class Lists:
    """Compares searches by their lens lists: which lenses they share, what of the galaxies their
    choice depends on, and how well a classifier tells their lenses apart; see docs/channels.md."""

    lists: tyro.conf.Positional[tuple[str, ...]]
    """name=path of each list, or name=path@column for a file with several searches, one for every
    value of the column"""
    radius: float = 3.0
    """arcsec within which entries are one object"""
    population: tuple[Path, ...] = ()
    """tables of the galaxies that were looked at, with positions and features"""
    features: tuple[str, ...] = ()
    """columns of the population that the choice may depend on"""
    monotone: tuple[str, ...] = ()
    """feature=1 or feature=-1: the probability may only rise, or fall, with it"""
    minimum: int = 30
    """objects below which a figure is insufficient"""
    resamples: int = 2000
    seed: int = 42
    out: Path | None = None
    """folder for the tables, one CSV each, their figures (PDF, PNG), and latex/"""


def work(argv: list[str]) -> int:
    """Prints the main figures and writes every table to `out`. Raises InputError for lists or
    choices that cannot be used."""
    from classifiers.channels import comparing, lists, plots
    from classifiers.evaluation import latex
    from data.files import write_csv
    from lensjax.errors import InputError

    asked = tyro.cli(Lists, args=argv, prog="lensjax channels", description=Lists.__doc__)
    if len(asked.lists) < 1 or asked.resamples < 20 or asked.minimum < 10:
        raise InputError("expected a list, at least 20 resamples, and a minimum of at least 10")
    if bool(asked.population) != bool(asked.features) or (asked.monotone and not asked.features):
        raise InputError("--population and --features go together, and --monotone needs both")
    found, refused = lists.channels(asked.lists)
    if len(found) < 2:
        raise InputError(f"there is one channel, {found[0].name}; two are compared at least")
    monotone = {}
    for word in asked.monotone:
        name, _, sign = word.rpartition("=")
        if sign not in ("1", "-1", "+1") or not name:
            raise InputError(f"monotone {word!r}: write feature=1 or feature=-1")
        monotone[name] = int(sign)
    q = comparing.Question(
        asked.radius,
        asked.population,
        asked.features,
        monotone,
        asked.minimum,
        asked.resamples,
        asked.seed,
    )
    tables = comparing.compared(found, q)
    if len(refused):
        print(f"channels: {len(refused)} rows have no position; see refused.csv")
    for line in comparing.lines(tables):
        print(f"channels: {line}")
    if asked.out is not None:
        for name, table in {**tables, "refused": refused}.items():
            write_csv(asked.out / f"{name}.csv", table)
        plots.draw(tables, asked.out)
        latex.write(tables, asked.out)
        print(f"channels: {asked.out}")
    return 0


command: Verb[None] = Verb(
    name="channels",
    summary="Compares searches by their lens lists: overlap, selection, how different they are.",
    work="classifiers.channels.verb:work",
)
