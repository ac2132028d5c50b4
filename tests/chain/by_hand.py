"""Steps of the chain done again another way, to compare its files with: cutouts with astropy,
preprocessing in numpy, injected arcs with lenstronomy."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest


def preprocessed(image: np.ndarray, crop: int = 64) -> np.ndarray:
    """raw_robust written again in numpy, float64, from the specification."""
    start = (image.shape[0] - crop) // 2
    x = np.nan_to_num(image[start : start + crop, start : start + crop].astype(np.float64))
    axis = np.arange(crop) - (crop - 1) / 2
    r = np.hypot(axis[:, None], axis[None, :])
    ring = x[(r >= 0.65 * (crop // 2)) & (r < 0.90 * (crop // 2))]
    median = np.median(ring, axis=0)
    mad = np.median(np.abs(ring - median), axis=0)
    return np.clip((x - median) / (mad + 1e-8), -10, 10)


def sliced(survey: Path, brick: str, ra: float, dec: float) -> np.ndarray:
    """101 x 101 pixels about a position, from the coadds with astropy alone."""
    from astropy.io import fits
    from astropy.nddata import Cutout2D
    from astropy.wcs import WCS

    bands = []
    for band in "grz":
        with fits.open(
            survey / "coadd" / brick[:3] / brick / f"legacysurvey-{brick}-image-{band}.fits.fz"
        ) as hdus:
            x, y = WCS(hdus[1].header).all_world2pix(ra, dec, 0)
            position = (round(float(x)), round(float(y)))
            bands.append(
                Cutout2D(hdus[1].data, position, 101, mode="partial", fill_value=np.nan).data
            )
    image = np.stack(bands, axis=-1)
    return np.where(image == 0, np.nan, image)


def rendered_by_lenstronomy(injected: pd.Series, fwhm: tuple[float, float, float]) -> np.ndarray:
    """The arc of an injection (101, 101, 3), its scene drawn again from its key: lenstronomy's
    deflection and Sersic profile on 9 x 9 rays a pixel, the Gaussian PSF on the fine grid, sampled
    at pixel centres."""
    import jax
    import jax.numpy as jnp
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel
    from lenstronomy.Util.param_util import phi_q2_ellipticity
    from scipy.ndimage import gaussian_filter
    from scipy.special import gamma, gammaincinv

    from classifiers.audit.injection import audit_prior

    data = np.frombuffer(bytes.fromhex(injected.key), dtype=">u4").astype(np.uint32)
    key = jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(data), impl="threefry2x32"), 0)
    scene = jax.tree.map(
        lambda leaf: np.asarray(leaf)[0],
        audit_prior("arclike", (23.0, 26.0)).sample(key, 1, theta_e=injected.theta_e),
    )
    (lens, shear), (s,) = scene.lens, scene.source
    assert 22.5 - 2.5 * np.log10(s.flux[1]) == pytest.approx(injected.source_mag, abs=1e-4)
    k, size, pixel = 9, 101, 0.262
    axis = (np.arange(k * size) - (k * size - 1) / 2) * pixel / k
    x, y = np.meshgrid(axis, axis)
    model = LensModel(["SIE", "SHEAR"])
    e1, e2 = phi_q2_ellipticity(float(lens.phi), float(lens.q))
    shear_at_centre = {
        "gamma1": float(shear.gamma1),
        "gamma2": float(shear.gamma2),
        "ra_0": 0.0,
        "dec_0": 0.0,
    }
    sie = {
        "theta_E": float(lens.theta_e),
        "e1": e1,
        "e2": e2,
        "center_x": float(lens.x),
        "center_y": float(lens.y),
    }
    bx, by = model.ray_shooting(x, y, [sie, shear_at_centre])
    e1, e2 = phi_q2_ellipticity(float(s.phi), float(s.q))
    # lenstronomy's b_n is 3 % off at n = 0.5, so its radius is changed to give the exact profile.
    b = 1.9992 * s.n - 0.3271
    radius = float(s.r_eff * np.sqrt(s.q) * (b / gammaincinv(2 * s.n, 0.5)) ** s.n)
    shape = {"R_sersic": radius, "n_sersic": float(s.n), "e1": e1, "e2": e2}
    profile = {"amp": 1.0, **shape, "center_x": float(s.x), "center_y": float(s.y)}
    light = LightModel(["SERSIC_ELLIPSE"]).surface_brightness(bx, by, [profile])
    total = 2 * np.pi * s.n * radius**2 * np.exp(b) * b ** (-2 * s.n) * gamma(2 * s.n)
    centre = slice(k // 2, None, k)
    blurred = [
        gaussian_filter(light, f / 2.3548200450309493 / pixel * k)[centre, centre] for f in fwhm
    ]
    return np.stack(blurred, axis=-1) * s.flux / total * pixel**2
