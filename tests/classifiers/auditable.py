"""A run directory with everything an audit reads: hosts on disk, a manifest, a frozen finder, the
records of the steps before."""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import lensjax as lj
from classifiers import frozen
from data import manifest, record
from data.cutouts import write_npz

PIXELS = lj.PixelGrid(48)


@dataclass(frozen=True)
class Settings:
    """Of the steps that never ran."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SmoothFinder:
    """A finder without kinks: blue light in a ring, in units of the noise, squashed."""

    weight: jax.Array
    name = "smooth"
    differentiable = True

    def logits(self, stamps):
        return 4.0 * jnp.tanh(jnp.nanmean(stamps * self.weight, axis=(1, 2, 3))) - 1.0


def smooth_finder(size: int = PIXELS.size) -> SmoothFinder:
    ring = np.exp(
        -0.5
        * ((PIXELS.radius() if size == PIXELS.size else lj.PixelGrid(size).radius()) - 6.0) ** 2
        / 9.0
    )
    return SmoothFinder(jnp.asarray(ring[..., None] * np.array([300.0, 300.0, 100.0]), jnp.float32))


def rows(n: int, seed: int = 0) -> list[dict]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        label = int(i % 8 == 0)
        name = f"0010p000_{i}"
        made.append(
            {
                "galaxy_id": name,
                "cutout_path": f"cutouts/0010p000/{name}.npz",
                "label": label,
                "split": ("train", "val", "test")[i % 3],
                "sample_weight": 1.0,
                "tier": "A" if label else "N1",
                "size": PIXELS.size,
                "pixel_scale": PIXELS.scale,
                "ra": 10.0 + i / 50,
                "dec": 0.0,
                "healpix_128": i,
                "quality_ok": True,
                **{
                    f"psfsize_{b}": float(w * (1.0 + 0.6 * rng.random()))
                    for b, w in zip("grz", (1.1, 1.0, 0.95))
                },
                **{
                    f"psfdepth_{b}": float(d * (0.5 + rng.random()))
                    for b, d in zip("grz", (1500.0, 800.0, 250.0))
                },
            }
        )
    return made


def image(row: dict, seed: int) -> np.ndarray:
    """A round galaxy with the noise of the row's depth; every seventh has missing pixels."""
    rng = np.random.default_rng(seed)
    width = np.array([row[f"psfsize_{b}"] for b in "grz"]) / 2.3548 / PIXELS.scale
    sigma = np.sqrt(
        1 / (4 * np.pi * width**2) / np.array([row[f"psfdepth_{b}"] for b in "grz"])
    )  # sum(psf^2) of a Gaussian
    light = np.exp(-PIXELS.radius() / 4.0)[..., None] * np.array([0.05, 0.2, 0.4])
    stamp = (light + sigma * rng.normal(size=light.shape)).astype(np.float32)
    if seed % 7 == 0:
        stamp[:3, :, 0] = np.nan
    return stamp


def run_directory(out: Path, n: int = 96, finder: bool = True, **columns) -> Path:
    """finder: with a frozen classifier, and the record of its training · columns: replace a column
    of the manifest by one value."""
    table = [{**r, **columns} for r in rows(n)]
    for i, row in enumerate(table):
        write_npz(
            out / row["cutout_path"],
            image({**rows(n)[i]}, i),
            {k: row[k] for k in ("galaxy_id", "ra", "dec")},
        )
    manifest.write(out / "manifest.parquet", pa.Table.from_pylist(table))
    paths = frozen.save(out / "training", frozen.untrained(crop=PIXELS.size)) if finder else []
    for name, files in (
        ("survey", ["manifest.parquet"]),
        *([("train", paths)] if finder else []),
        ("evaluate", []),
    ):
        with record.Step(out, name, Settings()) as step:
            step.finish([Path(f).relative_to(out) if Path(f).is_absolute() else f for f in files])
    return out


def completeness(audit):
    """The completeness tables of an audit, to compare in every byte: the CSV file, and the Parquet
    file without what it says of the finder and of the injection set with its scores."""
    table = pq.read_table(audit / "completeness.parquet").replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return (audit / "completeness.csv").read_bytes(), sink.getvalue().to_pybytes()
