"""A tiny survey for the tests of this room: red blobs, and the same with a blue ring."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data import record, shards
from data.splits import order_key

CATEGORIES = ("", "ring_proxy", "blue_clumpy", "large_galaxy")


def stamps(lens: np.ndarray, size: int = 32, seed: int = 0, contrast: float = 1.0) -> np.ndarray:
    """(N, size, size, 3) nanomaggies with noise 0.02."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    n = len(lens)
    width = rng.uniform(1.5, 3.0, (n, 1, 1))
    r = np.hypot(x, y)[None]
    blob = np.exp(-0.5 * (r / width) ** 2)[..., None] * np.array([0.3, 1.0, 1.5])
    radius = rng.uniform(5, 9, (n, 1, 1))
    ring = (
        np.exp(-0.5 * ((r - radius) / 1.2) ** 2)[..., None] * np.array([0.12, 0.1, 0.08]) * contrast
    )
    return (
        blob + ring * lens[:, None, None, None] + rng.normal(0, 0.02, (n, size, size, 3))
    ).astype(np.float32)


def table(n: int, share: float = 0.25, seed: int = 0) -> list[dict]:
    """Rows of n objects, `share` of them lenses; 70/15/15."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        label = int(rng.random() < share)
        tier = ("A", "B")[i % 2] if label else ("N1", "N2")[i % 2]
        rows.append(
            {
                "galaxy_id": f"0010p000_{i}",
                "label": label,
                "split": str(rng.choice(["train", "val", "test"], p=[0.7, 0.15, 0.15])),
                "sample_weight": 0.5 if tier == "B" else 1.0,
                "tier": tier,
                "pool": "" if label else tier,
                "confuser_category": CATEGORIES[1 + i % 3] if tier == "N2" else "",
                "type": ("SER", "DEV", "REX")[i % 3],
                "type_bin": ("SER", "DEV", "REX")[i % 3],
                "nobs_z": 3 + i % 9,
                "nobs_z_bin": "3-5" if i % 9 < 3 else "6-10",
                "ra": i / 100,
                "dec": 0.0,
                "healpix_128": i // 4,
                "psfsize_r": 1.0 + (i % 10) / 20,
                "psfdepth_r": 200.0 + i,
            }
        )
    return rows


@dataclass(frozen=True)
class Settings:
    """Of the survey that never ran."""


def survey(out: Path, rows: list[dict], images: np.ndarray) -> Path:
    """Writes shards and the record of a finished step `survey` into a run directory."""
    folder = out / "shards" / shards.NAME / shards.VERSION
    planned = shards.plan(
        [r["split"] for r in rows], order_key([r["galaxy_id"] for r in rows]), 100
    )
    written = [
        shards.write(folder / s.file, (shards.example(images[i], rows[i]) for i in s.rows))
        for s in planned
    ]
    shards.finish(folder, planned, written, images.shape[1])
    with record.Step(out, "survey", Settings()) as step:
        step.finish([folder / shards.INDEX])
    return out


def small_survey(out: Path, n: int = 200, **options: float) -> Path:
    """The whole of it with n objects of 32 x 32 pixels."""
    rows = table(n)
    return survey(out, rows, stamps(np.array([r["label"] for r in rows]), **options))
