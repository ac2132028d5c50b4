"""Somebody's cutouts of 40 galaxies, a fifth of them lenses, with a table and a finder."""

from pathlib import Path

import numpy as np
import pandas as pd
from galaxies import stamps

FINDER = """
import numpy as np

def score(stamps):  # (number, height, width, bands)
    assert stamps.shape[-1] == 3, "channels come last"
    y, x = np.indices(stamps.shape[1:3]) - (stamps.shape[1] - 1) / 2
    ring = (np.hypot(x, y) > 5) & (np.hypot(x, y) < 9)
    return 1 / (1 + np.exp(-60 * (np.nan_to_num(stamps)[:, ring, 0].mean(1) - 0.05)))

def no_lens(stamps):
    return 1 - score(stamps)

def first_channel(stamps):  # NaN for every stamp, whatever the order of the axes says
    return stamps[:, :1].mean((2, 3)) * np.nan

def forgetful(stamps):
    return {}["weights"]
"""
SIDE = 48
KNOWN = (
    *("--bands", "g,r,z", "--pixel-scale", "0.3", "--zero-point", "22.5"),
    *("--trained-on", "none"),
)
"""All that the files do not say."""
KEYS = "output=score layout=nhwc bands=g,r,z"


def folder(here: Path, number: int = 40, unit: float = 1.0, **columns) -> pd.DataFrame:
    """here/cutouts/g0.npz ... and here/own_finder_N.py; returns the table, which is not written."""
    lens = (np.arange(number) % 5 == 0).astype(int)
    images = stamps(lens, SIDE) / unit
    (here / "cutouts").mkdir()
    for i, image in enumerate(images):
        np.savez(here / "cutouts" / f"g{i}.npz", image=image)
    table = {"id": [f"g{i}" for i in range(number)], "label": lens, "psfsize_r": 1.2}
    return pd.DataFrame({**table, **columns})
