"""Point sources through a PSF: closed forms between pixels, outside of the stamp, derivatives, and
a lensed quasar against lenstronomy's magnifications."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

import lensjax as lj
from tests.quick_compilation import OPTIONS

GRID = lj.PixelGrid(21, 0.25)
X, Y = np.array([0.0, 0.11, -1.3, 2.44]), np.array([0.0, -0.06, 0.77, -2.5])
FLUX = np.array([[1.0, 2.0], [3.0, 0.5], [1.0, 1.0], [2.0, 2.0]])


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Unnamed:
    """A Gaussian that the module does not know to be one."""

    fwhm: jax.Array
    pixel_integrated: bool = field(default=False, metadata={"static": True})

    def transfer(self, side, grid):
        return lj.Gaussian(self.fwhm).transfer(side, grid)


def closed(x, y, flux, fwhm, grid, integrated=False):
    """Sum of Gaussians at the pixel centres times the pixel's area, or integrated over pixels."""
    out = np.zeros((grid.size, grid.size, flux.shape[-1]))
    for band, sigma in enumerate(fwhm / np.sqrt(8 * np.log(2))):
        for px, py, f in zip(x, y, flux[:, band]):
            line = []
            for p in (py, px):
                d = (grid.axis() - p) / sigma
                h = 0.5 * grid.scale / sigma
                edges = erf((d + h) / 2**0.5) - erf((d - h) / 2**0.5)
                peak = grid.scale / (np.sqrt(2 * np.pi) * sigma)
                line.append(0.5 * edges if integrated else peak * np.exp(-0.5 * d * d))
            out[..., band] += f * np.outer(*line)
    return out


@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize(
    ("kind", "pixels", "within"),
    [(lj.Gaussian, (1.5, 4.0), 1e-6), (Unnamed, (1.5, 4.0), 1.4e-4), (Unnamed, (1.6, 3.0), 5e-5)],
)
def test_gaussians_between_pixels_are_the_closed_form(kind, pixels, within, integrated):
    fwhm = np.array(pixels) * GRID.scale
    image = lj.point_sources(X, Y, FLUX, kind(jnp.asarray(fwhm), pixel_integrated=integrated), GRID)
    true = closed(X, Y, FLUX, fwhm, GRID, integrated)
    peak = closed(X[:1], Y[:1], np.ones((1, 2)), fwhm, GRID, integrated).max((0, 1)) * FLUX.max()
    assert image.shape == true.shape and (np.abs(image - true).max((0, 1)) < within * peak).all()


def test_a_moffat_between_pixels_is_the_closed_form():
    fwhm, beta = np.array([0.5, 1.0]), 3.0
    image = lj.point_sources(X, Y, FLUX, lj.Moffat(jnp.asarray(fwhm), beta), GRID)
    a = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    gx, gy = GRID.mesh()
    r2 = (gx[..., None] - X) ** 2 + (gy[..., None] - Y) ** 2
    peak = (beta - 1) / (np.pi * a**2) * GRID.pixel_area
    shape = (1 + r2[..., None] / a**2) ** -beta
    true = np.einsum("ijpb,pb->ijb", shape, FLUX * peak)
    assert (np.abs(image - true).max((0, 1)) < 2e-4 * peak * FLUX.max()).all()


@pytest.mark.parametrize("size", [21, 20])
def test_a_kernel_is_itself_on_a_pixel_and_moves_by_whole_ones(size):
    grid = lj.PixelGrid(size, 0.25)
    kernel = np.random.default_rng(0).uniform(0, 1, (2, 7, 7))
    psf = lj.PixelKernel(jnp.asarray(kernel))
    kernel = np.moveaxis(kernel / kernel.sum((1, 2), keepdims=True), 0, -1)
    axis = grid.axis()
    image = np.asarray(lj.point_sources(axis[[8]], axis[[11]], np.ones(1), psf, grid))
    expected = np.zeros((size, size, 2))
    expected[8:15, 5:12] = kernel
    np.testing.assert_allclose(image, expected, atol=1e-6)
    # at the edge a part of it is lost, and half-way between two pixels the sum is kept
    edge = np.asarray(lj.point_sources(axis[[0]], axis[[0]], np.ones(1), psf, grid))
    np.testing.assert_allclose(edge[:4, :4], kernel[3:, 3:], atol=1e-6)
    assert abs(edge[4:, 4:]).max() < 1e-6
    wide = np.asarray(lj.point_sources([0.0], [0.0], np.ones(1), lj.PixelKernel(_smooth()), grid))
    np.testing.assert_allclose(wide.sum((0, 1)), 1, atol=1e-4)
    np.testing.assert_allclose(
        wide[..., 0], closed([0.0], [0.0], np.ones((1, 1)), np.array([0.75]), grid)[..., 0],
        atol=1e-3,
    )  # fmt: skip


def _smooth():
    return lj.Gaussian(jnp.array([0.75])).stamp(lj.PixelGrid(19, 0.25)).transpose(2, 0, 1)


@pytest.mark.parametrize("kind", [lj.Gaussian, lj.Moffat])
def test_a_point_outside_shows_its_wings_and_a_far_one_nothing(kind):
    psf, edge = kind(jnp.array([1.2])), 0.5 * GRID.size * GRID.scale
    wide = lj.PixelGrid(GRID.size + 40, GRID.scale)
    for x in (edge + 0.3, edge + 2.0):
        image = lj.point_sources([x], [0.2], np.ones(1), psf, GRID)
        np.testing.assert_allclose(
            image, lj.point_sources([x], [0.2], np.ones(1), psf, wide)[20:-20, 20:-20], atol=2e-6
        )
    # no light comes back at the other edge, and the derivative is finite
    assert image[:, :5].max() < 1e-4 and image[10, -1] > image[10, -5]
    far = lambda x: lj.point_sources(x[None], jnp.zeros(1), jnp.ones(1), psf, GRID).sum()
    for x in (100.0, 1e30):
        assert not np.any(jax.value_and_grad(far)(jnp.float32(x)))


@pytest.mark.parametrize("kind", [lj.Gaussian, lj.Moffat, lambda f: lj.PixelKernel(_smooth())])
def test_gradients_are_finite_differences(kind):
    weight = np.random.default_rng(1).normal(size=(GRID.size, GRID.size, 1))
    with jax.enable_x64(True):
        p = jnp.asarray(np.stack([X, Y, FLUX[:, 0]]))

        def seen(p, fwhm):
            return jnp.sum(weight * lj.point_sources(p[0], p[1], p[2], kind(fwhm), GRID))

        fwhm = jnp.array([0.8])
        by = jax.jit(jax.grad(seen, (0, 1)), compiler_options=OPTIONS)
        value = jax.jit(seen, compiler_options=OPTIONS)
        slopes, by_fwhm = by(p, fwhm)
        for i in np.ndindex(3, 4):
            h = np.zeros((3, 4))
            h[i] = 1e-6
            expected = (value(p + h, fwhm) - value(p - h, fwhm)) / 2e-6
            np.testing.assert_allclose(slopes[i], expected, rtol=1e-5, atol=1e-7)
        expected = (value(p, fwhm + 1e-6) - value(p, fwhm - 1e-6)) / 2e-6
        np.testing.assert_allclose(by_fwhm[0], expected, rtol=1e-5, atol=1e-7)


def test_a_quasar_has_the_flux_of_its_magnified_images():
    """Of an isothermal sphere: 2 theta_E/beta times the flux, at beta +- theta_E."""
    grid, psf = lj.PixelGrid(31, 0.25), lj.Gaussian(jnp.array([0.8, 0.7]))
    flux = jnp.array([1.0, 2.0])

    def image(theta_e, x, y):
        return lj.lensed_point(lj.SIE(theta_e, 1.0, 0.0), x, y, flux, psf, grid)

    seen = jax.jit(
        lambda t: jax.jvp(lambda t: image(t, 0.3, 0.0), (t,), (1.0,)), compiler_options=OPTIONS
    )
    found, slope = seen(1.5)
    np.testing.assert_allclose(found.sum((0, 1)), 10 * flux, rtol=2e-3)
    both = closed([1.8, -1.2], [0.0, 0.0], np.outer([6.0, 4.0], flux), np.array([0.8, 0.7]), grid)
    np.testing.assert_allclose(found, both, atol=2e-4 * both.max())
    np.testing.assert_allclose(slope.sum((0, 1)), 2 / 0.3 * flux, rtol=5e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": np.zeros(3)}, r"x, y and flux have shapes \(3,\)"),
        ({"flux": np.ones((4, 3))}, "2 and 3 bands"),
        ({"y": np.array([0, 0, 0, np.nan])}, "y = nan"),
        ({"psf": None}, "psf = None"),
        ({"grid": 21}, "grid = 21"),
        ({"psf": lj.PixelKernel(jnp.ones((2, 4, 4)))}, "PixelKernel"),
    ],
)
def test_bad_input_is_refused(change, said):
    usual = {"x": X, "y": Y, "flux": FLUX, "psf": lj.Gaussian(jnp.array([1.0, 1.1])), "grid": GRID}
    with pytest.raises(lj.InputError, match=said):
        lj.point_sources(**usual | change)
