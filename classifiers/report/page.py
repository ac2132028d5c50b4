"""The page and the tables beside it, and what a section is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.files import replacing, write_csv

if TYPE_CHECKING:
    import pandas as pd

TIME = "seconds"
"""Column of how long something took."""
LONG = 36
"""Characters of a cell's text from which it may wrap."""
WIDEST = 16
"""Columns of a table that are printed on paper."""


@dataclass(frozen=True)
class Words:
    """Paragraphs, or a list; `note` sets it apart as something to be aware of."""

    lines: Sequence[str]
    listed: bool = False
    note: bool = False
    kind: str = "words"


@dataclass(frozen=True)
class Tile:
    """One number to see first, with what it is and how sure it is."""

    value: str
    label: str
    detail: str = ""


@dataclass(frozen=True)
class Tiles:
    """Numbers to see first."""

    tiles: Sequence[Tile]
    kind: str = "tiles"


@dataclass(frozen=True)
class Figures:
    """SVG figures beside one another: (alternative text, svg, caption)."""

    figures: Sequence[tuple[str, str, str]]
    kind: str = "figures"


@dataclass(frozen=True)
class Stamp:
    """Pictures (data URIs with alternative text) of one object and the line under them."""

    pictures: Sequence[tuple[str, str]]
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Stamps of one kind."""

    title: str
    stamps: Sequence[Stamp]
    kind: str = "gallery"


@dataclass(frozen=True)
class Table:
    """A table: written to tables/<name>.csv and .parquet in full, on the page as far as it is
    short. `shown`: columns on the page, all by default;
    `folded`: behind a summary."""

    name: str
    caption: str
    table: pd.DataFrame
    shown: Sequence[str] = ()
    folded: bool = False
    on_page: bool = True
    kind: str = "table"


@dataclass(frozen=True)
class Details:
    """Preformatted text behind a summary."""

    summary: str
    text: str
    kind: str = "details"


Block = Words | Tiles | Figures | Gallery | Table | Details


@dataclass(frozen=True)
class Section:
    """A heading and what comes under it."""

    id: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)


def cell(value: Any) -> str:
    """A value as people read it."""
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) or hasattr(value, "dtype"):
        number = float(value)
        return (
            f"{int(number):,}" if number == int(number) and abs(number) < 1e15 else f"{number:.4g}"
        )
    return f"{value:,}" if isinstance(value, int) else str(value)


def kind(value: Any) -> str:
    """The classes of a cell, as an attribute with a space before it: text stands on the left, and
    wraps where it is long."""
    if not isinstance(value, str):
        return ""
    return ' class="text long"' if len(value) > LONG else ' class="text"'


def storable(table: pd.DataFrame) -> pd.DataFrame:
    """The table with columns of mixed kinds as text, which Parquet can hold."""
    table = table.copy()
    for name in table.columns:
        if table[name].dtype == object:
            table[name] = [None if v is None or v != v else str(v) for v in table[name]]
    return table


def write_tables(folder: Path, sections: Sequence[Section]) -> list[Path]:
    """Every table of the page as CSV and Parquet; returns the files."""
    files = []
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Table):
                csv, parquet = folder / f"{block.name}.csv", folder / f"{block.name}.parquet"
                write_csv(csv, block.table)
                with replacing(parquet) as temporary:
                    storable(block.table).to_parquet(temporary, index=False, compression="zstd")
                files += [csv, parquet]
    return files


def timed(sections: Sequence[Section]) -> set[str]:
    """Names of the tables that say how long something took."""
    blocks = (block for section in sections for block in section.blocks)
    return {b.name for b in blocks if isinstance(b, Table) and TIME in b.table.columns}


def write(
    folder: Path, title: tuple[str, str, bool], sections: Sequence[Section], rows: int
) -> list[Path]:
    """Writes index.html and tables/; returns all files, relative to the run directory. title:
    heading, line under it, whether the survey is simulated."""
    import jinja2

    files = write_tables(folder / "tables", sections)
    template = resources.files("classifiers.report").joinpath("page.html").read_text()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    markup = jinja2.utils.markupsafe
    environment.filters |= {
        "kind": lambda value: markup.Markup(kind(value)),
        "cell": lambda value: markup.escape(cell(value)).replace("_", markup.Markup("_<wbr>")),
    }
    style = resources.files("classifiers.report").joinpath("page.css").read_text()
    heading, subtitle, simulated = title
    html = environment.from_string(template).render(
        heading=heading,
        subtitle=subtitle,
        simulated=simulated,
        sections=sections,
        limit=rows,
        widest=WIDEST,
        style=markup.Markup(style),
    )
    with replacing(folder / "index.html") as temporary:
        temporary.write_text(
            html.replace(" %", "\u00a0%")
        )  # a number and its per cent sign stay on one line
    return [path.relative_to(folder.parent) for path in [folder / "index.html", *files]]
