"""What lies in a brick: a table of galaxies, look-alikes of lenses, faint clutter and stars.

Counts per square degree are about five times the sky's for galaxies with z < 20, so that a survey
of a third of a square degree has enough of them. Fainter objects have the sky's density.
Magnitudes, colours and sizes follow the Legacy Surveys DR10: red galaxies have the colours of its
luminous red galaxies between redshift 0.1 and 0.9, and the sizes and type fractions of its
catalogues. Every magnitude is drawn in the bands of `data.simulate.bands.DRAWN`, before dust. Lens
hosts are drawn by the same `red_galaxies`, so nothing but the arc sets them apart.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from data.simulate import shapes
from data.simulate.bands import DRAWN
from data.simulate.shapes import Rows
from data.survey import Survey

KINDS: dict[str, tuple[float, dict[str, float]]] = {
    "red": (0.56, {"SER": 0.57, "DEV": 0.19, "REX": 0.24}),
    "disc": (0.18, {"SER": 0.62, "REX": 0.08, "EXP": 0.30}),
    "compact": (0.11, {"REX": 0.75, "SER": 0.25}),
    "spiral": (0.033, {"SER": 0.9, "DEV": 0.1}),
    "ring": (0.025, {"SER": 0.7, "DEV": 0.3}),
    "edge_on": (0.025, {"SER": 1.0}),
    "clumpy": (0.022, {"SER": 0.7, "REX": 0.3}),
    "large": (0.010, {"SER": 0.6, "DEV": 0.4}),
    "tidal": (0.01, {"SER": 0.5, "DEV": 0.5}),
    "merger": (0.009, {"SER": 0.6, "DEV": 0.25, "REX": 0.15}),
}
"""Kinds of bright galaxies (z < about 20): the share of each, and the shares of the Tractor types
that a fit would give them."""
TYPES = ("PSF", "REX", "EXP", "DEV", "SER", "DUP")
CLUTTER_PER_ARCMIN2 = 13.0
"""Faint galaxies with 20 < z < 23.5 per square arcminute."""
CLUTTER_SLOPE = 0.30
STARS_PER_ARCMIN2 = 2.2
CORE = 4.5
"""Bright galaxies do not lie closer to each other than this (arcsec), save merging ones."""

REDSHIFT = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
G_R = (0.85, 0.95, 1.22, 1.50, 1.66, 1.72, 1.76, 1.80, 1.80, 1.75)
R_Z = (0.62, 0.66, 0.75, 0.85, 0.96, 1.14, 1.36, 1.58, 1.78, 1.95)
"""Observed g - r and r - z of old galaxies at each REDSHIFT, in DECam's filters."""


def counts_law(
    rng: np.random.Generator, n: int, bright: float, faint: float, slope: float
) -> Float[np.ndarray, " n"]:
    """n magnitudes between bright and faint from dN/dm ~ 10^(slope m)."""
    u, low, high = rng.random(n), 10 ** (slope * bright), 10 ** (slope * faint)
    return np.log10(low + u * (high - low)) / slope


def truncated_normal(
    rng: np.random.Generator,
    mean: np.ndarray | float,
    sigma: float,
    low: float,
    high: float,
    n: int,
) -> Float[np.ndarray, " n"]:
    """n draws from a normal distribution cut off at low and high; mean a number or (n,)."""
    from scipy.special import ndtr, ndtri

    a, b = ndtr((low - np.asarray(mean)) / sigma), ndtr((high - np.asarray(mean)) / sigma)
    return mean + sigma * ndtri(a + rng.random(n) * (b - a))


def red_galaxies(rng: np.random.Generator, z_mag: Float[np.ndarray, " n"]) -> pd.DataFrame:
    """Old galaxies of given z magnitude: redshift, DRAWN, r_eff (arcsec), q and phi."""
    n = len(z_mag)
    redshift = np.clip(0.20 + 0.135 * (z_mag - 16.6) + rng.normal(0, 0.11, n), 0.06, 0.88)
    r_z = np.interp(redshift, REDSHIFT, R_Z) + rng.normal(0, 0.07, n)
    g_r = np.interp(redshift, REDSHIFT, G_R) + rng.normal(0, 0.10, n)
    r_eff = np.clip(10 ** (-0.08 - 0.14 * (z_mag - 19.4) + rng.normal(0.0, 0.13, n)), 0.35, 4.0)
    return pd.DataFrame(
        {
            "redshift": redshift,
            "mag_g": z_mag + r_z + g_r,
            "mag_r": z_mag + r_z,
            "mag_z": z_mag,
            "r_eff": r_eff,
            "q": np.clip(1 - np.abs(rng.normal(0, 0.27, n)), 0.4, 1.0),
            "phi": rng.uniform(0, np.pi, n),
        }
    )


def _blue(
    rng: np.random.Generator,
    z_mag: np.ndarray,
    g_r: tuple[float, float],
    r_z: tuple[float, float],
    size: float,
    q: np.ndarray,
) -> pd.DataFrame:
    """Star-forming galaxies of given z magnitude, with the columns of `red_galaxies`.

    Colours are normal (mean, sigma); sizes are log-normal around `size` (arcsec) at z = 19.
    """
    n = len(z_mag)
    rz, gr = rng.normal(*r_z, n), rng.normal(*g_r, n)
    return pd.DataFrame(
        {
            "redshift": rng.uniform(0.03, 0.35, n),
            "mag_g": z_mag + rz + gr,
            "mag_r": z_mag + rz,
            "mag_z": z_mag,
            "r_eff": np.clip(
                size * 10 ** (-0.13 * (z_mag - 19) + rng.normal(0, 0.12, n)), 0.3, 5.0
            ),
            "q": q,
            "phi": rng.uniform(0, np.pi, n),
        }
    )


def _of_kind(kind: str, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """n bright galaxies of one kind: the columns of `red_galaxies` and n, the Sersic index."""
    z = counts_law(rng, n, 16.3, 20.05, 0.48)
    # The axis ratio of a thin disc that is seen from anywhere.
    inclined = np.sqrt(np.clip(rng.random(n) ** 2 * 0.96 + 0.04, 0, 1))
    if kind in ("red", "merger", "tidal"):
        frame = red_galaxies(rng, z if kind != "tidal" else counts_law(rng, n, 16.5, 19.5, 0.3))
        frame["n"] = np.clip(rng.normal(2.9, 0.8, n), 1.5, 6.0)
    elif kind == "large":
        frame = red_galaxies(rng, counts_law(rng, n, 15.8, 18.2, 0.3))
        frame["r_eff"] = rng.uniform(2.0, 4.5, n)
        frame["n"] = rng.uniform(2.5, 5.5, n)
    elif kind == "clumpy":
        frame = _blue(
            rng,
            counts_law(rng, n, 17.8, 20.0, 0.3),
            (0.25, 0.12),
            (0.12, 0.12),
            1.1,
            rng.uniform(0.4, 1, n),
        )
        frame["n"] = rng.uniform(0.6, 1.2, n)
    elif kind == "edge_on":
        frame = _blue(
            rng,
            counts_law(rng, n, 16.8, 20.0, 0.35),
            (0.8, 0.22),
            (0.5, 0.15),
            1.8,
            rng.uniform(0.12, 0.28, n),
        )
        frame["n"] = rng.uniform(0.7, 1.3, n)
    elif kind in ("spiral", "ring"):
        frame = _blue(
            rng,
            counts_law(rng, n, 16.2, 19.4, 0.3),
            (0.8, 0.2),
            (0.5, 0.12),
            1.9 if kind == "spiral" else 1.5,
            rng.uniform(0.55, 1, n),
        )
        frame["n"] = rng.uniform(0.9, 2.5, n) if kind == "spiral" else rng.uniform(2.5, 5.5, n)
    elif kind == "compact":
        frame = _blue(rng, z, (0.9, 0.35), (0.65, 0.25), 0.55, rng.uniform(0.6, 1, n))
        frame["n"] = rng.uniform(0.8, 2.5, n)
    else:
        frame = _blue(rng, z, (0.95, 0.25), (0.62, 0.15), 1.1, np.maximum(inclined, 0.36))
        frame["n"] = rng.uniform(0.8, 1.8, n)
    return frame.assign(kind=kind)


def fitted_types(
    rng: np.random.Generator, frame: pd.DataFrame, types: dict[str, float]
) -> pd.DataFrame:
    """Gives every galaxy the Tractor type of its fit, and the light that goes with it.

    DEV has n = 4 and EXP has n = 1; REX is round and small and has n = 1.
    """
    frame = frame.assign(type=rng.choice(list(types), len(frame), p=list(types.values())))
    frame["n"] = (
        frame["n"].mask(frame["type"] == "DEV", 4.0).mask(frame["type"].isin(["EXP", "REX"]), 1.0)
    )
    rex = frame["type"] == "REX"
    frame["q"], frame["r_eff"] = (
        frame["q"].mask(rex, 1.0),
        frame["r_eff"].mask(rex, np.minimum(frame["r_eff"] * 0.75, 1.0)),
    )
    return frame


def edge(survey: Survey, size: int) -> float:
    """How far (pixels) bright galaxies keep from the edge of the simulated part of a brick.

    All but a few per cent of them have their whole stamp inside it, where it is large enough.
    """
    return min(survey.stamp // 2 + 4, 0.2 * size)


def scatter(
    rng: np.random.Generator,
    n: int,
    size: int,
    margin: float,
    core: float,
    taken: Float[np.ndarray, "k 2"],
) -> Float[np.ndarray, "n 2"]:
    """n pixel positions at least `core` pixels from each other and from `taken`.

    Three per cent of them do not heed the margin to the edge. Where there is no room left, a
    position may lie closer.
    """
    points = [tuple(p) for p in taken]
    for _ in range(n):
        low = 2.0 if rng.random() < 0.03 else margin
        for _ in range(50):
            x, y = rng.uniform(low, size - 1 - low, 2)
            if all((x - px) ** 2 + (y - py) ** 2 > core**2 for px, py in points):
                break
        points.append((x, y))
    return np.asarray(points[len(taken) :]).reshape(-1, 2)


def bright_galaxies(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """n galaxies down to z = 20.05, without positions."""
    shares = np.array([share for share, _ in KINDS.values()])
    number = rng.multinomial(n, shares / shares.sum())
    parts = [
        fitted_types(rng, _of_kind(kind, k, rng), KINDS[kind][1])
        for kind, k in zip(KINDS, number)
        if k
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def companions(survey: Survey, rng: np.random.Generator, mergers: pd.DataFrame) -> pd.DataFrame:
    """A second galaxy of comparable flux, 3 to 6 arcsec from each merging one, with position."""
    n = len(mergers)
    dim, angle = rng.uniform(0.0, 1.0, n), rng.uniform(0, 2 * np.pi, n)
    gap = rng.uniform(3.0, 6.0, n) / survey.pixel_scale
    other = mergers.assign(
        q=rng.uniform(0.5, 1, n),
        phi=rng.uniform(0, np.pi, n),
        x=mergers["x"] + gap * np.cos(angle),
        y=mergers["y"] + gap * np.sin(angle),
    )
    for column in DRAWN:
        other[column] = mergers[column] + dim + rng.normal(0, 0.05, n)
    return other


def clutter_limit(survey: Survey) -> float:
    """The z magnitude to which faint galaxies are drawn: 0.79 mag short of the survey's depth.

    Fainter galaxies than z = 25 are left out of every survey; they take time and show little.
    """
    c = survey.conditions
    return min(float(np.interp(0.5, c.probability, c.m5)) - 0.79, 25.0)


def clutter(survey: Survey, rng: np.random.Generator, area: float, size: int) -> pd.DataFrame:
    """Faint galaxies, anywhere in a brick of `area` square arcminutes and `size` pixels.

    They are most of what any cutout contains.
    """
    limit = clutter_limit(survey)
    bright, known, here = (10 ** (CLUTTER_SLOPE * z) for z in (20.0, 23.5, limit))
    density = CLUTTER_PER_ARCMIN2 * max(here - bright, 0) / (known - bright)
    n = rng.poisson(density * area)
    z = counts_law(rng, n, 20.0, limit, CLUTTER_SLOPE)
    rz, gr = rng.normal(0.65, 0.35, n), rng.normal(0.65, 0.40, n)
    types = rng.choice(["PSF", "REX", "EXP", "DEV", "SER"], n, p=[0.22, 0.50, 0.16, 0.08, 0.04])
    rex = np.isin(types, ["PSF", "REX"])
    return pd.DataFrame(
        {
            "kind": "faint",
            "type": types,
            "redshift": rng.uniform(0.2, 1.5, n),
            "mag_g": z + rz + gr,
            "mag_r": z + rz,
            "mag_z": z,
            "r_eff": np.clip(0.45 * 10 ** (-0.10 * (z - 21.5) + rng.normal(0, 0.2, n)), 0.12, 1.5),
            "q": np.where(rex, 1.0, rng.uniform(0.3, 1.0, n)),
            "phi": rng.uniform(0, np.pi, n),
            "n": np.where(
                types == "DEV", 4.0, np.where(types == "SER", rng.uniform(0.8, 3.0, n), 1.0)
            ),
            "x": rng.uniform(-0.5, size - 0.5, n),
            "y": rng.uniform(-0.5, size - 0.5, n),
        }
    )


def stars(rng: np.random.Generator, area: float, size: int) -> pd.DataFrame:
    """Stars of 12 < z < 22.5 with the colours of dwarfs, in a brick as for `clutter`."""
    n = rng.poisson(STARS_PER_ARCMIN2 * area)
    z = counts_law(rng, n, 12.0, 22.5, 0.16)
    g_r = np.clip(rng.choice([0.5, 1.45], n, p=[0.45, 0.55]) + rng.normal(0, 0.15, n), 0.15, 1.7)
    r_z = (
        0.12
        + 0.42 * g_r
        + np.where(g_r > 1.2, rng.exponential(0.45, n), 0)
        + rng.normal(0, 0.03, n)
    )
    return pd.DataFrame(
        {
            "kind": "star",
            "type": "PSF",
            "redshift": 0.0,
            "mag_g": z + r_z + g_r,
            "mag_r": z + r_z,
            "mag_z": z,
            "r_eff": 0.0,
            "q": 1.0,
            "phi": 0.0,
            "n": 0.0,
            "x": rng.uniform(-0.5, size - 0.5, n),
            "y": rng.uniform(-0.5, size - 0.5, n),
        }
    )


def components(
    frame: pd.DataFrame,
    flux: Float[np.ndarray, "k B"],
    tint: Float[np.ndarray, " B"],
    rng: np.random.Generator,
) -> tuple[Rows, np.ndarray]:
    """Light of every galaxy of the table, point sources and duplicates excluded.

    Returns component rows (see `shapes`) and the table row (int) to which each belongs. `flux`
    (nanomaggies) is what arrives in each band, `tint` the colour of young stars (`shapes.young`).
    """
    rows, owner = [np.empty((0, flux.shape[1] + len(shapes.SHAPE)))], [np.empty(0, int)]
    kinds, types = frame["kind"].to_numpy(str), frame["type"].to_numpy(str)
    r_eff, n, q, phi = (frame[c].to_numpy(float) for c in ("r_eff", "n", "q", "phi"))
    for i in np.flatnonzero(~np.isin(types, ["PSF", "DUP"])):
        structure = shapes.STRUCTURE.get(str(kinds[i]))
        if structure:
            part = structure(flux[i], r_eff[i], q[i], phi[i], tint, rng)
        else:
            part = shapes.sersic(flux[i], r_eff[i], n[i], q[i], phi[i])
        rows.append(part)
        owner.append(np.full(len(part), i))
    return np.concatenate(rows), np.concatenate(owner)
