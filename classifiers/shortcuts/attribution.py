"""Which pixels made a finder err: integrated gradients.

Sundararajan, Taly & Yan 2017, arXiv 1703.01365, equation 1: pixel times the mean gradient of the
logit on the straight way from a baseline. Their sum is the logit minus that of the baseline
(completeness). The way lies in preprocessed stamps, whose zero is the sky: our preprocessing
divides by a stamp's own noise, so that in nanomaggies the logit would not change along most of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, Int

from classifiers.finders.head import OwnHead, logit
from classifiers.frozen import Frozen
from data.preprocess import raw_robust
from data.survey import Survey
from lensjax.errors import InputError

STEPS = (64, 512)
"""of the midpoint rule: the second where the first leaves more than TOLERANCE"""
TOLERANCE = 0.01
"""residual, of the difference of logits (or of 1, where that is larger), of a complete sum"""

Logits = Callable[[Float[Array, "n h w b"]], Float[Array, " n"]]


def integrated(
    logits: Logits, image: Float[Array, "h w b"], steps: int = STEPS[0]
) -> Float[Array, "h w b"]:
    """Integrated gradients of an image, from an image of zeros, by the midpoint rule. They are
    exact for a logit that is at most quadratic along the way."""
    slope = jax.grad(lambda x: logits(x[None])[0])
    parts = (jnp.arange(steps) + 0.5) / steps

    def add(total: Array, part: Array) -> tuple[Array, None]:
        return total + slope(part * image), None

    total, _ = jax.lax.scan(add, jnp.zeros_like(image), parts)
    return image * total / steps


def wrong(
    label: Int[np.ndarray, " n"], score: Float[np.ndarray, " n"], threshold: float, number: int
) -> dict[str, Int[np.ndarray, " k"]]:
    """Places of the worst false positives (highest first) and negatives (lowest first). An object
    passes when its score is above the threshold."""
    order = np.argsort(-score, kind="stable")
    positive = order[(label[order] == 0) & (score[order] > threshold)]
    negative = order[::-1][(label[order[::-1]] == 1) & (score[order[::-1]] <= threshold)]
    return {"false_positive": positive[:number], "false_negative": negative[:number]}


def explained(
    finder: Any,
    stamps: Float[np.ndarray, "n h w b"],
    ids: np.ndarray,
    survey: Survey,
) -> tuple[pd.DataFrame, Float[np.ndarray, "n x y b"]]:
    """A row for each stamp and the attributions.

    Columns: id, logit, baseline, sum, residual (what the sum lacks of the difference), complete
    (whether that is within TOLERANCE), core_share and annulus_share of the absolute attributions.
    Raises InputError for a finder that is no network of ours."""
    if not isinstance(finder, Frozen | OwnHead):
        raise InputError(f"finder {finder.name}: has no gradients; use a network of ours")
    one = jax.jit(_one, static_argnums=2)
    rows, maps = [], []
    for name, stamp in zip(ids, stamps):
        for steps in STEPS:
            found, top, bottom = (np.asarray(v, np.float64) for v in one(finder, stamp, steps))
            residual = float(top - bottom - found.sum())
            if complete := abs(residual) <= TOLERANCE * max(1.0, abs(float(top - bottom))):
                break
        size = np.abs(found).sum(-1)
        y, x = np.indices(size.shape)
        r = np.hypot(y - (len(y) - 1) / 2, x - (x.shape[1] - 1) / 2) * survey.pixel_scale
        inner, outer = survey.radii.core, survey.radii.arc[1]
        whole = size.sum() or 1.0
        rows.append(
            {
                "id": str(name),
                "logit": float(top),
                "baseline": float(bottom),
                "sum": float(found.sum()),
                "residual": residual,
                "complete": complete,
                "core_share": float(size[r < inner].sum() / whole),
                "annulus_share": float(size[(r >= inner) & (r < outer)].sum() / whole),
            }
        )
        maps.append(found)
    return pd.DataFrame(rows), np.array(maps)


def _one(finder: Frozen | OwnHead, stamp: Array, steps: int) -> tuple[Array, Array, Array]:
    network = finder.trunk if isinstance(finder, OwnHead) else finder
    model = network.model

    def logits(images: Array) -> Array:
        if isinstance(finder, OwnHead):
            return jnp.asarray(logit(finder.numbers, model.features(images)))
        return model(images)

    image = raw_robust(stamp[None], network.preprocess)[0]
    ends = logits(jnp.stack([image, jnp.zeros_like(image)]))
    return integrated(logits, image, steps), ends[0], ends[1]
