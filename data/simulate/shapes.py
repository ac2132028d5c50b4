"""Light of a mock galaxy as a handful of Sersic components: smooth galaxies, and the ones that people and networks mistake for lenses.

Components are rows of a float array, columns COLUMNS: flux in g, r, z (nanomaggies), semi-major half-light radius r_eff (arcsec), Sersic index n,
axis ratio q, position angle phi (radians, counter-clockwise from +x), and the offset x, y (arcsec) from the galaxy's centre. Every function
returns rows whose fluxes add up to the flux it was given.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

COLUMNS = ("flux_g", "flux_r", "flux_z", "r_eff", "n", "q", "phi", "x", "y")
Rows = Float[np.ndarray, "k 9"]
BLUER = np.array(
    [0.45, 0.15, -0.15]
)  # mag in g, r, z by which young stars stand out from the disc they are in


def sersic(
    flux: Float[np.ndarray, " 3"],
    r_eff: float,
    n: float,
    q: float = 1.0,
    phi: float = 0.0,
    x: float = 0.0,
    y: float = 0.0,
) -> Rows:
    """One component."""
    return np.array([[*flux, r_eff, n, q, phi, x, y]])


def _tinted(
    flux: Float[np.ndarray, " 3"], share: float, tint: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, " 3"]:
    """`share` of the flux, made bluer (tint > 0 in g, in magnitudes), never more than 80 % of any band."""
    return np.minimum(share * flux * 10 ** (0.4 * tint), 0.8 * flux)


def _knots(
    flux: Float[np.ndarray, " 3"],
    x: np.ndarray,
    y: np.ndarray,
    size: np.ndarray,
    rng: np.random.Generator,
) -> Rows:
    """Round patches of starlight at (x, y) with half-light radii `size`, of unequal brightness, sharing `flux`."""
    weight = rng.lognormal(0, 0.4, len(x))
    rows = np.zeros((len(x), len(COLUMNS)))
    rows[:, :3] = flux * (weight / weight.sum())[:, None]
    rows[:, 3], rows[:, 4], rows[:, 5], rows[:, 7], rows[:, 8] = size, 0.7, 1.0, x, y
    return rows


def _inclined(
    u: Float[np.ndarray, " k"], v: Float[np.ndarray, " k"], q: float, phi: float
) -> tuple[np.ndarray, np.ndarray]:
    """Sky offsets of points (u, v) in a disc seen with axis ratio q, its major axis at phi."""
    c, s = np.cos(phi), np.sin(phi)
    return c * u - s * q * v, s * u + c * q * v


def spiral(
    flux: Float[np.ndarray, " 3"], r_eff: float, q: float, phi: float, rng: np.random.Generator
) -> Rows:
    """A red bulge, a disc and two or three bluer arms that wind outwards."""
    arms, bulge = rng.integers(2, 4), rng.uniform(0.12, 0.35)
    light = _tinted(flux, rng.uniform(0.25, 0.42), BLUER)
    core = _tinted(flux - light, bulge, -0.5 * BLUER)
    wind, start, sense, knots = (
        rng.uniform(1.8, 3.2),
        rng.uniform(0, 2 * np.pi),
        rng.choice([-1, 1]),
        10,
    )
    along = np.tile(np.linspace(0, 1, knots), arms)
    radius = r_eff * (0.6 + 1.6 * along) * rng.lognormal(0, 0.05, along.size)
    angle = start + sense * wind * along + np.repeat(2 * np.pi * np.arange(arms) / arms, knots)
    x, y = _inclined(radius * np.cos(angle), radius * np.sin(angle), q, phi)
    arm = _knots(light, x, y, 0.16 * r_eff * rng.uniform(0.7, 1.3, along.size), rng)
    return np.concatenate(
        [
            sersic(core, 0.25 * r_eff, 2.5, max(q, 0.7), phi),
            sersic(flux - light - core, r_eff, 1.0, q, phi),
            arm,
        ]
    )


def ring(
    flux: Float[np.ndarray, " 3"], r_eff: float, q: float, phi: float, rng: np.random.Generator
) -> Rows:
    """A red bulge inside a patchy blue ring, whole or in part: the nearest thing to an Einstein ring that is not one."""
    light = _tinted(flux, rng.uniform(0.20, 0.40), BLUER)
    radius, extent, knots = 1.5 * r_eff, rng.uniform(0.6, 1.0) * 2 * np.pi, 18
    angle = (
        rng.uniform(0, 2 * np.pi)
        + extent * (np.arange(knots) + rng.uniform(-0.3, 0.3, knots)) / knots
    )
    x, y = _inclined(radius * np.cos(angle), radius * np.sin(angle), q, phi)
    patches = _knots(light, x, y, np.full(knots, 0.2 * radius), rng)
    rest = flux - light
    return np.concatenate(
        [
            sersic(0.6 * rest, 0.6 * r_eff, 3.5, max(q, 0.75), phi),
            sersic(0.4 * rest, 1.3 * r_eff, 1.0, q, phi),
            patches,
        ]
    )


def edge_on(
    flux: Float[np.ndarray, " 3"], r_eff: float, q: float, phi: float, rng: np.random.Generator
) -> Rows:
    """A thin disc seen from its edge, with a small bulge."""
    core = _tinted(flux, rng.uniform(0.05, 0.2), -0.5 * BLUER)
    return np.concatenate(
        [sersic(flux - core, r_eff, 1.0, q, phi), sersic(core, 0.3 * r_eff, 2.0, 0.8, phi)]
    )


def clumpy(
    flux: Float[np.ndarray, " 3"], r_eff: float, q: float, phi: float, rng: np.random.Generator
) -> Rows:
    """An irregular blue galaxy: three to six bright knots on a faint disc."""
    light = _tinted(flux, rng.uniform(0.45, 0.7), 0.2 * BLUER)
    knots = rng.integers(3, 7)
    radius, angle = r_eff * rng.uniform(0.2, 1.8, knots), rng.uniform(0, 2 * np.pi, knots)
    x, y = _inclined(radius * np.cos(angle), radius * np.sin(angle), q, phi)
    return np.concatenate(
        [
            sersic(flux - light, r_eff, 0.8, q, phi),
            _knots(light, x, y, r_eff * rng.uniform(0.15, 0.4, knots), rng),
        ]
    )


def tidal(
    flux: Float[np.ndarray, " 3"], r_eff: float, q: float, phi: float, rng: np.random.Generator
) -> Rows:
    """An early-type galaxy with a faint curved tail of its own colour."""
    tail = rng.uniform(0.12, 0.25) * flux
    knots, radius = 10, np.clip(r_eff * rng.uniform(2.0, 3.5), 2.0, 5.0)
    angle = rng.uniform(0, 2 * np.pi) + rng.uniform(0.8, 1.8) * np.linspace(0, 1, knots)
    rows = _knots(
        tail,
        radius * np.cos(angle),
        radius * np.sin(angle),
        0.18 * radius * np.linspace(0.7, 1.3, knots),
        rng,
    )
    return np.concatenate([sersic(flux - tail, r_eff, 4.0, q, phi), rows])


STRUCTURE: dict[str, Callable[..., Rows]] = {
    "spiral": spiral,
    "ring": ring,
    "edge_on": edge_on,
    "clumpy": clumpy,
    "tidal": tidal,
}
