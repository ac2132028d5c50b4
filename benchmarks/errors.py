"""How wrong are images over the whole domain, and does the renderer know it?

    python -m benchmarks.errors --cache runs/truth

Random scenes over pixel scales from 0.03" to 0.4", PSFs from 1.5 pixels FWHM on, Einstein radii
from 0.1" to 6", Sersic indices from 0.4 to 8, with one or two lenses and sources, rings and sources
on caustics (domain.py): the true errors at tolerance 1e-3 beside those that `render(...,
with_error=True)` states. Scenes without an index above 2.5 are rendered once more with the promise
that there is none (`steep=False`), which takes fewer rays. Writes benchmarks/results/errors.json
and the table of docs/rendering.md. The truth takes two to seven seconds a scene; `python -m
benchmarks.domain` makes it on all cores.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections import defaultdict
from itertools import product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

import lensjax as lj
from benchmarks.domain import KINDS, Drawn, draw, truth
from benchmarks.render import HERE, into_docs, machine
from lensjax.light.sersic import CUSP
from lensjax.plans import fields

TOLERANCE = 1e-3


def as_scene(drawn: Drawn, steep: bool = True) -> lj.Scene:
    """The scene in single precision, one band. steep: as that of `Sersic`."""
    lens = [
        lj.SIE(theta_e, *shape) if slope == 2.0 else lj.EPL(theta_e, slope, *shape)
        for theta_e, slope, *shape in drawn.lens
    ]
    source = tuple(
        lj.Sersic(np.array([flux]), *shape, steep=steep) for flux, *shape in drawn.source
    )
    scene = lj.Scene((*lens, lj.Shear(*drawn.shear)), source)
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), scene)


def alike(count: int, scales: list[float]) -> dict[tuple, list[tuple[int, Drawn, lj.Scene]]]:
    """Scenes (of these pixel scales, if there are any) that one compiled function renders: of the
    same profiles, on the same pixels, with PSFs of the same class. A scene without an index above
    CUSP is there twice, once with `steep=False`."""
    found = defaultdict(list)
    for number, steep in product(range(count), (True, False)):
        drawn = draw(number)
        if scales and drawn.scale not in scales:
            continue
        if not steep and any(index > CUSP for _, _, index, *_ in drawn.source):
            continue
        scene = as_scene(drawn, steep)
        (pixels,) = fields(lj.Gaussian(drawn.fwhm), drawn.grid, lj.Bounds())
        found[jax.tree.structure(scene), pixels].append((number, drawn, scene))
    return found


def measured(count: int, scales: list[float], cache: Path) -> list[dict]:
    """Of every scene the true errors and the stated ones, over the peak and over the flux."""
    rows = []
    for (_, pixels), items in track(alike(count, scales).items(), description="scenes"):
        widths = np.array([d.fwhm for _, d, _ in items], np.float32)
        bounds = lj.Bounds(fwhm=(float(widths.min()), float(widths.max())))

        @jax.jit  # scene by scene, so that what is compiled does not depend on their number
        def one(scene, fwhm, grid=pixels.stamp, bounds=bounds):
            psf = lj.Gaussian(fwhm)
            image, error = lj.render(scene, grid, psf, TOLERANCE, bounds, with_error=True)
            return image[..., 0], jnp.max(error.pixel), error.flux[0]

        for (number, drawn, scene), fwhm in zip(items, widths):
            image, pixel, flux = map(np.asarray, one(scene, fwhm))
            true = truth(number, cache)[0]
            rows.append(
                {
                    "number": number,
                    "kind": drawn.kind,
                    "scale": drawn.scale,
                    "steep": scene.source[0].steep,
                    "pixel": float(np.abs(image - true).max() / true.max()),
                    "flux": float(abs(image.sum(dtype=float) / true.sum() - 1)),
                    "stated_pixel": float(pixel / true.max()),
                    "stated_flux": float(flux / true.sum()),
                }
            )
    return sorted(rows, key=lambda row: (row["number"], not row["steep"]))


def table(rows: list[dict]) -> list[str]:
    """By kind of scene, and of those that were promised not to be steep."""
    every, rows = rows, [r for r in rows if r["steep"]]
    scales = ", ".join(map(str, sorted({r["scale"] for r in rows})))
    lines = [
        *textwrap.wrap(
            f"{len(rows)} scenes with pixels of {scales} arcsec, tolerance {TOLERANCE}, errors of "
            "a pixel over the peak.",
            100,
        ),
        "",
        "| scenes | median / 99 % / worst | within the tolerance | below the stated error | "
        "of those above the tolerance, told |",
        "|---|---|---|---|---|",
    ]
    groups = {kind: [r for r in rows if r["kind"] == kind] for kind in KINDS}
    groups |= {"all": rows, "`steep=False`": [r for r in every if not r["steep"]]}
    for kind, own in groups.items():
        if not own:
            continue
        e, stated = (np.array([r[k] for r in own]) for k in ("pixel", "stated_pixel"))
        three = " / ".join(f"{v:.1e}" for v in (np.median(e), np.quantile(e, 0.99), e.max()))
        bad = e > TOLERANCE
        told = f"{np.sum(stated[bad] > TOLERANCE)} of {np.sum(bad)}" if bad.any() else "none above"
        lines.append(
            f"| {kind} ({len(own)}) | {three} | {100 * np.mean(~bad):.1f} % | "
            f"{100 * np.mean(e < stated):.0f} % | {told} |"
        )
    e, stated = (np.array([r[k] for r in rows]) for k in ("pixel", "stated_pixel"))
    f, said = (np.array([r[k] for r in rows]) for k in ("flux", "stated_flux"))
    said_of_all = (
        f"Total flux: {100 * np.mean(f < said):.0f} % are below the stated error. The stated error "
        f"of a pixel is {np.median(stated / e):.0f} times the true one at the median, and of the "
        "images that are within the tolerance "
        f"{100 * np.mean(stated[e < TOLERANCE] > TOLERANCE):.0f} % are said not to be."
    )
    return [*lines, "", *textwrap.wrap(said_of_all, 100)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=2000, help="numbers of domain.py to look at")
    parser.add_argument("--scales", type=float, nargs="*", default=[], help="pixels (arcsec); all")
    parser.add_argument("--cache", type=Path, default=Path("runs/truth"))
    args = parser.parse_args()
    rows = measured(args.scenes, args.scales, args.cache)
    result = {"machine": machine(), "tolerance": TOLERANCE, "scenes": rows}
    (HERE / "results" / "errors.json").write_text(json.dumps(result, indent=1) + "\n")
    into_docs("errors", table(rows))


if __name__ == "__main__":
    main()
