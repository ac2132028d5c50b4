"""The audit in figures (summary.json) and in words: what it found, and what it cannot say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit import realism
from classifiers.audit.grid import Axes
from classifiers.audit.hosts import Hosts
from classifiers.audit.settings import AuditSettings

if TYPE_CHECKING:
    import pandas as pd

AXES = {
    "theta_e": ("Einstein radius", '"'),
    "psf_fwhm": ("PSF FWHM", '"'),
    "depth_m5": ("depth", " mag"),
    "source_mag": ("source magnitude", ""),
}
KEPT = ("parameter", "unit", "gradient", "gradient_error")


def percent(value: float | None, digits: int = 1) -> str:
    return "—" if value is None or not np.isfinite(value) else f"{100 * value:.{digits}f} %"


def counted(values: np.ndarray) -> dict[str, int]:
    names, numbers = np.unique(np.asarray(values).astype(str), return_counts=True)
    return {str(a): int(b) for a, b in zip(names, numbers)}


def overall(marginal: pd.DataFrame) -> dict[str, Any]:
    """Completeness of all injections per threshold name."""
    rows = marginal[marginal["axis"] == "all"].to_dict("records")
    keep = (
        "threshold",
        "n",
        "k",
        "completeness",
        "lo68",
        "hi68",
        "lo95",
        "hi95",
        "lo95_hosts",
        "hi95_hosts",
        "hosts",
        "k_before",
    )
    return {r["threshold_name"]: {k: None if r[k] != r[k] else r[k] for k in keep} for r in rows}


def scores_of(out: Path) -> pd.DataFrame | None:
    """evaluation/scores.parquet, where there is one."""
    import pandas as pd

    path = out / "evaluation" / "scores.parquet"
    return pd.read_parquet(path) if path.is_file() else None


def limitations(
    s: AuditSettings,
    hosts: Hosts,
    measured: np.ndarray,
    table: pd.DataFrame,
    beside: dict[str, Any] | None,
    saturated: bool,
) -> list[str]:
    """What the numbers cannot support, one sentence each."""
    whole = table[
        (table["source_mag_bin"] == "all")
        & (table["threshold_name"] == table["threshold_name"].iloc[0])
    ]
    short, empty = int((whole["status"] != "sufficient").sum()), int((whole["n"] == 0).sum())
    words = []
    if s.classifier and (Path(s.classifier).parent / "records" / "simulate.json").is_file():
        words.append(
            "The finder was trained on a simulated survey: on other data its figures show that the chain works, not how well a finder does."
        )
    words += [
        f"Completeness is that of the prior {s.prior!r} with unlensed r magnitudes {s.source_magnitude[0]:g} to {s.source_magnitude[1]:g}, "
        "smooth Sersic sources behind isothermal lenses; real arcs are more varied.",
        f"Arcs are blurred with a round {'Moffat' if s.moffat_beta else 'Gaussian'} PSF of the host's FWHM; the survey's own varies in shape.",
        "Jeffreys intervals take injections as independent; several share a host, so the intervals that resample hosts are the safer ones.",
    ]
    if short:
        words.append(
            f"{short} of {len(whole)} cells have fewer than {s.sufficient} injections ({empty} of them none) and are marked insufficient: "
            f"{len(hosts)} hosts, each used at most {s.per_host} times per cell. No value is offered for them."
        )
    sources = counted(hosts.psf_source)
    for how, number in sources.items():
        if how == "assumed":
            g, r, z = s.psf_fwhm
            words.append(
                f'{number} hosts have no PSF in their table: {g:g}", {r:g}", {z:g}" (g, r, z) were assumed, so nothing is said about PSF width.'
            )
        elif how != "catalogue":
            words.append(
                f"The PSF of {number} hosts is known in part only; missing bands follow {how} by the ratios 1.05 : 1 : 0.94 (g : r : z)."
            )
    if measured.any():
        words.append(
            f"{int(measured.sum())} hosts have no depth in their table; it was measured from the scatter of their own outer pixels."
        )
    if s.mode == "degraded":
        words.append(
            "Hosts were convolved and noised to the cell's centre; noise added this way is white, the survey's is not quite."
        )
    if saturated:
        words.append(
            "Scores are saturated: more than 90 % lie above 0.9 or below 0.1, so a small change of threshold means little."
        )
    if beside is None:
        words.append(
            "There are no labelled lenses in a test split to set the injections beside, so their realism is untested here."
        )
    else:
        words.append(
            f"Realism is tested only by setting labelled lenses beside injections: at {beside['threshold']:g} the finder recovers "
            f"{percent(beside['lenses']['value'])} of {beside['lenses']['n']} lenses of the test split and {percent(beside['injections']['value'])} of "
            "the injections; the two populations differ in magnitude and radius, so this is no measurement of either's realism."
        )
    return words


def findings(
    middle: float,
    total: dict[str, Any],
    stages: dict[str, Any],
    marginal: pd.DataFrame,
    gradients: pd.DataFrame | None,
) -> list[str]:
    """What the audit found, one sentence each, at the middle threshold."""
    at = marginal[np.isclose(marginal["threshold"], middle)]
    name = at["threshold_name"].iloc[0]
    t = total[name]
    words = [
        f"Of {t['n']} injections {t['k']} score above {middle:g}: {percent(t['completeness'])} (95 %: {percent(t['lo95'])} to {percent(t['hi95'])}; "
        f"resampling hosts: {percent(t['lo95_hosts'])} to {percent(t['hi95_hosts'])}); {t['k_before']} of their hosts do so with no arc."
    ]
    if stages["observable"]["n"]:
        o, r, u = stages["observable"], stages["recall_observable"], stages["recall_unobservable"]
        words.append(
            f"{percent(o['value'])} of the arcs are observable (matched-filter SNR at least {stages['gate_snr']:g}); of these {percent(r['value'])} are found, "
            f"of the others {percent(u['value'])}."
        )
    for axis, (label, unit) in AXES.items():
        rows = at[(at["axis"] == axis) & (at["status"] == "sufficient")]
        if len(rows) < 2:
            continue
        low, high = (
            rows.iloc[int(pick(rows["completeness"].to_numpy()))] for pick in (np.argmin, np.argmax)
        )
        if low["hi95"] < high["lo95"]:
            words.append(
                f"By {label}: lowest {percent(low['completeness'])} at {low['value']}{unit}, highest {percent(high['completeness'])} at {high['value']}{unit}."
            )
        else:
            words.append(
                f"By {label}: no difference beyond the 95 % intervals ({percent(low['completeness'])} to {percent(high['completeness'])})."
            )
    if gradients is not None and len(gradients):
        agreed = agreement(gradients)
        changes = [
            f"{100 * g:+.2g} ± {100 * e:.1g} {unit} ({name})"
            for name, unit, g, e in gradients[list(KEPT)].itertuples(index=False)
        ]
        words.append(
            f"The mean detection probability changes, in percentage points, by {', '.join(changes)}; gradient and finite difference agree: {agreed}."
        )
    return words


def agreement(gradients: pd.DataFrame) -> str:
    """How far gradient and finite difference are apart: relative where the gradient is significant (2 standard errors), and in standard errors."""
    apart = np.abs(gradients["gradient"] - gradients["finite_difference"])
    errors = float(np.max(apart / gradients["difference_error"]))
    clear = np.abs(gradients["gradient"]) > 2 * gradients["gradient_error"]
    relative = (
        f"within {percent(float(gradients['relative_difference'][clear].max()))} where the change is significant, "
        if clear.any()
        else ""
    )
    return f"{relative}within {errors:.1f} standard errors of their difference everywhere"


def summarise(
    out: Path,
    s: AuditSettings,
    axes: Axes,
    hosts: Hosts,
    measured: np.ndarray,
    info: dict[str, Any],
    rows: pd.DataFrame,
    table: pd.DataFrame,
    marginal: pd.DataFrame,
    gradients: pd.DataFrame | None,
    thresholds: dict[str, float],
    middle: float,
) -> dict[str, Any]:
    """The contents of summary.json; `words` are the findings and `limitations` what they cannot support."""
    total = overall(marginal)
    stages = realism.two_stages(rows, middle, s.gate_snr)
    saturated = realism.saturation(rows["score"].to_numpy())
    beside = realism.beside_lenses(rows, scores_of(out), middle)
    whole = table[
        (table["source_mag_bin"] == "all")
        & (table["threshold_name"] == table["threshold_name"].iloc[0])
    ]
    return {
        "injections": len(rows),
        "hosts": int(rows["galaxy_id"].nunique()),
        "hosts_available": len(hosts),
        "host_splits": counted(rows.drop_duplicates("galaxy_id")["split"].to_numpy()),
        "mode": s.mode,
        "prior": s.prior,
        "source_magnitude": list(s.source_magnitude),
        "gain": s.gain,
        "psf": f"Moffat, beta {s.moffat_beta:g}" if s.moffat_beta else "Gaussian",
        "axes": {
            "theta_e": list(axes.theta_e),
            "psf_edges": list(axes.psf_edges),
            "depth_edges": list(axes.depth_edges),
        },
        "cells": {
            "total": len(whole),
            "sufficient": int((whole["status"] == "sufficient").sum()),
            "empty": int((whole["n"] == 0).sum()),
        },
        "psf_source": counted(hosts.psf_source),
        "psf_assumed": list(s.psf_fwhm),
        "depth_measured_on_stamp": int(measured.sum()),
        "thresholds": thresholds,
        "threshold_of_words": middle,
        "completeness": total,
        "two_stages": stages,
        "saturation": saturated,
        "beside_lenses": beside,
        "agreement": None if gradients is None else agreement(gradients),
        "classifier": {
            k: v for k, v in info.items() if isinstance(v, (str, int, float, bool, list, dict))
        },
        "words": findings(middle, total, stages, marginal, gradients),
        "limitations": limitations(s, hosts, measured, table, beside, bool(saturated["flag"])),
    }
