"""One brick from its name and the seed: objects, pixels, catalogue, lenses and the truth."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from data.brickgrid import Brick
from data.catalogue import galaxy_id
from data.simulate import conditions as observing
from data.simulate import measured, pixels, population, shapes, strong
from data.simulate.bands import DRAWN, magnitudes
from data.simulate.bricks import wcs
from data.simulate.conditions import Conditions
from data.survey import Survey

Role = Literal["", "band_lost", "shallow", "hole", "cluster", "sharp"]
"""What is special about a brick, if anything: the first band was never exposed, there are only two
exposures, the last band has a strip without exposures, there is a star cluster, or the seeing was
better than anywhere else."""

TRUTH_FLOATS = ("x", "y", "redshift", "r_eff", "n", "q", "phi")
REF = "lensjax simulated survey"


@dataclass(frozen=True)
class Mock:
    """A simulated brick: pixels, sweep rows, a row of truth per object, its lens list."""

    coadd: pixels.Coadd
    rows: np.ndarray
    truth: pd.DataFrame
    lenses: pd.DataFrame


def key(seed: int, name: str) -> int:
    """The random key of a brick: the same whatever else is simulated, and in whatever order."""
    return int.from_bytes(hashlib.sha256(f"{seed}_{name}".encode()).digest()[:4], "big")


def roles(survey: Survey) -> tuple[Role, ...]:
    """The roles that bricks of a survey can have; a survey of one band cannot lose it."""
    lost: tuple[Role, ...] = ("band_lost",) if len(survey.bands) > 1 else ()
    return (*lost, "shallow", "hole", "cluster")


def conditions_of(survey: Survey, rng: np.random.Generator, role: Role) -> Conditions:
    """Conditions of a brick: three exposures or more in every band, but for what its role says."""
    if role == "sharp":
        return observing.sharpest(survey)
    drawn = observing.draw(survey, rng)
    limit = np.full(len(survey.bands), 2 if role == "shallow" else 40)
    if role == "band_lost":
        limit[0] = 0
    exposures = np.minimum(np.maximum(drawn.exposures, 3), limit)
    deeper = 1.25 * np.log10(np.maximum(exposures, 1) / drawn.exposures)
    return replace(drawn, exposures=exposures, m5=drawn.m5 + deeper)


def contents(
    survey: Survey, rng: np.random.Generator, galaxies: int, lenses: int, size: int
) -> pd.DataFrame:
    """Every object of a brick with its pixel position.

    The lenses come first, then bright galaxies, companions of merging ones, clutter and stars. A
    hundredth of the clutter has all of its light in emission lines outside the z band, so that
    measured fluxes there scatter around 0. A few bright stars have a duplicate without flux.
    """
    hosts, bright = strong.hosts(rng, lenses), population.bright_galaxies(rng, galaxies)
    some = [f for f in (hosts, bright) if len(f)]
    placed = pd.concat(some, ignore_index=True) if some else hosts
    margin, core = population.edge(survey, size), survey.pixels(population.CORE)
    placed[["x", "y"]] = population.scatter(rng, len(placed), size, margin, core, np.empty((0, 2)))
    area = (size * survey.pixel_scale / 60) ** 2
    others = [
        population.companions(survey, rng, placed[placed["kind"] == "merger"]),
        population.clutter(survey, rng, area, size),
        population.stars(rng, area, size),
    ]
    frame = pd.concat([placed, *(f for f in others if len(f))], ignore_index=True)
    faint = frame.index[frame["kind"] == "faint"].to_numpy()
    emission = faint[rng.random(len(faint)) < 0.01]
    frame.loc[emission, "mag_z"] = 30.0
    frame.loc[emission, "type"] = "REX"
    star = (frame["kind"] == "star") & (frame["mag_r"] < 20)
    twice = frame.index[star & (rng.random(len(frame)) < 0.03)]
    duplicates = frame.loc[twice].assign(type="DUP", **dict.fromkeys(DRAWN, 99.0))
    return pd.concat([frame, duplicates], ignore_index=True) if len(duplicates) else frame


def mock_brick(
    survey: Survey,
    brick: Brick,
    size: int,
    galaxies: int,
    lenses: int,
    seed: int,
    role: Role = "",
) -> Mock:
    """Simulates the central `size` x `size` pixels of a brick.

    There are `galaxies` bright galaxies, companions of some of them, and `lenses` lenses.
    """
    base = key(seed, brick.name)
    stream = lambda i: np.random.default_rng([base, i])
    seen = conditions_of(survey, stream(0), role)
    rng = stream(1)
    nexp = np.stack(
        [observing.exposure_map(survey, int(e), size, rng) for e in seen.exposures], axis=-1
    )
    if role == "hole":
        nexp[:, int(0.55 * size) : int(0.65 * size), -1] = 0
    frame = contents(survey, stream(2), galaxies, lenses, size)
    through = observing.transmission(survey, np.asarray(seen.ebv))
    flux = 10 ** (0.4 * (22.5 - magnitudes(survey, frame))) * through
    light = np.zeros((size, size, len(survey.bands)), np.float32)
    rows, owner = population.components(frame, flux, shapes.young(survey), stream(3))
    x, y = frame["x"].to_numpy(float), frame["y"].to_numpy(float)
    pixels.draw_components(survey, light, rows, x[owner], y[owner], seen.psfsize)
    point = np.flatnonzero((frame["type"] == "PSF").to_numpy())
    pixels.draw_stars(survey, light, flux[point], x[point], y[point], seen.psfsize)
    arcs = _arcs(survey, base, frame[:lenses], rows[:lenses], seen, through)
    middle = [np.round(v[:lenses]).astype(int) for v in (x, y)]
    pixels.paste(light, arcs.stamps, *middle)
    coadd = pixels.expose(survey, light, nexp, seen, stream(4))
    if stream(5).random() < 0.5:
        coadd = pixels.with_holes(coadd, stream(6))
    fitted, seen_flux = frame.copy(), flux.copy()
    if lenses:  # the fit of the galaxy takes some of the arc's light and grows by it
        arc_flux = arcs.truth[[*survey.per_band("arc_flux")]].to_numpy(float)
        seen_flux[:lenses] += strong.LIGHT_IN_FIT * arc_flux
        share = arc_flux[:, survey.place] / flux[:lenses, survey.place]
        fitted.loc[: lenses - 1, "r_eff"] *= 1 + 0.3 * np.minimum(share, 0.5)
    sky = wcs(survey, brick, size)
    table = measured.measure(
        survey, brick, sky, fitted, seen_flux, coadd, seen, role == "cluster", stream(7)
    )
    truth = _truth(survey, frame, table, arcs.truth, seen)
    return Mock(coadd, table, truth, lens_entries(frame[:lenses], sky, seed, stream(8)))


def _arcs(
    survey: Survey,
    base: int,
    hosts: pd.DataFrame,
    rows: shapes.Rows,
    seen: Conditions,
    through: Float[np.ndarray, " B"],
) -> strong.Arcs:
    """Arcs of the brick's lens galaxies, whose components are `rows`."""
    dx, dy = (
        (hosts[c] - np.round(hosts[c])).to_numpy(float) * survey.pixel_scale for c in ("x", "y")
    )
    local = np.array(rows)
    local[:, -2], local[:, -1] = dx, dy
    stamps = pixels.render_all(survey, local, seen.psfsize, strong.stamp(survey))
    sigma = pixels.sky_sigma(survey, seen)
    return strong.arcs(survey, base, hosts, stamps, dx, dy, through, seen.psfsize, sigma)


def _truth(
    survey: Survey, frame: pd.DataFrame, table: np.ndarray, arcs: pd.DataFrame, seen: Conditions
) -> pd.DataFrame:
    """One row per object; lens and source parameters are NaN where there is no lens."""
    names = table["brickname"].astype(str)
    truth = pd.DataFrame(
        {
            "galaxy_id": galaxy_id(table["release"], names, table["objid"]),
            "brickname": names,
            "kind": frame["kind"].to_numpy(str),
            "type": frame["type"].to_numpy(str),
        }
    )
    for column in TRUTH_FLOATS:
        truth[column] = frame[column].to_numpy(float)
    for name, values in zip(survey.per_band("mag"), magnitudes(survey, frame).T):
        truth[name] = values
    for name, fwhm in zip(survey.per_band("psfsize"), seen.psfsize):
        truth[name] = float(fwhm)
    for column in strong.truth_columns(survey):
        truth[column] = np.nan
        if len(arcs):
            truth.loc[: len(arcs) - 1, column] = arcs[column].to_numpy(float)
    return truth


def lens_name(ra: float, dec: float) -> str:
    """Name in the style of the DESI Legacy Surveys candidates: DESI-RRR.rrrr+DD.dddd."""
    return f"DESI-{ra:08.4f}{dec:+08.4f}"


def lens_entries(
    hosts: pd.DataFrame, sky: Any, seed: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows of the lens list for a brick's lenses.

    Positions are off by 0.05 arcsec rms, 8 % of the lenses are confident, and one in thirty has
    another survey's kind of name.
    """
    n = len(hosts)
    ra, dec = np.empty(0), np.empty(0)
    if n:
        ra, dec = sky.all_pix2world(hosts["x"].to_numpy(float), hosts["y"].to_numpy(float), 0)
    dec = dec + rng.normal(0, 0.05 / np.sqrt(2), n) / 3600
    ra = ra + rng.normal(0, 0.05 / np.sqrt(2), n) / 3600 / np.cos(np.radians(dec))
    other = rng.random(n) < 1 / 30
    measured_z = rng.random(n) < 0.94
    return pd.DataFrame(
        {
            "name": [
                f"SIMJ{a:08.4f}{d:+08.4f}" if o else lens_name(a, d)
                for a, d, o in zip(ra, dec, other)
            ],
            "ra": ra,
            "dec": dec,
            "zlens": [
                f"{z:.3f}" if m else "not measured" for z, m in zip(hosts["redshift"], measured_z)
            ],
            "type": "galaxy",
            "grading": np.where(rng.random(n) < 0.08, "confident", "probable"),
            "ref": f"{REF}, seed {seed}",
        }
    )


def unmatched_entries(survey: Survey, places: list[Brick], lenses: int, seed: int) -> pd.DataFrame:
    """Entries of the lens list without an object here.

    They are candidates near the bricks but outside the simulated parts, others beyond the survey's
    limits of declination, and lenses of other surveys anywhere.
    """
    rng = np.random.default_rng([seed, 1])
    near, beyond, other = (max(round(share * lenses), 2) for share in (0.06, 0.02, 0.10))
    north = survey.catalogue.dec[1] + 2
    beyond = beyond if north < 88 else 0
    base = [places[i] for i in rng.integers(0, len(places), near)]
    # Inside the brick, and outside the simulated part of any but the largest setting (degrees).
    offset = 0.115 * rng.choice([-1, 1], near)
    ra = np.concatenate([[b.ra for b in base], rng.uniform(0, 360, beyond + other)])
    dec = np.concatenate(
        [
            np.array([b.dec for b in base]) + offset,
            rng.uniform(north, max(north, 70), beyond),
            np.degrees(np.arcsin(rng.uniform(-1, 1, other))),
        ]
    )
    name = [
        lens_name(a, d) if i < near + beyond else f"SIMJ{a:08.4f}{d:+08.4f}"
        for i, (a, d) in enumerate(zip(ra, dec))
    ]
    return pd.DataFrame(
        {
            "name": name,
            "ra": ra,
            "dec": dec,
            "zlens": "not measured",
            "type": "galaxy",
            "grading": np.where(rng.random(len(ra)) < 0.08, "confident", "probable"),
            "ref": f"{REF}, seed {seed}",
        }
    )
