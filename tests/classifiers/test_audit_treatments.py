"""Treatments change one assumption and nothing else, and their signs are those that are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from auditable import PIXELS, run_directory
from test_audit_injection import batch, experiment

import lensjax as lj
from classifiers.audit import alternatives, assumptions, treatments
from classifiers.audit.axes import Axis, Grid
from classifiers.audit.campaign import Campaign
from classifiers.audit.case import cases
from classifiers.audit.choosing import choose
from classifiers.audit.hosts import with_depth
from classifiers.audit.injection import audit_prior, unchanged
from classifiers.audit.plan import chunks
from classifiers.audit.settings import AuditSettings
from data.survey import default
from lensjax.errors import InputError

SIZE = 8


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Brightness:
    """A finder whose logit is the light of the stamp in the first two bands, less some of it."""

    light: jax.Array
    name = "brightness"
    differentiable = True
    info = {"trained_on": "none"}

    def logits(self, stamps):
        return 2.0 * (jnp.nansum(stamps[..., :2], axis=(1, 2, 3)) / self.light - 1.0)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """Injections into hosts with dust and with the shapes of a catalogue."""
    columns = {"ebv": 0.2, "shape_e1": 0.3, "shape_e2": 0.0}
    out = run_directory(tmp_path_factory.mktemp("treated") / "run", 60, False, **columns)
    s, survey = settings(), default()
    finder = Brightness(jnp.float32(20.0))
    chosen, _ = choose(out, s, finder.info, survey)
    hosts, _ = with_depth(chosen, out)
    prior = audit_prior("arclike", (20.0, 23.0), survey)
    axes = s.axes(hosts.fwhm, hosts.depth, hosts, list(prior.parameters), survey)
    plan = chunks(hosts, axes, 16, 4, False, 1)
    return Campaign(plan, hosts, out, finder, prior, 0.0, 0.0, SIZE)


def settings(**given) -> AuditSettings:
    return AuditSettings(
        theta_e=(1.0, 2.0),
        trained_on="none",
        psf_edges=(0.5, 3.0),
        depth_edges=(15.0, 30.0),
        source_magnitude=(20.0, 23.0),
        **given,
    )


@pytest.fixture(scope="module")
def listed(campaign):
    return {t.name: t for t in treatments.treatments(campaign, settings())}


@pytest.fixture(scope="module")
def case(campaign):
    (found,) = cases(campaign, [(0, np.arange(SIZE))])
    return found


@pytest.fixture(scope="module")
def before(case):
    return case.observed()


def light(found) -> np.ndarray:
    return np.nansum(np.asarray(found["arc"], np.float64), axis=(1, 2, 3))


def drawn(found) -> dict[str, np.ndarray]:
    return {name: np.asarray(values) for name, values in found["drawn"].items()}


def test_a_gain_of_1e12_gives_the_noiseless_stamp(case, before):
    noiseless = np.asarray(before["stamp"])
    for gain in (1e12, 0.0):
        found = dataclasses.replace(case, gain=gain).observed()
        np.testing.assert_allclose(found["stamp"], noiseless, atol=2e-5, rtol=1e-6)
    noisy = np.asarray(dataclasses.replace(case, gain=150.0).observed()["stamp"])
    assert np.nanmax(np.abs(noisy - noiseless)) > 1e-3


@pytest.mark.parametrize(
    "name", ["extinction_off", "photon_noise_on", "no_inner_image", "psf_+10%", "size_-30%"]
)
def test_a_treatment_keeps_keys_hosts_and_every_draw(name, listed, case, before):
    changed = listed[name].change(case)
    np.testing.assert_array_equal(changed.batch.key, case.batch.key)
    np.testing.assert_array_equal(changed.place, case.place)
    found = changed.observed()
    np.testing.assert_array_equal(found["host"], before["host"])
    for parameter, values in drawn(before).items():
        np.testing.assert_array_equal(drawn(found)[parameter], values, err_msg=parameter)
    assert not np.array_equal(np.asarray(found["stamp"]), np.asarray(before["stamp"]))


@pytest.mark.parametrize("name", ["g_r_+0.2", "r_z_-0.2", "lens_q"])
def test_a_moved_distribution_moves_its_own_draws_only(name, listed, case, before):
    after, own = drawn(listed[name].change(case).observed()), name.split("_+")[0].split("_-")[0]
    for parameter, values in drawn(before).items():
        if parameter == own:
            assert (after[parameter] != values).all()
        else:
            np.testing.assert_array_equal(after[parameter], values, err_msg=parameter)
    if own == "g_r":
        np.testing.assert_allclose(after[own], drawn(before)[own] + 0.2, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["slope_1.8", "slope_scatter", "multipole_4", "clumpy_sources", "prior_raw_notes"]
)
def test_what_both_components_have_keeps_its_draw(name, listed, case, before):
    """Drawn only: no need to render to see it. theta_e is held by the plan, the magnitude is
    drawn from the same distribution by every prior here."""
    changed = listed[name].change(case).resolved().batch.drawn
    own = drawn(before)
    kept = {"theta_e", "r_mag", "lens_x", "lens_y", "lens_q", "lens_phi", "source_phi"}
    if name != "prior_raw_notes":
        kept = set(own)
    for parameter in kept:
        np.testing.assert_allclose(changed[parameter], own[parameter], rtol=1e-6)
    new = set(changed) - set(own)
    if name == "slope_1.8":
        assert (np.asarray(changed["slope"]) == np.float32(1.8)).all() and "a_m" in new
    if name == "multipole_4":
        assert (np.asarray(changed["slope"]) == 2).all() and np.ptp(changed["a_m"]) > 0
    if name == "slope_scatter":
        assert 0.02 < np.std(changed["slope"]) < 0.5


def test_a_power_law_of_slope_2_without_a_multipole_is_the_sie(case, before):
    """The treatments of the mass differ from the first look by the mass alone."""
    prior = alternatives.power_law_with_multipole(case.experiment.prior)
    other = dataclasses.replace(case.experiment, prior=prior)
    same = dataclasses.replace(case, experiment=other).resolved()
    n = len(case.batch)
    found = same.holding(slope=np.full(n, 2.0), a_m=np.zeros(n)).observed()
    np.testing.assert_allclose(found["arc"], before["arc"], atol=2e-4 * float(before["arc"].max()))


def test_the_lens_follows_its_hosts_light(listed, case):
    held = listed["shape_of_host"].change(case).batch.drawn
    # e1 = 0.3, e2 = 0: elongated to the north, so the major axis is the y axis.
    np.testing.assert_allclose(held["lens_phi"], np.pi / 2, rtol=1e-6)
    q = np.asarray(held["lens_q"])
    assert abs(q.mean() - 0.7 / 1.3) < 0.06 and (q >= 0.5).all()


def test_no_light_is_left_within_half_the_einstein_radius(listed, case, before):
    found = listed["no_inner_image"].change(case).observed()
    taken = np.nan_to_num(np.asarray(before["stamp"]) - np.asarray(found["stamp"]))
    radius = PIXELS.radius() * PIXELS.scale
    edge = treatments.INNER * np.asarray(before["drawn"]["theta_e"])
    for own, arc, r in zip(taken, np.asarray(before["arc"]), edge):
        inside, outside = radius < r - PIXELS.scale, radius > r + PIXELS.scale
        np.testing.assert_allclose(own[outside], 0.0, atol=1e-6)
        np.testing.assert_allclose(own[inside], arc[inside], atol=1e-5)


def test_signs_that_are_known(listed, case, before):
    """Dust dims; clearing it away makes arcs brighter by the known factor; a redder source is
    fainter in g at the same r; the PSF moves light and makes none."""
    clear = light(listed["extinction_off"].change(case).observed())
    assert (clear > light(before)).all()
    g = lambda found: np.asarray(found["flux"])[:, 0]
    np.testing.assert_allclose(
        g(listed["g_r_+0.2"].change(case).observed()) / g(before), 10**-0.08, rtol=1e-4
    )
    ratio = light(listed["psf_+10%"].change(case).observed()) / light(before)
    assert (np.abs(ratio - 1) < 0.01).all()


def test_what_cannot_be_applied_is_listed_with_the_reason(listed, campaign):
    why = {name: t.why_not for name, t in listed.items() if t.change is None}
    assert set(why) == {"psf_kernels", "white_noise", "galaxy_images", "clip_10", "clip_20"}
    assert all(why.values())
    assert {t.kind for t in listed.values()} == {
        "assumption",
        "population",
        "perturbation",
        "finder",
    }
    assert sum(t.kind == "perturbation" for t in listed.values()) == 9
    some = treatments.chosen(list(listed.values()), ["extinction_off"])
    assert [t.name for t in some if t.change is not None] == ["extinction_off"]
    assert all(t.why_not for t in some if t.change is None) and len(some) == len(listed)
    with pytest.raises(InputError, match="no treatment 'dust'"):
        treatments.chosen(list(listed.values()), ["dust"])


def test_galaxy_images_have_the_half_light_radius_of_the_sersic_source(campaign, case):
    """The library's radii are drawn by the same key as its images."""
    y, x = np.mgrid[:33, :33] - 16.0
    widths = np.array([2.0, 5.0])
    images = np.stack([np.exp(-0.5 * (x**2 + y**2) / w**2) for w in widths]).astype(np.float32)
    radii = alternatives.half_light(images)
    np.testing.assert_allclose(radii, 1.1774 * widths, rtol=0.15)
    prior = alternatives.pictured(campaign.prior, images)
    found = treatments._radius_of(case, prior, radii)
    keyed = dataclasses.replace(case.experiment, prior=prior)
    scenes = keyed.draw(case.batch, unchanged())[1]
    drawn_images = np.asarray(scenes.source[0].image)
    own = [int(np.abs(drawn_images[i] - images[1]).max() < 1e-6) for i in range(SIZE)]
    np.testing.assert_allclose(found, radii[own], rtol=1e-6)
    assert len(set(own)) == 2


def grid() -> Grid:
    drawn = Axis("theta_e", "", "", "drawn", "theta_e", points=(1.0, 2.0))
    measured = Axis("source_mag", "", "mag", "measured", "source_mag", edges=(20.0, 21.5, 23.0))
    return Grid((drawn,), (), (measured,))


@pytest.fixture(scope="module")
def looked(campaign, listed, tmp_path_factory):
    names = ["extinction_off", "size_-30%", "photon_noise_on"]
    own = treatments.chosen(list(listed.values()), names)
    total = sum(len(c) for c in campaign.plan)
    chosen = assumptions.choose(campaign.plan, np.zeros(total), 0.0, 16)
    folder = tmp_path_factory.mktemp("looks")
    return own, chosen, assumptions.carry_out(campaign, chosen, own, folder), folder


def test_less_dust_finds_more_and_loses_nothing(looked):
    own, chosen, looks, _ = looked
    middle = float(looks[assumptions.FIRST]["score"].median())
    table = assumptions.table(own, looks, chosen.weight, middle, grid())
    line = assumptions.overall(table).set_index("treatment").loc["extinction_off"]
    assert line["change"] > 0 and line["lost"] == 0 and line["gained"] > 0
    assert line["lo95"] <= line["change"] <= line["hi95"]
    bins = table[(table["treatment"] == "extinction_off") & (table["axis"] == "source_mag")]
    assert bins["n"].sum() == line["n"] and bins["gained"].sum() == line["gained"]
    idle = assumptions.overall(table)
    assert len(idle) == len(own) and (idle["status"] != "").all()
    ends = assumptions.systematic(table, 0.4)
    assert ends["high"] == pytest.approx(
        0.4 + max(idle[idle["kind"] == "assumption"]["change"].max(), 0) / 100
    )
    assert ends["low"] <= 0.4 and ends["treatments"] == 2
    alone = table[table["treatment"] != "extinction_off"]
    assert assumptions.systematic(alone, 0.4) is None  # one change is no range


def test_looks_that_are_there_are_not_made_again(looked, campaign, monkeypatch):
    own, chosen, looks, folder = looked
    monkeypatch.setattr(assumptions, "_look", lambda *_: pytest.fail("made again"))
    again = assumptions.carry_out(campaign, chosen, own, folder)
    assert all(again[name].equals(looks[name]) for name in looks)


def test_the_sample_stands_for_all_injections(campaign):
    total = sum(len(c) for c in campaign.plan)
    logit = np.random.default_rng(0).normal(-6, 4, total)
    chosen = assumptions.choose(campaign.plan, logit, 0.0, 20)
    near = np.abs(logit[chosen.rows]) <= assumptions.NEAR
    assert len(chosen) == 20 and near.sum() == min(15, (np.abs(logit) <= assumptions.NEAR).sum())
    assert chosen.weight.sum() == pytest.approx(total)
    assert chosen.weight[near].sum() == pytest.approx((np.abs(logit) <= assumptions.NEAR).sum())
    keys = np.concatenate([campaign.plan[i].key[rows] for i, rows in chosen.sample])
    every = np.concatenate([c.key for c in campaign.plan])
    np.testing.assert_array_equal(keys, every[chosen.rows])


def test_white_noise_of_degraded_hosts_is_blind_to_what_blurring_took(campaign):
    """Without blurring both noise models are the same; with it the plain one has less noise than
    the target's only by what the blurred host lost."""
    one = dataclasses.replace(
        batch(), target_fwhm=batch().fwhm * 1.6, target_psfdepth=batch().psfdepth * 0.25
    )
    degraded = experiment()
    place = np.arange(len(one))
    from classifiers.audit.case import Case

    made = Case(degraded, one, campaign.finder, campaign.hosts, place, len(one))
    plain = treatments._with_white_noise(made)
    assert not plain.experiment.degrade
    host, target = np.asarray(plain.batch.host), np.asarray(degraded.hosts(one))
    assert (np.isnan(host) == np.isnan(target)).all()
    outer = PIXELS.radius() > 20
    scatter = lambda images: np.array([i[outer].std(0) for i in images[1:]])
    ratio = scatter(host) / scatter(target)
    sigma = lambda depth, fwhm: np.asarray(lj.pixel_sigma(depth, lj.Gaussian(fwhm), PIXELS))
    own = np.stack([sigma(d, f) for d, f in zip(one.psfdepth[1:], one.fwhm[1:])])
    full = np.stack([sigma(d, f) for d, f in zip(one.target_psfdepth[1:], one.target_fwhm[1:])])
    least = np.sqrt(np.maximum(full**2 - own**2, 0)) / full
    assert (ratio > 0.9 * least).all() and (ratio < 1.1).all()
