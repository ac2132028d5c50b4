"""The verb `compare`: two selection functions beside one another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from data.verb import Verb


@dataclass(frozen=True)
class Pair:
    """Completeness of two audits on the axes that both have, with differences and intervals; says
    which cells have no counterpart. Either may be a published table; see
    docs/selection-function.md."""

    first: tyro.conf.Positional[Path]
    """run directory, folder of an audit, or completeness table (Parquet, CSV, ECSV, FITS)"""
    second: tyro.conf.Positional[Path]
    """the other"""
    threshold: str = "0.5"
    """score, or name of a threshold of the first"""
    second_threshold: str = ""
    """of the second, where it is another"""
    names: tuple[str, str] | None = None
    """what the two are called in the figure"""
    level: float = 0.95
    """of the intervals"""
    out: Path | None = None
    """folder for comparison.csv (cells), along.csv (axes), and comparison.pdf and .png"""


def work(argv: list[str]) -> int:
    """Prints the comparison along the axes, and writes it to `out`. Raises InputError as `load` and
    `compare` do."""
    from classifiers.audit.population_verb import number_or_name
    from classifiers.selection.comparison import compare, draw
    from classifiers.selection.function import SelectionFunction
    from data.files import write_csv

    asked = tyro.cli(Pair, args=argv, prog="lensjax compare", description=Pair.__doc__)
    thresholds = asked.threshold, asked.second_threshold or asked.threshold
    first, second = (
        SelectionFunction.load(path, number_or_name(threshold))
        for path, threshold in zip((asked.first, asked.second), thresholds)
    )
    found = compare(first, second, asked.level, asked.names)
    for line in str(found).splitlines():
        print(f"compare: {line}")
    if asked.out is not None:
        for name, table in (("comparison", found.cells), ("along", found.along)):
            write_csv(asked.out / f"{name}.csv", table)
        draw(found, asked.out / "comparison")
        print(f"compare: {asked.out}")
    return 0


command: Verb[None] = Verb(
    name="compare",
    summary="Sets two selection functions beside one another, on the axes that both have.",
    work="classifiers.selection.compare_verb:work",
)
