"""The probe finds what differs and nothing where nothing does; matching, Frechet distance, Gabor
bank."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classifiers import frozen
from classifiers.audit.realism import features, frechet, gabor, matching
from classifiers.audit.realism.azimuthal import background
from classifiers.audit.realism.probe import control, probe, rotated
from lensjax.errors import InputError
from lensjax.grid import PixelGrid

PIXELS = PixelGrid(64)


def stamps(n, seed, colour=0.0, size=1.0):
    """Galaxies with a blob beside them, whose colour (mag) and size (a factor) can be changed."""
    rng = np.random.default_rng(seed)
    x, y = PIXELS.mesh()
    made = []
    for _ in range(n):
        angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(1.2, 2.2)
        galaxy = np.exp(-np.hypot(x, y) / rng.uniform(0.5, 0.8))
        r2 = (x - away * np.cos(angle)) ** 2 + (y - away * np.sin(angle)) ** 2
        width = size * rng.uniform(0.45, 0.6)
        blob = 0.25 / size**2 * np.exp(-0.5 * r2 / width**2)
        red = 10 ** (-0.4 * np.array([colour, 0.0, -colour]))
        made.append(galaxy[..., None] * np.array([0.3, 0.6, 0.9]) + blob[..., None] * red)
    noise = np.array([0.01, 0.015, 0.03])
    return (np.stack(made) + noise * rng.normal(size=(n, 64, 64, 3))).astype(np.float32)


def bank(images):
    sky, sigma = background(images)
    return gabor.features(images, sigma, sky, PIXELS.scale, 4.0)


def names(n, stem):
    return np.array([f"{stem}{i}" for i in range(n)])


@pytest.fixture(scope="module")
def plain():
    return stamps(120, 1)


@pytest.fixture(scope="module")
def network():
    return frozen.untrained(crop=64)


def test_the_probe_is_near_a_half_for_a_process_against_itself(plain):
    found = probe(bank(plain), bank(stamps(120, 2)), names(120, "a"), names(120, "b"), 3, 20)
    assert abs(found.auc - 0.5) < 0.12 and 0.02 < found.error < 0.06
    assert found.null_lo < found.auc < found.null_hi and found.p > 0.05
    halves = control(bank(plain), names(120, "a"), 4)
    assert abs(halves.auc - 0.5) < 0.2 and (halves.n_a, halves.n_b) == (60, 60)


@pytest.mark.parametrize("change", [{"colour": 0.5}, {"size": 2.0}])
def test_the_probe_tells_sources_of_other_colours_or_sizes(plain, change):
    found = probe(
        bank(plain), bank(stamps(120, 2, **change)), names(120, "a"), names(120, "b"), 3, 20
    )
    assert found.auc > 0.8 and found.auc > found.null_hi and found.p < 0.05


def test_the_probe_sees_through_a_network(plain, network):
    """A network that was never trained is enough of one where images are noisier."""
    noise = np.random.default_rng(8).normal(scale=0.12, size=plain.shape).astype(np.float32)
    a, same, other = (
        list(features.blocks(network, images).values())[-1]
        for images in (plain, stamps(120, 2), stamps(120, 2) + noise)
    )
    assert abs(probe(a, same, names(120, "a"), names(120, "b"), 3, 0).auc - 0.5) < 0.12
    assert probe(a, other, names(120, "a"), names(120, "b"), 3, 0).auc > 0.8


def test_features_are_those_of_the_finder_whatever_the_batch(plain, network):
    found = features.blocks(network, plain[:20], 48)
    assert list(found) == list(network.maps(jnp.asarray(plain[:1])))
    own = np.asarray(jax.jit(network.features)(jnp.asarray(plain[:20])))
    np.testing.assert_allclose(list(found.values())[-1], own, rtol=1e-4, atol=1e-5)
    again = features.blocks(network, plain[:20], 7)
    np.testing.assert_allclose(list(again.values())[-1], own, rtol=1e-4, atol=1e-5)
    assert features.blocks(object(), plain[:2]) is None


def test_objects_of_one_host_do_not_fool_the_probe():
    """Hosts whose every object is alike: known in fitting, they would be found again. With hosts
    in one fold each there is nothing to find."""
    rng = np.random.default_rng(5)
    a, b = (np.repeat(rng.normal(size=(30, 8)), 8, 0) for _ in range(2))
    a, b = (t + 0.01 * rng.normal(size=t.shape) for t in (a, b))
    hosts = [np.repeat(names(30, stem), 8) for stem in "ab"]
    grouped = probe(a, b, *hosts, 1, 20)
    alone = probe(a, b, names(240, "a"), names(240, "b"), 1, 20)
    assert alone.auc > 0.65 > grouped.auc
    assert grouped.null_lo < grouped.auc < grouped.null_hi and alone.auc > alone.null_hi


def test_too_few_groups_give_no_number():
    x = np.zeros((200, 3))
    found = probe(x, x, np.repeat(names(10, "a"), 20), names(200, "b"))
    assert not found.said and np.isnan(found.auc) and found.n_a == 200


def test_the_rotation_keeps_all_distances_of_standardised_features():
    x = np.random.default_rng(0).normal(size=(12, 40)) * np.linspace(1, 9, 40)
    x = np.concatenate([x, np.ones((12, 2))], 1)
    x[0, 0] = np.nan
    y = rotated(x)
    filled = np.where(np.isnan(x), np.nanmedian(x, axis=0), x)[:, :40]
    z = (filled - filled.mean(0)) / filled.std(0)
    gram = lambda t: ((t[:, None] - t[None]) ** 2).sum(-1)
    assert y.shape[1] <= 12
    np.testing.assert_allclose(gram(y), gram(z), rtol=1e-9, atol=1e-9)


def test_matching_balances_two_populations_and_uses_nothing_twice():
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(60, 2)), rng.normal([0.8, -0.8], 1.3, size=(800, 2))
    a[0, 0] = np.nan
    pairs = matching.matched(a, b, ["theta_e", "arc magnitude"])
    assert len(set(pairs.a)) == len(set(pairs.b)) == len(pairs) >= 55 and 0 not in pairs.a
    assert all(abs(r["before"]) > 0.5 and abs(r["after"]) < 0.1 for r in pairs.balance)
    assert pairs.balanced
    far = matching.matched(a, b + 100, ["theta_e", "arc magnitude"])
    assert len(far) == 0 and not far.balanced and far.balance[0]["after"] is None
    apart = rng.normal([1.5, -1.5], 1.0, size=(90, 2))
    wide = matching.matched(a, apart, ["theta_e", "arc magnitude"])
    tight = matching.balanced(a, apart, ["theta_e", "arc magnitude"], 5)
    assert not wide.balanced and tight.balanced and 5 <= len(tight) < len(wide)
    none = matching.matched(a, b[:0], ["theta_e", "arc magnitude"])
    assert len(none) == 0


def test_the_frechet_distance_is_that_of_the_covariances():
    """Against scipy's matrix root, with more objects than features and with fewer."""
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(9)
    for n, m, f in ((300, 200, 6), (12, 15, 6)):
        a, b = rng.normal(size=(n, f)), rng.normal(0.3, 1.5, size=(m, f))
        ca, cb = np.cov(a.T), np.cov(b.T)
        expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * sqrtm(ca @ cb))
        assert frechet.distance(a, b) == pytest.approx(float(np.real(expected)), rel=1e-6)
    assert frechet.distance(a, a) == pytest.approx(0, abs=1e-9)
    assert np.isnan(frechet.distance(a[:1], b))


def test_the_yardstick_of_the_frechet_distance_takes_the_bias_of_small_samples():
    rng = np.random.default_rng(11)
    a, b, other = (rng.normal(s, 1, size=(n, 50)) for s, n in ((0, 40), (0, 160), (1.0, 40)))
    same = frechet.beside_itself(a, b, np.arange(160))
    assert same["distance"] > 10 and 0.9 < same["ratio"] < 1.1 and "mostly bias" in same["warning"]
    assert frechet.beside_itself(other, b, np.arange(160))["ratio"] > 1.5
    blocks = frechet.by_block({"one": a, "two": other}, {"one": b, "two": b}, np.arange(160))
    assert [r["block"] for r in blocks] == ["one", "two"]
    many = frechet.beside_itself(
        rng.normal(size=(400, 3)), rng.normal(size=(800, 3)), np.arange(800)
    )
    assert many["warning"] == ""


def test_a_gabor_filter_answers_to_its_own_wave():
    filters = gabor.bank(64, 0.262)
    assert len(filters) == gabor.SCALES * gabor.ORIENTATIONS
    np.testing.assert_allclose(filters[:, 0, 0], 0, atol=1e-6)
    x, y = PIXELS.mesh()
    lengths = np.geomspace(*gabor.WAVELENGTH, gabor.SCALES)
    for scale in (0, 1, 2):
        for turn in (0, 2, 5):
            angle = turn * np.pi / gabor.ORIENTATIONS
            wave = np.cos(2 * np.pi / lengths[scale] * (np.cos(angle) * x + np.sin(angle) * y))
            answer = np.abs(np.fft.ifft2(np.fft.fft2(wave) * filters))[:, 24:40, 24:40].mean((1, 2))
            assert answer.argmax() == scale * gabor.ORIENTATIONS + turn
    with pytest.raises(InputError, match="needs pixels"):
        gabor.bank(64, 0.8)


def test_gabor_features_take_missing_pixels_and_bands(plain):
    images = plain[:4].copy()
    images[0, :9] = np.nan
    images[1, ..., 0] = np.nan
    images[2] = np.nan
    found = bank(images)
    assert found.shape == (4, 24 * 2 * 3) and np.isfinite(found).all()
    assert bank(images[:0].reshape(0, 64, 64, 3)).shape == (0, 144)
