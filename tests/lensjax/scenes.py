"""Scenes shared by the renderer's tests."""

import jax.numpy as jnp

import lensjax as lj

GRID = lj.PixelGrid(101)
PSF = lj.Gaussian(jnp.array([1.3, 1.2, 1.1]))
FLUX = jnp.array([0.6, 1.0, 1.4])


def sie_scene(
    x=0.2,
    y=0.1,
    q=0.7,
    phi=0.3,
    theta_e=1.5,
    gamma1=0.03,
    gamma2=-0.02,
    r_eff=0.15,
    n=1.0,
    source_q=0.6,
    source_phi=0.8,
    lens_x=0.0,
    lens_y=0.0,
):
    """One lens, shear and Sersic source; every argument may be traced."""
    f = lambda v: jnp.asarray(v, jnp.result_type(float))
    lens = lj.SIE(f(theta_e), f(q), f(phi), f(lens_x), f(lens_y))
    source = lj.Sersic(
        FLUX.astype(jnp.result_type(float)), f(r_eff), f(n), f(source_q), f(source_phi), f(x), f(y)
    )
    return lj.Scene((lens, lj.Shear(f(gamma1), f(gamma2))), source)
