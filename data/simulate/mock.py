"""One brick from its name and the seed: what lies in it, its pixels, its catalogue, its lenses, and the truth."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from data.simulate import conditions as observing
from data.simulate import measured, pixels, population, strong
from data.simulate.bricks import PIXEL, Brick, wcs
from data.simulate.conditions import BANDS, Conditions

Role = Literal["", "no_g", "shallow", "hole", "cluster"]
ROLES: tuple[Role, ...] = ("no_g", "shallow", "hole", "cluster")
"""What is wrong with a brick, if anything: no exposure in g; one or two exposures only; a strip without z exposures; a star cluster."""

TRUTH_FLOATS = ("x", "y", "redshift", "mag_g", "mag_r", "mag_z", "r_eff", "n", "q", "phi")
REF = "lensjax simulated survey"


@dataclass(frozen=True)
class Mock:
    """A simulated brick: pixels, sweep rows, one row of truth per object, and its entries in the lens list."""

    coadd: pixels.Coadd
    rows: np.ndarray
    truth: pd.DataFrame
    lenses: pd.DataFrame


def key(seed: int, name: str) -> int:
    """The random key of a brick: the same whatever else is simulated, and in whatever order."""
    return int.from_bytes(hashlib.sha256(f"{seed}_{name}".encode()).digest()[:4], "big")


def conditions_of(rng: np.random.Generator, role: Role) -> Conditions:
    """Conditions of a brick: three exposures or more in every band, except where its role says otherwise."""
    drawn = observing.draw(rng)
    limit = (
        np.array([2, 2, 2])
        if role == "shallow"
        else np.array([0, 40, 40])
        if role == "no_g"
        else np.array([40, 40, 40])
    )
    exposures = np.minimum(np.maximum(drawn.exposures, 3), limit)
    return replace(
        drawn,
        exposures=exposures,
        m5=drawn.m5 + 1.25 * np.log10(np.maximum(exposures, 1) / drawn.exposures),
    )


def contents(rng: np.random.Generator, galaxies: int, lenses: int, size: int) -> pd.DataFrame:
    """Every object of a brick with its pixel position: lenses first, then bright galaxies, companions of merging ones, clutter, stars."""
    hosts, bright = strong.hosts(rng, lenses), population.bright_galaxies(rng, galaxies)
    margin = min(population.EDGE, 0.2 * size)
    placed = pd.concat([f for f in (hosts, bright) if len(f)], ignore_index=True)
    placed[["x", "y"]] = population.scatter(rng, len(placed), size, margin, np.empty((0, 2)))
    area = (size * PIXEL / 60) ** 2
    others = [
        population.companions(rng, placed[placed["kind"] == "merger"]),
        population.clutter(rng, rng.poisson(population.CLUTTER_PER_ARCMIN2 * area), size),
        population.stars(rng, rng.poisson(population.STARS_PER_ARCMIN2 * area), size),
    ]
    frame = pd.concat([placed, *(f for f in others if len(f))], ignore_index=True)
    flat = frame.index[frame["kind"] == "faint"].to_numpy()
    emission = flat[
        rng.random(len(flat)) < 0.01
    ]  # all of their light in lines outside the z band: measured z fluxes scatter around 0
    frame.loc[emission, "mag_z"] = 30.0
    frame.loc[emission, "type"] = "REX"
    twice = frame.index[
        (frame["kind"] == "star") & (frame["mag_r"] < 20) & (rng.random(len(frame)) < 0.03)
    ]
    duplicates = frame.loc[twice].assign(type="DUP", mag_g=99.0, mag_r=99.0, mag_z=99.0)
    return pd.concat([frame, duplicates], ignore_index=True) if len(duplicates) else frame


def mock_brick(
    brick: Brick, size: int, galaxies: int, lenses: int, seed: int, role: Role = ""
) -> Mock:
    """Simulates the central `size` x `size` pixels of a brick with about `galaxies` bright galaxies and `lenses` lenses."""
    base = key(seed, brick.name)
    stream = lambda i: np.random.default_rng([base, i])
    seen = conditions_of(stream(0), role)
    rng = stream(1)
    nexp = np.stack([observing.exposure_map(int(e), size, rng) for e in seen.exposures], -1)
    if role == "hole":
        nexp[:, int(0.55 * size) : int(0.65 * size), 2] = 0
    frame = contents(stream(2), galaxies, lenses, size)
    flux = 10 ** (0.4 * (22.5 - frame[["mag_g", "mag_r", "mag_z"]].to_numpy(float)))
    through = observing.transmission(np.asarray(seen.ebv))
    flux = flux * through
    light = np.zeros((size, size, 3), np.float32)
    rows, owner = population.components(frame, flux, stream(3))
    x, y = frame["x"].to_numpy(float), frame["y"].to_numpy(float)
    pixels.draw_components(light, rows, x[owner], y[owner], seen.psfsize)
    point = np.flatnonzero((frame["type"] == "PSF").to_numpy())
    pixels.draw_stars(light, flux[point], x[point], y[point], seen.psfsize)
    arcs = _arcs(base, frame[:lenses], rows[:lenses], seen, through)
    pixels.paste(
        light, arcs.stamps, np.round(x[:lenses]).astype(int), np.round(y[:lenses]).astype(int)
    )
    coadd = pixels.expose(light, nexp, seen, stream(4))
    if stream(5).random() < 0.5:
        coadd = pixels.with_holes(coadd, stream(6))
    fitted, seen_flux = frame.copy(), flux.copy()
    if lenses:  # the fit of the galaxy takes some of the arc's light and grows by it
        arc_flux = arcs.truth[[f"arc_flux_{b}" for b in BANDS]].to_numpy(float)
        seen_flux[:lenses] += strong.LIGHT_IN_FIT * arc_flux
        fitted.loc[: lenses - 1, "r_eff"] *= 1 + 0.3 * np.minimum(
            arc_flux[:, 1] / flux[:lenses, 1], 0.5
        )
    sky = wcs(brick, size)
    table = measured.measure(
        brick, sky, fitted, seen_flux, coadd, seen, role == "cluster", stream(7)
    )
    truth = _truth(frame, table, arcs.truth, seen)
    return Mock(coadd, table, truth, lens_entries(frame[:lenses], sky, seed, stream(8)))


def _arcs(
    base: int,
    hosts: pd.DataFrame,
    rows: Float[np.ndarray, "k 9"],
    seen: Conditions,
    through: Float[np.ndarray, " 3"],
) -> strong.Arcs:
    """Arcs of the brick's lens galaxies, whose components are `rows`."""
    dx, dy = ((hosts[c] - np.round(hosts[c])).to_numpy(float) * PIXEL for c in ("x", "y"))
    local = np.array(rows)
    local[:, 7], local[:, 8] = dx, dy
    stamps = pixels.render_all(local, seen.psfsize, strong.SIZE)
    return strong.arcs(base, hosts, stamps, dx, dy, through, seen.psfsize, pixels.sky_sigma(seen))


def _truth(
    frame: pd.DataFrame, table: np.ndarray, arcs: pd.DataFrame, seen: Conditions
) -> pd.DataFrame:
    """One row per object; lens and source parameters are NaN where there is no lens."""
    names = table["BRICKNAME"].astype(str)
    ids = [f"{name}_{objid}" for name, objid in zip(names, table["OBJID"])]
    truth = pd.DataFrame(
        {
            "galaxy_id": ids,
            "brickname": names,
            "kind": frame["kind"].to_numpy(str),
            "type": frame["type"].to_numpy(str),
        }
    )
    for column in TRUTH_FLOATS:
        truth[column] = frame[column].to_numpy(float)
    for b, band in enumerate(BANDS):
        truth[f"psfsize_{band}"] = float(seen.psfsize[b])
    for column in strong.TRUTH:
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
    """Rows of the lens list for a brick's lenses: positions off by 0.05 arcsec rms, 8 % confident, one in thirty under another survey's kind of name."""
    ra, dec = (
        sky.all_pix2world(hosts["x"].to_numpy(float), hosts["y"].to_numpy(float), 0)
        if len(hosts)
        else (np.empty(0), np.empty(0))
    )
    n = len(hosts)
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


def unmatched_entries(places: list[Brick], lenses: int, seed: int) -> pd.DataFrame:
    """Entries of the lens list without an object here: candidates near the bricks but outside the simulated parts, others beyond the declination limits,
    and lenses of other surveys anywhere."""
    rng = np.random.default_rng([seed, 1])
    near, beyond, other = (max(round(share * lenses), 2) for share in (0.06, 0.02, 0.10))
    base = [places[i] for i in rng.integers(0, len(places), near)]
    offset = 0.115 * rng.choice(
        [-1, 1], near
    )  # deg, inside the brick, outside the simulated part of any but the largest setting
    ra = np.concatenate([[b.ra for b in base], rng.uniform(0, 360, beyond + other)])
    dec = np.concatenate(
        [
            np.array([b.dec for b in base]) + offset,
            rng.uniform(34, 70, beyond),
            np.degrees(np.arcsin(rng.uniform(-1, 1, other))),
        ]
    )
    name = [
        lens_name(a, d) if i < near + beyond else f"SIMJ{a:08.4f}{d:+08.4f}"
        for i, (a, d) in enumerate(zip(ra, dec))
    ]
    grading = np.where(rng.random(len(ra)) < 0.08, "confident", "probable")
    frame = {
        "name": name,
        "ra": ra,
        "dec": dec,
        "zlens": "not measured",
        "type": "galaxy",
        "grading": grading,
        "ref": f"{REF}, seed {seed}",
    }
    return pd.DataFrame(frame)
