"""The run that answers the question: its configuration, and the same in words."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.audit.choosing import NOTHING, TRAIN
from classifiers.audit.own.arguments import Arguments
from classifiers.audit.own.finding import Tried
from classifiers.audit.own.missing import WIDTH
from classifiers.audit.own.reading import Reading
from classifiers.audit.settings import AuditSettings
from data.survey import Survey
from lensjax.errors import some

SMALL: dict[str, Any] = {
    "theta_e": [1.0, 1.5, 2.0, 2.5],
    "axis": {"psf_fwhm": {"cells": 2}, "depth_m5": {"cells": 1}},
    "injections": 80,
    "sufficient": 60,
    "sensitivity_sample": 0,
    "treatment_sample": 96,
    "treatments": [
        *("psf_moffat_3.5", "no_inner_image", "slope_1.8", "slope_2.2"),
        *("psf_+10%", "psf_-10%", "size_+30%", "size_-30%"),
    ],
    "counterfactuals": 0,
    "realism_sample": 120,
}
"""Settings of an audit of a few minutes. The others are those of every audit."""
FULL: dict[str, Any] = {}
"""Settings of the whole audit: those of `lensjax audit`."""


@dataclass(frozen=True)
class Sample:
    """A few of the cutouts. rows: of the table that can be used. refused: (table, row, reason).
    unread: why cutouts that were looked at cannot be used. magnitude: median of the galaxies in the
    reference band. looked_at: how many were looked at."""

    rows: Sequence[dict[str, Any]]
    refused: Sequence[tuple[str, object, str]]
    unread: Sequence[str] = ()
    magnitude: float = math.nan
    looked_at: int = 0


def steps(a: Arguments, sample: Sample) -> list[str]:
    """The steps of the run. What is labelled is evaluated, unless it may have been trained on."""
    kinds = {row["label"] for row in sample.rows}
    evaluated = {0, 1} <= kinds and a.trained_on in (NOTHING, TRAIN)
    return ["survey", *(["evaluate"] if evaluated else []), "audit", "report"]


def configuration(
    a: Arguments, found: Reading, sample: Sample, definition: Path
) -> dict[str, dict[str, Any]]:
    """The configuration of the run, as `lensjax run` reads it. definition: file of the survey's."""
    audit: dict[str, Any] = {"finder": a.finder} | (FULL if a.full else SMALL)
    if a.trained_on:
        audit["trained_on"] = a.trained_on
    if a.psf_files:
        audit["psf_files"] = {"*": {"files": a.psf_files}}
    if a.psf_fwhm:
        audit["psf_fwhm"] = list(a.psf_fwhm)
    if a.lenses:
        audit["lens_lists"] = [a.lenses]
    folder = {"table": found.settings.table, "columns": dict(found.settings.columns)}
    folder |= {key: value for key, value in (("files", a.files), ("array", a.array)) if value}
    made: dict[str, dict[str, Any]] = {
        "run": {"steps": steps(a, sample)},
        "survey": {
            "root": str(found.folder.absolute()),
            "definition": str(definition.absolute()),
            "on_bad_file": "quarantine",
            "folder": folder,
        },
        "audit": audit,
    }
    if "evaluate" in made["run"]["steps"]:
        on = "test" if a.trained_on == TRAIN else "all"
        made["evaluate"] = {"finder": a.finder, "on": on}
    return made


def in_words(
    a: Arguments, found: Reading, survey: Survey, sample: Sample, tried: Tried | None
) -> str:
    """What the run is about and what it will do, a line for each thing."""
    rows, place = sample.rows, survey.reference
    says = lambda key: f" ({found.said[key]})"
    count = lambda label: sum(row["label"] == label for row in rows)
    lines = {
        "cutouts": f"{len(rows)} in {found.folder}, by the table; {sample.looked_at} were looked "
        f"at, and are of {survey.stamp} x {survey.stamp} pixels",
        "bands": f"{', '.join(survey.bands)}{says('bands')}; {place} is the reference band",
        "pixels": f'{survey.pixel_scale:g}"{says("pixel scale")}',
        "zero point": f"{survey.zero_point:g}{says('zero point')}"
        + (
            f"; galaxies then have magnitude {sample.magnitude:.1f} in {place} (median)"
            if math.isfinite(sample.magnitude)
            else ""
        ),
        "labels": f"{count(1)} lenses, {count(0)} others, {count(None)} without a label",
        "PSF": _psf(a, rows, survey),
        "depth": _depth(rows, survey),
        "positions": _share(
            rows, "ra", "known", "unknown: a host near a known lens is not noticed"
        ),
        "dust": _share(rows, "ebv", "E(B-V) known", "E(B-V) unknown: arcs are not dimmed"),
        "lenses": f"list {a.lenses}" if a.lenses else "no list of known lenses (--lenses FILE)",
        "finder": _finder(a, tried),
        "trained on": a.trained_on or "as its own folder or description says",
        "grid": _grid(a, rows),
        "run": " -> ".join(steps(a, sample)) + f", in {a.out}",
    }
    left_out = [f"row {row}: {why}" for _, row, why in sample.refused]
    if left_out:
        lines["left out"] = f"{len(left_out)} rows of the table ({some(left_out, 2)})"
    if sample.unread:
        why = f"{len(sample.unread)} of {sample.looked_at} cutouts looked at cannot be used"
        lines["not usable"] = f"{why} ({sample.unread[0]})"
    return "\n".join(
        textwrap.fill(f"  {key:11s} {text}", WIDTH, subsequent_indent=14 * " ")
        for key, text in lines.items()
    )


def _psf(a: Arguments, rows: Sequence[dict[str, Any]], survey: Survey) -> str:
    if a.psf_files:
        return f"measured, in {a.psf_files}"
    names = survey.per_band("psfsize")
    widths = [[row[n] for n in names if row[n] is not None] for row in rows]
    known = [np.median(values) for values in widths if values]
    text = (
        f'{len(known)} of {len(rows)} in the table, median FWHM {np.median(known):.2f}"'
        if (known)
        else ""
    )
    if a.psf_fwhm and len(known) < len(rows):
        values = ", ".join(f"{value:g}" for value in a.psf_fwhm)
        text += f'{"; " if text else ""}assumed {values}" in {", ".join(survey.bands)}'
    return text


def _depth(rows: Sequence[dict[str, Any]], survey: Survey) -> str:
    known = sum(all(row[n] is not None for n in survey.per_band("psfdepth")) for row in rows)
    rest = len(rows) - known
    measured = f"{rest} measured on the cutouts' own sky"
    return measured if not known else f"{known} in the table" + (f", {measured}" if rest else "")


def _share(rows: Sequence[dict[str, Any]], key: str, known: str, unknown: str) -> str:
    many = sum(row[key] is not None and not math.isnan(row[key]) for row in rows)
    return f"{known} for {many} of {len(rows)}" if many else unknown


def _finder(a: Arguments, tried: Tried | None) -> str:
    if tried is None:
        return f"{a.finder}; not tried here"
    text = f"{tried.name}; scores {tried.low:.3g} to {tried.high:.3g} on a few of the cutouts, "
    text += f"{1000 * tried.seconds:.2g} ms each"
    if math.isfinite(tried.auc):
        text += f"; {tried.lenses} lenses and others among them give a ROC AUC of {tried.auc:.2f}"
    return text


def _grid(a: Arguments, rows: Sequence[dict[str, Any]]) -> str:
    s = AuditSettings(**(FULL if a.full else SMALL))
    cells = [(s.axis.get("psf_fwhm"), 3), (s.axis.get("depth_m5"), 2)]
    number = math.prod(getattr(one, "cells", 0) or many for one, many in cells)
    hosts = sum(row["label"] != 1 for row in rows)
    most = min(s.injections * number, s.per_host * hosts) * len(s.theta_e)
    radii = f'{len(s.theta_e)} Einstein radii from {s.theta_e[0]:g}" to {s.theta_e[-1]:g}"'
    return (
        f"{radii}, up to {number} cells of PSF and depth, up to {most} injections into up to "
        f"{hosts} galaxies ({'--full' if a.full else 'small; --full for the whole'})"
    )
