"""Every component of lensjax with usual values: what holds for one is tested for all.

A new mass or light profile gets one entry here. `lenstronomy` is its name there, with the arguments
that mean the same.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

import lensjax as lj
from lensjax.component import known
from lensjax.light import Light
from lensjax.mass import Mass


@dataclass(frozen=True)
class Entry:
    """A component, its counterpart in lenstronomy (one profile, or several that add, each with its
    arguments), and values at the edges of its domain."""

    component: Any
    lenstronomy: str | tuple[str, ...]
    arguments: dict[str, Any] | tuple[dict[str, Any], ...]
    edges: tuple[dict[str, float], ...] = ()


def _shape(q: float, phi: float) -> dict[str, float]:
    share = (1 - q) / (1 + q)
    return {"e1": share * np.cos(2 * phi), "e2": share * np.sin(2 * phi)}


CENTRE = {"x": 0.11, "y": -0.07}
THERE = {"center_x": 0.11, "center_y": -0.07}
NFW = lj.NFW(1.2, 3.0, **CENTRE)
_SHARE = 4.0 / (4.0 - 0.3)
"""Of a DPIE with r_core = 0.3 and r_cut = 4: how much stronger the isothermal ellipsoids are whose
difference it is."""
MASSES = {
    "SIE": Entry(
        lj.SIE(1.3, 0.7, 0.4, **CENTRE),
        "SIE",
        {"theta_E": 1.3, **_shape(0.7, 0.4), **THERE},
        ({"q": 1.0}, {"q": 0.1}, {"theta_e": 0.0}),
    ),
    "EPL": Entry(
        lj.EPL(1.3, 2.2, 0.7, 0.4, **CENTRE),
        "EPL",
        {"theta_E": 1.3, "gamma": 2.2, **_shape(0.7, 0.4), **THERE},
        ({"q": 1.0}, {"slope": 2.0}, {"q": 0.1}, {"q": 0.1, "slope": 2.8}, {"theta_e": 0.0}),
    ),
    "NFW": Entry(
        NFW,
        "NFW",
        {"Rs": 3.0, "alpha_Rs": None, **THERE},
        ({"r_s": 1.2}, {"theta_e": 0.0}, {"r_s": 100.0}),
    ),
    "EllipticalNFW": Entry(
        lj.EllipticalNFW(1.2, 3.0, 0.8, 0.4, **CENTRE),
        "NFW_ELLIPSE_POTENTIAL",
        {"Rs": 3.0, "alpha_Rs": None, **_shape(0.8, 0.4), **THERE},
        ({"q": 1.0}, {"r_s": 1.2}, {"theta_e": 0.0}),
    ),
    "DPIE": Entry(
        lj.DPIE(1.3, 0.3, 4.0, 0.7, 0.4, **CENTRE),
        ("NIE", "NIE"),
        tuple(
            {"theta_E": theta_e, "s_scale": radius, **_shape(0.7, 0.4), **THERE}
            for theta_e, radius in ((1.3 * _SHARE, 0.3), (-1.3 * _SHARE, 4.0))
        ),
        (
            *({"q": 1.0}, {"q": 0.1}, {"theta_e": 0.0}, {"r_core": 0.0}, {"r_cut": 1e4}),
            *({"r_cut": 0.3}, {"r_core": 0.0, "q": 0.1, "r_cut": 1e-3}, {"r_core": 0.0, "q": 1.0}),
        ),
    ),
    "DPIE, round": Entry(
        lj.DPIE(1.3, 0.3, 4.0, 1.0, 0.4, **CENTRE),
        "PJAFFE",
        {"sigma0": 1.3 / 0.6, "Ra": 0.3, "Rs": 4.0, **THERE},
    ),
    "Multipole": Entry(
        lj.Multipole(0.03, 0.4, **CENTRE, m=4),
        "MULTIPOLE",
        {"m": 4, "a_m": 0.03, "phi_m": 0.4, **THERE},
        ({"a_m": 0.0}, {"a_m": -0.05}),
    ),
    "Multipole, m = 3": Entry(
        lj.Multipole(0.03, 0.4, **CENTRE, m=3),
        "MULTIPOLE",
        {"m": 3, "a_m": 0.03, "phi_m": 0.4, **THERE},
    ),
    "ConvergenceSheet": Entry(
        lj.ConvergenceSheet(0.04, **CENTRE),
        "CONVERGENCE",
        {"kappa": 0.04, "ra_0": 0.11, "dec_0": -0.07},
        ({"kappa": 0.0}, {"kappa": -0.1}),
    ),
    "Shear": Entry(
        lj.Shear(0.03, -0.02),
        "SHEAR",
        {"gamma1": 0.03, "gamma2": -0.02},
        ({"gamma1": 0.0, "gamma2": 0.0},),
    ),
}

FLUX = np.array([0.6, 1.0])
CLUMPS = lj.Clumps(*(np.array([v]) for v in (0.3, 0.5, -0.4, 0.3)))
IMAGE = np.exp(-0.5 * ((np.mgrid[:24, :20] - 11) ** 2).sum(0) / 9)
LIGHTS: dict[str, Any] = {
    "Sersic": lj.Sersic(FLUX, 0.3, 1.5, 0.6, 0.8, 0.05, 0.02),
    "ClumpySersic": lj.ClumpySersic(FLUX, 0.3, 1.0, 0.6, 0.8, 0.05, 0.02, clumps=CLUMPS),
    "GaussianLight": lj.GaussianLight(FLUX, 0.25, 0.7, 0.3, 0.05, 0.02),
    "GalaxyImage": lj.GalaxyImage(FLUX, IMAGE, 0.05, 0.4, 0.05, 0.02),
}


def missing() -> set[str]:
    """Components of lensjax that have no entry. The inner form of an image needs none, and those of
    several planes are in test_planes.py."""
    ours = {
        name: cls
        for base in (Mass, Light)
        for name, cls in known(base).items()
        if cls.__module__.startswith("lensjax.") and name not in ("SplineImage", "Planes")
    }
    return set(ours) - {type(e.component).__name__ for e in MASSES.values()} - set(LIGHTS)
