"""A COOLEST file as a scene."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lensjax.checks import check_value
from lensjax.component import POSITIVE, domain_of
from lensjax.coolest.jsonfile import Node, read_json
from lensjax.coolest.profiles import LIGHTS, MASSES, Values
from lensjax.cosmology import Cosmology
from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.mass import Shear
from lensjax.psf import Gaussian
from lensjax.scene import Scene
from lensjax.units import ZERO_POINT

LARGEST = 4 * 2**20
"""Bytes of a file that is read at most; a model of a hundred profiles has 0.2 MB."""


@dataclass(frozen=True)
class CoolestModel:
    """What a file holds. psf: None where the file has a kernel, or none. z_lens: None without
    masses. cosmology: None where it is not given."""

    scene: Scene
    grid: PixelGrid
    psf: Gaussian | None
    z_lens: float | None
    z_source: float
    cosmology: Cosmology | None


def from_coolest(path: str | Path) -> CoolestModel:
    """Reads a COOLEST file: the point estimates of its profiles, about the middle of its field.

    Light at the redshift of the masses, or nearer, is not lensed. Raises InputError, which names
    the file and the place in it, for what is no such file or is larger than LARGEST, for keys that
    are missing or not known, and for profiles that lensjax does not have.
    """
    known = "mode coordinates_origin cosmology meta likelihoods documentation version"
    top = read_json(Path(path), LARGEST)
    top.object("standard observation instrument lensing_entities", known)
    if top["standard"].value != "COOLEST":
        raise top["standard"].fail("should be 'COOLEST'")
    instrument = top["instrument"].object("pixel_size psf", "name band readout_noise documentation")
    observation = top["observation"].object(
        "pixels mag_zero_point", "noise exposure_time mag_sky_brightness documentation time_stamps"
    )
    grid, middle = _grid(observation["pixels"], instrument["pixel_size"])
    entities = [_Entity.read(node) for node in top["lensing_entities"].list()]
    if not entities:
        raise top["lensing_entities"].fail("is empty")
    masses = [mass for entity in entities for mass in entity.masses]
    z_lens = _one([e for e in entities if e.masses], "masses")
    behind: list[_Entity] = []
    before: list[_Entity] = []
    for entity in entities:
        lensed = z_lens is None or entity.redshift is None or entity.redshift > z_lens
        (behind if lensed else before).extend([entity] if entity.lights else [])
    if not behind:
        raise top["lensing_entities"].fail("no light is behind the masses")
    z_source = _one(behind, "lensed lights")
    if z_source is None:
        raise behind[0].node.fail("redshift is missing")
    unit = 10 ** (0.4 * (ZERO_POINT - _zero_point(observation["mag_zero_point"])))
    lens = tuple(_mass(m, middle) for m in masses)
    # The shear of a file is about the origin of its coordinates, ours is about the middle of the
    # field. The two differ by a constant deflection, which is made up for by moving the source.
    (x, y), shears = middle, [m for m in lens if isinstance(m, Shear)]
    gamma1, gamma2 = (float(sum(getattr(m, g) for m in shears)) for g in ("gamma1", "gamma2"))
    seen = x - gamma1 * x - gamma2 * y, y - gamma2 * x + gamma1 * y
    scene = Scene(
        lens,
        tuple(_light(s, seen, unit) for e in behind for s in e.lights),
        tuple(_light(s, middle, unit) for e in before for s in e.lights),
    )
    cosmology = _cosmology(top["cosmology"]) if "cosmology" in top.value else None
    return CoolestModel(scene, grid, _psf(instrument["psf"]), z_lens, z_source, cosmology)


@dataclass(frozen=True)
class _Entity:
    """A lensing entity: its place in the file, and its profiles as they are, in the coordinates and
    units of the file."""

    node: Node
    redshift: float | None
    masses: list[Any]
    lights: list[Any]

    @classmethod
    def read(cls, node: Node) -> _Entity:
        node.object("type redshift", "name mass_model light_model documentation id")
        kind = node["type"].choice(("Galaxy", "MassField"))
        z = node["redshift"]
        redshift = None if kind == "MassField" and z.value is None else z.number()
        if redshift is not None and redshift <= 0:
            raise z.fail(f"is {redshift:g}: it should be larger than 0")
        found = [
            [_profile(p, known) for p in node[key].list()] if key in node.value else []
            for key, known in (("mass_model", MASSES), ("light_model", LIGHTS))
        ]
        return cls(node, redshift, *found)


def _profile(node: Node, known: Mapping[str, tuple[str, Callable[[Values], Any]]]) -> Any:
    node.object("type parameters", "documentation id")
    names, read = known[node["type"].choice(tuple(known))]
    given = node["parameters"].object(names, "")
    values = {}
    for name in names.split():
        extra = "fixed posterior_stats prior definition_range documentation latex_str units id"
        parameter = given[name].object("point_estimate", extra)
        values[name] = (
            parameter["point_estimate"].object("value", "documentation")["value"].number()
        )
    try:
        component = read(values)
        for part in fields(component):
            value = getattr(component, part.name)
            if not part.metadata.get("static") and value is not None:
                check_value(part.name, value, domain_of(part))
    except (InputError, OverflowError) as error:
        raise node.fail(f"{node['type'].value}: {error}") from None
    return component


def _one(entities: list[_Entity], what: str) -> float | None:
    """The redshift that entities share; None where none has one."""
    found = sorted({e.redshift for e in entities if e.redshift is not None})
    if len(found) > 1:
        raise entities[0].node.fail(
            f"there are {what} at redshifts {found[0]:g} and {found[1]:g}: one is read"
        )
    return found[0] if found else None


def _moved(component: Any, middle: tuple[float, float]) -> dict[str, Any]:
    """Its fields, with the centre as seen from the middle of the field."""
    own = dict(vars(component))
    if "x" in own:
        own |= {"x": own["x"] - middle[0], "y": own["y"] - middle[1]}
    return own


def _mass(mass: Any, middle: tuple[float, float]) -> Any:
    return type(mass)(**_moved(mass, middle))


def _light(light: Any, middle: tuple[float, float], unit: float) -> Any:
    own = _moved(light, middle)
    return type(light)(**{**own, "flux": own["flux"] * unit})


def _grid(pixels: Node, size: Node) -> tuple[PixelGrid, tuple[float, float]]:
    """The stamp, and the coordinates of its middle."""
    pixels.object(
        "field_of_view_x field_of_view_y num_pix_x num_pix_y", "fits_file documentation id"
    )
    scale, counts, middle = size.number(), [], []
    for axis in "xy":
        number, view = pixels[f"num_pix_{axis}"], pixels[f"field_of_view_{axis}"]
        ends = [end.number() for end in view.list()]
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise view.fail("should be two numbers, the smaller one first")
        counts.append(number.number())
        middle.append(0.5 * (ends[0] + ends[1]))
        if not math.isclose(ends[1] - ends[0], counts[-1] * scale, rel_tol=1e-6):
            raise view.fail(f"is not {number.value} pixels of {scale:g} arcsec")
    if counts[0] != counts[1]:
        raise pixels.fail(f"{counts[0]:g} x {counts[1]:g} pixels: a stamp is square")
    whole = int(counts[0]) if counts[0] % 1 == 0 else counts[0]
    try:
        grid = PixelGrid(whole, scale)  # type: ignore[arg-type]  # which refuses parts of pixels
    except InputError as error:
        raise pixels.fail(str(error)) from None
    return grid, (middle[0], middle[1])


def _zero_point(node: Node) -> float:
    found = node.number()
    if abs(found) > 100:
        raise node.fail(f"is {found:g}: it should be between -100 and 100 mag")
    return found


def _psf(node: Node) -> Gaussian | None:
    """A Gaussian; None for a kernel, which lies in another file."""
    if node.value is None:
        return None
    node.object("type", "description documentation pixels fwhm")
    if node["type"].choice(("GaussianPSF", "PixelatedPSF")) != "GaussianPSF":
        return None
    width = node.object("fwhm", "type description documentation")["fwhm"]
    try:
        check_value("fwhm", width.number(), POSITIVE)
    except InputError as error:
        raise node.fail(str(error)) from None
    return Gaussian(width.number())


def _cosmology(node: Node) -> Cosmology | None:
    if node.value is None:
        return None
    node.object("H0 Om0", "astropy_name documentation")
    if "astropy_name" in node.value:
        node["astropy_name"].choice(("FlatLambdaCDM",))
    found = Cosmology(node["H0"].number(), node["Om0"].number())
    try:
        found.comoving_distance(1.0)
    except InputError as error:
        raise node.fail(str(error)) from None
    return found
