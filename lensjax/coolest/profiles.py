"""Profiles of the standard and ours, each as the other: conventions of angles, radii and fluxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from lensjax.checks import check_value
from lensjax.component import domain_of
from lensjax.errors import InputError
from lensjax.light import Sersic
from lensjax.light.sersic import sersic_b
from lensjax.mass import DPIE, EPL, SIE, ConvergenceSheet, Shear

Values = Mapping[str, float]
"""Parameters of a profile of the standard, by name."""


def _angle(phi: Any) -> float:
    """Degrees from +y, in (-90, 90], of radians from +x."""
    return 90 - (180 - math.degrees(float(phi))) % 180


def _radians(degrees: float) -> float:
    return math.radians(degrees + 90)


def _shape(component: Any) -> dict[str, Any]:
    return {
        "q": component.q,
        "phi": _angle(component.phi),
        "center_x": component.x,
        "center_y": component.y,
    }


def _place(values: Values) -> dict[str, Any]:
    return {"x": values["center_x"], "y": values["center_y"]}


def _axes(values: Values) -> dict[str, Any]:
    return {"q": values["q"], "phi": _radians(values["phi"]), **_place(values)}


def _written_shear(shear: Shear) -> dict[str, Any]:
    gamma1, gamma2 = float(shear.gamma1), float(shear.gamma2)
    return {
        "gamma_ext": math.hypot(gamma1, gamma2),
        "phi_ext": _angle(0.5 * math.atan2(gamma2, gamma1)),
    }


def _read_shear(values: Values) -> Shear:
    size, twice = values["gamma_ext"], 2 * _radians(values["phi_ext"])
    return Shear(size * math.cos(twice), size * math.sin(twice))


def _written_sheet(sheet: ConvergenceSheet) -> dict[str, Any]:
    if float(sheet.x) or float(sheet.y):
        raise InputError(
            f"ConvergenceSheet x, y = {float(sheet.x):g}, {float(sheet.y):g}: in a COOLEST file it "
            "is about the origin"
        )
    return {"kappa_s": sheet.kappa}


def _written_dpie(mass: DPIE) -> dict[str, Any]:
    core, cut = float(mass.r_core), float(mass.r_cut)
    if core == cut:
        raise InputError(f"DPIE r_core = r_cut = {cut:g}: a Chameleon needs two radii")
    b = float(mass.theta_e) * cut / abs(cut - core)
    return {"b": b, "s_c": min(core, cut), "s_t": max(core, cut), **_shape(mass)}


def _read_dpie(values: Values) -> DPIE:
    core, cut = values["s_c"], values["s_t"]
    share = (cut - core) / cut if cut else 0.0
    return DPIE(values["b"] * share, core, cut, **_axes(values))


def _written_sersic(light: Sersic) -> dict[str, Any]:
    n, q, flux = float(light.n), float(light.q), float(np.squeeze(light.flux))
    theirs = _linear_b(n)
    radius = float(light.r_eff) * math.sqrt(q) * (theirs / _b(n)) ** n
    return {"I_eff": flux / _area(n, radius), "theta_eff": radius, "n": n, **_shape(light)}


def _read_sersic(values: Values) -> Sersic:
    n, q, radius = values["n"], values["q"], values["theta_eff"]
    check_value("n", n, domain_of(Sersic.__dataclass_fields__["n"]))
    flux = values["I_eff"] * _area(n, radius)
    check_value("q", q, domain_of(Sersic.__dataclass_fields__["q"]))
    return Sersic(flux, radius / math.sqrt(q) * (_b(n) / _linear_b(n)) ** n, n, **_axes(values))


def _area(n: float, radius: float) -> float:
    """Flux of a Sersic profile over I_eff, arcsec^2: Graham & Driver 2005, equation 4. The axis
    ratio is not in it: the standard's ellipses keep their area. (Its page on light profiles has a q
    in the total magnitude, which does not fit the profile above it.)"""
    b = _linear_b(n)
    return 2 * math.pi * n * radius**2 * math.exp(b + math.lgamma(2 * n) - 2 * n * math.log(b))


def _linear_b(n: float) -> float:
    """b_n of the standard (Capaccioli 1989)."""
    return 1.9992 * n - 0.3271


def _b(n: float) -> float:
    with jax.enable_x64(True):
        return float(sersic_b(n))


_ELLIPSE = "q phi center_x center_y"
WRITTEN: dict[type, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    SIE: ("SIE", lambda m: {"theta_E": m.theta_e, **_shape(m)}),
    EPL: ("PEMD", lambda m: {"theta_E": m.theta_e, "gamma": m.slope, **_shape(m)}),
    DPIE: ("Chameleon", _written_dpie),
    Shear: ("ExternalShear", _written_shear),
    ConvergenceSheet: ("ConvergenceSheet", _written_sheet),
    Sersic: ("Sersic", _written_sersic),
}
MASSES: dict[str, tuple[str, Callable[[Values], Any]]] = {
    "SIE": (f"theta_E {_ELLIPSE}", lambda v: SIE(v["theta_E"], **_axes(v))),
    "PEMD": (f"theta_E gamma {_ELLIPSE}", lambda v: EPL(v["theta_E"], v["gamma"], **_axes(v))),
    "Chameleon": (f"b s_c s_t {_ELLIPSE}", _read_dpie),
    "ExternalShear": ("gamma_ext phi_ext", _read_shear),
    "ConvergenceSheet": ("kappa_s", lambda v: ConvergenceSheet(v["kappa_s"])),
}
LIGHTS: dict[str, tuple[str, Callable[[Values], Any]]] = {
    "Sersic": (f"I_eff theta_eff n {_ELLIPSE}", _read_sersic),
}
