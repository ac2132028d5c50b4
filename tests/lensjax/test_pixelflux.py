"""Images before any PSF against converged sums of points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import sie_scene

import lensjax as lj
from lensjax.reference import converged_points, lensed_sersic

GRID = lj.PixelGrid(41)


@pytest.mark.parametrize(("size", "n"), [(0.05, 1.0), (0.3, 1.0), (0.05, 2.4)])
def test_the_flux_of_every_pixel_is_converged(size, n):
    scene = lj.Scene(
        (lj.SIE(1.5, 0.7, 0.3), lj.Shear(0.03, -0.02)),
        lj.Sersic(jnp.ones(1), size, n, 0.7, 0.4, 0.2, 0.1),
    )
    numbers = jax.tree.map(lambda leaf: np.asarray(leaf, float), scene)
    truth = converged_points(lensed_sersic(numbers), GRID, margin=1, accuracy=1e-6).binned(GRID)
    image = np.asarray(lj.pixel_flux(scene, GRID)[..., 0], float)
    np.testing.assert_allclose(image, truth, atol=1e-4 * truth.max())
    assert abs(image.sum() / truth.sum() - 1) < 1e-5


def test_its_derivative_is_the_slope():
    with jax.enable_x64(True):

        def total(theta_e):
            image = lj.pixel_flux(sie_scene(theta_e=theta_e), GRID)
            return jnp.sum(image[..., 0] ** 2)

        found = jax.grad(total)(1.4)
        slope = (total(1.4 + 1e-4) - total(1.4 - 1e-4)) / 2e-4
        np.testing.assert_allclose(found, slope, rtol=1e-2)


def test_what_is_outside_the_domain_is_refused():
    two = tuple(lj.Sersic(jnp.ones(n), 0.1, 1.0, 0.7, 0.4) for n in (2, 3))
    with pytest.raises(lj.InputError, match="band counts differ"):
        lj.pixel_flux(lj.Scene(source=two), GRID)
    with pytest.raises(lj.InputError, match="theta_e = -1"):
        lj.pixel_flux(lj.Scene(lj.SIE(-1.0, 0.7, 0.3), lj.Sersic(1.0, 0.1, 1.0, 0.7, 0.4)), GRID)
