"""What is refused, and that the message names parameter, value and range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import FLUX, GRID, PSF

import lensjax as lj

LENS = {"theta_e": 1.5, "q": 0.7, "phi": 0.3}
SOURCE = {"flux": FLUX, "r_eff": 0.15, "n": 1.0, "q": 0.6, "phi": 0.8}


@pytest.mark.parametrize(
    "lens, source, psf, message",
    [
        ({"q": 1.2}, {}, PSF, r"lens.q = 1.2: .*at most 1"),
        ({"q": 0.0}, {}, PSF, "lens.q = 0"),
        ({"theta_e": float("nan")}, {}, PSF, "lens.theta_e = nan"),
        ({"theta_e": -1.0}, {}, PSF, "lens.theta_e = -1"),
        ({}, {"r_eff": -0.1}, PSF, "source.r_eff = -0.1: .*larger than 0"),
        ({}, {"n": 12.0}, PSF, "source.n = 12: .*0.4 and 8"),
        ({}, {"flux": jnp.array([1.0, -1.0, 1.0])}, PSF, "source.flux = -1"),
        ({}, {"x": jnp.inf}, PSF, "source.x = inf"),
        ({}, {"flux": jnp.ones(2)}, PSF, "Sersic flux has 2"),
        ({}, {"flux": jnp.ones((4, 3))}, PSF, "jax.vmap"),
        ({}, {"r_eff": jnp.float16(0.1)}, PSF, "float16"),
        ({}, {}, lj.Gaussian(jnp.array([1.0, 0.0, 1.0])), "fwhm = 0"),
        ({}, {}, lj.Moffat(1.2, 0.9), "beta = 0.9"),
        ({}, {}, lj.PixelKernel(jnp.ones((3, 103, 103))), "103 pixels wide"),
        ({}, {}, lj.PixelKernel(jnp.ones((3, 4, 4))), "K odd"),
        ({}, {}, lj.PixelKernel(jnp.full((3, 5, 5), jnp.nan)), "kernel = nan"),
    ],
)
def test_refused_by_name_value_and_range(lens, source, psf, message):
    with pytest.raises(lj.InputError, match=message):
        lj.render(lj.Scene(lj.SIE(**LENS | lens), source=lj.Sersic(**SOURCE | source)), GRID, psf)


def test_other_refusals():
    scene = lj.Scene(source=lj.Sersic(**SOURCE))
    with pytest.raises(lj.InputError, match="tol"):
        lj.render(scene, GRID, PSF, tol=1e-6)
    with pytest.raises(lj.InputError, match="5x5"):
        lj.render(scene, GRID, PSF, tol="5x5")
    with pytest.raises(lj.InputError, match="no source"):
        lj.render(lj.Scene(lj.SIE(**LENS)), GRID, PSF)
    for size in (0, 10.5, -3):
        with pytest.raises(lj.InputError, match="size"):
            lj.PixelGrid(size)
    host = jnp.zeros((101, 101, 3)).at[3, 4, 1].set(jnp.nan)
    with pytest.raises(lj.InputError, match=r"host.*row 3, column 4"):
        lj.inject(host, jnp.zeros((101, 101, 3)))
    with pytest.raises(lj.InputError, match="shape"):
        lj.inject(host, jnp.zeros((64, 64, 3)))


def test_nothing_is_nan_inside_a_compiled_call():
    run = jax.jit(lambda q, n: lj.render(lj.Scene(lj.SIE(1.5, q, 0.3), source=lj.Sersic(FLUX, 0.15, n, 0.6, 0.8)), GRID, PSF))
    for q, n in ((0.7, 1.0), (1.3, 1.0), (0.7, 9.0)):
        assert np.isfinite(run(q, n)).all(), (q, n)
