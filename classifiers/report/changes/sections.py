"""What the page of two runs says, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from classifiers.report.changes import completeness, evaluations, figures, settings, verdicts
from classifiers.report.changes.pair import Pair
from classifiers.report.page import Figures, Section, Table, Tile, Tiles, Words
from classifiers.report.results import NAMES

if TYPE_CHECKING:
    import pandas as pd

NO_AUDIT = "Only one of the runs has an audit, or none has (`lensjax audit`)."
NO_EVALUATION = "Only one of the runs has an evaluation, or none has (`lensjax evaluate`)."
LOWER = (
    "Calibration errors, the Brier score, the logarithmic loss and false-positive rates are better "
    "where they are lower."
)
COMPLETENESS = (
    *("axis", "value", "n_first", "n_second", "completeness_first", "lo95_first", "hi95_first"),
    *("completeness_second", "lo95_second", "hi95_second", "difference", "lo95", "hi95"),
    *("gained", "lost", "mcnemar_p", "status"),
)


def title(pair: Pair, wanted: str = "") -> tuple[str, str, bool]:
    """Heading, the line under it, and whether either survey is simulated."""
    first, second = pair.names
    simulated = any(side.run.simulated for side in pair)
    heading = wanted or f"What changed from {first} to {second}"
    line = "Every difference is the second run minus the first, with an interval of 95 %"
    return heading, f"First: {first} · second: {second} · {line}", simulated


def words(made: Sequence[Section]) -> list[str]:
    """The sentences of the first section."""
    return [line for b in made[0].blocks if isinstance(b, Words) for line in b.lines]


def sections(pair: Pair, threshold: str = "") -> list[Section]:
    """The sections of the page. threshold: name of the one that figures are drawn at; the one
    nearest to that of the first audit's words if empty. Raises InputError for one that not both
    have."""
    found, measured = completeness.compared(pair), evaluations.compared(pair)
    name = completeness.threshold(pair, found, threshold)
    changed, differ = settings.table(pair), verdicts.table(pair)
    return [
        Section("changes", "What changed", _changes(pair, found, measured, name, changed, differ)),
        Section("completeness", "Completeness", _completeness(pair, found, name)),
        Section("evaluation", "Evaluation", _evaluation(measured)),
        Section("verdicts", "Verdicts that differ", _verdicts(differ)),
        Section("settings", "Settings that differ", _settings(changed)),
        Section("uncompared", "Not compared", _uncompared(found, measured)),
    ]


def _changes(
    pair: Pair,
    found: completeness.Compared | None,
    measured: evaluations.Compared | None,
    name: str,
    changed: pd.DataFrame,
    differ: pd.DataFrame,
) -> list[Any]:
    """The main numbers, and what is behind them."""
    tiles, words = [], []
    if found is None:
        words.append(f"Completeness: {NO_AUDIT}")
    elif found.apart:
        names = ", ".join(what for what, *_ in found.apart[:4])
        words.append(
            f"The completenesses are of different populations ({names}), so their difference "
            "says nothing of the finders; it is not given."
        )
    elif name:
        row = _overall(found, name)
        tiles.append(_tile(row, name, found.way))
        words += [_said(pair, row, name), *found.words]
    if measured is None:
        words.append(f"Evaluation: {NO_EVALUATION}")
    else:
        tiles += _merit(measured)
        words += measured.words
    words.append(
        f"Settings, conditions and inputs that differ: {len(changed)}; verdicts that differ: "
        f"{len(differ)}."
    )
    return [*([Tiles(tiles)] if tiles else []), Words(words, listed=True)]


def _overall(found: completeness.Compared, name: str) -> dict[str, Any]:
    table = found.table
    chosen = table[(table["axis"] == "all") & (table["threshold_name"] == name)]
    return {str(k): v for k, v in chosen.iloc[0].to_dict().items()}


def _tile(row: dict[str, Any], name: str, way: str) -> Tile:
    detail = f"95 %: {row['lo95']:+.1f} to {row['hi95']:+.1f}, {way}"
    return Tile(f"{row['difference']:+.1f} points", f"completeness at {name}", detail)


def _merit(measured: evaluations.Compared) -> list[Tile]:
    table = measured.table
    auc = table[(table["figure"] == "roc_auc") & table["difference"].notna()]
    if auc.empty:
        return []
    row = auc.iloc[0]
    detail = f"95 %: {row['lo95']:+.3f} to {row['hi95']:+.3f}, {measured.way}"
    return [Tile(f"{row['difference']:+.3f}", "ROC AUC", detail)]


def _said(pair: Pair, row: dict[str, Any], name: str) -> str:
    """The difference of the completeness in one sentence."""
    of = [
        f"{100 * row[f'completeness_{side}']:.1f} % ({100 * row[f'lo95_{side}']:.1f} to "
        f"{100 * row[f'hi95_{side}']:.1f} %) in {called}"
        for side, called in zip(("first", "second"), pair.names)
    ]
    text = (
        f"Completeness at {name}: {of[0]}, {of[1]}; difference {row['difference']:+.1f} points "
        f"(95 %: {row['lo95']:+.1f} to {row['hi95']:+.1f})"
    )
    if row["gained"] == row["gained"]:
        text += (
            f"; {int(row['gained'])} injections gained, {int(row['lost'])} lost, exact McNemar "
            f"test p = {row['mcnemar_p']:.2g}"
        )
    return f"{text}."


def _completeness(pair: Pair, found: completeness.Compared | None, name: str) -> list[Any]:
    if found is None:
        return [Words([NO_AUDIT])]
    blocks: list[Any] = []
    shown = found.table[found.table["threshold_name"] == name] if name else found.table.head(0)
    if found.apart:
        blocks.append(Words(["The difference is not given; see “Not compared”."], note=True))
    elif not name:
        blocks.append(Words(["The audits have no threshold in common."], note=True))
    else:
        blocks += [Words(found.words), Figures(_along(pair, found, shown, name))]
    columns = [c for c in COMPLETENESS if c in shown and shown[c].notna().any()]
    caption = (
        f"Completeness of both at {name or 'common thresholds'} with 95 % intervals, and the "
        f"difference in percentage points{f' ({found.way})' if found.way else ''}"
    )
    blocks.append(Table("completeness_at_threshold", caption, shown, shown=columns))
    every = "The same at every threshold that both audits have"
    blocks.append(Table("completeness_changes", every, found.table, on_page=False))
    return blocks


def _along(
    pair: Pair, found: completeness.Compared, shown: pd.DataFrame, name: str
) -> list[tuple[str, str, str]]:
    """Both, and their difference, along every axis with several cells."""
    made = []
    for axis in pair.first.axes:
        rows = shown[shown["axis"] == axis.name].reset_index(drop=True)
        if len(rows) < 2:
            continue
        drawn = figures.both(rows, axis.name, axis.title, pair.names)
        caption = f"{axis.title}: both runs at {name}, 95 %; hollow: insufficient in either."
        made.append((f"Completeness of both runs against {axis.title}", drawn, caption))
        steps = ", ".join(f"{v} {d:+.1f}" for v, d in zip(rows["value"], rows["difference"]))
        caption = f"{axis.title}: the difference with its 95 % interval, {found.way}."
        made.append(
            (f"Difference by cell: {steps}", figures.apart(rows, axis.name, axis.title), caption)
        )
    return made


def _evaluation(measured: evaluations.Compared | None) -> list[Any]:
    if measured is None:
        return [Words([NO_EVALUATION])]
    names = [NAMES.get(n, n.replace("_", " ")) for n in measured.table["figure"]]
    table = measured.table.assign(figure=names)
    blocks: list[Any] = [Words([*measured.words, LOWER])]
    known = table[table["difference"].notna() & table["lo95"].notna()]
    if len(known):
        alt = "Differences: " + ", ".join(
            f"{name} {d:+.3f}" for name, d in zip(known["figure"], known["difference"])
        )
        caption = f"Difference of every figure that the data support, 95 %, {measured.way}."
        blocks.append(Figures([(alt, figures.evaluations(known), caption)]))
    shown = [c for c in evaluations.COLUMNS if c == "figure" or table[c].notna().any()]
    caption = "Figures of merit of both runs and their differences"
    blocks.append(Table("evaluation_changes", caption, table, shown=shown))
    return blocks


def _verdicts(differ: pd.DataFrame) -> list[Any]:
    if differ.empty:
        return [Words(["No verdict differs."])]
    return [Table("verdicts", "What either run says of itself", differ)]


def _settings(changed: pd.DataFrame) -> list[Any]:
    if changed.empty:
        return [Words(["No setting, condition or input differs."])]
    caption = "Settings by step, then the conditions and inputs of the steps"
    return [Table("settings", caption, changed)]


def _uncompared(
    found: completeness.Compared | None, measured: evaluations.Compared | None
) -> list[Any]:
    """What differs so that nothing can be said, by name."""
    import pandas as pd

    blocks: list[Any] = []
    if found is not None and found.apart:
        caption = "Why the completenesses are not of one population"
        columns = ["what", "first", "second"]
        blocks.append(Table("populations", caption, pd.DataFrame(found.apart, columns=columns)))
    if found is not None and found.axes_apart:
        caption = "Axes that have other cells, or that only one of the audits has"
        columns = ["axis", "first", "second"]
        blocks.append(Table("axes", caption, pd.DataFrame(found.axes_apart, columns=columns)))
        blocks.append(Words([completeness.OTHER_AXES]))
    if measured is not None and not measured.way:
        blocks.append(Words(measured.words))
    return blocks or [Words(["Everything that both runs have was compared."])]
