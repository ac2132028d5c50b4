"""Random scenes over the renderer's whole domain, and their converged images.

    python -m benchmarks.domain --scenes 2000 --cache runs/truth     makes the images, on all cores

Every scene is one of `KINDS`; what it is follows from its number alone. The truth is float64 NumPy
code of `lensjax.reference`, some three seconds a scene, and is kept in the cache.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.progress import track
from scipy.optimize import brentq

from data.files import replacing
from lensjax.grid import PixelGrid
from lensjax.reference import Function, converged_points, epl_deflection, sersic, sie_deflection

SIZE = 101
SCALES = (0.03, 0.05, 0.1, 0.168, 0.262, 0.4)
"""Pixels of JWST, HST, Euclid, HSC, DECam and SDSS (arcsec): a scale is part of a compiled
function, so that random ones would each be compiled."""

KINDS = (
    "plain",
    "ring",
    "on the caustic",
    "off centre",
    "two lenses",
    "two sources",
    "small lens",
    "wide PSF",
)


@dataclass(frozen=True)
class Drawn:
    """A scene as numbers. lens: (theta_e, slope, q, phi, x, y) of power laws, slope 2 being an SIE;
    source: (flux, r_eff, n, q, phi, x, y). Angles in arcsec."""

    kind: str
    scale: float
    fwhm: float
    lens: tuple[tuple[float, ...], ...]
    shear: tuple[float, float]
    source: tuple[tuple[float, ...], ...]

    @property
    def grid(self) -> PixelGrid:
        return PixelGrid(SIZE, self.scale)

    def traced(self) -> Function:
        """beta (2, ...) of rays at x, y."""
        bends = []
        for theta_e, slope, q, phi, x0, y0 in self.lens:
            if slope == 2.0:
                bend = partial(sie_deflection, theta_e=theta_e, q=q, phi=phi)
            else:
                bend = epl_deflection(theta_e, slope, q, phi)
            bends.append((bend, x0, y0))
        g1, g2 = self.shear

        def beta(x, y):
            bx, by = x - g1 * x - g2 * y, y - g2 * x + g1 * y
            for bend, x0, y0 in bends:
                ax, ay = bend(x - x0, y - y0)
                bx, by = bx - ax, by - ay
            return bx, by

        return beta

    def brightness(self) -> Function:
        """Brightness of the sources at x, y."""
        traced = self.traced()

        def seen(x, y):
            bx, by = traced(x, y)
            return sum(f * sersic(bx - x0, by - y0, *shape) for f, *shape, x0, y0 in self.source)

        return seen


def draw(number: int, seed: int = 7) -> Drawn:
    """The scene of that number."""
    r = np.random.default_rng([seed, number])
    kind = KINDS[number % len(KINDS)]
    scales = SCALES[:3] if kind == "wide PSF" else SCALES
    scale = float(scales[number // len(KINDS) % len(scales)])
    half = SIZE * scale / 2
    low, high = (8.0, min(30.0, 1.5 / scale)) if kind == "wide PSF" else (1.5, 8.0)
    fwhm = float(np.exp(r.uniform(np.log(low), np.log(high))) * scale)
    top = max(min(6.0, 0.75 * half), 0.12)
    theta_e = float(
        np.exp(r.uniform(np.log(0.1), np.log(min(0.5, top))))
        if kind == "small lens"
        else r.uniform(0.1, top)
    )
    q = float(r.uniform(0.1, 1.0) if r.random() < 0.4 else r.uniform(0.5, 1.0))
    q = float(1 - 0.1 * r.random() ** 2) if kind == "ring" else q
    wide = kind == "off centre"
    x, y = (float(c) for c in (r.uniform(-0.6, 0.6, 2) * half if wide else r.normal(0, 0.05, 2)))
    power_law = r.random() < 0.5 and not kind.startswith("two")
    lens = [(theta_e, float(r.uniform(1.5, 2.5)) if power_law else 2.0, q, _angle(r), x, y)]
    size, turn = abs(r.normal(0, 0.01 if kind == "ring" else 0.06)), r.uniform(0, 2 * np.pi)
    shear = float(size * np.cos(turn)), float(size * np.sin(turn))
    if kind == "two lenses":
        other = theta_e * float(r.uniform(0.1, 0.6)), 2.0, float(r.uniform(0.3, 1)), _angle(r)
        lens.append((*other, x + theta_e * float(r.normal()), y + theta_e * float(r.normal())))
    behind = Drawn(kind, scale, fwhm, tuple(lens), shear, ())
    n = float(r.uniform(0.4, 8) if r.random() < 0.5 else r.uniform(0.5, 2.5))
    source = [(1.0, *_source(behind, n, r))]
    if kind == "two sources":
        source.append((float(r.uniform(0.1, 1)), *_source(behind, float(r.uniform(0.5, 4)), r)))
    return Drawn(kind, scale, fwhm, tuple(lens), shear, tuple(source))


def _angle(r: np.random.Generator) -> float:
    return float(r.uniform(0, np.pi))


def _source(behind: Drawn, n: float, r: np.random.Generator) -> tuple[float, ...]:
    """r_eff, n, q, phi, x, y of a source within theta_e of the lens's centre, on its caustic, or in
    the middle."""
    theta_e, x, y = behind.lens[0][0], *behind.lens[0][-2:]
    r_eff = float(np.exp(r.uniform(np.log(0.02), np.log(0.5))))
    place = r.normal(0, 0.3 * r_eff, 2)
    where = None
    if behind.kind == "on the caustic":
        where = _caustic(behind, r.uniform(0, 2 * np.pi))
    if where is None:
        g1, g2 = behind.shear
        where = np.array([x - g1 * x - g2 * y, y - g2 * x + g1 * y])
        if behind.kind != "ring":
            away, turn = theta_e * np.sqrt(r.random()), r.uniform(0, 2 * np.pi)
            place = away * np.array([np.cos(turn), np.sin(turn)])
    sx, sy = where + place
    return r_eff, n, float(r.uniform(0.2, 1)), _angle(r), float(sx), float(sy)


def _caustic(behind: Drawn, angle: float) -> np.ndarray | None:
    """beta of the outermost critical point in that direction from the lens's centre."""
    beta = behind.traced()
    theta_e, x, y = behind.lens[0][0], *behind.lens[0][-2:]
    h = 1e-5 * theta_e

    def at(radius: float) -> tuple[np.ndarray, np.ndarray]:
        return np.array([x + radius * np.cos(angle)]), np.array([y + radius * np.sin(angle)])

    def determinant(radius: float) -> float:
        px, py = at(radius)
        dx = (np.array(beta(px + h, py)) - np.array(beta(px - h, py)))[:, 0] / (2 * h)
        dy = (np.array(beta(px, py + h)) - np.array(beta(px, py - h)))[:, 0] / (2 * h)
        return float(dx[0] * dy[1] - dx[1] * dy[0])

    radii = np.linspace(0.15 * theta_e, 3 * theta_e, 200)
    signs = np.array([determinant(v) for v in radii])
    (change,) = np.nonzero(signs[1:] * signs[:-1] < 0)
    if not change.size:
        return None
    found = brentq(determinant, radii[change[-1]], radii[change[-1] + 1])
    return np.array(beta(*at(found)))[:, 0]


def truth(number: int, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Converged image (N, N) of a scene, and its flux per pixel before the PSF."""
    path = cache / f"domain_{number}.npz"
    if not path.is_file():
        scene = draw(number)
        margin = int(np.ceil(max(8, 2.5 * scene.fwhm / scene.scale)))
        points = converged_points(scene.brightness(), scene.grid, margin=margin, accuracy=2e-7)
        image, flux = points.convolved(scene.grid, scene.fwhm), points.binned(scene.grid)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, image=image, flux=flux.astype(np.float32))
    with np.load(path, allow_pickle=False) as kept:
        return kept["image"], kept["flux"]


def _make(number: int, cache: Path) -> None:
    truth(number, cache)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--cache", type=Path, default=Path("runs/truth"))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    args = parser.parse_args()
    with ProcessPoolExecutor(args.processes) as pool:
        work = pool.map(partial(_make, cache=args.cache), range(args.scenes))
        for _ in track(work, total=args.scenes, description="converged images"):
            pass


if __name__ == "__main__":
    main()
