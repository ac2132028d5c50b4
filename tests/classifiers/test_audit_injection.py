"""The compiled function: independent of batching, of the domain's holes, and differentiable."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from auditable import PIXELS, image, rows, smooth_finder

import lensjax as lj
from classifiers.audit import sensitivity
from classifiers.audit.injection import Batch, Experiment, audit_prior, observe, unchanged

N = 6


def batch(n: int = N) -> Batch:
    table = rows(n)
    rng = np.random.default_rng(0)
    psf = jnp.array([[r[f"psfsize_{b}"] for b in "grz"] for r in table])
    depth = jnp.array([[r[f"psfdepth_{b}"] for b in "grz"] for r in table])
    host = jnp.asarray(np.stack([image(r, i) for i, r in enumerate(table)]))
    keys = jnp.asarray(rng.integers(0, 2**32, (n, 2), dtype=np.uint32))
    return Batch(keys, jnp.linspace(0.6, 2.4, n), host, psf, depth, psf, depth)


def experiment(**options) -> Experiment:
    return Experiment(smooth_finder(), audit_prior("arclike", (21.0, 24.0)), PIXELS, **options)


@pytest.fixture(scope="module")
def plain():
    return observe(experiment(), batch(), unchanged())


def test_the_order_of_a_batch_does_not_matter(plain):
    order = np.array([3, 1, 5, 0, 2, 4])
    shuffled = jax.tree.map(lambda leaf: leaf[order], batch())
    again = observe(experiment(), shuffled, unchanged())
    np.testing.assert_allclose(np.asarray(again["logit"]), np.asarray(plain["logit"])[order], rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(again["scenes"].source.flux), np.asarray(plain["scenes"].source.flux)[order])


def test_an_injection_is_host_plus_arc_of_the_drawn_scene(plain):
    one, scene = batch(), jax.tree.map(lambda leaf: leaf[2], plain["scenes"])
    arc = lj.render(scene, PIXELS, lj.Gaussian(one.psf[2]))
    np.testing.assert_allclose(plain["arc"][2], arc, atol=1e-5 * float(arc.max()))
    np.testing.assert_allclose(plain["stamp"], one.host + plain["arc"], atol=1e-6)
    np.testing.assert_allclose(np.asarray(scene.lens.theta_e), one.theta_e[2], rtol=1e-6)
    sigma = lj.pixel_sigma(one.psfdepth[2], lj.Gaussian(one.psf[2]), PIXELS)
    np.testing.assert_allclose(plain["arc_snr"][2], lj.arc_snr(arc, sigma)[1], rtol=1e-4)
    np.testing.assert_allclose(plain["snr"][2], np.sqrt(np.sum((np.asarray(arc) / np.asarray(sigma)) ** 2)), rtol=1e-4)


def test_source_magnitudes_cover_the_range_asked_for(plain):
    mags = np.asarray(lj.magnitudes(plain["scenes"].source.flux))[:, 1]
    assert ((mags >= 21) & (mags <= 24)).all() and np.ptp(mags) > 0.5


def test_missing_pixels_of_a_host_stay_missing_and_never_reach_the_score(plain):
    holes = np.isnan(np.asarray(batch().host))
    assert holes.any() and (np.isnan(np.asarray(plain["stamp"])) == holes).all()
    assert np.isfinite(np.asarray(plain["logit"])).all()


def test_degraded_hosts_have_the_noise_of_the_target_and_a_target_like_the_host_changes_nothing(plain):
    one = batch()
    worse = dataclasses.replace(one, target_psf=one.psf * 1.5, target_psfdepth=one.psfdepth * 0.25)
    same, found, noisy = (observe(experiment(degrade=True, gain=gain), b, unchanged()) for b, gain in ((one, 1e12), (worse, 1e12), (one, 150.0)))
    np.testing.assert_allclose(same["logit"], plain["logit"], atol=2e-3)  # a gain of 1e12 is no photon noise
    assert np.abs(np.asarray(noisy["logit"] - same["logit"])).max() > 1e-2
    host = np.asarray(found["host"])
    assert (np.isnan(host) == np.isnan(np.asarray(one.host))).all()
    wanted = jax.vmap(lambda d, w: lj.pixel_sigma(d, lj.Gaussian(w), PIXELS))(worse.target_psfdepth, worse.target_psf)
    for i in range(1, N):
        np.testing.assert_allclose(host[i][PIXELS.radius() > 20].std(0), wanted[i], rtol=0.15)
    assert not np.allclose(found["logit"], found["logit_before"])


def test_gradient_agrees_with_finite_differences_of_a_smooth_finder():
    table = sensitivity.table(experiment(), [(N, batch()), (N - 2, batch())]).set_index("parameter")
    assert (table["injections"] == 2 * N - 2).all()
    typical = table["gradient_error"] * np.sqrt(table["injections"])  # of one injection: the mean may cancel
    assert ((table["gradient"] - table["finite_difference"]).abs() < 0.01 * typical).all(), table.to_string()
    assert table.loc["source magnitude", "gradient"] < 0  # fainter sources are found less often
    assert (typical > 1e-3).all()
