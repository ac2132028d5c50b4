"""What a catalogue would say of the mock objects, in the columns of a sweep file.

There are noisy fluxes and shapes, depths, exposures and masks. The names, types and order of the
columns are those of the Legacy Surveys DR10 (south), with one column per band of the survey. WISE
and most Gaia columns are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

import lensjax as lj
from data.brickgrid import Brick
from data.catalogue import file_name
from data.simulate.conditions import Conditions, transmission
from data.simulate.pixels import Coadd, kernel, psf_of, render_all
from data.simulate.shapes import sersic
from data.survey import Survey
from lensjax.photometry import ZERO_POINT

RELEASE = 10000
_OBJECT = [
    ("release", ">i2"),
    ("brickid", ">i4"),
    ("brickname", "S8"),
    ("objid", ">i4"),
    ("type", "S3"),
    ("ra", ">f8"),
    ("dec", ">f8"),
    ("ra_ivar", ">f4"),
    ("dec_ivar", ">f4"),
    ("ebv", ">f4"),
]
_PER_BAND = [
    ("flux", ">f4"),
    ("flux_ivar", ">f4"),
    ("mw_transmission", ">f4"),
    ("nobs", ">i2"),
    ("fracflux", ">f4"),
    ("fracmasked", ">f4"),
    ("fracin", ">f4"),
    ("anymask", ">i2"),
    ("allmask", ">i2"),
    ("psfsize", ">f4"),
    ("psfdepth", ">f4"),
    ("galdepth", ">f4"),
]
_SHAPE = [
    ("ref_cat", "S2"),
    ("gaia_phot_g_mean_mag", ">f4"),
    ("maskbits", ">i4"),
    ("fitbits", ">i2"),
    ("sersic", ">f4"),
    ("sersic_ivar", ">f4"),
    ("shape_r", ">f4"),
    ("shape_r_ivar", ">f4"),
    ("shape_e1", ">f4"),
    ("shape_e1_ivar", ">f4"),
    ("shape_e2", ">f4"),
    ("shape_e2_ivar", ">f4"),
]


def dtype(survey: Survey) -> np.dtype:
    """Names (of this project, see `as_file`) and types of the columns of a sweep file."""
    per_band = [(f"{c}_{b}", t) for c, t in _PER_BAND for b in survey.bands]
    return np.dtype([*_OBJECT, *per_band, *_SHAPE])


def as_file(survey: Survey, rows: np.ndarray) -> np.ndarray:
    """The rows with the column names and the flux unit of the survey's catalogue."""
    out = rows.copy()
    factor = 10 ** (0.4 * (survey.catalogue.zero_point - ZERO_POINT))
    power = {"flux": 1, "flux_ivar": -2, "psfdepth": -2, "galdepth": -2}
    for name in survey.per_band(*power) if factor != 1 else ():
        out[name] *= factor ** power[name.rsplit("_", 1)[0]]
    out.dtype.names = tuple(file_name(survey, name) for name in out.dtype.names or ())
    return out


def lost_bits(survey: Survey, band: str) -> int:
    """The bits of maskbits that are set where a band has no valid pixel, as one number.

    They are ALLMASK_<BAND> where the survey has one for each band, else ALLMASK; none otherwise.
    """
    bits = survey.catalogue.mask_bits
    bit = bits.get(f"ALLMASK_{band.upper()}", bits.get("ALLMASK"))
    return 0 if bit is None else 1 << bit


def galaxy_depth_ratio(survey: Survey, psfsize: Float[np.ndarray, " B"]) -> Float[np.ndarray, " B"]:
    """galdepth / psfdepth, per band.

    This is sum(profile^2) of a round exponential with a half-light radius of 0.45 arcsec over that
    of a point source, both seen with the PSF.
    """
    size = survey.stamp | 1
    one = sersic(np.ones(len(psfsize)), 0.45, 1.0)
    galaxy = render_all(survey, one, psfsize, size)[0]
    psf, grid = psf_of(survey, psfsize), lj.PixelGrid(size, survey.pixel_scale)
    point = np.asarray(kernel(psf, grid), np.float64)
    return np.sum(galaxy**2, (0, 1)) / np.sum(point**2, (1, 2))


def star_radius(mag: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Radius (arcsec) that the Legacy Surveys mask around a star of magnitude G.

    It is 1630 x 1.396^-G, and at most a minute.
    """
    return np.minimum(1630 * 1.396 ** -np.asarray(mag), 60)


def maskbits(survey: Survey, frame: pd.DataFrame, coadd: Coadd, cluster: bool) -> np.ndarray:
    """The mask bits of every object, of those that the survey knows by name.

    Set are BRIGHT and MEDIUM near stars, GALAXY in large galaxies, CLUSTER in a star cluster (when
    the brick has one) and ALLMASK on pixels that were lost.
    """
    x, y = frame["x"].to_numpy(float), frame["y"].to_numpy(float)
    bits, known = np.zeros(len(frame), np.int64), survey.catalogue.mask_bits

    def mark(cx: float, cy: float, radius: float, name: str) -> None:
        if name in known:
            bits[np.hypot(x - cx, y - cy) * survey.pixel_scale < radius] |= 1 << known[name]

    kind = frame["kind"].to_numpy(str)
    mag, r_eff = frame["mag_r"].to_numpy(float), frame["r_eff"].to_numpy(float)
    for i in np.flatnonzero((kind == "star") & (mag < 16)):
        mark(x[i], y[i], float(star_radius(mag[i])), "BRIGHT" if mag[i] < 13 else "MEDIUM")
    for i in np.flatnonzero((kind == "large") & (mag < 17.2)):
        mark(x[i], y[i], 3 * r_eff[i], "GALAXY")
    n = coadd.image.shape[0]
    if cluster:
        mark(0.3 * n, 0.7 * n, 0.05 * n * survey.pixel_scale, "CLUSTER")
    row, column = _own_pixel(y, n), _own_pixel(x, n)
    for b, band in enumerate(survey.bands):
        lost = (coadd.invvar[row, column, b] == 0) & (coadd.nexp[row, column, b] > 0)
        bits[lost] |= lost_bits(survey, band)
    return bits


def _own_pixel(position: Float[np.ndarray, " k"], n: int) -> Int[np.ndarray, " k"]:
    """Pixel of an n pixels wide image that lies nearest to a coordinate."""
    return np.clip(np.round(position).astype(int), 0, n - 1)


def _contamination(
    survey: Survey,
    x: np.ndarray,
    y: np.ndarray,
    flux: Float[np.ndarray, "k B"],
    psfsize: Float[np.ndarray, " B"],
) -> Float[np.ndarray, "k B"]:
    """Flux of neighbours within 6 arcsec that falls on an object, as a fraction of its own."""
    from scipy.spatial import cKDTree

    scale = survey.pixel_scale
    pairs = cKDTree(np.stack([x, y], 1)).query_pairs(6 / scale, output_type="ndarray")
    total = np.zeros_like(flux)
    if len(pairs):
        i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
        distance = np.hypot(x[i] - x[j], y[i] - y[j])[:, None] * scale
        np.add.at(total, i, flux[j] * np.exp(-4 * np.log(2) * (distance / psfsize) ** 2 / 2))
    return np.where(flux > 0, total / np.maximum(flux, 1e-6), 0)


def measure(
    survey: Survey,
    brick: Brick,
    wcs: Any,
    frame: pd.DataFrame,
    flux: Float[np.ndarray, "k B"],
    coadd: Coadd,
    conditions: Conditions,
    cluster: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Sweep rows (a structured array of `dtype`) of a brick's objects.

    `flux` is what lies in the image, nanomaggies. OBJID counts the rows. The noise of a flux
    follows from the depth at the object and from its size, that of sizes and ellipticities from the
    flux's. A band without exposures has flux, inverse variance, PSF size and depths of 0, as in the
    Legacy Surveys.
    """
    k, n = len(frame), coadd.image.shape[0]
    out = np.zeros(k, dtype(survey))
    x, y, q, r_eff = (frame[c].to_numpy(float) for c in ("x", "y", "q", "r_eff"))
    kind, types = frame["kind"].to_numpy(str), frame["type"].to_numpy(str)
    nobs = coadd.nexp[_own_pixel(y, n), _own_pixel(x, n)].astype(int)
    share = nobs / np.maximum(conditions.exposures, 1)
    psfdepth = 25 / 10 ** (0.8 * (22.5 - conditions.m5)) * share
    ratio = galaxy_depth_ratio(survey, conditions.psfsize)
    extent = (1 / ratio - 1) / 0.45**2  # a galaxy covers 1 + extent q r^2 times the area of the PSF
    ivar = psfdepth / (1 + extent * (q * r_eff**2)[:, None])
    seen = nobs > 0
    sigma = np.where(seen, 1 / np.sqrt(np.maximum(ivar, 1e-12)), 0)
    measured = np.where(seen, flux + sigma * rng.standard_normal(flux.shape), 0)
    measured[types == "DUP"] = 0
    snr = np.sqrt(np.sum(np.where(seen, flux / np.maximum(sigma, 1e-12), 0) ** 2, 1))
    width = conditions.psfsize[survey.place] / 2.35
    centroid = np.minimum(width / np.maximum(snr, 3), 0.3)
    ra, dec = wcs.all_pix2world(x, y, 0)
    out["ra"] = ra + rng.normal(0, 1, k) * centroid / 3600 / np.cos(np.radians(dec))
    out["dec"] = dec + rng.normal(0, 1, k) * centroid / 3600
    out["ra_ivar"] = (np.cos(np.radians(dec)) * 3600 / centroid) ** 2
    out["dec_ivar"] = (3600 / centroid) ** 2
    out["release"], out["brickid"], out["brickname"] = RELEASE, brick.brickid, brick.name
    out["objid"], out["type"], out["ebv"] = np.arange(k), types, conditions.ebv
    through = transmission(survey, np.asarray(conditions.ebv))
    fraction = _contamination(survey, x, y, flux, conditions.psfsize)
    bits = maskbits(survey, frame, coadd, cluster)
    out["maskbits"] = bits
    for b, band in enumerate(survey.bands):
        lost = (bits & lost_bits(survey, band)) > 0
        values = {
            "flux": measured[:, b],
            "flux_ivar": np.where(seen, ivar, 0)[:, b],
            "mw_transmission": through[b],
            "nobs": nobs[:, b],
            "fracflux": fraction[:, b],
            "fracmasked": lost,
            "fracin": seen[:, b],
            "anymask": lost,
            "allmask": lost,
            "psfsize": np.where(seen[:, b], conditions.psfsize[b], 0),
            "psfdepth": psfdepth[:, b],
            "galdepth": psfdepth[:, b] * ratio[b],
        }
        for column, value in values.items():
            out[f"{column}_{band}"] = value
    star = (kind == "star") & (frame["mag_r"].to_numpy() < 20.5)
    out["ref_cat"] = np.where(star, "GE", "")
    out["gaia_phot_g_mean_mag"] = np.where(star, frame["mag_r"], 0)
    _shapes(out, frame, types, np.maximum(snr, 3), rng)
    return out


def _shapes(
    out: np.ndarray,
    frame: pd.DataFrame,
    types: np.ndarray,
    snr: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Sizes, ellipticities and Sersic indices, each with noise.

    e1 + i e2 = (1 - q)/(1 + q) exp(2 i PA), with the position angle PA from north to east. +x is
    west and +y is north, so PA is phi - 90 degrees.
    """
    k, galaxy = len(out), np.isin(types, ["REX", "EXP", "DEV", "SER"])
    elliptical = np.isin(types, ["EXP", "DEV", "SER"])
    error = np.clip(1.5 / snr, 0.002, 0.3)
    q, r_eff, n = (frame[c].to_numpy(float) for c in ("q", "r_eff", "n"))
    angle = 2 * (frame["phi"].to_numpy(float) - np.pi / 2)
    e = (1 - q) / (1 + q)
    radius = r_eff * np.exp(error * rng.standard_normal(k))
    out["shape_r"] = np.where(galaxy, radius, 0)
    out["shape_r_ivar"] = np.where(galaxy, 1 / (r_eff * error + 1e-3) ** 2, 0)
    for name, value in (("e1", e * np.cos(angle)), ("e2", e * np.sin(angle))):
        noisy = np.clip(value + error * rng.standard_normal(k), -0.95, 0.95)
        out[f"shape_{name}"] = np.where(elliptical, noisy, 0)
        out[f"shape_{name}_ivar"] = np.where(elliptical, 1 / error**2, 0)
    fitted = np.clip(n * np.exp(2 * error * rng.standard_normal(k)), 0.5, 6.0)
    fixed = np.select([types == "DEV", galaxy], [4.0, 1.0], 0.0)
    out["sersic"] = np.where(types == "SER", fitted, fixed)
    out["sersic_ivar"] = np.where(types == "SER", 1 / (2 * n * error + 1e-3) ** 2, 0)
