"""Distances against astropy, Einstein radii in closed form, and redshifts that are refused."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy import constants, cosmology

import lensjax as lj

Z = np.array([1e-4, 0.05, 0.3, 0.7, 1.5, 3.0, 6.0, 12.0, 20.0])
UNIVERSES = {
    "of a cosmological constant": (
        lj.Cosmology(70.0, 0.3),
        cosmology.FlatLambdaCDM(H0=70, Om0=0.3, Tcmb0=0),
    ),
    "of other dark energy": (
        lj.Cosmology(67.4, 0.25, -0.8),
        cosmology.FlatwCDM(H0=67.4, Om0=0.25, w0=-0.8, Tcmb0=0),
    ),
    "of matter": (
        lj.Cosmology(50.0, 1.0),
        cosmology.FlatLambdaCDM(H0=50, Om0=1.0, Tcmb0=0),
    ),
}


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("which", UNIVERSES)
def test_distances_are_astropys(which):
    ours, theirs = UNIVERSES[which]
    np.testing.assert_allclose(
        ours.comoving_distance(Z), theirs.comoving_distance(Z).value, rtol=1e-9
    )
    np.testing.assert_allclose(
        ours.angular_diameter_distance(Z), theirs.angular_diameter_distance(Z).value, rtol=1e-9
    )
    between = np.diff(theirs.comoving_distance(Z).value) / (1 + Z[1:])
    np.testing.assert_allclose(ours.angular_diameter_distance(Z[1:], Z[:-1]), between, rtol=1e-8)


def test_single_precision_keeps_distances_to_a_millionth():
    with jax.enable_x64(False):
        found = lj.Cosmology().comoving_distance(jnp.asarray(Z, jnp.float32))
        assert found.dtype == jnp.float32
        theirs = UNIVERSES["of a cosmological constant"][1].comoving_distance(Z).value
        np.testing.assert_allclose(found, theirs, rtol=1e-6)


def test_einstein_radius_of_a_velocity_dispersion():
    """From astropy's constants and distances; and by hand in a universe of matter, where D_ls/D_s
    is 1 - (1 - 1/sqrt(1 + z_l))/(1 - 1/sqrt(1 + z_s))."""
    theirs = cosmology.FlatLambdaCDM(H0=70, Om0=0.3, Tcmb0=0)
    ratio = 1 - float(theirs.comoving_distance(0.5) / theirs.comoving_distance(2.0))
    expected = 4 * np.pi * (250 / constants.c.to("km/s").value) ** 2 * ratio * 206264.80625
    assert float(lj.theta_e_from_sigma_v(250.0, 0.5, 2.0)) == pytest.approx(expected, rel=1e-9)
    by_hand = 1 - (1 - 1 / np.sqrt(1.5)) / (1 - 1 / np.sqrt(3.0))
    found = lj.Cosmology(omega_m=1.0).lensing_ratio(0.5, 2.0)
    assert float(found) == pytest.approx(by_hand, rel=1e-10)


def test_gradients_are_finite_differences():
    def theta_e(p):
        sigma_v, z_lens, z_source, omega_m, w0 = p
        return lj.theta_e_from_sigma_v(sigma_v, z_lens, z_source, lj.Cosmology(70.0, omega_m, w0))

    p = jnp.array([220.0, 0.4, 1.8, 0.3, -1.0])
    slopes = jax.jit(jax.grad(theta_e))(p)
    both = jax.jit(jax.vmap(theta_e))(p + 1e-5 * jnp.concatenate([jnp.eye(5), -jnp.eye(5)]))
    np.testing.assert_allclose(slopes, (both[:5] - both[5:]) / 2e-5, rtol=1e-6, atol=1e-9)
    nothing = jax.grad(theta_e)(jnp.array([0.0, 0.4, 1.8, 1.0, 0.0]))
    assert np.isfinite(nothing).all()


def test_ratios_of_planes_are_those_of_their_distances():
    ours, theirs = UNIVERSES["of other dark energy"]
    z = [0.2, 0.5, 0.5, 1.1]
    along = lambda z: theirs.comoving_distance(z).value if z else 0.0
    apart = lambda a, b: (along(b) - along(a)) / (1 + b)
    expected = [
        apart(near, far) * apart(0, 2.0) / (apart(0, far) * apart(near, 2.0))
        for near, far in pairwise(z)
    ]
    found = ours.plane_ratios(z, 2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)
    assert float(found[1]) == 0


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: lj.theta_e_from_sigma_v(200.0, 0.5, 0.5), "z_source = 0.5: .*z_lens = 0.5"),
        (lambda: lj.theta_e_from_sigma_v(200.0, 0.0, 0.5), "z_lens = 0: .*larger than 0"),
        (lambda: lj.theta_e_from_sigma_v(-1.0, 0.1, 0.5), "sigma_v = -1: .*0 or larger"),
        (lambda: lj.theta_e_from_sigma_v(200.0, 0.1, np.nan), "z_source = nan: .*larger than 0"),
        (lambda: lj.Cosmology(omega_m=1.2).comoving_distance(1.0), "omega_m = 1.2: .*between 0"),
        (lambda: lj.Cosmology(h0=0.0).comoving_distance(1.0), "h0 = 0: .*larger than 0"),
        (lambda: lj.Cosmology().angular_diameter_distance(-0.1), "z = -0.1: .*0 or larger"),
        (lambda: lj.Cosmology().angular_diameter_distance(0.1, 0.2), "z = 0.1: .*seen_from = 0.2"),
        (lambda: lj.Cosmology().plane_ratios([0.5, 0.3], 1.0), "z_planes = 0.3: .*before it = 0.5"),
        (lambda: lj.Cosmology().plane_ratios([0.5, 1.3], 1.0), "z_source = 1: .*z_planes = 1.3"),
    ],
)
def test_redshifts_out_of_order_and_universes_that_are_none_are_refused(call, said):
    with pytest.raises(lj.InputError, match=said):
        call()
