"""A scene as a COOLEST file."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from lensjax.checks import check, check_scene
from lensjax.component import Component
from lensjax.coolest.profiles import WRITTEN
from lensjax.cosmology import FLAT, Cosmology
from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.mass import ConvergenceSheet, Shear
from lensjax.psf import Gaussian
from lensjax.scene import Scene
from lensjax.units import ZERO_POINT

_FIELDS = (Shear, ConvergenceSheet)


def to_coolest(
    scene: Scene,
    grid: PixelGrid,
    psf: Gaussian | None,
    path: str | Path,
    *,
    z_lens: float,
    z_source: float,
    cosmology: Cosmology = FLAT,
    band: str = "",
) -> None:
    """Writes a scene of one band as a COOLEST file (mode MAP), one entity for each component.

    The zero point is that of nanomaggies, so that a flux unit of the file is one nanomaggie. The
    file is whole or absent: it is written under a temporary name and then renamed. Raises
    InputError for what a file cannot hold, named, and for values outside their domains.
    """
    if psf is None:
        check_scene(scene, grid)
    else:
        check(scene, grid, psf)
    cosmology.lensing_ratio(z_lens, z_source)
    if float(cosmology.w0) != -1:
        raise InputError(f"Cosmology w0 = {float(cosmology.w0):g}: a COOLEST file has w0 = -1 only")
    parts: list[tuple[str, float, Component]]
    parts = [("mass_model", z_lens, m) for m in scene.lens]
    parts += [("light_model", z_lens, s) for s in scene.lens_light]
    parts += [("light_model", z_source, s) for s in scene.source]
    half = 0.5 * grid.size * grid.scale
    document = {
        "standard": "COOLEST",
        "mode": "MAP",
        "coordinates_origin": {"ra": "0h0m0.0s", "dec": "0d0m0.0s"},
        "cosmology": {
            "H0": float(cosmology.h0),
            "Om0": float(cosmology.omega_m),
            "astropy_name": "FlatLambdaCDM",
        },
        "instrument": {
            "name": "",
            "band": band,
            "pixel_size": grid.scale,
            "readout_noise": None,
            "psf": _written_psf(psf),
        },
        "observation": {
            "exposure_time": None,
            "mag_sky_brightness": None,
            "mag_zero_point": ZERO_POINT,
            "noise": None,
            "pixels": {
                "field_of_view_x": [-half, half],
                "field_of_view_y": [-half, half],
                "num_pix_x": grid.size,
                "num_pix_y": grid.size,
                "fits_file": {"path": None},
            },
        },
        "lensing_entities": [_entity(i, *part) for i, part in enumerate(parts)],
        "meta": {},
    }
    _write(Path(path), json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n")


def _entity(number: int, role: str, redshift: float, component: Component) -> dict[str, Any]:
    """One component as a lensing entity."""
    kind = type(component)
    if kind not in WRITTEN:
        held = ", ".join(c.__name__ for c in WRITTEN)
        raise InputError(f"a COOLEST file cannot hold {kind.__name__}: it can hold {held}")
    for part in fields(component):
        if np.size(getattr(component, part.name)) != 1:
            raise InputError(
                f"{kind.__name__} {part.name} has shape {np.shape(getattr(component, part.name))}: "
                "a COOLEST file holds one scene in one band"
            )
    name, written = WRITTEN[kind]
    statistics = ("mean", "median", "percentile_16th", "percentile_84th")
    parameters = {
        key: {
            "fixed": False,
            "point_estimate": {"value": float(value)},
            "posterior_stats": dict.fromkeys(statistics),
            "prior": {"type": None},
        }
        for key, value in written(component).items()
    }
    entity = {
        "type": "MassField" if isinstance(component, _FIELDS) else "Galaxy",
        "name": f"{number + 1}: {kind.__name__}",
        "redshift": float(redshift),
        "mass_model": [],
        role: [{"type": name, "parameters": parameters}],
    }
    return entity if entity["type"] == "MassField" else {"light_model": [], **entity}


def _written_psf(psf: Any) -> dict[str, Any] | None:
    if psf is None:
        return None
    if type(psf) is not Gaussian or psf.pixel_integrated:
        raise InputError(
            f"a COOLEST file cannot hold {psf!r}: give Gaussian(fwhm), the pixel in it, or None"
        )
    if np.size(psf.fwhm) != 1:
        raise InputError(f"Gaussian fwhm has shape {np.shape(psf.fwhm)}: a COOLEST file has a band")
    return {"type": "GaussianPSF", "description": None, "fwhm": float(np.squeeze(psf.fwhm))}


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
