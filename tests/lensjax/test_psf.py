"""PSFs: flux, shape, kernels that stand for each other, real PsfEx models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import GRID, PSF, sie_scene

import lensjax as lj
from lensjax.psf import convolve
from lensjax.spreading import padded

STAR = lj.Scene(source=lj.GaussianLight(jnp.ones(3), 0.01, 1.0, 0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    "psf, tolerance", [(PSF, 8e-4), (lj.Moffat(jnp.array([1.3, 1.2, 1.1]), 4.5), 2e-3)]
)
def test_a_point_source_is_the_psf(psf, tolerance):
    image = lj.render(STAR, GRID, psf)
    stamp = psf.stamp(GRID)
    np.testing.assert_allclose(image, stamp, atol=tolerance * float(stamp.max()))


KERNEL = np.exp(-0.5 * (np.arange(-10, 11)[:, None] ** 2 + np.arange(-10, 11) ** 2) / 2.0**2)


@pytest.mark.parametrize(
    "psf",
    [PSF, lj.PixelKernel(jnp.asarray(KERNEL)[None]), lj.Gaussian(1.2, pixel_integrated=True)],
    ids=lambda p: type(p).__name__,
)
def test_flux_is_conserved_where_the_psf_fits(psf):
    with jax.enable_x64(True):
        side, first = padded(GRID)
        nodes = jnp.zeros((side, side)).at[first + 50, first + 50].set(1.0)
        psf = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), psf)
        np.testing.assert_allclose(convolve(nodes, psf, GRID).sum((0, 1)), 1.0, atol=1e-6)
        np.testing.assert_allclose(lj.flux_loss(psf, GRID), 0.0, atol=1e-6)


@pytest.mark.parametrize("beta", [2.5, 3.5, 4.5])
def test_the_loss_of_a_moffat_is_reported(beta):
    """Outside a square of half-width h, by its own integral; and the image loses as much."""
    grid, moffat = lj.PixelGrid(41), lj.Moffat(jnp.array([1.2, 1.6]), beta)
    h = 0.5 * grid.size * grid.scale
    for i, fwhm in enumerate((1.2, 1.6)):
        a = 0.5 * fwhm / np.sqrt(2 ** (1 / beta) - 1)
        # 1 - (share inside r) is (1 + (r/a)^2)^(1 - beta); the square's edge is at h / cos(angle)
        angle = (np.arange(4000) + 0.5) / 4000 * np.pi / 4
        outside = np.mean((1 + (h / np.cos(angle) / a) ** 2) ** (1 - beta))
        np.testing.assert_allclose(lj.flux_loss(moffat, grid)[i], outside, rtol=0.02, atol=2e-6)
    star = lj.render(lj.Scene(source=lj.GaussianLight(jnp.ones(2), 0.05)), grid, moffat)
    np.testing.assert_allclose(
        1 - star.sum((0, 1)), lj.flux_loss(moffat, grid), rtol=0.1, atol=2e-4
    )


def test_a_kernel_that_does_not_fit_loses_what_is_cut():
    kernel = lj.PixelKernel(jnp.asarray(KERNEL, jnp.float32)[None])
    for size, half in ((9, 4), (15, 7), (21, 10), (31, 10)):
        inside = KERNEL[10 - half : 11 + half, 10 - half : 11 + half].sum() / KERNEL.sum()
        np.testing.assert_allclose(lj.flux_loss(kernel, lj.PixelGrid(size)), 1 - inside, atol=1e-6)


def test_moffat_has_its_width():
    psf = lj.Moffat(jnp.array([1.2]), 2.5)
    stamp = np.asarray(psf.stamp(lj.PixelGrid(101, 0.02)))[..., 0]
    profile = stamp[50] / stamp[50, 50]
    np.testing.assert_allclose(profile[20], 0.5, atol=1e-3)
    assert (profile[[19, 81]][0] < 0.5) and profile[21] > 0.5


def test_a_kernel_made_of_a_gaussian_is_the_gaussian():
    kernel = lj.PixelKernel(jnp.moveaxis(PSF.stamp(lj.PixelGrid(41)), -1, 0))
    a, b = lj.render(sie_scene(), GRID, kernel), lj.render(sie_scene(), GRID, PSF)
    np.testing.assert_allclose(a, b, atol=1e-4 * float(b.max()))


def test_pixel_integration_widens_by_a_pixel():
    effective, twice = (
        lj.render(STAR, GRID, PSF),
        lj.render(STAR, GRID, lj.Gaussian(PSF.fwhm, pixel_integrated=True)),
    )
    x, _ = GRID.mesh()
    variance = lambda image: (
        (image * (x**2)[..., None]).sum((0, 1)) / image.sum((0, 1)) / GRID.scale**2
    )
    np.testing.assert_allclose(variance(twice) - variance(effective), 1 / 12, atol=2e-3)


def psfex(path):
    """The model in a PsfEx file: keywords in the header as PsfEx writes them, or columns as the
    Legacy Surveys merge them."""
    from astropy.io import fits

    with fits.open(path) as hdus:
        head, row = hdus[1].header, hdus[1].data[0]
        names = {n.lower(): n for n in hdus[1].columns.names}
        basis = np.asarray(row[names["psf_mask"]], np.float32)
        get = lambda k: float(row[names[k]] if k in names else head[k.upper()])
        return lj.PsfEx(
            jnp.asarray(basis),
            *(get(k) for k in ("polzero1", "polscal1", "polzero2", "polscal2", "psf_samp")),
        )


def test_psfex_models_of_real_exposures(survey_data):
    found = sorted((survey_data / "psf" / "decam_psfex_g_r_z").glob("*"))
    kernels = [psfex(path).kernel(1000.0, 2000.0, 41) for path in found]
    assert len(kernels) == 6
    for k in kernels:
        np.testing.assert_allclose(k.sum(), 1.0, atol=1e-5)
        assert np.unravel_index(np.argmax(k), k.shape) == (20, 20)
    model = psfex(found[0])
    assert jnp.abs(model.kernel(1900.0, 100.0, 41) - kernels[0]).max() > 1e-5
    h = 20.0
    slope = jax.grad(lambda x: model.kernel(x, 2000.0, 41)[20, 20])(1000.0)
    np.testing.assert_allclose(
        slope,
        (model.kernel(1000.0 + h, 2000.0, 41) - model.kernel(1000.0 - h, 2000.0, 41))[20, 20]
        / (2 * h),
        rtol=0.02,
    )
    image = lj.render(sie_scene(), GRID, lj.PixelKernel(jnp.stack(kernels[:3])))
    np.testing.assert_allclose(
        image.sum((0, 1)), lj.render(sie_scene(), GRID, PSF).sum((0, 1)), rtol=3e-3
    )


GALSIM = {
    "psfex-decam-00392360-S31.fits": (
        *(
            (300.0, 3500.0),
            [0.01670968, 0.02135234, 0.02279887, 0.0204569, 0.01582724],
            [0.01486797, 0.02037904, 0.02279887, 0.02047703, 0.01484005],
        ),
        2e-6,  # one sample a pixel: nothing to interpolate
    ),
    "c4d_140818_002108_ooi_z_v1.ext27.psf": (
        *(
            (1700.0, 800.0),
            [0.01683049, 0.03134711, 0.04015723, 0.03235969, 0.01741537],
            [0.02077304, 0.03467744, 0.04015723, 0.03198325, 0.01935763],
        ),
        0.012,  # Lanczos-3 there, Lanczos-4 here
    ),
}
"""galsim.des.DES_PSFEx (GalSim 2.8.5) at a place: the middle five pixels of a row and of a column
of 31 x 31 that sum to one; tolerance."""


@pytest.mark.parametrize("name", GALSIM)
def test_psfex_agrees_with_galsim_and_with_its_own_definition(survey_data, name):
    place, row, column, tolerance = GALSIM[name]
    model = psfex(survey_data / "psf" / "decam_psfex" / name)
    kernel = np.asarray(model.kernel(*place, 31))
    np.testing.assert_allclose(
        [kernel[15, 13:18], kernel[13:18, 15]], [row, column], atol=tolerance * max(row)
    )
    u, v = (place[0] - model.x_zero) / model.x_scale, (place[1] - model.y_zero) / model.y_scale
    powers = [(i, j) for j in range(7) for i in range(7) if i + j <= 6]
    image = sum(
        u**i * v**j * np.asarray(b, float) for (i, j), b in zip(powers, model.basis, strict=True)
    )
    middle = image.shape[0] // 2
    sinc = np.sinc(
        ((np.arange(31) - 15) / model.sampling + middle)[:, None] - np.arange(image.shape[0])
    )
    expected = sinc @ image @ sinc.T
    np.testing.assert_allclose(kernel, expected / expected.sum(), atol=4e-3 * kernel.max())


def test_wrong_psfex_models_are_refused():
    model = lj.PsfEx(jnp.ones((3, 5, 5)), 0.0, 1.0, 0.0, 1.0, 1.0)
    for call, message in (
        (lambda: model.kernel(0.0, 0.0, 4), "size = 4: .*odd"),
        (lambda: model.kernel(float("nan"), 0.0, 5), "x = nan: .*finite"),
        (
            lambda: lj.PsfEx(jnp.ones((4, 5, 5)), 0.0, 1.0, 0.0, 1.0, 1.0).kernel(0.0, 0.0, 5),
            "4 images: .*1, 3, 6",
        ),
        (
            lambda: lj.PsfEx(jnp.ones((3, 5, 4)), 0.0, 1.0, 0.0, 1.0, 1.0).kernel(0.0, 0.0, 5),
            r"\(3, 5, 4\)",
        ),
        (
            lambda: lj.PsfEx(jnp.ones((3, 5, 5)), 0.0, 1.0, 0.0, 1.0, 0.0).kernel(0.0, 0.0, 5),
            "sampling = 0: .*larger than 0",
        ),
    ):
        with pytest.raises(lj.InputError, match=message):
            call()


@pytest.mark.parametrize(
    "size, scale, psf",
    [
        pytest.param(41, 0.05, lj.Gaussian(1.2), marks=pytest.mark.stress),
        (64, 0.05, lj.Moffat(1.2, 2.5)),
        (64, 0.262, lj.PixelKernel((1 + jnp.hypot(*jnp.mgrid[-20:21, -20:21]))[None] ** -1.0)),
        pytest.param(41, 0.1, lj.Moffat(1.4, 3.5, pixel_integrated=True), marks=pytest.mark.stress),
    ],
    ids=["Gaussian", "Moffat", "kernel", "Moffat, pixel integrated"],
)
def test_no_light_leaves_at_one_edge_and_comes_back_at_the_other(size, scale, psf):
    """The stamp is the middle of a stamp that is three times as wide, for PSFs wider than it."""
    edge = -(size / 2 - 2) * scale
    scene = lj.Scene(source=lj.GaussianLight(jnp.ones(1), 3 * scale, x=edge, y=edge))
    stamp = lj.render(scene, lj.PixelGrid(size, scale), psf)
    wide = lj.render(scene, lj.PixelGrid(3 * size, scale), psf)[size:-size, size:-size]
    np.testing.assert_allclose(stamp, wide, atol=1e-3 * float(wide.max()))
    far = stamp[size // 2 :, size // 2 :] - wide[size // 2 :, size // 2 :]
    assert np.abs(far).max() < 2e-4 * float(wide.max())
