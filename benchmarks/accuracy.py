"""How wrong are the images?

    python -m benchmarks.accuracy

Errors of every tolerance, and of the fixed rules of earlier simulations, against converged truth
(lensjax.reference): over scenes of either prior, effective Gaussian PSF with a FWHM drawn from
U(0.9, 1.8)", and over random scenes of the whole domain (domain.py), with the errors that the
renderer itself states beside the true ones. Writes benchmarks/results/accuracy.json and the tables
of docs/rendering.md. The truth takes some two seconds a scene and is kept in --cache; `python -m
benchmarks.domain` makes it on all cores.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

import lensjax as lj
from benchmarks.domain import KINDS, Drawn, draw
from benchmarks.domain import truth as truth_of
from benchmarks.render import HERE, into_docs, machine
from lensjax.plans import TOLERANCES, UNIFORM, Bounds, fields
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


def as_scene(drawn: Drawn) -> lj.Scene:
    """The scene in single precision, one band."""
    lens = [
        lj.SIE(theta_e, *shape) if slope == 2.0 else lj.EPL(theta_e, slope, *shape)
        for theta_e, slope, *shape in drawn.lens
    ]
    source = tuple(lj.Sersic(np.array([flux]), *shape) for flux, *shape in drawn.source)
    scene = lj.Scene((*lens, lj.Shear(*drawn.shear)), source)
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), scene)


def groups(count: int) -> dict:
    """Numbers and scenes that one compiled function renders."""
    found = defaultdict(list)
    for number in range(count):
        drawn = draw(number)
        scene = as_scene(drawn)
        (field,) = fields(lj.Gaussian(drawn.fwhm), drawn.grid, Bounds())
        found[jax.tree.structure(scene), field].append((number, drawn, scene))
    return found


def over_domain(count: int, cache: Path, tol: float) -> list[dict]:
    """Of every scene the true errors and the stated ones, over the peak and over the flux."""
    out = []
    for (_, field), items in track(groups(count).items(), description="domain"):
        widths = np.array([drawn.fwhm for _, drawn, _ in items], np.float32)
        bounds = Bounds(fwhm=(float(widths.min()), float(widths.max())))

        def one(item, field=field, bounds=bounds):
            scene, fwhm = item
            image, error = lj.render(
                scene, field.stamp, lj.Gaussian(fwhm), tol, bounds, with_error=True
            )
            return image[..., 0], jnp.max(error.pixel), error.flux[0]

        scenes = jax.tree.map(lambda *v: jnp.stack(v), *(scene for *_, scene in items))
        found = jax.jit(lambda *items, one=one: jax.lax.map(one, items))(scenes, widths)
        for (number, drawn, _), image, pixel, flux in zip(items, *map(np.asarray, found)):
            true = truth_of(number, cache)[0]
            out.append(
                {
                    "number": number,
                    "kind": drawn.kind,
                    "scale": drawn.scale,
                    "pixel": float(np.abs(image - true).max() / true.max()),
                    "flux": float(abs(image.sum(dtype=float) / true.sum() - 1)),
                    "stated_pixel": float(pixel / true.max()),
                    "stated_flux": float(flux / true.sum()),
                }
            )
    return sorted(out, key=lambda row: row["number"])


def domain_table(rows: list[dict]) -> list[str]:
    """By kind of scene, and the worst."""
    lines = [
        f"{len(rows)} scenes, tolerance 1e-3.",
        "",
        "| scenes | median / 99 % / worst error of a pixel over the peak | within the tolerance | "
        "below the stated error |",
        "|---|---|---|---|",
    ]
    for kind in (*KINDS, "all"):
        own = [r for r in rows if kind in (r["kind"], "all")]
        e = np.array([r["pixel"] for r in own])
        stated = np.array([r["stated_pixel"] for r in own])
        three = " / ".join(f"{v:.1e}" for v in (np.median(e), np.quantile(e, 0.99), e.max()))
        lines.append(
            f"| {kind} | {three} | {100 * np.mean(e < 1e-3):.1f} % | "
            f"{100 * np.mean(e < stated):.1f} % |"
        )
    worst = sorted(rows, key=lambda r: -r["pixel"])[:5]
    said = ", ".join(f'{r["number"]} ({r["kind"]}, {r["scale"]}": {r["pixel"]:.1e})' for r in worst)
    return [*lines, "", f"Worst: {said}."]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=400, help="of each prior, a multiple of 25")
    parser.add_argument("--domain", type=int, default=2000, help="scenes of the whole domain")
    parser.add_argument("--cache", type=Path, default=Path("runs/truth"))
    args = parser.parse_args()
    found = {name: errors(name, args.scenes, args.cache) for name in ("raw_notes", "arclike")}
    rows = over_domain(args.domain, args.cache, 1e-3)
    (HERE / "results").mkdir(exist_ok=True)
    result = {"machine": machine(), "scenes": args.scenes, "errors": found, "domain": rows}
    (HERE / "results" / "accuracy.json").write_text(json.dumps(result, indent=1) + "\n")
    into_docs("domain", domain_table(rows))
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
