"""The audit in figures (summary.json) and in words: what it found, and what it cannot say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit import completeness, realism, thresholds
from classifiers.audit.axes import Grid, inside
from classifiers.audit.hosts import Hosts
from classifiers.audit.settings import AuditSettings
from classifiers.intervals import FEW_GROUPS

if TYPE_CHECKING:
    import pandas as pd

KEPT = ("parameter", "unit", "gradient", "gradient_error")


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage, and a dash where there is none."""
    return "—" if value is None or not np.isfinite(value) else f"{100 * value:.{digits}f} %"


def counted(values: np.ndarray) -> dict[str, int]:
    """How often each value occurs, by its text."""
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
        "lo95_total",
        "hi95_total",
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
    axes: Grid | None = None,
) -> list[str]:
    """What the numbers cannot support, one sentence each."""
    words = []
    if s.classifier and (Path(s.classifier).parent / "records" / "simulate.json").is_file():
        words.append(
            "The finder was trained on a simulated survey: on other data its figures show that the "
            "chain works, not how well a finder does."
        )
    words += _of_the_prior(s, hosts)
    words.append(
        "Jeffreys intervals take injections as independent; several share a host, so the intervals "
        "by hosts are the safer ones."
    )
    cells = completeness.whole(table)
    short, empty = int((cells["status"] != "sufficient").sum()), int((cells["n"] == 0).sum())
    if short:
        words.append(
            f"{short} of {len(cells)} cells have fewer than {s.sufficient} injections ({empty} of "
            f"them none) and are marked insufficient: {len(hosts)} hosts, each used at most "
            f"{s.per_host} times per cell. Answers to queries there say so."
        )
    words += _of_the_hosts(s, hosts, measured, axes)
    if s.mode == "degraded":
        words.append(
            "Hosts were blurred and noised to the cell's centre; the kernel is a Gaussian, so the "
            "wings of the PSF stay those of the better host."
        )
    if saturated:
        words.append(
            "Scores are saturated: more than 90 % lie above 0.9 or below 0.1, so a small change of "
            "threshold means little."
        )
    if beside is None:
        words.append(
            "There are no labelled lenses in a test split to set the injections beside, so their "
            "realism is untested here."
        )
    else:
        lenses, injections = beside["lenses"], beside["injections"]
        words.append(
            f"At {beside['threshold']:g} the finder recovers {percent(lenses['value'])} of "
            f"{lenses['n']} lenses of the test split and {percent(injections['value'])} of the "
            "injections; the two populations differ in magnitude and radius, so this is no "
            "measurement of either's realism."
        )
    return words


def _of_the_prior(s: AuditSettings, hosts: Hosts) -> list[str]:
    """What was put into the hosts, and through what."""
    drawn = f" with unlensed magnitudes {_range(s)}" if s.source_magnitude else ""
    words = [
        f"Completeness is that of the prior {s.prior_name!r}{drawn}; real lenses are more varied."
    ]
    if hosts.kernels is not None:
        words.append("Arcs are blurred with measured PSF kernels of the hosts.")
    else:
        shape = "Moffat" if s.moffat_beta else "Gaussian"
        words.append(
            f"Arcs are blurred with a round {shape} PSF of the host's FWHM; the survey's own "
            "varies in shape."
        )
    known = np.isfinite(hosts.ebv)
    if not s.extinction:
        words.append("Galactic extinction of the arcs is switched off.")
    elif not known.all():
        words.append(
            f"E(B-V) is unknown for {int((~known).sum())} of {len(hosts)} hosts; their arcs are "
            "not dimmed."
        )
    else:
        words.append(
            f"Arcs are dimmed by the dust of the Milky Way, E(B-V) {hosts.ebv.mean():.3f} on "
            "average; source magnitudes are those before it."
        )
    return words


def _range(s: AuditSettings) -> str:
    return f"{s.source_magnitude[0]:g} to {s.source_magnitude[1]:g}"


def _of_the_hosts(
    s: AuditSettings, hosts: Hosts, measured: np.ndarray, axes: Grid | None
) -> list[str]:
    """What is not known of the hosts, and which of them are in no cell."""
    words, survey = [], hosts.survey
    for how, number in counted(hosts.psf_source).items():
        if how == "assumed":
            widths = ", ".join(f'{w:g}" ({b})' for w, b in zip(s.psf_fwhm, survey.bands))
            words.append(
                f"{number} hosts have no PSF in their table: {widths} were assumed, so nothing is "
                "said about PSF width."
            )
        elif how not in ("catalogue", "kernel"):
            ratios = " : ".join(f"{r:g}" for r in survey.fwhm_ratio)
            words.append(
                f"The PSF of {number} hosts is known in part only; missing bands follow {how} by "
                f"the ratios {ratios} ({' : '.join(survey.bands)})."
            )
    if measured.any():
        words.append(
            f"{int(measured.sum())} hosts have no depth in their table; it was measured from the "
            "scatter of their own outer pixels."
        )
    if axes is not None and s.mode == "matched":
        for axis in axes.host:
            outside = int((~inside(axis, hosts.values(axis))).sum())
            if outside:
                words.append(f"{outside} of {len(hosts)} hosts are in no cell of {axis.label}.")
    return words


def findings(
    middle: float,
    total: dict[str, Any],
    stages: dict[str, Any],
    marginal: pd.DataFrame,
    gradients: pd.DataFrame | None,
    axes: Grid,
) -> list[str]:
    """What the audit found, one sentence each, at the middle threshold."""
    at = marginal[np.isclose(marginal["threshold"], middle)]
    name = at["threshold_name"].iloc[0]
    t = total[name]
    even = not t["n"] or np.isclose(t["completeness"], t["k"] / t["n"])
    sure = (
        f"95 %: {percent(t['lo95'])} to {percent(t['hi95'])}; by hosts: "
        f"{percent(t['lo95_hosts'])} to {percent(t['hi95_hosts'])}"
    )
    if t["hosts"] < FEW_GROUPS:
        sure = f"{t['hosts']} hosts, too few for an interval"
    words = [
        f"Of {t['n']} injections {t['k']} score above {middle:g}"
        f"{'' if even else ', weighted to the population'}: {percent(t['completeness'])} "
        f"({sure}); {t['k_before']} injections are in hosts that score so high without an arc."
    ]
    if stages["observable"]["n"]:
        o, r, u = stages["observable"], stages["recall_observable"], stages["recall_unobservable"]
        words.append(
            f"{percent(o['value'])} of the arcs are observable (matched-filter SNR at least "
            f"{stages['gate_snr']:g}); of these {percent(r['value'])} are found, of the others "
            f"{percent(u['value'])}."
        )
    for axis in (*axes.axes, *completeness.stratified(axes)):
        rows = at[(at["axis"] == axis.name) & (at["status"] == "sufficient")]
        if len(rows) < 2:
            continue
        low, high = (
            rows.iloc[int(pick(rows["completeness"].to_numpy()))] for pick in (np.argmin, np.argmax)
        )
        unit = {"arcsec": '"', "": ""}.get(axis.unit, f" {axis.unit}")
        if low["hi95"] < high["lo95"]:
            words.append(
                f"By {axis.label}: lowest {percent(low['completeness'])} at {low['value']}{unit}, "
                f"highest {percent(high['completeness'])} at {high['value']}{unit}."
            )
        else:
            words.append(
                f"By {axis.label}: no difference beyond the 95 % intervals "
                f"({percent(low['completeness'])} to {percent(high['completeness'])})."
            )
    if gradients is not None and len(gradients):
        words.append(_sensitivity(gradients))
    return words


def _sensitivity(gradients: pd.DataFrame) -> str:
    """How the mean detection probability answers to the assumptions, in one sentence."""
    derived = gradients["gradient"].notna().all()
    kept = KEPT if derived else (*KEPT[:2], "finite_difference", "finite_difference_error")
    changes = [
        f"{100 * g:+.2g} ± {100 * e:.1g} {unit} ({name})"
        for name, unit, g, e in gradients[list(kept)].itertuples(index=False)
    ]
    end = (
        f"gradient and finite difference agree: {agreement(gradients)}."
        if derived
        else "the finder has no gradients, so these are finite differences with common random "
        "numbers."
    )
    return (
        "The mean detection probability changes, in percentage points, by "
        f"{', '.join(changes)}; {end}"
    )


def agreement(gradients: pd.DataFrame) -> str:
    """How far gradient and finite difference are apart: relative where the gradient is significant
    (2 standard errors), and in standard errors."""
    apart = np.abs(gradients["gradient"] - gradients["finite_difference"])
    errors = float(np.max(apart / gradients["difference_error"]))
    clear = np.abs(gradients["gradient"]) > 2 * gradients["gradient_error"]
    relative = (
        f"within {percent(float(gradients['relative_difference'][clear].max()))} where the change "
        "is significant, "
        if clear.any()
        else ""
    )
    return f"{relative}within {errors:.1f} standard errors of their difference everywhere"


def summarise(
    out: Path,
    s: AuditSettings,
    axes: Grid,
    hosts: Hosts,
    measured: np.ndarray,
    info: dict[str, Any],
    rows: pd.DataFrame,
    table: pd.DataFrame,
    marginal: pd.DataFrame,
    gradients: pd.DataFrame | None,
    at_thresholds: pd.DataFrame,
    middle: float,
) -> dict[str, Any]:
    """The contents of summary.json; `words` are the findings and `limitations` what they cannot
    support. at_thresholds: `thresholds.table`."""
    total = overall(marginal)
    there = at_thresholds[at_thresholds["status"] == thresholds.OK]
    at_rates, refused = thresholds.in_words(at_thresholds)
    stages = realism.two_stages(rows, middle, s.gate_snr)
    saturated = realism.saturation(rows["score"].to_numpy())
    beside = realism.beside_lenses(rows, scores_of(out), middle)
    whole = completeness.whole(table)
    derived = gradients is not None and len(gradients) and gradients["gradient"].notna().all()
    known = np.isfinite(hosts.ebv)
    return {
        "injections": len(rows),
        "hosts": int(rows["galaxy_id"].nunique()),
        "hosts_available": len(hosts),
        "host_splits": counted(rows.drop_duplicates("galaxy_id")["split"].to_numpy()),
        "mode": s.mode,
        "prior": s.prior_name,
        "survey": hosts.survey.name,
        "reference_band": hosts.survey.reference,
        "source_magnitude": list(s.source_magnitude),
        "gain": s.gain,
        "psf": (
            "kernels of the manifest"
            if hosts.kernels is not None
            else f"Moffat, beta {s.moffat_beta:g}"
            if s.moffat_beta
            else "Gaussian"
        ),
        "extinction": {
            "applied": s.extinction,
            "hosts_with_ebv": int(known.sum()),
            "mean_ebv": float(hosts.ebv[known].mean()) if known.any() else None,
        },
        "axes": [
            {
                "name": axis.name,
                "label": axis.label,
                "unit": axis.unit,
                "kind": axis.kind,
                "column": axis.column,
                "values": [*(axis.points or axis.edges), *axis.words],
            }
            for axis in (*axes.axes, *axes.measured)
        ],
        "cells": {
            "total": len(whole),
            "sufficient": int((whole["status"] == "sufficient").sum()),
            "empty": int((whole["n"] == 0).sum()),
        },
        "psf_source": counted(hosts.psf_source),
        "psf_assumed": list(s.psf_fwhm),
        "depth_measured_on_stamp": int(measured.sum()),
        "thresholds": dict(zip(there["threshold_name"], there["threshold"])),
        "no_threshold": {
            r["threshold_name"]: r["status"]
            for r in at_thresholds.to_dict("records")
            if r["status"] != thresholds.OK
        },
        "threshold_of_words": middle,
        "completeness": total,
        "two_stages": stages,
        "saturation": saturated,
        "beside_lenses": beside,
        "agreement": None if gradients is None or not derived else agreement(gradients),
        "classifier": {
            k: v for k, v in info.items() if isinstance(v, (str, int, float, bool, list, dict))
        },
        "words": [*findings(middle, total, stages, marginal, gradients, axes), *at_rates],
        "limitations": [
            *limitations(s, hosts, measured, table, beside, bool(saturated["flag"]), axes),
            *refused,
        ],
    }
