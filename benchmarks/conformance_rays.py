"""What benchmarks/conformance.py compares of lenses: rays at random places behind random masses of
every kind, lensjax's and lenstronomy's."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import numpy as np
from astropy.cosmology import FlatLambdaCDM
from lenstronomy.LensModel.lens_model import LensModel

import lensjax as lj
from lensjax.mass import deflection, jacobian, potential

MASSES = {
    "SIE, q = 1": (1.0, 1.0),
    "SIE, 0.5 ≤ q < 1": (0.5, 1.0),
    "SIE, 0.2 ≤ q < 0.5": (0.2, 0.5),
    "SIE, 0.1 ≤ q < 0.2": (0.1, 0.2),
    "EPL, 0.5 ≤ q < 1": (0.5, 1.0),
    "EPL, 0.1 ≤ q < 0.5": (0.1, 0.5),
    "SIE + SIE + shear": (0.5, 1.0),
    "DPIE, 0.5 ≤ q < 1": (0.5, 1.0),
    "DPIE, 0.1 ≤ q < 0.5": (0.1, 0.5),
    "convergence sheet": (1.0, 1.0),
    "DPIEs in three planes": (0.5, 1.0),
}
"""Kinds of lens, and the range of their axis ratios."""

REDSHIFTS, SOURCE = (0.3, 0.5, 0.9), 2.0


def ellipticity(q, phi) -> tuple:
    """lenstronomy's e1, e2."""
    f = (1 - q) / (1 + q)
    return f * np.cos(2 * phi), f * np.sin(2 * phi)


def mass_arguments(mass) -> dict:
    """lenstronomy's arguments for one SIE, EPL or Shear."""
    if isinstance(mass, lj.Shear):
        return {
            "gamma1": float(mass.gamma1),
            "gamma2": float(mass.gamma2),
            "ra_0": 0.0,
            "dec_0": 0.0,
        }
    e1, e2 = ellipticity(float(mass.q), float(mass.phi))
    same = {
        "theta_E": float(mass.theta_e),
        "e1": e1,
        "e2": e2,
        "center_x": float(mass.x),
        "center_y": float(mass.y),
    }
    return same | {"gamma": float(mass.slope)} if isinstance(mass, lj.EPL) else same


def counterparts(mass) -> list[tuple[str, dict]]:
    """lenstronomy's profiles and arguments for one mass: one, or two for a DPIE."""
    if isinstance(mass, lj.ConvergenceSheet):
        place = {"ra_0": float(mass.x), "dec_0": float(mass.y)}
        return [("CONVERGENCE", {"kappa": float(mass.kappa), **place})]
    if not isinstance(mass, lj.DPIE):
        return [(type(mass).__name__.upper(), mass_arguments(mass))]
    rise = float(mass.r_cut / (mass.r_cut - mass.r_core))
    same = mass_arguments(mass)
    return [
        ("NIE", same | {"theta_E": sign * rise * same["theta_E"], "s_scale": float(radius)})
        for sign, radius in ((1, mass.r_core), (-1, mass.r_cut))
    ]


def theirs(parts: tuple) -> tuple[LensModel, list[dict]]:
    """lenstronomy's model of one lens, and its arguments."""
    planes = parts[0].masses if isinstance(parts[0], lj.Planes) else (parts,)
    found = [(z, *c) for z, plane in zip(REDSHIFTS, planes) for m in plane for c in counterparts(m)]
    redshifts, names, arguments = (list(column) for column in zip(*found))
    if len(planes) == 1:
        return LensModel(names), arguments
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a cosmology is given
        model = LensModel(
            names,
            multi_plane=True,
            lens_redshift_list=redshifts,
            z_source=SOURCE,
            cosmo=FlatLambdaCDM(H0=70, Om0=0.3, Tcmb0=0),
        )
    return model, arguments


def masses(kind: str, draws: int, r: np.random.Generator) -> tuple:
    """A tuple of batched masses, and the places to look at: 0.1 to 6 arcsec from the first one's
    centre, 0.3 where there are two."""
    low, high = MASSES[kind]

    def sie(scale):
        shape = r.uniform(low, high, draws) if high > low else np.full(draws, high)
        x, y = r.normal(0, 0.05, (2, draws))
        return {
            "theta_e": scale * r.uniform(0.5, 3, draws),
            "q": shape,
            "phi": r.uniform(0, np.pi, draws),
            "x": x,
            "y": y,
        }

    def dpie(scale):
        return lj.DPIE(
            r_core=r.uniform(0.05, 0.5, draws), r_cut=r.uniform(2, 10, draws), **sie(scale)
        )

    p = sie(1.0)
    nearest = 0.3 if "+" in kind else 0.1
    radius, angle = (
        np.exp(r.uniform(np.log(nearest), np.log(6), draws)),
        r.uniform(0, 2 * np.pi, draws),
    )
    x, y = p["x"] + radius * np.cos(angle), p["y"] + radius * np.sin(angle)
    if kind.startswith("EPL"):
        return (lj.EPL(slope=r.uniform(1.6, 2.4, draws), **p),), x, y
    if "shear" in kind:
        return (lj.SIE(**p), lj.SIE(**sie(0.2)), lj.Shear(*r.normal(0, 0.05, (2, draws)))), x, y
    if kind.startswith("DPIE,"):
        return (dpie(1.0),), x, y
    if kind == "convergence sheet":
        return (lj.ConvergenceSheet(r.normal(0, 0.1, draws), p["x"], p["y"]),), x, y
    if "planes" in kind:
        ratios = lj.Cosmology().plane_ratios(REDSHIFTS, SOURCE)
        planes = tuple((dpie(scale),) for scale in (1.0, 0.3, 0.2))
        return (lj.Planes(planes, tuple(np.full(draws, float(v)) for v in ratios)),), x, y
    return (lj.SIE(**p),), x, y


def rays(draws: int) -> dict[str, dict[str, float | None]]:
    """Largest differences over the draws of every kind of lens; None where there is nothing to
    compare."""
    r, out = np.random.default_rng(3), {}
    for kind in MASSES:
        parts, x, y = masses(kind, draws, r)
        planes = isinstance(parts[0], lj.Planes)
        psi = np.zeros(draws) if planes else potential(parts, x, y) - potential(parts, x + 1, y)
        ours = np.array([*deflection(parts, x, y), psi, *jacobian(parts, x, y)])
        expected = np.empty_like(ours)
        for i in range(draws):
            model, k = theirs(jax.tree.map(lambda leaf, i=i: leaf[i], parts))
            fxx, fxy, fyx, fyy = model.hessian(x[i], y[i], k)
            height = (
                0.0 if planes else -np.diff(model.potential(x[i] + [0, 1], y[i] + [0, 0], k))[0]
            )
            expected[:, i] = [*model.alpha(x[i], y[i], k), height, 1 - fxx, -fxy, -fyx, 1 - fyy]
        out[kind] = _differences(ours, expected, _scale(parts[0]), planes)
    return out


def _scale(mass: Any) -> np.ndarray | float:
    """theta_e of a lens, arcsec; 1 where it has none."""
    first = mass.masses[0][0] if isinstance(mass, lj.Planes) else mass
    return np.asarray(getattr(first, "theta_e", 1.0))


def _differences(ours, expected, scale, planes: bool) -> dict[str, float | None]:
    mu = [1 / (a[3] * a[6] - a[4] * a[5]) for a in (ours, expected)]
    usual = np.abs(mu[1]) < 100  # nearer to a critical curve the difference is one of place
    return {
        "deflection / θ_E": largest(np.hypot(*(ours[:2] - expected[:2])) / scale),
        "potential between two places / θ_E²": None
        if planes
        else largest((ours[2] - expected[2]) / scale**2),
        "Jacobian": largest(ours[3:] - expected[3:]),
        "magnification, relative (−100 < μ < 100)": largest((mu[0] / mu[1] - 1)[usual]),
    }


def largest(difference) -> float:
    return float(np.abs(difference).max())
