"""Does lensjax see what lenstronomy sees?

    python -m benchmarks.conformance                            500 draws of everything, float64:
    two minutes; writes
                                                                benchmarks/results/conformance.json
                                                                and the table of docs/conformance.md
    python -m benchmarks.conformance --images 40 --out F.json   fewer images, the numbers only into
    F.json

Rays: deflection, potential, Jacobian and magnification at random places behind random lenses
(conformance_rays.py). Light: Sersic profiles. Images, of scenes drawn from both prior presets:
lenstronomy's own image (4 x 4 rays a pixel, PSF at native pixels) against the rule of the same
name, and its rays and profiles integrated adaptively to convergence (lensjax.reference) against
`render`, pixel by pixel and in total flux.

Both sides are given the same scene: R_sersic = r_eff sqrt(q), times (b_lenstronomy / b_n)^n because
lenstronomy's b_n is linear in n, and amp from lenstronomy's own total flux. The row "half-light"
says what that correction is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # more threads than free cores make small products ten times slower

import jax
import jax.numpy as jnp
import numpy as np
from lenstronomy.Data.imaging_data import ImageData
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from lenstronomy.LightModel.Profiles.sersic import SersicElliptic
from scipy.special import erf, gammaincinv

import lensjax as lj
from benchmarks.conformance_rays import ellipticity, largest, rays
from benchmarks.conformance_rays import mass_arguments as mass_arguments
from data.files import replacing
from lensjax.light import sersic_b, surface_brightness
from lensjax.reference import converged_points

HERE = Path(__file__).resolve().parent
PRESETS = ("raw_notes", "arclike")
LENSTRONOMY = SersicElliptic()


def light_arguments(source: lj.Sersic) -> tuple[list[str], list[dict]]:
    """lenstronomy's profiles and arguments for a galaxy of unit flux and its knots."""
    n, q, phi, r_eff, x, y = (
        float(v) for v in (source.n, source.q, source.phi, source.r_eff, source.x, source.y)
    )
    e1, e2 = ellipticity(q, phi)
    size = r_eff * np.sqrt(q) * (LENSTRONOMY.b_n(n) / float(sersic_b(n))) ** n
    k = {
        "amp": 1.0,
        "R_sersic": size,
        "n_sersic": n,
        "e1": e1,
        "e2": e2,
        "center_x": x,
        "center_y": y,
    }
    k["amp"] = 1 / LENSTRONOMY.total_flux(**k)
    names, arguments = ["SERSIC_ELLIPSE"], [k]
    clumps = getattr(source, "clumps", None)
    if clumps is not None:
        k["amp"] *= 1 - float(np.sum(clumps.fraction))
        for share, u, v, radius in zip(
            *(np.asarray(a, float) for a in (clumps.fraction, clumps.u, clumps.v, clumps.size))
        ):
            if share > 0:
                cx, cy = (
                    x + r_eff * (np.cos(phi) * u - np.sin(phi) * q * v),
                    y + r_eff * (np.sin(phi) * u + np.cos(phi) * q * v),
                )
                names.append("GAUSSIAN")
                arguments.append(
                    {"amp": share, "sigma": radius * r_eff, "center_x": cx, "center_y": cy}
                )
    return names, arguments


def light(draws: int) -> dict:
    """Sersic profiles of unit flux: brightness at 20 places each, and what lenstronomy's b_n does
    to the half-light radius."""
    r = np.random.default_rng(5)
    p = {
        "r_eff": r.uniform(0.05, 0.5, draws),
        "n": r.uniform(0.5, 4, draws),
        "q": r.uniform(0.2, 1, draws),
        "phi": r.uniform(0, np.pi, draws),
    }
    p |= {"x": r.normal(0, 0.2, draws), "y": r.normal(0, 0.2, draws)}
    p["q"][:20] = 1.0
    at = np.exp(r.uniform(np.log(0.05), np.log(8), (20, draws))) * p["r_eff"] * p["q"]
    angle = r.uniform(0, 2 * np.pi, (20, draws))
    x, y = p["x"] + at * np.cos(angle), p["y"] + at * np.sin(angle)
    ours = np.asarray(surface_brightness(lj.Sersic(1.0, **p), x, y))
    theirs = np.empty_like(ours)
    for i in range(draws):
        _, (k,) = light_arguments(lj.Sersic(1.0, **{name: v[i] for name, v in p.items()}))
        theirs[:, i] = LENSTRONOMY.function(x[:, i], y[:, i], **k)
    exact = gammaincinv(2 * p["n"], 0.5)
    return {
        "brightness, relative": largest(ours / theirs - 1),
        "half-light radius of ours, relative": largest((exact / sersic_b(p["n"])) ** p["n"] - 1),
        "half-light radius of lenstronomy's, relative": largest(
            (exact / LENSTRONOMY.b_n(p["n"])) ** p["n"] - 1
        ),
    }


def scenes(draws: int) -> tuple[lj.Scene, np.ndarray]:
    """A batch of scenes of unit flux, the first half from raw_notes, the other from arclike (which
    has no knots: they get empty ones), and PSF widths (arcsec)."""
    half = draws // 2
    notes, arclike = (lj.priors(name).sample(jax.random.key(0), half) for name in PRESETS)
    fraction = notes.source[0].clumps.fraction
    none = lj.Clumps(*(jnp.full_like(fraction, v) for v in (0.0, 0.0, 0.0, 1.0)))
    plain = lj.ClumpySersic(**vars(arclike.source[0]), clumps=none)
    arclike = replace(arclike, source=plain)
    both = jax.tree.map(
        lambda *leaves: np.concatenate([np.asarray(leaf, float) for leaf in leaves]), notes, arclike
    )
    return replace(
        both, source=replace(both.source[0], flux=np.ones((2 * half, 1)))
    ), np.random.default_rng(0).uniform(0.9, 1.8, 2 * half)


def one(batch: lj.Scene, i: int) -> lj.Scene:
    return jax.tree.map(lambda leaf: leaf[i], batch)


def render(batch: lj.Scene, fwhm: np.ndarray, grid: lj.PixelGrid, tol) -> np.ndarray:
    """Images (n, N, N), 25 at a time."""
    run = jax.jit(jax.vmap(lambda s, f: lj.render(s, grid, lj.Gaussian(f), tol)[..., 0]))
    whole = -(-len(fwhm) // 25) * 25
    every = np.arange(whole) % len(fwhm)
    parts = [
        run(jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf[i]), batch), jnp.asarray(fwhm[i]))
        for i in np.split(every, whole // 25)
    ]
    return np.concatenate(parts)[: len(fwhm)]


def lenstronomy_images(draws: int) -> dict:
    """Worst pixel, as a fraction of the image's peak, between lenstronomy's image and the rule
    "4x4"."""
    grid, worst = lj.PixelGrid(61), []
    batch, fwhm = scenes(draws)
    start = float(grid.axis()[0])
    data = ImageData(
        np.zeros((grid.size, grid.size)),
        ra_at_xy_0=start,
        dec_at_xy_0=start,
        transform_pix2angle=np.eye(2) * grid.scale,
    )
    for i, ours in enumerate(render(batch, fwhm, grid, "4x4")):
        masses, names, arguments = described(one(batch, i))
        t = np.arange(-18, 19) * grid.scale / (fwhm[i] / np.sqrt(8 * np.log(2)))
        kernel = np.exp(-0.5 * (t[:, None] ** 2 + t[None, :] ** 2))
        psf = PSF(psf_type="PIXEL", kernel_point_source=kernel / kernel.sum())
        theirs = ImageModel(
            data,
            psf,
            LensModel(["SIE", "SHEAR"]),
            LightModel(names),
            kwargs_numerics={"supersampling_factor": 4},
        ).image(masses, arguments)
        worst.append(np.abs(ours - theirs).max() / theirs.max())
    return by_preset(worst)


def converged(draws: int, images: int, accuracy: float) -> dict:
    """Errors of `render` at its default tolerance: total flux of every draw, worst pixel over the
    peak of `images` of them."""
    grid, flux, pixel = lj.PixelGrid(101), [], []
    cells = lj.PixelGrid(39, 3 * grid.scale)  # the stamp and 8 pixels around it
    half = 0.5 * grid.size * grid.scale
    batch, fwhm = scenes(draws)
    for i, ours in enumerate(render(batch, fwhm, grid, 1e-3)):
        masses, names, arguments = described(one(batch, i))
        lens, profiles = LensModel(["SIE", "SHEAR"]), LightModel(names)

        def brightness(x, y, known=(lens, masses, profiles, arguments)):
            lens, masses, profiles, arguments = known
            return profiles.surface_brightness(
                *lens.ray_shooting(x.ravel(), y.ravel(), masses), arguments
            ).reshape(x.shape)

        points = converged_points(brightness, cells, margin=0, accuracy=accuracy)
        width = np.sqrt(2) * fwhm[i] / np.sqrt(8 * np.log(2))
        inside = [
            0.5 * (erf((half - c) / width) + erf((half + c) / width)) for c in (points.x, points.y)
        ]  # what the PSF leaves in the stamp
        flux.append(ours.sum() / np.sum(points.flux * inside[0] * inside[1]) - 1)
        if i % (draws // 2) < images // 2:
            theirs = points.convolved(grid, fwhm[i])
            pixel.append(np.abs(ours - theirs).max() / theirs.max())
    return {"flux": by_preset(flux), "pixel": by_preset(pixel)}


def described(scene: lj.Scene) -> tuple[list[dict], list[str], list[dict]]:
    """lenstronomy's arguments of SIE and shear, its light profiles and their arguments."""
    return [mass_arguments(mass) for mass in scene.lens], *light_arguments(scene.source[0])


def by_preset(errors: list[float]) -> dict:
    parts = np.array_split(np.abs(errors), 2)
    quantiles = {"median": 0.5, "99 %": 0.99, "worst": 1.0}
    return {
        p: {"draws": len(e)} | {name: float(np.quantile(e, q)) for name, q in quantiles.items()}
        for p, e in zip(PRESETS, parts)
    }


def table(found: dict) -> list[str]:
    """Markdown."""
    columns = list(next(iter(found["rays"].values())))
    rows = [
        f"Largest difference over {found['draws']} draws each, float64.",
        "",
        "| lens | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    rows += [
        f"| {kind} | "
        + " | ".join("—" if v is None else f"{v:.1e}" for v in numbers.values())
        + " |"
        for kind, numbers in found["rays"].items()
    ]
    rows += ["", "| Sérsic, 0.5 ≤ n ≤ 4, 0.2 ≤ q ≤ 1 | largest difference |", "|---|---|"]
    rows += [f"| {what} | {v:.1e} |" for what, v in found["light"].items()]
    rows += ["", "| image | draws | median | 99 % | worst |", "|---|---|---|---|---|"]
    lines = {
        f'lenstronomy\'s own image, 4×4 rays, against `tol="4x4"`: pixel / peak, `{p}`': v
        for p, v in found["4x4"].items()
    }
    lines |= {
        f"its rays and profiles integrated to convergence, against `render`: pixel / peak, `{p}`": v
        for p, v in found["converged"]["pixel"].items()
    }
    lines |= {f"the same: total flux, `{p}`": v for p, v in found["converged"]["flux"].items()}
    rows += [
        f"| {what} | {v['draws']} | {v['median']:.1e} | {v['99 %']:.1e} | {v['worst']:.1e} |"
        for what, v in lines.items()
    ]
    m = found["machine"]
    return [
        *rows,
        "",
        f"lenstronomy {m['lenstronomy']}, jax {m['jax']}, numpy {m['numpy']}, Python "
        f"{m['python']}; {m['cpu']}; {found['seconds']:.0f} s.",
    ]


def machine() -> dict:
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{p: version(p) for p in ("jax", "numpy", "lenstronomy")},
    }


def written(path: Path, text: str) -> None:
    """Under a temporary name first."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument(
        "--accuracy",
        type=float,
        default=1e-7,
        help="of the converged integrals: largest change a split may make, over the flux",
    )
    parser.add_argument("--out", type=Path, help="JSON only, to this file")
    args = parser.parse_args()
    start = time.perf_counter()
    jax.config.update("jax_enable_x64", True)
    found = {
        "machine": machine(),
        "draws": args.draws,
        "rays": rays(args.draws),
        "light": light(args.draws),
        "4x4": lenstronomy_images(args.images),
    }
    found |= {"converged": converged(args.draws, args.images, args.accuracy)}
    found["seconds"] = time.perf_counter() - start
    if args.out:
        written(args.out, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        return
    written(
        HERE / "results" / "conformance.json",
        json.dumps(found, indent=1, ensure_ascii=False) + "\n",
    )
    page = HERE.parent / "docs" / "conformance.md"
    before, rest = page.read_text().split("<!-- table -->", 1)
    written(
        page,
        before
        + "\n".join(["<!-- table -->", *table(found), "<!-- /table -->"])
        + rest.split("<!-- /table -->", 1)[1],
    )


if __name__ == "__main__":
    main()
