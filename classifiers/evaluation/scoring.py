"""Scores of every stamp of a survey, with the columns that figures are broken down by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from classifiers import host
from classifiers.frozen import Frozen
from data import shards
from data.loader import load_split

FIELDS = (
    *(
        "galaxy_id",
        "split",
        "label",
        "tier",
        "pool",
        "confuser_category",
        "type_bin",
        "nobs_z_bin",
        "nobs_z",
    ),
    *("psfsize_r", "psfdepth_r", "ebv", "ra", "dec", "healpix_128"),
)


def logits(
    frozen: Frozen,
    stamps: Float[np.ndarray, "n h w 3"],
    batch: int = 256,
    tick: Callable[[int], None] = lambda n: None,
) -> Float[np.ndarray, " n"]:
    """Logits of raw stamps, `batch` at a time, on the host. tick: told how many were just scored."""
    score = host.jit(lambda f, x: f.logits(x))
    out = np.empty(len(stamps), np.float32)
    for start in range(0, len(stamps), batch):
        part = stamps[start : start + batch]
        padded = np.pad(part, [(0, batch - len(part))] + [(0, 0)] * 3)  # one shape, one compilation
        out[start : start + len(part)] = np.asarray(score(frozen, padded))[: len(part)]
        tick(len(part))
    return out


def table(
    folder: Path, frozen: Frozen, batch: int, tick: Callable[[int], None] = lambda n: None
) -> pd.DataFrame:
    """A row an object of train, val and test, sorted by galaxy_id: FIELDS, logit, score (float64 sigmoid of it)."""
    parts = []
    for split in shards.SPLITS:
        columns = load_split(folder, split, ("image", *FIELDS))
        found = logits(frozen, columns.pop("image"), batch, tick).astype(np.float64)
        parts.append(pd.DataFrame(columns | {"logit": found, "score": 1 / (1 + np.exp(-found))}))
    return pd.concat(parts).sort_values("galaxy_id", kind="stable").reset_index(drop=True)
