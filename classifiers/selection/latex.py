"""Tables of an audit for a paper, in LaTeX: the headline, the marginals, the treatments.

They need the package booktabs. Completeness is in percent, with 95 % intervals that take hosts as
the independent unit; changes are in percentage points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.axes import ALL
from classifiers.selection.axis import BIN
from classifiers.selection.plots import short

if TYPE_CHECKING:
    import pandas as pd

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
}


def escaped(text: str) -> str:
    """Text with what LaTeX would read as commands made plain."""
    return "".join(SPECIAL.get(c, c) for c in text)


def with_errors(value: float, low: float, high: float, digits: int = 1) -> str:
    """`$12.2^{+0.6}_{-0.5}$`; a dash where there is no value."""
    if not np.isfinite(value):
        return "---"
    if not np.isfinite([low, high]).all():
        return f"${value:.{digits}f}$"
    return f"${value:.{digits}f}^{{+{high - value:.{digits}f}}}_{{-{value - low:.{digits}f}}}$"


def cell(name: str) -> str:
    """Name of a cell; a range with a dash between numbers."""
    found = BIN.match(short(name))
    return f"{found[1]}--{found[2]}" if found else escaped(short(name))


def tabular(rows: Sequence[Mapping[str, str]], caption: str, label: str) -> str:
    """A table environment of rows that are LaTeX already; the first column is text."""
    import pandas as pd

    names = list(rows[0]) if rows else []
    return pd.DataFrame(rows, columns=names).to_latex(
        index=False,
        escape=False,
        caption=caption,
        label=f"tab:{label}",
        column_format="l" + "r" * (len(names) - 1),
        position="htbp",
    )


def headline(summary: Mapping[str, Any]) -> str:
    """Completeness of all injections above each threshold, statistical and, where it is known, the
    systematic range. summary: of `classifiers.audit.summary`, with the headline."""
    own, rows = summary["headline"], []
    for name, t in summary["completeness"].items():
        value, low, high = (
            np.nan if t[k] is None else 100 * t[k]
            for k in ("completeness", "lo95_total", "hi95_total")
        )
        systematic = own["systematic"] if np.isclose(t["threshold"], own["threshold"]) else None
        rows.append(
            {
                "threshold": f"{escaped(name)} (${t['threshold']:.4g}$)",
                "injections": str(t["n"]),
                "hosts": str(t["hosts"]),
                r"completeness (\%)": with_errors(value, low, high),
                r"systematic range (\%)": "---"
                if systematic is None
                else f"${100 * systematic['low']:.1f}$--${100 * systematic['high']:.1f}$",
            }
        )
    caption = (
        f"Completeness of all injections, prior {escaped(str(summary['prior']))}. Intervals are "
        r"statistical (95\,\%, by hosts, with the threshold's own uncertainty); the systematic "
        "range is that over changes of one assumption."
    )
    return tabular(rows, caption, "headline")


def marginals(table: pd.DataFrame, axes: Sequence[Mapping[str, Any]], threshold_name: str) -> str:
    """Completeness along one axis at a time at one threshold."""
    labels = {a["name"]: (a["label"], a["unit"]) for a in axes}
    at = table[(table["threshold_name"] == threshold_name) & (table["n"] > 0)]
    rows = []
    for line in at.to_dict("records"):
        label, unit = labels.get(line["axis"], (line["axis"], ""))
        few = "" if line["status"] == "sufficient" else r"$^{\dagger}$"
        ends = [100 * line[k] for k in ("completeness", "lo95_total", "hi95_total")]
        rows.append(
            {
                "axis": "all injections"
                if line["axis"] == ALL
                else escaped(label + (f" ({unit})" if unit else "")),
                "cell": "" if line["axis"] == ALL else cell(str(line["value"])),
                "injections": str(line["n"]),
                "hosts": str(line["hosts"]),
                r"completeness (\%)": with_errors(*ends) + few,
            }
        )
    caption = (
        f"Completeness along one axis at a time, the others as drawn, at threshold "
        rf"{escaped(threshold_name)} (95\,\%, by hosts, with its own uncertainty). $\dagger$: "
        "fewer injections than asked for."
    )
    return tabular(rows, caption, "marginals")


def treatments(table: pd.DataFrame) -> str:
    """The change of completeness when one assumption is changed, for every treatment that was
    applied. table: of `classifiers.audit.assumptions.table`."""
    done = table[(table["axis"] == ALL) & (table["status"] == "done")]
    rows = [
        {
            "assumption": escaped(line["sentence"]),
            "change (points)": with_errors(line["change"], line["lo95"], line["hi95"]),
            "gained": f"{line['gained']:.0f}",
            "lost": f"{line['lost']:.0f}",
            "$p$": "$<0.001$" if line["mcnemar_p"] < 1e-3 else f"${line['mcnemar_p']:.3f}$",
        }
        for line in done.to_dict("records")
    ]
    caption = (
        "Change of completeness, in percentage points, when one assumption is changed with the "
        r"same hosts, scenes and keys (95\,\%, hosts independent); injections gained and lost, and "
        "the exact McNemar test."
    )
    return tabular(rows, caption, "treatments")
