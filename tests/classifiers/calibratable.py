"""A run directory whose lenses are drawn from a known prior, in small stamps.

The arcs are made by `lensjax.reference` and NumPy: nothing of what draws and renders injections has
a part in them.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
from auditable import PIXELS, Settings, image, rows

from data import manifest, record
from data.cutouts import write_npz
from lensjax.grid import PixelGrid
from lensjax.reference import lensed_sersic

TURN = 2 * np.pi
TRUTH = {
    "lens": {
        "SIE": {
            "theta_e": {"uniform": [1.2, 2.4]},
            "q": {"uniform": [0.5, 1.0]},
            "phi": {"uniform": [0.0, TURN / 2]},
        }
    },
    "source": {
        "Sersic": {
            "r_mag": {"uniform": [22.0, 23.5]},
            "g_r": {"normal": [0.5, 0.25]},
            "r_z": {"normal": [0.4, 0.2]},
            "beta": {"uniform": [0.1, 0.5]},
            "beta_phi": {"uniform": [0.0, TURN]},
            "r_eff": {"uniform": [0.1, 0.4]},
            "n": {"uniform": [0.7, 2.0]},
            "q": {"uniform": [0.4, 1.0]},
            "phi": {"uniform": [0.0, TURN / 2]},
        }
    },
}
"""What the lenses of the run are drawn from."""
WRONG = {"g_r": {"normal": [1.0, 0.25]}, "r_z": {"normal": [-0.1, 0.2]}}
WRONG |= {"r_eff": {"uniform": [0.2, 0.8]}}
"""What a deliberately wrong prior has: colours off by 0.5 mag, sizes by a factor of 2."""
FINE = 4
"""points along a pixel"""


def prior(**source) -> dict:
    """TRUTH with other distributions of the source."""
    return {"lens": TRUTH["lens"], "source": {"Sersic": TRUTH["source"]["Sersic"] | source}}


def drawn(block: dict, rng: np.random.Generator) -> SimpleNamespace:
    """One value of every parameter of a component."""
    kinds = {"uniform": rng.uniform, "normal": rng.normal}
    return SimpleNamespace(
        **{k: kinds[kind](*v) for k, d in block.items() for kind, v in d.items()}
    )


def arc(row: dict, rng: np.random.Generator) -> np.ndarray:
    """An arc (H, W, B) of TRUTH, nanomaggies, blurred as the row says."""
    lens, source = drawn(TRUTH["lens"]["SIE"], rng), drawn(TRUTH["source"]["Sersic"], rng)
    lens.x = lens.y = 0.0
    away = source.beta * lens.theta_e
    source.x, source.y = away * np.cos(source.beta_phi), away * np.sin(source.beta_phi)
    fine = PixelGrid(PIXELS.size * FINE, PIXELS.scale / FINE)
    shape = lensed_sersic(SimpleNamespace(lens=(lens,), source=(source,)))(*fine.mesh())
    mags = source.r_mag + np.array([source.g_r, 0.0, -source.r_z])
    bands = []
    for band, mag in zip("grz", mags):
        sigma = row[f"psfsize_{band}"] / np.sqrt(8 * np.log(2))
        blur = np.exp(-0.5 * ((PIXELS.axis()[:, None] - fine.axis()) / sigma) ** 2)
        light = blur @ shape @ blur.T * fine.pixel_area / (TURN * sigma**2) * PIXELS.pixel_area
        bands.append(10 ** (-0.4 * (mag - 22.5)) * light)
    return np.stack(bands, -1)


def run_directory(out: Path, lenses: int = 200, others: int = 180) -> Path:
    """Lenses are the same galaxies as the negatives, with arcs of TRUTH."""
    table, rng = [], np.random.default_rng(3)
    for i, row in enumerate(rows(lenses + others)):
        label = int(i < lenses)
        row |= {"label": label, "tier": "A" if label else "N1"}
        stamp = image(row, i) + (arc(row, rng) if label else 0.0)
        about = {k: row[k] for k in ("galaxy_id", "ra", "dec")}
        write_npz(out / row["cutout_path"], stamp.astype(np.float32), about)
        table.append(row)
    manifest.write(out / "manifest.parquet", pa.Table.from_pylist(table))
    with record.Step(out, "survey", Settings()) as step:
        step.finish(["manifest.parquet"])
    return out
