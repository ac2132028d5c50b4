"""What an audit writes for others beside its own tables: completeness with units and provenance in
ECSV and FITS, tables in LaTeX, and figures for a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit import completeness
from classifiers.selection import figures, latex, tablefile
from data.files import replacing

if TYPE_CHECKING:
    import pandas as pd

FOLDERS = ("figures", "latex")


def about(
    injections: Mapping[str, Any], axes: Sequence[Mapping[str, Any]], identity: str
) -> dict[str, Any]:
    """What is said of a completeness table as a whole. injections: `about` of the injection set
    that it was counted from. axes: those of the table, the measured ones included, as
    `classifiers.audit.axes.Axis` has them. identity: SHA-256 of the injection set's file."""
    survey = injections["survey"]
    kept = ("thresholds", "finders", "hosts", "versions", "total_generated", "settings")
    return {
        "axes": list(axes),
        "survey": survey["name"],
        "reference_band": survey["reference"],
        "prior": injections["prior_name"],
        "injections_sha256": identity,
        **{name: injections[name] for name in kept},
    }


def write(
    folder: Path,
    table: pd.DataFrame,
    marginal: pd.DataFrame,
    treatments: pd.DataFrame | None,
    summary: Mapping[str, Any],
    said: Mapping[str, Any],
) -> None:
    """Writes completeness.* and marginals.* in every format, latex/*.tex and figures/*.

    folder: of the audit. table, marginal: of `classifiers.audit.completeness`. treatments: of
    `classifiers.audit.assumptions`, where there are any. summary: of the audit, with `headline`,
    `completeness`, `axes`, `thresholds`, `threshold_of_words` and `prior`. said: `about`.
    """
    for name, lines in (("completeness", table), ("marginals", marginal)):
        for ending in tablefile.ENDINGS:
            tablefile.write(lines, said, folder / f"{name}{ending}")
    axes, thresholds = summary["axes"], summary["thresholds"]
    middle = min(thresholds, key=lambda n: abs(thresholds[n] - summary["threshold_of_words"]))
    texts = {
        "headline": latex.headline(summary),
        "marginals": latex.marginals(marginal, axes, middle),
    }
    if treatments is not None and (treatments["status"] == "done").any():
        texts["treatments"] = latex.treatments(treatments)
    for name, text in texts.items():
        with replacing(folder / "latex" / f"{name}.tex") as temporary:
            temporary.write_text(text, encoding="utf-8")
    order = np.argsort(list(thresholds.values()), kind="stable")
    names = [list(thresholds)[i] for i in order]
    figures.marginals(marginal, axes, names, folder / "figures" / "marginals")
    whole = completeness.whole(table, middle)
    figures.maps(whole, axes, folder / "figures" / "maps")
