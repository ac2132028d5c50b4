"""Whether a run done again holds: by bytes where it has to, otherwise by figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.reproducing import conditions, figures, files
from classifiers.reproducing.recorded import Recorded
from data import record
from data.files import write_csv, write_json
from lensjax.errors import InputError, some

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 12
"""Figures that are printed."""
FOLDER = "reproduced"


@dataclass(frozen=True)
class Outcome:
    """files: a row for every output (`files.compared`). figures: a row for every figure with an
    interval in outputs that differ (`figures.compared`). unlike: in what the conditions differ, by
    step; those of the steps before it that were done again count too. problems: why it does not
    hold, a sentence each."""

    files: pd.DataFrame
    figures: pd.DataFrame
    unlike: Mapping[str, Sequence[str]]
    problems: Sequence[str]

    @property
    def holds(self) -> bool:
        """Whether the results are the recorded ones: byte for byte where platform and versions are
        those of the record, within their intervals where they are not."""
        return not self.problems

    @property
    def moved(self) -> pd.DataFrame:
        """The figures that are not what they were, those that moved most first."""
        found = self.figures[self.figures["recorded"] != self.figures["now"]]
        found = found[found["recorded"].notna() | found["now"].notna()]
        return found.sort_values("widths", key=abs, ascending=False, na_position="first")

    def lines(self) -> list[str]:
        """What is printed."""
        lines = []
        for step, own in self.files.groupby("step", sort=False):
            lines += _of_files(str(step), own)
        every = dict.fromkeys(line for own in self.unlike.values() for line in own)
        if every:
            lines.append(f"conditions differ from the record's: {'; '.join(every)}")
        moved = self.moved
        if len(self.figures):
            inside = int((self.figures["within"] == True).sum())  # noqa: E712 (it may be None)
            lines.append(
                f"{len(self.figures)} figures in files that differ: {len(moved)} moved, {inside} "
                "are within their interval of 95 %"
            )
        lines += [_of_figure(row) for row in moved.head(SHOWN).to_dict("records")]
        if len(moved) > SHOWN:
            lines.append(f"and {len(moved) - SHOWN} more, in figures.csv")
        lines += [f"problem: {text}" for text in self.problems]
        return [*lines, "holds" if self.holds else "does not hold"]

    def write(self, folder: Path) -> None:
        """files.csv, figures.csv and summary.json."""
        write_csv(folder / "files.csv", self.files)
        write_csv(folder / "figures.csv", self.figures)
        counts = self.files["result"].value_counts().to_dict()
        said = {"holds": self.holds, "problems": list(self.problems), "files": counts}
        said |= {
            "moved": len(self.moved),
            "conditions": {k: list(v) for k, v in self.unlike.items()},
        }
        write_json(folder / "summary.json", said)


def outcome(asked: Recorded, again: Path) -> Outcome:
    """Compares the steps done again in the run directory `again` with what was asked for. Raises
    InputError for a step that has not finished there."""
    import pandas as pd

    tables, numbers, problems = [], [], []
    unlike: dict[str, list[str]] = {}
    for step in asked.steps:
        then, now = asked.records[step], record.read(again, step)
        if now is None:
            raise InputError(f"{again}: step {step!r} has not finished; the same command goes on")
        inherited = [line for name in then["after"] for line in unlike.get(name, ())]
        own = conditions.unlike(then, now)
        unlike[step] = list(dict.fromkeys([*inherited, *own]))
        table = files.compared(step, then, now, asked.out)
        tables.append(table)
        apart = table[(table["result"] == files.DIFFERS) & (table["original"] == files.AS_RECORDED)]
        found = [figures.compared(step, p, asked.out / p, again / p) for p in apart["path"]]
        numbers += [part for part in found if len(part)]
        problems += _problems(step, table, pd.concat(found) if found else None, unlike[step])
    every = pd.concat(tables, ignore_index=True)
    figure = pd.concat(numbers, ignore_index=True) if numbers else _no_figures()
    if (every["result"] == files.DIFFERS).any() and figure["within"].isna().all() and not problems:
        problems.append(
            "files differ, as they may under other conditions, and none has a figure with an "
            "interval to judge by; reproduce a step that measures, or the whole run"
        )
    return Outcome(every, figure, unlike, problems)


def _no_figures() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns=list(figures.COLUMNS))


def _problems(
    step: str, table: pd.DataFrame, found: pd.DataFrame | None, unlike: Sequence[str]
) -> list[str]:
    """Why a step does not hold."""
    said = []
    for state, words in ((files.CHANGED, "not as recorded any more"), (files.GONE, "gone")):
        which = table[table["original"] == state]["path"].tolist()
        if which:
            said.append(f"{step}: {len(which)} files of the run are {words}: {some(which)}")
    for result in (files.MISSING, files.NEW):
        which = table[table["result"] == result]["path"].tolist()
        if which:
            said.append(f"{step}: {len(which)} files {result}: {some(which)}")
    differ = table[table["result"] == files.DIFFERS]["path"].tolist()
    if differ and not unlike:
        said.append(
            f"{step}: {len(differ)} files differ, on the same platform with the same versions: "
            f"{some(differ)}"
        )
    if found is not None and unlike:
        outside = found[found["within"] == False]  # noqa: E712 (it may be None)
        if len(outside):
            named = [f"{r['file']} {r['figure']}" for r in outside.to_dict("records")]
            said.append(f"{step}: {len(outside)} figures outside of their interval: {some(named)}")
    return said


def _of_files(step: str, table: pd.DataFrame) -> list[str]:
    """What is printed of the files of a step."""
    of = {result: own["path"].tolist() for result, own in table.groupby("result")}
    lines = [f"{step}: {len(of.get(files.EQUAL, []))} of {len(table)} files are equal"]
    if files.TIMES in of:
        lines.append(f"{step}: not compared, because they hold times: {some(of[files.TIMES], 9)}")
    if files.DIFFERS in of:
        lines.append(f"{step}: {len(of[files.DIFFERS])} differ: {some(of[files.DIFFERS], 9)}")
    return lines


def _of_figure(row: Mapping[Any, Any]) -> str:
    within = {True: "within", False: "outside of"}.get(row["within"])
    told = f"{within} {row['lo95']:.4g} to {row['hi95']:.4g}" if within else "no interval"
    return (
        f"{row['file']} {row['figure']}: {row['recorded']:.6g}, now {row['now']:.6g} "
        f"({row['moved']:+.2g}), {told}"
    )
