"""Decisions on the page: what `judge`, `ensemble`, `channels`, `shortcuts`, `candidates` and
`inspect` wrote into folders of these names in the run directory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.report.drawing import SERIES, drawn, errors
from classifiers.report.page import Figures, Section, Table, Words
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from classifiers.report.collect import Run


@dataclass(frozen=True)
class Part:
    """folder: of the run. main: table that is not folded, and drawn where it has values with
    intervals. caption: of the figure. intervals: of which kind the figure's are."""

    folder: str
    title: str
    main: str
    caption: str = ""
    intervals: str = ""

    @property
    def id(self) -> str:
        """Id of the section, and the beginning of its tables' names."""
        return self.folder.split("/")[0]


OF_MERIT = "bootstrap intervals of 95 % (tpr0 and tpr10: Jeffreys' intervals)"
PARTS = (
    Part("judge", "Judged scores", "figures", "Figures of merit of every finder", OF_MERIT),
    Part("ensemble", "Ensemble", "figures", "Figures of merit of every finder, the stack (out of "
         "fold) and the plain average", OF_MERIT),
    Part("channels", "Channels", "overlap", "What share of either list is in both (Jaccard index)",
         "Jeffreys' intervals of 95 %"),
    Part("shortcuts", "Shortcuts", "features", "AUC of single numbers, in the direction in which "
         "it is above one half", "bootstrap intervals of 95 %"),
    Part("candidates", "Candidates", "candidates"),
    Part("inspection/results", "Inspection", "rates", "Shares of the objects of known answer that "
         "graders accepted", "Jeffreys' intervals of 95 % (over hosts that injections share)"),
)  # fmt: skip
NAMED = (
    *("finder", "other", "first", "second", "feature", "view"),
    *("who", "rate", "along", "cell", "metric"),
)
"""Columns that say what a row is of."""
LONGEST = 20
"""rows of a figure"""


def files(out: Path) -> list[Path]:
    """The tables of all parts that a run has."""
    return [path for part in PARTS for path in sorted((out / part.folder).glob("*.csv"))]


def section(run: Run) -> list[Section]:
    """A section for every folder with tables. Raises InputError for a table that cannot be read."""
    found = []
    for part in PARTS:
        paths = sorted((run.out / part.folder).glob("*.csv"))
        tables = {path.stem: table for path in paths if (table := _read(path)) is not None}
        if tables:
            found.append(Section(part.id, part.title, _blocks(part, tables)))
    return found


def _blocks(part: Part, tables: dict[str, pd.DataFrame]) -> list[Any]:
    blocks: list[Any] = [Words([f"From the folder {part.folder} of the run directory."])]
    main = tables.get(part.main)
    if main is not None and {"value", "lo95", "hi95"} <= {*main.columns}:
        known = main[main["value"].notna() & main["lo95"].notna()]
        if len(known):
            blocks.append(Figures([_figure(part, known, len(main) - len(known))]))
    for name, table in tables.items():
        title = f"{part.title}: {name.replace('_', ' ')}"
        plain = re.sub(r"\W", "_", name)
        blocks.append(Table(f"{part.id}_{plain}", title, table, folded=name != part.main))
    return blocks


def _figure(part: Part, table: pd.DataFrame, missing: int) -> tuple[str, str, str]:
    shown = table.head(LONGEST)
    columns = [name for name in NAMED if name in shown]
    labels = [" ".join(map(str, row)) for row in shown[columns].itertuples(index=False)]

    def draw(axes: Axes) -> None:
        places = range(len(shown))
        bars = errors(shown, "value", "lo95", "hi95")
        axes.errorbar(shown["value"], places, xerr=bars, fmt="o", color=SERIES[0])
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        axes.set(xlabel="value")
        axes.grid(axis="x")

    caption = f"{part.caption}, with {part.intervals}."
    if len(table) > len(shown):
        caption += f" The first {len(shown)} of {len(table)} rows are drawn."
    if missing:
        caption += f" {missing} rows that the data cannot support are not drawn."
    height = 1.2 + 0.25 * len(shown)
    return part.caption, drawn(f"decisions-{part.id}", draw, 6.0, height), caption


def _read(path: Path) -> pd.DataFrame | None:
    import pandas as pd

    try:
        found = pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read ({str(error).splitlines()[0]}); write it again"
        ) from None
    return found if len(found) else None
