"""The compiled function: independent of batching, of the domain's holes, and differentiable."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from auditable import PIXELS, image, rows, smooth_finder

import lensjax as lj
from classifiers.audit import sensitivity
from classifiers.audit.case import photons
from classifiers.audit.injection import Batch, Experiment, audit_prior, observe, unchanged

pytestmark = pytest.mark.usefixtures("hardly_optimised")

N = 6
RING = (4 * PIXELS.scale, 16 * PIXELS.scale)


def batch(n: int = N) -> Batch:
    table = rows(n)
    rng = np.random.default_rng(0)
    psf = jnp.array([[r[f"psfsize_{b}"] for b in "grz"] for r in table])
    depth = jnp.array([[r[f"psfdepth_{b}"] for b in "grz"] for r in table])
    host = jnp.asarray(np.stack([image(r, i) for i, r in enumerate(table)]))
    keys = jnp.asarray(rng.integers(0, 2**32, (n, 2), dtype=np.uint32))
    held = {"theta_e": jnp.linspace(0.6, 2.4, n)}
    dimming = jnp.ones_like(psf)
    return Batch(keys, held, host, psf, depth, psf, depth, lj.Gaussian(psf), dimming)


def experiment(gain: float = 1e12) -> Experiment:
    return Experiment(
        audit_prior("arclike", (21.0, 24.0)), PIXELS, 1, RING, degrade=True, gain=gain
    )


def logits(stamps) -> np.ndarray:
    return np.asarray(smooth_finder().logits(stamps))


@pytest.fixture(scope="module")
def plain():
    """Degraded to what the hosts are anyway, with the photon noise of a huge gain: nothing changes,
    and one compilation serves every test."""
    return observe(experiment(), batch(), unchanged())


def test_the_order_of_a_batch_does_not_matter(plain):
    order = np.array([3, 1, 5, 0, 2, 4])
    shuffled = jax.tree.map(lambda leaf: leaf[order], batch())
    again = observe(experiment(), shuffled, unchanged())
    np.testing.assert_allclose(logits(again["stamp"]), logits(plain["stamp"])[order], rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(again["flux"]), np.asarray(plain["flux"])[order])


def test_an_injection_is_host_plus_arc_and_the_signal_to_noise_that_of_the_arc(plain):
    one = batch()
    arc = np.asarray(plain["arc"], np.float64)
    np.testing.assert_allclose(
        plain["host"], one.host, atol=2e-4
    )  # rounding leaves a thousandth of the sky noise
    np.testing.assert_allclose(plain["stamp"], plain["host"] + arc, atol=1e-5)
    np.testing.assert_allclose(plain["drawn"]["theta_e"], one.drawn["theta_e"], rtol=1e-6)
    width = np.asarray(one.fwhm) / 2.3548 / PIXELS.scale
    sigma = np.sqrt(
        1 / (4 * np.pi * width**2) / np.asarray(one.psfdepth)
    )  # sum(psf^2) of a Gaussian
    np.testing.assert_allclose(
        plain["snr"], np.sqrt(((arc / sigma[:, None, None]) ** 2).sum((1, 2, 3))), rtol=0.01
    )
    ring = (PIXELS.radius() >= 4) & (PIXELS.radius() <= 16)
    np.testing.assert_allclose(
        plain["arc_snr"], arc[:, ring, 1].sum(1) / sigma[:, 1] / np.sqrt(ring.sum()), rtol=0.01
    )


def test_arcs_lie_at_the_einstein_radius_and_outshine_their_sources(plain):
    arc = np.asarray(plain["arc"], np.float64)[..., 1]
    radius = (arc * PIXELS.radius()).sum((1, 2)) / arc.sum((1, 2)) * PIXELS.scale
    blurred = np.hypot(
        np.asarray(batch().drawn["theta_e"]), np.asarray(batch().fwhm)[:, 1] / 2.3548
    )
    np.testing.assert_allclose(radius, blurred, rtol=0.5)
    assert (arc.sum((1, 2)) > 2 * np.asarray(plain["flux"])[:, 1]).all()


def test_source_magnitudes_cover_the_range_asked_for(plain):
    mags = np.asarray(lj.magnitudes(plain["flux"]))[:, 1]
    assert ((mags >= 21) & (mags <= 24)).all() and np.ptp(mags) > 0.5


def test_missing_pixels_of_a_host_stay_missing_and_never_reach_the_score(plain):
    holes = np.isnan(np.asarray(batch().host))
    assert holes.any() and (np.isnan(np.asarray(plain["stamp"])) == holes).all()
    assert np.isfinite(logits(plain["stamp"])).all()


def test_degraded_hosts_have_the_noise_of_the_target(plain):
    one = batch()
    worse = dataclasses.replace(
        one, target_fwhm=one.fwhm * 1.5, target_psfdepth=one.psfdepth * 0.25
    )
    found = observe(experiment(), worse, unchanged())
    host = np.asarray(found["host"])
    assert (np.isnan(host) == np.isnan(np.asarray(one.host))).all()
    width = np.asarray(worse.target_fwhm) / 2.3548 / PIXELS.scale
    wanted = np.sqrt(1 / (4 * np.pi * width**2) / np.asarray(worse.target_psfdepth))
    for i in range(1, N):
        np.testing.assert_allclose(host[i][PIXELS.radius() > 20].std(0), wanted[i], rtol=0.15)
    assert not np.allclose(logits(found["stamp"]), logits(found["host"]))


def test_photon_noise_follows_the_gain(plain):
    noisy = observe(experiment(gain=150.0), batch(), unchanged())
    noise = np.asarray(noisy["stamp"] - plain["stamp"])
    bright = np.asarray(plain["arc"]) > 1e-3
    np.testing.assert_allclose(
        (noise[bright] / np.sqrt(np.asarray(plain["arc"])[bright] / 150.0)).std(), 1.0, rtol=0.1
    )


def test_photon_noise_after_rendering_is_that_of_the_experiment():
    """The treatment does not compile the renderer again, and still draws the same photons."""
    noisy = observe(experiment(gain=150.0), batch(), unchanged())
    again = photons(noisy["host"], noisy["added"], jnp.float32(150.0), batch().key)
    np.testing.assert_allclose(again, noisy["stamp"], atol=1e-6)


def test_gradient_agrees_with_finite_differences_of_a_smooth_finder():
    table = sensitivity.table(
        smooth_finder(), experiment(), [(N, batch()), (N - 2, batch())]
    ).set_index("parameter")
    assert (table["injections"] == 2 * N - 2).all()
    typical = table["gradient_error"] * np.sqrt(
        table["injections"]
    )  # of one injection: the mean may cancel
    assert ((table["gradient"] - table["finite_difference"]).abs() < 0.01 * typical).all(), (
        table.to_string()
    )
    assert table.loc["source magnitude", "gradient"] < 0  # fainter sources are found less often
    assert (typical > 1e-4).all()
