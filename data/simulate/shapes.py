"""Light of a mock galaxy as a handful of Sersic components.

There are smooth galaxies, and the ones that people and networks mistake for lenses. Components are
rows of a float array. The first columns are the flux in every band of the survey (nanomaggies); the
last six are SHAPE: the semi-major half-light radius r_eff (arcsec), the Sersic index n, the axis
ratio q, the position angle phi (radians, counter-clockwise from +x) and the offset x, y (arcsec)
from the galaxy's centre. Every function returns rows whose fluxes add up to the flux it was given.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from data.simulate.bands import in_bands
from data.survey import Survey

SHAPE = ("r_eff", "n", "q", "phi", "x", "y")
Rows = Float[np.ndarray, "k B+6"]
Flux = Float[np.ndarray, " B"]


def young(survey: Survey) -> Flux:
    """Magnitudes in each band by which young stars stand out from the disc they are in."""
    return in_bands(survey, np.array([0.45, 0.15, -0.15]))


def sersic(
    flux: Flux,
    r_eff: float,
    n: float,
    q: float = 1.0,
    phi: float = 0.0,
    x: float = 0.0,
    y: float = 0.0,
) -> Rows:
    """One component."""
    return np.array([[*flux, r_eff, n, q, phi, x, y]])


def _tinted(flux: Flux, share: float, tint: Flux) -> Flux:
    """`share` of the flux, brighter by `tint` magnitudes in each band, at most 80 % of any band."""
    return np.minimum(share * flux * 10 ** (0.4 * tint), 0.8 * flux)


def _knots(
    flux: Flux, x: np.ndarray, y: np.ndarray, size: np.ndarray, rng: np.random.Generator
) -> Rows:
    """Round patches of starlight at (x, y) that share `flux` unequally; `size` is r_eff."""
    weight = rng.lognormal(0, 0.4, len(x))
    light = flux * (weight / weight.sum())[:, None]
    one = np.ones(len(x))
    shape = np.stack([size * one, 0.7 * one, one, 0 * one, x, y], axis=1)
    return np.concatenate([light, shape], axis=1)


def _inclined(
    u: Float[np.ndarray, " k"], v: Float[np.ndarray, " k"], q: float, phi: float
) -> tuple[np.ndarray, np.ndarray]:
    """Sky offsets of points (u, v) in a disc seen with axis ratio q, its major axis at phi."""
    c, s = np.cos(phi), np.sin(phi)
    return c * u - s * q * v, s * u + c * q * v


def spiral(
    flux: Flux, r_eff: float, q: float, phi: float, tint: Flux, rng: np.random.Generator
) -> Rows:
    """A red bulge, a disc and two or three bluer arms that wind outwards."""
    arms, bulge = rng.integers(2, 4), rng.uniform(0.12, 0.35)
    light = _tinted(flux, rng.uniform(0.25, 0.42), tint)
    core = _tinted(flux - light, bulge, -0.5 * tint)
    wind, start = rng.uniform(1.8, 3.2), rng.uniform(0, 2 * np.pi)
    sense, knots = rng.choice([-1, 1]), 10
    along = np.tile(np.linspace(0, 1, knots), arms)
    radius = r_eff * (0.6 + 1.6 * along) * rng.lognormal(0, 0.05, along.size)
    angle = start + sense * wind * along + np.repeat(2 * np.pi * np.arange(arms) / arms, knots)
    x, y = _inclined(radius * np.cos(angle), radius * np.sin(angle), q, phi)
    arm = _knots(light, x, y, 0.16 * r_eff * rng.uniform(0.7, 1.3, along.size), rng)
    centre = sersic(core, 0.25 * r_eff, 2.5, max(q, 0.7), phi)
    return np.concatenate([centre, sersic(flux - light - core, r_eff, 1.0, q, phi), arm])


def ring(
    flux: Flux, r_eff: float, q: float, phi: float, tint: Flux, rng: np.random.Generator
) -> Rows:
    """A red bulge inside a patchy blue ring, whole or in part.

    This is the galaxy that looks most like an Einstein ring without being one.
    """
    light = _tinted(flux, rng.uniform(0.20, 0.40), tint)
    radius, extent, knots = 1.5 * r_eff, rng.uniform(0.6, 1.0) * 2 * np.pi, 18
    start = rng.uniform(0, 2 * np.pi)
    angle = start + extent * (np.arange(knots) + rng.uniform(-0.3, 0.3, knots)) / knots
    x, y = _inclined(radius * np.cos(angle), radius * np.sin(angle), q, phi)
    patches = _knots(light, x, y, np.full(knots, 0.2 * radius), rng)
    rest = flux - light
    bulge = sersic(0.6 * rest, 0.6 * r_eff, 3.5, max(q, 0.75), phi)
    return np.concatenate([bulge, sersic(0.4 * rest, 1.3 * r_eff, 1.0, q, phi), patches])


def edge_on(
    flux: Flux, r_eff: float, q: float, phi: float, tint: Flux, rng: np.random.Generator
) -> Rows:
    """A thin disc seen from its edge, with a small bulge."""
    core = _tinted(flux, rng.uniform(0.05, 0.2), -0.5 * tint)
    disc = sersic(flux - core, r_eff, 1.0, q, phi)
    return np.concatenate([disc, sersic(core, 0.3 * r_eff, 2.0, 0.8, phi)])


def clumpy(
    flux: Flux, r_eff: float, q: float, phi: float, tint: Flux, rng: np.random.Generator
) -> Rows:
    """An irregular blue galaxy: three to six bright knots on a faint disc."""
    light = _tinted(flux, rng.uniform(0.45, 0.7), 0.2 * tint)
    knots = rng.integers(3, 7)
    radius, angle = r_eff * rng.uniform(0.2, 1.8, knots), rng.uniform(0, 2 * np.pi, knots)
    x, y = _inclined(radius * np.cos(angle), radius * np.sin(angle), q, phi)
    disc = sersic(flux - light, r_eff, 0.8, q, phi)
    size = r_eff * rng.uniform(0.15, 0.4, knots)
    return np.concatenate([disc, _knots(light, x, y, size, rng)])


def tidal(
    flux: Flux, r_eff: float, q: float, phi: float, tint: Flux, rng: np.random.Generator
) -> Rows:
    """An early-type galaxy with a faint curved tail of its own colour."""
    tail = rng.uniform(0.12, 0.25) * flux
    knots, radius = 10, np.clip(r_eff * rng.uniform(2.0, 3.5), 2.0, 5.0)
    angle = rng.uniform(0, 2 * np.pi) + rng.uniform(0.8, 1.8) * np.linspace(0, 1, knots)
    size = 0.18 * radius * np.linspace(0.7, 1.3, knots)
    rows = _knots(tail, radius * np.cos(angle), radius * np.sin(angle), size, rng)
    return np.concatenate([sersic(flux - tail, r_eff, 4.0, q, phi), rows])


STRUCTURE: dict[str, Callable[..., Rows]] = {
    "spiral": spiral,
    "ring": ring,
    "edge_on": edge_on,
    "clumpy": clumpy,
    "tidal": tidal,
}
"""Galaxies with structure, by kind: (flux, r_eff, q, phi, tint, rng) -> rows. `tint` is `young`."""
