"""What a catalogue would say of the mock objects: noisy fluxes and shapes, depths, exposures, masks, in the columns of a DR10 sweep file."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Float

import lensjax as lj
from data.simulate.bricks import PIXEL, Brick
from data.simulate.conditions import BANDS, Conditions, transmission
from data.simulate.pixels import Coadd, psf_of

BIT = {
    "BRIGHT": 1,
    "SATUR_G": 2,
    "SATUR_R": 3,
    "SATUR_Z": 4,
    "ALLMASK_G": 5,
    "ALLMASK_R": 6,
    "ALLMASK_Z": 7,
    "MEDIUM": 11,
    "GALAXY": 12,
    "CLUSTER": 13,
}
RELEASE = 10000


def _bands(prefix: str, dtype: Any) -> list[tuple[str, Any]]:
    return [(f"{prefix}_{b.upper()}", dtype) for b in BANDS]


# Names and types as in DR10 (south) sweep files, in their order; i-band, WISE and most Gaia columns are left out.
DTYPE = np.dtype(
    [
        *[
            ("RELEASE", ">i2"),
            ("BRICKID", ">i4"),
            ("BRICKNAME", "S8"),
            ("OBJID", ">i4"),
            ("TYPE", "S3"),
            ("RA", ">f8"),
            ("DEC", ">f8"),
        ],
        *[("RA_IVAR", ">f4"), ("DEC_IVAR", ">f4"), ("EBV", ">f4")],
        *_bands("FLUX", ">f4"),
        *_bands("FLUX_IVAR", ">f4"),
        *_bands("MW_TRANSMISSION", ">f4"),
        *_bands("NOBS", ">i2"),
        *_bands("FRACFLUX", ">f4"),
        *_bands("FRACMASKED", ">f4"),
        *_bands("FRACIN", ">f4"),
        *_bands("ANYMASK", ">i2"),
        *_bands("ALLMASK", ">i2"),
        *_bands("PSFSIZE", ">f4"),
        *_bands("PSFDEPTH", ">f4"),
        *_bands("GALDEPTH", ">f4"),
        *[
            ("REF_CAT", "S2"),
            ("GAIA_PHOT_G_MEAN_MAG", ">f4"),
            ("MASKBITS", ">i4"),
            ("FITBITS", ">i2"),
            ("SERSIC", ">f4"),
            ("SERSIC_IVAR", ">f4"),
        ],
        *[
            ("SHAPE_R", ">f4"),
            ("SHAPE_R_IVAR", ">f4"),
            ("SHAPE_E1", ">f4"),
            ("SHAPE_E1_IVAR", ">f4"),
            ("SHAPE_E2", ">f4"),
            ("SHAPE_E2_IVAR", ">f4"),
        ],
    ]
)


def galaxy_depth_ratio(psfsize: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    """galdepth / psfdepth: sum(profile^2) of a 0.45 arcsec round exponential over that of a point source, both seen with the PSF."""
    psf, grid = psf_of(psfsize), lj.PixelGrid(61, PIXEL)
    galaxy = lj.render(lj.Scene(source=lj.Sersic(jnp.ones(3), 0.45, 1.0, 1.0, 0.0)), grid, psf)
    return np.asarray(
        jnp.sum(galaxy**2, (0, 1)) / jnp.sum(psf.stamp(grid) ** 2, (0, 1)), np.float64
    )


def star_radius(mag: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Radius (arcsec) masked around a star of magnitude G in the Legacy Surveys, 1630 x 1.396^-G, at most a minute."""
    return np.minimum(1630 * 1.396 ** -np.asarray(mag), 60)


def maskbits(frame: pd.DataFrame, coadd: Coadd, cluster: bool) -> np.ndarray:
    """MASKBITS of every object: near bright and medium-bright stars, in large galaxies, in a star cluster (when the brick has one), on lost pixels."""
    x, y = frame["x"].to_numpy(float), frame["y"].to_numpy(float)
    bits = np.zeros(len(frame), np.int64)

    def mark(cx: float, cy: float, radius: float, bit: str) -> None:
        bits[np.hypot(x - cx, y - cy) * PIXEL < radius] |= 1 << BIT[bit]

    kind, mag, r_eff = (
        frame["kind"].to_numpy(str),
        frame["mag_r"].to_numpy(float),
        frame["r_eff"].to_numpy(float),
    )
    for i in np.flatnonzero((kind == "star") & (mag < 16)):
        mark(x[i], y[i], float(star_radius(mag[i])), "BRIGHT" if mag[i] < 13 else "MEDIUM")
    for i in np.flatnonzero((kind == "large") & (mag < 17.2)):
        mark(x[i], y[i], 3 * r_eff[i], "GALAXY")
    n = coadd.image.shape[0]
    if cluster:
        mark(0.3 * n, 0.7 * n, 0.05 * n * PIXEL, "CLUSTER")
    column, row = (
        np.clip(np.round(x).astype(int), 0, n - 1),
        np.clip(np.round(y).astype(int), 0, n - 1),
    )
    for b, band in enumerate("GRZ"):
        lost = (coadd.invvar[row, column, b] == 0) & (coadd.nexp[row, column, b] > 0)
        bits[lost] |= (1 << BIT[f"ALLMASK_{band}"]) | (1 << BIT[f"SATUR_{band}"])
    return bits


def _contamination(
    x: np.ndarray, y: np.ndarray, flux: Float[np.ndarray, "k 3"], psfsize: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "k 3"]:
    """Flux of neighbours that falls on an object, as a fraction of its own."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(np.stack([x, y], 1)).query_pairs(6 / PIXEL, output_type="ndarray")
    total = np.zeros_like(flux)
    if len(pairs):
        i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
        distance = np.hypot(x[i] - x[j], y[i] - y[j])[:, None] * PIXEL
        np.add.at(total, i, flux[j] * np.exp(-4 * np.log(2) * (distance / psfsize) ** 2 / 2))
    return np.where(flux > 0, total / np.maximum(flux, 1e-6), 0)


def measure(
    brick: Brick,
    wcs: Any,
    frame: pd.DataFrame,
    flux: Float[np.ndarray, "k 3"],
    coadd: Coadd,
    conditions: Conditions,
    cluster: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Sweep rows (structured array, DTYPE) of a brick's objects; flux (k, 3): what lies in the image. OBJID counts the table's rows.

    Noise of a flux follows from the depth at the object and its size, that of sizes and ellipticities from the flux's; a band without exposures
    has flux, inverse variance, PSF size and depths 0, as in the survey.
    """
    k, n = len(frame), coadd.image.shape[0]
    out = np.zeros(k, DTYPE)
    x, y, q, r_eff = (frame[c].to_numpy(float) for c in ("x", "y", "q", "r_eff"))
    kind, types = frame["kind"].to_numpy(str), frame["type"].to_numpy(str)
    column, row = (
        np.clip(np.round(x).astype(int), 0, n - 1),
        np.clip(np.round(y).astype(int), 0, n - 1),
    )
    nobs = coadd.nexp[row, column].astype(int)
    psfdepth = (
        25 / 10 ** (0.8 * (22.5 - conditions.m5)) * nobs / np.maximum(conditions.exposures, 1)
    )
    ratio = galaxy_depth_ratio(conditions.psfsize)
    extent = (1 / ratio - 1) / 0.45**2  # a galaxy covers 1 + extent q r^2 times the area of the PSF
    ivar = psfdepth / (1 + extent * (q * r_eff**2)[:, None])
    seen = nobs > 0
    sigma = np.where(seen, 1 / np.sqrt(np.maximum(ivar, 1e-12)), 0)
    measured = np.where(seen, flux + sigma * rng.standard_normal((k, 3)), 0)
    measured[types == "DUP"] = 0
    snr = np.sqrt(np.sum(np.where(seen, flux / np.maximum(sigma, 1e-12), 0) ** 2, 1))
    centroid = np.minimum(conditions.psfsize[1] / 2.35 / np.maximum(snr, 3), 0.3)
    ra, dec = wcs.all_pix2world(x, y, 0)
    out["RA"] = ra + rng.normal(0, 1, k) * centroid / 3600 / np.cos(np.radians(dec))
    out["DEC"] = dec + rng.normal(0, 1, k) * centroid / 3600
    out["RA_IVAR"], out["DEC_IVAR"] = (
        (np.cos(np.radians(dec)) * 3600 / centroid) ** 2,
        (3600 / centroid) ** 2,
    )
    out["RELEASE"], out["BRICKID"], out["BRICKNAME"], out["OBJID"], out["TYPE"] = (
        RELEASE,
        brick.brickid,
        brick.name,
        np.arange(k),
        types,
    )
    out["EBV"] = conditions.ebv
    fraction = _contamination(x, y, flux, conditions.psfsize)
    for b, band in enumerate("GRZ"):
        out[f"FLUX_{band}"], out[f"FLUX_IVAR_{band}"] = (
            measured[:, b],
            np.where(seen, ivar, 0)[:, b],
        )
        out[f"MW_TRANSMISSION_{band}"] = transmission(np.asarray(conditions.ebv))[b]
        out[f"NOBS_{band}"], out[f"FRACFLUX_{band}"], out[f"FRACIN_{band}"] = (
            nobs[:, b],
            fraction[:, b],
            seen[:, b],
        )
        out[f"PSFSIZE_{band}"] = np.where(seen[:, b], conditions.psfsize[b], 0)
        out[f"PSFDEPTH_{band}"], out[f"GALDEPTH_{band}"] = psfdepth[:, b], psfdepth[:, b] * ratio[b]
    bits = maskbits(frame, coadd, cluster)
    out["MASKBITS"] = bits
    for band in "GRZ":
        out[f"ALLMASK_{band}"] = out[f"ANYMASK_{band}"] = (bits >> BIT[f"ALLMASK_{band}"]) & 1
        out[f"FRACMASKED_{band}"] = (bits >> BIT[f"ALLMASK_{band}"]) & 1
    star = (kind == "star") & (frame["mag_r"].to_numpy() < 20.5)
    out["REF_CAT"], out["GAIA_PHOT_G_MEAN_MAG"] = (
        np.where(star, "GE", ""),
        np.where(star, frame["mag_r"], 0),
    )
    _shapes(out, frame, types, np.maximum(snr, 3), rng)
    return out


def _shapes(
    out: np.ndarray,
    frame: pd.DataFrame,
    types: np.ndarray,
    snr: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Sizes, ellipticities (e1 + i e2 = (1 - q)/(1 + q) exp(2 i PA), PA from north to east) and Sersic indices, each with noise."""
    k = len(out)
    galaxy, elliptical = (
        np.isin(types, ["REX", "EXP", "DEV", "SER"]),
        np.isin(types, ["EXP", "DEV", "SER"]),
    )
    error = np.clip(1.5 / snr, 0.002, 0.3)
    q, r_eff, n = (frame[c].to_numpy(float) for c in ("q", "r_eff", "n"))
    angle = 2 * (
        frame["phi"].to_numpy(float) - np.pi / 2
    )  # +x is west, +y north: the position angle is phi - 90 deg
    e = (1 - q) / (1 + q)
    radius = r_eff * np.exp(error * rng.standard_normal(k))
    out["SHAPE_R"], out["SHAPE_R_IVAR"] = (
        np.where(galaxy, radius, 0),
        np.where(galaxy, 1 / (r_eff * error + 1e-3) ** 2, 0),
    )
    for name, value in (("E1", e * np.cos(angle)), ("E2", e * np.sin(angle))):
        noisy = np.clip(value + error * rng.standard_normal(k), -0.95, 0.95)
        out[f"SHAPE_{name}"], out[f"SHAPE_{name}_IVAR"] = (
            np.where(elliptical, noisy, 0),
            np.where(elliptical, 1 / error**2, 0),
        )
    fitted = np.clip(n * np.exp(2 * error * rng.standard_normal(k)), 0.5, 6.0)
    fixed = np.select([types == "DEV", galaxy], [4.0, 1.0], 0.0)
    out["SERSIC"] = np.where(types == "SER", fitted, fixed)
    out["SERSIC_IVAR"] = np.where(types == "SER", 1 / (2 * n * error + 1e-3) ** 2, 0)
