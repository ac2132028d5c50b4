"""How wrong are the images?

    python -m benchmarks.accuracy

Errors of every tolerance, and of the fixed rules of earlier simulations, against converged truth
(lensjax.reference) over scenes of either prior, effective Gaussian PSF with a FWHM drawn from
U(0.9, 1.8)". Writes benchmarks/results/accuracy.json and the table of docs/rendering.md. The truth
takes some two seconds a scene and is kept in --cache.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

import lensjax as lj
from benchmarks.render import HERE, into_docs, machine
from lensjax.plans import TOLERANCES, UNIFORM, Bounds
from lensjax.reference import converged_points, lensed_sersic

GRID = lj.PixelGrid(101)
CHUNK = 25
BOUNDS = Bounds(theta_e=3.0, fwhm=(0.9, 1.8))


def truth(name: str, scenes: lj.Scene, fwhm: np.ndarray, cache: Path) -> np.ndarray:
    """Converged images of unit flux (count, N, N)."""
    path = cache / f"truth_{name}_{len(fwhm)}.npy"
    if not path.is_file():
        images = []
        for i in track(range(len(fwhm)), description=f"truth of {name}"):
            one = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i], float), scenes)
            images.append(
                converged_points(lensed_sersic(one), GRID, margin=8, accuracy=2e-7).convolved(
                    GRID, fwhm[i]
                )
            )
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack(images))
    return np.load(path)


def errors(name: str, count: int, cache: Path) -> dict:
    """Tolerance -> (median, 99 %, worst) of the largest pixel error over the peak, and of the total
    flux."""
    scenes = lj.priors(name).sample(jax.random.key(5), count)
    fwhm = np.random.default_rng(5).uniform(0.9, 1.8, count)
    true = truth(name, scenes, fwhm, cache)
    out = {}
    for tol in (*TOLERANCES, *UNIFORM):
        run = jax.jit(
            jax.vmap(
                lambda s, f, tol=tol: (
                    lj.render(s, GRID, lj.Gaussian(f), tol, BOUNDS)[..., 1] / s.source[0].flux[1]
                )
            )
        )
        parts = [
            run(
                jax.tree.map(lambda leaf, i=i: leaf[i : i + CHUNK], scenes),
                jnp.asarray(fwhm[i : i + CHUNK]),
            )
            for i in range(0, count, CHUNK)
        ]
        images = np.concatenate(parts).astype(float)
        pixel = np.abs(images - true).max((1, 2)) / true.max((1, 2))
        flux = np.abs(images.sum((1, 2)) / true.sum((1, 2)) - 1)
        out[str(tol)] = {
            k: [float(np.median(v)), float(np.quantile(v, 0.99)), float(v.max())]
            for k, v in (("pixel", pixel), ("flux", flux))
        }
        print(name, tol, out[str(tol)], flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=400, help="of each prior, a multiple of 25")
    parser.add_argument("--cache", type=Path, default=Path("runs/truth"))
    args = parser.parse_args()
    found = {name: errors(name, args.scenes, args.cache) for name in ("raw_notes", "arclike")}
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "accuracy.json").write_text(
        json.dumps({"machine": machine(), "scenes": args.scenes, "errors": found}, indent=1) + "\n"
    )
    lines = [
        f"{args.scenes} scenes of each prior: median / 99 % / worst.",
        "",
        "| prior | tol | largest pixel error over the peak | total flux |",
    ]
    lines.append("|---|---|---|---|")
    for name, rows in found.items():
        for tol, row in rows.items():
            pixel, flux = (" / ".join(f"{x:.1e}" for x in row[k]) for k in ("pixel", "flux"))
            lines.append(f"| {name} | {tol} | {pixel} | {flux} |")
    into_docs("accuracy", lines)


if __name__ == "__main__":
    main()
