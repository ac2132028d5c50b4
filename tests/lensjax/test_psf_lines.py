"""A Gaussian PSF as rows of weights: the same as by transforms, for images and gradients, and only
where it holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensjax as lj
from lensjax import psf as psf_module
from lensjax.field import Field
from lensjax.spline import weights

GRID = lj.PixelGrid(101)
FIELD = Field(GRID)
WIDTHS = np.array([0.85, 0.9, 1.2, 1.6, 1.97])


def point(dx, dy, dtype=jnp.float32, field=FIELD):
    """Coefficients of a point dx, dy pixels (below 1/2) from the middle of the stamp."""
    out, c = np.zeros((field.side, field.side)), field.first + field.grid.size // 2
    out[c - 2 : c + 3, c - 2 : c + 3] = np.outer(
        weights(np.array([dy]))[0], weights(np.array([dx]))[0]
    )
    return jnp.asarray(out, dtype)


@pytest.mark.parametrize("pixel_integrated", [False, True])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.45)])
def test_rows_of_weights_are_the_transforms_image(shift, pixel_integrated):
    gaussian = lj.Gaussian(jnp.asarray(WIDTHS, jnp.float32), pixel_integrated)
    assert bool(jnp.all(gaussian.compact(GRID)))
    image = psf_module.convolve(point(*shift), gaussian, FIELD)
    truth = psf_module._by_fourier(point(*shift), gaussian, FIELD)
    assert float(jnp.max(jnp.abs(image - truth) / jnp.max(truth, (0, 1)))) < 3e-5
    np.testing.assert_allclose(image.sum((0, 1)), 1.0, atol=1e-6)


def test_an_image_is_the_gaussian_itself():
    sigma = 1.2 / 2.3548200450309493 / GRID.scale
    d = (np.arange(101) - 50)[:, None] - np.array([0.3, -0.45])
    truth = np.exp(-0.5 * (d / sigma) ** 2) / np.sqrt(2 * np.pi) / sigma
    image = psf_module.convolve(point(0.3, -0.45), lj.Gaussian(jnp.array([1.2])), FIELD)[..., 0]
    assert float(np.abs(image - np.outer(truth[:, 1], truth[:, 0])).max()) < 4e-4 * truth.max() ** 2


LESS_SO = [pytest.param(fwhm, marks=pytest.mark.stress) for fwhm in (0.7, 2.4)]


@pytest.mark.parametrize("fwhm", [0.5, 5.0, *LESS_SO])
def test_narrow_and_wide_ones_go_by_transforms_alone_and_in_a_batch(fwhm):
    assert not bool(lj.Gaussian(fwhm).compact(GRID)[0])
    alone = psf_module.convolve(point(0.2, 0.1), lj.Gaussian(jnp.array([fwhm])), FIELD)
    transforms = psf_module._by_fourier(point(0.2, 0.1), lj.Gaussian(jnp.array([fwhm])), FIELD)
    np.testing.assert_allclose(alone, transforms, atol=1e-6 * float(alone.max()))
    both = jax.vmap(lambda f: psf_module.convolve(point(0.2, 0.1), lj.Gaussian(f[None]), FIELD))(
        jnp.array([1.2, fwhm])
    )
    np.testing.assert_allclose(both[1], alone, atol=1e-6 * float(alone.max()))
    nested = jax.jit(
        jax.vmap(
            jax.vmap(lambda f: psf_module.convolve(point(0.2, 0.1), lj.Gaussian(f[None]), FIELD))
        )
    )(jnp.array([[1.2, fwhm]]))
    np.testing.assert_allclose(nested[0], both, atol=1e-6 * float(alone.max()))


def test_a_batch_of_compact_ones_makes_no_transform():
    """The choice is one for the batch: not both sides for every item."""
    compiled = jax.jit(
        jax.vmap(lambda f: psf_module.convolve(point(0.0, 0.0), lj.Gaussian(f[None]), FIELD))
    ).lower(jnp.asarray(WIDTHS, jnp.float32))
    assert "stablehlo.case" in compiled.as_text() or "stablehlo.if" in compiled.as_text()


def test_half_pixels_hold_the_same_image():
    half = Field(GRID, step=2)
    gaussian = lj.Gaussian(jnp.asarray([0.9, 1.2], jnp.float32))
    own = psf_module.convolve(point(0.3, -0.4), gaussian, FIELD)
    finer = psf_module.convolve(point(0.1, 0.2, field=Field(GRID, step=2)), gaussian, half)
    truth = psf_module._by_fourier(point(0.1, 0.2, field=half), gaussian, half)
    assert own.shape == finer.shape == (101, 101, 2)
    np.testing.assert_allclose(finer, truth, atol=3e-5 * float(truth.max()))
    np.testing.assert_allclose(finer.sum((0, 1)), 1.0, atol=1e-4)


LARGER = [pytest.param(size, marks=pytest.mark.stress) for size in (64, 101)]


@pytest.mark.parametrize("size", [32, *LARGER])
def test_derivatives_in_both_modes_are_those_of_the_transforms(size):
    field = Field(lj.PixelGrid(size))
    with jax.enable_x64(True):
        nodes, width = point(0.3, 0.2, jnp.float64, field), jnp.array([1.3])
        target = jnp.asarray(np.random.default_rng(1).normal(size=(size, size, 1)))

        def loss(how, nodes, width):
            return jnp.sum(how(nodes, lj.Gaussian(width), field) * target)

        for argument in (1, 2):
            lines = jax.grad(loss, argument)(psf_module.convolve, nodes, width)
            transforms = jax.grad(loss, argument)(psf_module._by_fourier, nodes, width)
            np.testing.assert_allclose(
                lines, transforms, atol=1e-4 * float(jnp.max(jnp.abs(transforms)))
            )
        forward = jax.jvp(lambda w: loss(psf_module.convolve, nodes, w), (width,), (jnp.ones(1),))[
            1
        ]
        np.testing.assert_allclose(
            forward, jax.grad(loss, 2)(psf_module.convolve, nodes, width)[0], rtol=1e-9
        )
