"""The same figures for parts of the sample, by tier, type, exposures, seeing, depth and dust, and
false positives by kind of confuser."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from classifiers.evaluation import figures
from classifiers.evaluation.settings import EvaluateSettings
from classifiers.evaluation.thresholds import operating
from data.photometry import depth_m5
from data.selection import CATEGORIES
from data.survey import Survey
from lensjax.errors import InputError, some

PLAIN = "none"
WHOLE, MOST = 12, 100
"""Different values up to which numbers are not binned, and above which texts are no strata."""
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""of the survey's own observing conditions, where the bins of seeing, depth and dust meet"""


def conditions(survey: Survey) -> dict[str, tuple[float, ...]]:
    """Edges of the bins: PSF FWHM (arcsec) and 5-sigma depth (mag) of the reference band, E(B-V)
    (mag). They are round quantiles of the conditions under which the survey observed."""
    known, band = survey.conditions, survey.reference
    edges = lambda values, digits: tuple(
        np.unique(np.round(np.interp(QUANTILES, known.probability, values), digits)).tolist()
    )
    return {
        f"psfsize_{band}": edges(known.fwhm, 2),
        f"depth_{band}": edges(known.m5, 1),
        "ebv": edges(known.ebv, 2),
    }


def binned(values: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """Name of the bin of each value, "unknown" where it is not finite. A value on an edge belongs
    to the bin above it; the outermost bins have no outer edge."""
    labels = [f"< {edges[0]:g}", *(f"{a:g}-{b:g}" for a, b in pairwise(edges)), f">= {edges[-1]:g}"]
    names = np.array(labels)[np.searchsorted(edges, np.nan_to_num(values), side="right")]
    return np.where(np.isfinite(values), names, "unknown")


def grouped(name: str, values: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Bins of a column of any table: its values as they are, or fifths of the objects where they
    are numbers and more than `WHOLE` different ones. "unknown" stays. Raises InputError for a
    column of more than `MOST` different texts, whose bins would hold next to nothing."""
    different = set(values) - {"unknown"}
    if len(different) <= WHOLE:
        return values
    numbers = pd.to_numeric(pd.Series(values).replace("unknown", None), errors="coerce").to_numpy()
    numbers = np.asarray(numbers, np.float64)
    if np.isfinite(numbers[values != "unknown"]).all():
        inner = np.quantile(numbers[np.isfinite(numbers)], (0.2, 0.4, 0.6, 0.8))
        return binned(numbers, tuple(np.unique(inner).tolist()))
    if len(different) > MOST:
        raise InputError(
            f"column {name!r} has {len(different)} different values, for example "
            f"{some(sorted(different))}; at most {MOST} make strata"
        )
    return values


def columns(scores: pd.DataFrame, survey: Survey) -> dict[str, np.ndarray]:
    """Stratum -> name of the bin of each object. A stratum that is unknown for every object is left
    out: it would repeat the figures of the whole sample."""
    band = survey.reference
    values = {
        f"psfsize_{band}": scores[f"psfsize_{band}"].to_numpy(float),
        f"depth_{band}": depth_m5(scores[f"psfdepth_{band}"].to_numpy(float)),
        "ebv": scores["ebv"].to_numpy(float),
    }
    named = ("tier", "type_bin", f"nobs_{survey.selection_band}_bin")
    found = {name: scores[name].fillna("").replace("", "unknown").to_numpy(str) for name in named}
    found |= {name: binned(values[name], edges) for name, edges in conditions(survey).items()}
    return {name: bins for name, bins in found.items() if (bins != "unknown").any()}


def drawn_whole(scores: pd.DataFrame, s: EvaluateSettings) -> Int[np.ndarray, " n"] | None:
    """The cell of each object, where the settings say that cells are drawn."""
    return scores["healpix_128"].to_numpy() if s.bootstrap == "healpix" else None


def table(scores: pd.DataFrame, s: EvaluateSettings, survey: Survey) -> pd.DataFrame:
    """`broken_down` by the survey's strata, at the threshold that words are about."""
    label, score = scores["label"].to_numpy(), scores["score"].to_numpy()
    threshold, known = operating(s.thresholds), columns(scores, survey)
    sure = (s.minimum, s.resamples, s.seed, drawn_whole(scores, s))
    return broken_down(label, score, known, threshold, *sure)


def broken_down(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    strata: Mapping[str, Shaped[np.ndarray, " n"]],
    threshold: float,
    minimum: int,
    resamples: int,
    seed: int,
    blocks: np.ndarray | None = None,
) -> pd.DataFrame:
    """A row for every stratum, bin and metric: value, lo68 ... hi95, lenses, others, status, and
    for proportions p_value and q_value.

    strata: stratum -> name of the bin of each object. blocks: the cell of each object, where whole
    cells are drawn. p_value is that of Fisher's exact test of the bin against the rest of the
    sample, q_value that of Benjamini & Hochberg over all rows with a p_value. The test takes
    objects as independent: with blocks there is none. A bin that has one kind of object only has no
    AUC and no calibration.
    """
    passed = score > threshold
    rows: list[dict[str, Any]] = []
    for stratum, bins in strata.items():
        for name in sorted(set(bins)):
            inside = bins == name
            y, p = label[inside], score[inside]
            base = {"stratum": stratum, "bin": name}
            base |= {"lenses": int(y.sum()), "others": int((1 - y).sum())}
            for metric, kind, what in (
                ("recall", 1, "lenses"),
                ("false_positive_rate", 0, "non-lenses"),
            ):
                among = label == kind
                figure = figures.share(passed, inside & among, minimum, what, blocks)
                known = figure["status"] == "ok" and blocks is None
                test = {"p_value": _fisher(passed, inside, among) if known else None}
                rows.append({**base, "metric": f"{metric}_at_{threshold:g}", **figure, **test})
            cells = None if blocks is None else blocks[inside]
            for metric, figure in figures.estimated(
                y, p, minimum, resamples, seed, cells, ("roc_auc", "ece")
            ).items():
                rows.append({**base, "metric": metric, **figure, "p_value": None})
    found = pd.DataFrame(rows)
    found["q_value"] = figures.q_values(found["p_value"].to_numpy(float))
    return found


def _fisher(passed: np.ndarray, inside: np.ndarray, among: np.ndarray) -> float | None:
    from scipy.stats import fisher_exact

    if not (among & ~inside).any():
        return None
    counts = [[int((among & a & b).sum()) for b in (passed, ~passed)] for a in (inside, ~inside)]
    return float(fisher_exact(counts).pvalue)


def confusers(scores: pd.DataFrame, s: EvaluateSettings) -> pd.DataFrame:
    """A row for every category of negatives and every threshold: n, false_positives, fpr with its
    intervals, status. The category "none" holds the negatives that look like nothing special."""
    negatives = scores[scores["label"] == 0]
    category = negatives["confuser_category"].replace("", PLAIN).to_numpy(str)
    cell = drawn_whole(negatives, s)
    rows = []
    for name in [*CATEGORIES, *sorted(set(category) - {*CATEGORIES, PLAIN}), PLAIN]:
        own = category == name
        for threshold in s.thresholds:
            passed = negatives["score"].to_numpy() > threshold
            figure = figures.share(passed, own, s.minimum, "negatives", cell)
            rows.append(
                {
                    "category": name,
                    "threshold": threshold,
                    "n": int(own.sum()),
                    "false_positives": int((passed & own).sum()),
                    "fpr": figure.pop("value"),
                    **figure,
                }
            )
    return pd.DataFrame(rows)
