"""The same figures for parts of the sample: by tier, type, exposures, seeing, depth, dust; and false positives by kind of confuser."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from classifiers.evaluation import figures
from classifiers.evaluation.settings import EvaluateSettings
from data.selection import CATEGORIES

# Bin edges: r-band PSF FWHM in arcsec, r-band 5-sigma depth in magnitudes, E(B-V) in magnitudes.
CONDITIONS = {
    "psfsize_r": (0.9, 1.2, 1.35, 1.5, 1.8),
    "depth_r": (22.5, 23.0, 23.5, 24.0, 24.5),
    "ebv": (0.0, 0.03, 0.06, 0.1),
}
NAMED = ("tier", "type_bin", "nobs_z_bin")
PLAIN = "none"


def binned(values: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """Name of each value's bin; "unknown" where it is not a number."""
    labels = [f"< {edges[0]:g}", *(f"{a:g}-{b:g}" for a, b in pairwise(edges)), f">= {edges[-1]:g}"]
    names = np.array(labels)[np.searchsorted(edges, np.nan_to_num(values), side="right")]
    return np.where(np.isfinite(values), names, "unknown")


def columns(scores: pd.DataFrame) -> dict[str, np.ndarray]:
    """Stratum -> bin of each object."""
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = 22.5 - 2.5 * np.log10(5 / np.sqrt(scores["psfdepth_r"].to_numpy(float)))
    values = {
        "psfsize_r": scores["psfsize_r"].to_numpy(float),
        "depth_r": depth,
        "ebv": scores["ebv"].to_numpy(float),
    }
    named = {name: scores[name].replace("", "unknown").to_numpy(str) for name in NAMED}
    return named | {
        name: binned(np.where(np.isfinite(values[name]), values[name], np.nan), edges)
        for name, edges in CONDITIONS.items()
    }


def table(scores: pd.DataFrame, s: EvaluateSettings) -> pd.DataFrame:
    """A row a stratum, bin and metric: value, lo68 ... hi95, lenses, others, status, and for proportions p_value and q_value.

    p_value: Fisher's exact test of the bin against the rest of the sample · q_value: Benjamini-Hochberg over all rows with one.
    A bin with one kind of object has no AUC and no calibration.
    """
    label, score = scores["label"].to_numpy(), scores["score"].to_numpy()
    blocks = scores["healpix_128"].to_numpy() if s.bootstrap == "healpix" else None
    middle = s.thresholds[len(s.thresholds) // 2]
    rows: list[dict[str, Any]] = []
    for stratum, bins in columns(scores).items():
        for name in sorted(set(bins)):
            inside = bins == name
            y, p = label[inside], score[inside]
            base = {
                "stratum": stratum,
                "bin": name,
                "lenses": int(y.sum()),
                "others": int((1 - y).sum()),
            }
            passed = score > middle
            for metric, kind, what in (
                ("recall", 1, "lenses"),
                ("false_positive_rate", 0, "non-lenses"),
            ):
                among = label == kind
                figure = figures.proportion(
                    int((passed & inside & among).sum()),
                    int((inside & among).sum()),
                    s.minimum,
                    what,
                )
                test = {
                    "p_value": _fisher(passed, inside, among) if figure["status"] == "ok" else None
                }
                rows.append({**base, "metric": f"{metric}_at_{middle:g}", **figure, **test})
            functions = {k: v for k, v in figures.ranking(y, p).items() if k in ("roc_auc", "ece")}
            cells = None if blocks is None else blocks[inside]
            for metric, figure in figures.estimated(
                functions, y, p, s.minimum, s.resamples, s.seed, cells
            ).items():
                rows.append({**base, "metric": metric, **figure, "p_value": None})
    found = pd.DataFrame(rows)
    found["q_value"] = _benjamini_hochberg(found["p_value"].to_numpy(float))
    return found


def _fisher(passed: np.ndarray, inside: np.ndarray, among: np.ndarray) -> float | None:
    from scipy.stats import fisher_exact

    if not (among & ~inside).any():
        return None
    counts = [[int((among & a & b).sum()) for b in (passed, ~passed)] for a in (inside, ~inside)]
    return float(fisher_exact(counts).pvalue)


def _benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    from scipy.stats import false_discovery_control

    known = np.isfinite(p)
    q = np.full(len(p), np.nan)
    if known.any():
        q[known] = false_discovery_control(p[known])
    return q


def confusers(scores: pd.DataFrame, s: EvaluateSettings) -> pd.DataFrame:
    """A row a category of negatives and threshold: n, false_positives, fpr with Jeffreys intervals, status. "none": negatives of no category."""
    negatives = scores[scores["label"] == 0]
    category = negatives["confuser_category"].replace("", PLAIN).to_numpy(str)
    rows = []
    for name in [*CATEGORIES, *sorted(set(category) - {*CATEGORIES, PLAIN}), PLAIN]:
        p = negatives["score"].to_numpy()[category == name]
        for threshold in s.thresholds:
            k = int((p > threshold).sum())
            figure = figures.proportion(k, len(p), s.minimum, "negatives")
            rows.append(
                {
                    "category": name,
                    "threshold": threshold,
                    "n": len(p),
                    "false_positives": k,
                    "fpr": figure.pop("value"),
                    **figure,
                }
            )
    return pd.DataFrame(rows)
