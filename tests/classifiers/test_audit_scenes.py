"""Any scene and any PSF can be audited: what is injected is what lensjax renders by itself."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick_compilation
import yaml

import lensjax as lj
from classifiers.audit import sensitivity
from classifiers.audit.campaign import described
from classifiers.audit.injection import Batch, Experiment, audit_prior, unchanged
from classifiers.audit.settings import AuditSettings
from data.config import validated
from data.survey import load
from lensjax.errors import InputError

pytestmark = pytest.mark.usefixtures("hardly_optimised")

SURVEY = load("ls_dr10")
PIXELS = lj.PixelGrid(33, SURVEY.pixel_scale)
U = {"uniform": [0.0, 3.1]}
SIE = {"SIE": {"theta_e": {"uniform": [0.8, 1.2]}, "q": {"uniform": [0.6, 0.9]}, "phi": U}}
PLACE = {"x": {"normal": [0.0, 0.05]}, "y": {"normal": [0.0, 0.05]}}
SIE["SIE"] |= PLACE
COLOURS = {
    "r_mag": {"uniform": [21.0, 22.0]},
    "g_r": {"fixed": 0.5},
    "r_z": {"fixed": 0.4},
}
OFFSET = {"beta": {"area": [0.1, 0.3]}, "beta_phi": U}
SERSIC = {
    **COLOURS,
    **OFFSET,
    "r_eff": {"uniform": [0.2, 0.4]},
    "n": {"fixed": 1.0},
    "q": {"uniform": [0.5, 1.0]},
    "phi": U,
}
EINSTEIN = {"theta_e": {"uniform": [0.8, 1.2]}}
SHAPE = {"q": {"uniform": [0.7, 0.9]}, "phi": U}
IMAGE = {
    **COLOURS,
    **OFFSET,
    "scale": {"fixed": 0.06},
    "phi": U,
}
LIGHT = {k: v for k, v in SERSIC.items() if k not in OFFSET}
HALO = {**EINSTEIN, "r_s": {"uniform": [5.0, 9.0]}, **PLACE}
BUMP = {"m": 4, "a_m": {"normal": [0.0, 0.02]}, "phi_m": U, **PLACE}
KNOTS = {
    "probability": 1.0,
    "number": [1, 3],
    "fraction": [0.15, 0.45],
    "spread": 1.0,
    "size": [0.2, 0.3],
}
EPL = {"EPL": {**EINSTEIN, "slope": {"normal": [2.0, 0.1]}, **SHAPE, **PLACE}}
CLUMPY = {"ClumpySersic": {**SERSIC, "clumps": KNOTS}}
SCENES = {
    "EPL, multipole, clumps, lens light": {
        "lens": {**EPL, "Multipole": BUMP},
        "source": CLUMPY,
        "lens_light": {"Sersic": LIGHT},
    },
    "NFW, galaxy images": {"lens": {"NFW": HALO}, "source": {"GalaxyImage": IMAGE}},
    "elliptical NFW": {"lens": {"EllipticalNFW": {**HALO, **SHAPE}}},
}
ALONE = {
    "EPL": {"lens": EPL},
    "NFW": {"lens": {"NFW": HALO}},
    "multipole": {"lens": {**SIE, "Multipole": {**BUMP, "m": 3}}},
    "clumps": {"source": CLUMPY},
    "galaxy images": {"source": {"GalaxyImage": IMAGE}},
    "lens light": {"lens_light": {"Sersic": LIGHT}},
}
observe = jax.jit(Experiment.observe, compiler_options=quick_compilation.OPTIONS)
"""`injection.observe`, compiled in half the time"""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("library") / "galaxies.npz"
    np.savez(path, images=np.random.default_rng(0).random((3, 12, 12), np.float32) + 0.1)
    return str(path)


def batch(psf, n: int = 2) -> Batch:
    fwhm = jnp.full((n, 3), 0.9) * jnp.array(SURVEY.fwhm_ratio)
    depth = jnp.full((n, 3), 800.0)
    key = jnp.arange(2 * n, dtype=jnp.uint32).reshape(n, 2)
    dust = 10 ** (-0.4 * jnp.array(SURVEY.extinction) * jnp.array([[0.0], [0.2]]))
    host = jnp.zeros((n, PIXELS.size, PIXELS.size, 3))
    return Batch(key, {}, host, fwhm, depth, fwhm, depth, psf(fwhm), dust)


def experiment(prior) -> Experiment:
    return Experiment(prior, PIXELS, SURVEY.place, SURVEY.radii.arc)


@pytest.mark.parametrize(
    "kind", [*SCENES, *(pytest.param(kind, marks=pytest.mark.stress) for kind in ALONE)]
)
def test_every_kind_of_scene_is_auditable_by_yaml(kind, tmp_path, library):
    entries = {"lens": SIE, "source": {"Sersic": SERSIC}} | (SCENES | ALONE)[kind]
    if "GalaxyImage" in entries["source"]:
        entries = {**entries, "source": {"GalaxyImage": {**IMAGE, "library": library}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(entries))
    s = validated(AuditSettings, {"prior": str(tmp_path / "mine.yaml")}, "audit")
    prior = audit_prior(s.prior, (21.0, 21.5), SURVEY)
    found = observe(experiment(prior), batch(lj.Gaussian), unchanged())
    columns = described(found, 2, SURVEY)
    assert set(prior.parameters) <= set(columns)
    assert ((columns["source_mag"] >= 21.0) & (columns["source_mag"] <= 21.5)).all()
    np.testing.assert_allclose(columns["source_mag"], columns["r_mag"], rtol=1e-5)
    np.testing.assert_allclose(columns["source_g_r"], 0.5, atol=1e-4)
    arc = np.asarray(found["arc"], np.float64)
    assert np.isfinite(arc).all() and (columns["magnification"] > 1.5).all()
    radius = (arc[..., 1] * PIXELS.radius()).sum((1, 2)) / arc[..., 1].sum((1, 2)) * PIXELS.scale
    np.testing.assert_allclose(radius, np.hypot(columns["theta_e"], 0.9 / 2.3548), rtol=0.45)
    glow = (np.asarray(found["stamp"]) - arc).sum((1, 2))
    if "lens_light" not in entries:
        np.testing.assert_allclose(glow, 0.0, atol=1e-3)
        return
    flux = (
        10 ** (0.4 * (22.5 - columns["light_r_mag"])) * np.asarray(batch(lj.Gaussian).dimming)[:, 1]
    )
    np.testing.assert_allclose(glow[:, 1], flux, rtol=0.05)


@pytest.fixture(scope="module")
def plain():
    """The default prior through a Gaussian, and the same through the kernel of that Gaussian."""
    one = batch(lj.Gaussian)
    prior = audit_prior("arclike", (21.0, 21.5), SURVEY)
    kernel = jax.vmap(lambda p: jnp.moveaxis(p.stamp(lj.PixelGrid(25, PIXELS.scale)), -1, 0))(
        one.psf
    )
    through = dataclasses.replace(one, psf=lj.PixelKernel(kernel))
    return [(b, observe(experiment(prior), b, unchanged())) for b in (one, through)]


def test_a_kernel_for_each_host_and_band_blurs_as_the_psf_that_it_samples(plain):
    (_, gaussian), (_, kernel) = plain
    peak = float(np.abs(gaussian["arc"]).max())
    np.testing.assert_allclose(kernel["arc"], gaussian["arc"], atol=0.01 * peak)
    np.testing.assert_allclose(kernel["snr"], gaussian["snr"], rtol=0.02)


def test_the_width_of_a_kernel_is_no_parameter(plain):
    (one, _), (through, _) = plain
    own = experiment(audit_prior("arclike", (), SURVEY))
    assert "log_psf" in sensitivity.available(own, one)
    assert "log_psf" not in sensitivity.available(own, through)


def test_dust_dims_the_arc_by_the_surveys_coefficients(plain):
    (one, found), _ = plain
    clear = dataclasses.replace(one, dimming=jnp.ones_like(one.dimming))
    prior = audit_prior("arclike", (21.0, 21.5), SURVEY)
    undimmed = observe(experiment(prior), clear, unchanged())
    ratio = np.asarray(found["arc"]).sum((1, 2)) / np.asarray(undimmed["arc"]).sum((1, 2))
    np.testing.assert_allclose(ratio[0], 1.0, rtol=1e-5)
    wanted = 10 ** (-0.4 * 0.2 * np.array([3.214, 2.165, 1.211]))  # spec: DECam, SFD scale
    np.testing.assert_allclose(ratio[1], wanted, rtol=1e-4)


def test_the_default_prior_of_the_survey_is_the_one_of_the_registry(plain):
    """Bands of the survey and a range of magnitudes leave everything else as it is drawn."""
    (one, found), _ = plain
    key = jax.random.fold_in(jax.random.wrap_key_data(one.key[1], impl="threefry2x32"), 0)
    scene = lj.priors("arclike").sample(key, 1)
    columns = described(found, 2, SURVEY)
    assert columns["lens_q"][1] == pytest.approx(float(scene.lens[0].q[0]), rel=1e-5)
    colour = -2.5 * np.log10(scene.source[0].flux[0, 0] / scene.source[0].flux[0, 1])
    assert columns["source_g_r"][1] == pytest.approx(float(colour), abs=1e-4)


@pytest.mark.parametrize(
    "prior, words",
    [
        ({"lens": {"SIX": {}}, "source": {"Sersic": SERSIC}}, ("SIX", "SIE")),
        ({"lens": SIE}, ("no source",)),
        ("nonesuch", ("nonesuch", "arclike")),
    ],
)
def test_a_prior_that_cannot_be_is_one_line_with_the_cure(prior, words):
    with pytest.raises(InputError) as error:
        audit_prior(prior, (), SURVEY)
    assert "\n" not in str(error.value) and all(word in str(error.value) for word in words)
