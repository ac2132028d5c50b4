"""A run directory whose lenses are made by the renderer from a known prior, in small stamps."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from auditable import PIXELS, Settings, image, rows

import lensjax as lj
from data import manifest, record
from data.cutouts import write_npz

TRUTH = {
    "lens": {
        "SIE": {
            "theta_e": {"uniform": [1.2, 2.4]},
            "q": {"uniform": [0.5, 1.0]},
            "phi": {"uniform": [0.0, 3.141592653589793]},
        }
    },
    "source": {
        "Sersic": {
            "r_mag": {"uniform": [22.0, 24.0]},
            "g_r": {"normal": [0.5, 0.25]},
            "r_z": {"normal": [0.4, 0.2]},
            "beta": {"area": [0.1, 0.5]},
            "beta_phi": {"uniform": [0.0, 6.283185307179586]},
            "r_eff": {"uniform": [0.1, 0.4]},
            "n": {"uniform": [0.7, 2.0]},
            "q": {"uniform": [0.4, 1.0]},
            "phi": {"uniform": [0.0, 3.141592653589793]},
        }
    },
}
"""What the lenses of the run are drawn from. Positions and shear are left out."""
WRONG = {"g_r": {"normal": [1.0, 0.25]}, "r_z": {"normal": [-0.1, 0.2]}}
WRONG |= {"r_eff": {"uniform": [0.2, 0.8]}}
"""What a deliberately wrong prior has: colours off by 0.5 mag, sizes by a factor of 2."""


def prior(**source) -> dict:
    """TRUTH with other distributions of the source."""
    own = {"Sersic": TRUTH["source"]["Sersic"] | source}
    return {"lens": TRUTH["lens"], "source": own}


def arcs(table: list[dict], seed: int = 3) -> np.ndarray:
    """Arcs (n, H, W, B) of sources of TRUTH, blurred as the rows say."""
    truth = lj.prior_from("truth", TRUTH).for_bands(("g", "r", "z"))
    scenes = truth.sample(jax.random.key(seed), len(table))
    fwhm = jnp.asarray([[r[f"psfsize_{b}"] for b in "grz"] for r in table], jnp.float32)
    one = jax.jit(jax.vmap(lambda s, f: lj.render(s, PIXELS, lj.Gaussian(f))))
    return np.asarray(one(scenes, fwhm))


def run_directory(out: Path, lenses: int = 150, others: int = 210) -> Path:
    """Lenses of the same galaxies as the negatives, with arcs of TRUTH."""
    table = [
        row | {"label": int(i < lenses), "tier": "A" if i < lenses else "N1"}
        for i, row in enumerate(rows(lenses + others))
    ]
    light = arcs(table[:lenses])
    for i, row in enumerate(table):
        stamp = image(row, i) + (light[i] if i < lenses else 0.0)
        about = {k: row[k] for k in ("galaxy_id", "ra", "dec")}
        write_npz(out / row["cutout_path"], stamp.astype(np.float32), about)
    manifest.write(out / "manifest.parquet", pa.Table.from_pylist(table))
    with record.Step(out, "survey", Settings()) as step:
        step.finish(["manifest.parquet"])
    return out
