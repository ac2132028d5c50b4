"""Trees that see one part of a stamp only: what they reach, a finder can reach without an arc.

Three views, each of rings about the stamp's middle in every band: `core` (mean and scatter within
the survey's core radius), `annulus` (the same from there to where arcs end), and `profile` (means
of all rings: an azimuthal mean knows how bright a galaxy is and how it falls off, and nothing of an
arc's shape). A part may tell lenses because an arc lies in it; in the core it should not. What
trees on rings reach is a lower limit, which takes a second to compute; networks with masked stamps
(`train.mask`) see more.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int

from classifiers.ensembles import folds, trees
from classifiers.evaluation import figures
from data.survey import Survey

VIEWS = ("core", "annulus", "profile")
RINGS = 12
"""of the profile, from the middle to the edge"""
FOLDS = 5
GATE = 0.60
"""AUC that the core alone should stay below."""


def rings(
    stamps: Float32[np.ndarray, "n h w b"], edges: Float[np.ndarray, " k"], scatter: bool
) -> Float[np.ndarray, "n f"]:
    """Mean, and with `scatter` standard deviation, of every band in each ring between neighbouring
    radii (pixels from (H - 1) / 2, (W - 1) / 2), NaN where no pixel is valid. Columns: rings by
    bands, means first."""
    n, height, width, bands = stamps.shape
    y, x = np.ogrid[:height, :width]
    r = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    means, scatters = [], []
    for low, high in pairwise(edges):
        part = stamps[:, (r >= low) & (r < high)].astype(np.float64)
        valid = np.isfinite(part)
        number = np.where(valid.any(axis=1), valid.sum(axis=1), np.nan)
        filled = np.where(valid, part, 0.0)
        mean = filled.sum(axis=1) / number
        means.append(mean)
        second = (np.where(valid, (part - mean[:, None]) ** 2, 0.0)).sum(axis=1) / number
        scatters.append(np.sqrt(second))
    columns = means + (scatters if scatter else [])
    return np.stack(columns, axis=1).reshape(n, len(columns) * bands)


def seen(
    stamps: Float32[np.ndarray, "n h w b"], survey: Survey
) -> dict[str, Float[np.ndarray, "n f"]]:
    """What each view sees of stamps in nanomaggies, by name."""
    edge = min(stamps.shape[1:3]) / 2
    inner, outer = (min(radius, edge) for radius in survey.ring("annulus"))
    spans = {"core": (0.0, inner), "annulus": (inner, outer), "profile": (0.0, edge)}
    found = {}
    for name, (low, high) in spans.items():
        number = RINGS if name == "profile" else max(2, round((high - low) / 2))
        edges = np.linspace(low, high, number + 1)
        found[name] = rings(stamps, edges, scatter=name != "profile")
    return found


def judged(
    label: Int[np.ndarray, " n"],
    views: dict[str, Float[np.ndarray, "n f"]],
    cell: Int[np.ndarray, " n"],
    minimum: int = 10,
    resamples: int = 500,
    seed: int = 42,
) -> pd.DataFrame:
    """A row for each view: view, value (AUC out of fold, cells of the sky whole) with lo68 ...
    hi95, above_gate (whether the lower end of the 68 % interval is above 0.60), status. Trees take
    a missing ring as it is. Raises InputError as `folds.of_groups` does."""
    rows = []
    why = figures.lacking(minimum, int(label.sum()), int((1 - label).sum()))
    for name, x in views.items():
        if why != "ok":
            rows.append({"view": name, **figures.nothing(why), "above_gate": None})
            continue
        x = x[:, np.isfinite(x).any(axis=0)]  # rings beyond a small stamp's edge
        fold = folds.of_groups(cell, FOLDS, seed)
        p, _ = trees.out_of_fold(label, x, fold, seed)
        own = figures.estimated(label, p, minimum, resamples, seed, cell, ("roc_auc",))["roc_auc"]
        above = None if own["status"] != "ok" else bool(own["lo68"] > GATE)
        rows.append({"view": name, **own, "above_gate": above})
    return pd.DataFrame(rows)
