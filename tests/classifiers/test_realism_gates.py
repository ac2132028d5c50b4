"""The gates pass for samples of one process, fail where one is changed, and say when they cannot
say; the blinded panel comes back as it was answered."""

import csv
import json
import re

import numpy as np
import pytest

from classifiers.audit.realism import gates, panel, saturation
from classifiers.audit.realism.azimuthal import subtracted
from classifiers.audit.realism.probe import Probe
from data.survey import default
from lensjax.errors import InputError

BANDS = default().bands
RING = default().radii.arc


def sample(n, seed, bright=1.0, blue=0.0, sky=1.0, per_host=1):
    rng = np.random.default_rng(seed)
    flux = np.exp(rng.normal(np.log(5 * bright), 0.5, n))
    red = rng.normal(0.8, 0.2, (n, 2)) - np.array([blue, 0.0])
    bands = np.stack([flux * 10 ** (-0.4 * red[:, 0]), flux, flux * 10 ** (0.4 * red[:, 1])], 1)
    pixel = sky * rng.normal(size=(n, 3))
    hosts = np.array([f"{seed}-{i // per_host}" for i in range(n)])
    return gates.Measured(flux, bands, pixel, hosts, np.ones(n, bool))


def status(found):
    return [g.status for g in found]


def test_samples_of_one_process_pass():
    a, b = sample(150, 1), sample(400, 2, per_host=2)
    found = [*gates.arc_snr(a, b), *gates.colour(a, b, BANDS), *gates.background(a, b, BANDS)]
    assert status(found) == ["passed"] * 8
    assert all(g.n_lenses == 150 for g in found)
    # A host has one background, however many injections it gets.
    assert [g.n_injections for g in found] == [400] * 5 + [200] * 3
    told = gates.verdict(found)
    assert told["verdict"] == "passed" and "8 gates" in told["reason"]
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    "change, wrong",
    [({"bright": 3.0}, "arc-annulus"), ({"blue": 0.5}, "median g - r"), ({"sky": 1.8}, "pixels")],
)
def test_what_is_changed_fails_and_is_named(change, wrong):
    a, b = sample(150, 1), sample(400, 2, **change)
    found = [*gates.arc_snr(a, b), *gates.colour(a, b, BANDS), *gates.background(a, b, BANDS)]
    failed = [g.name for g in found if g.status == "failed"]
    assert failed and all(wrong in name for name in failed)
    told = gates.verdict(found)
    assert told["verdict"] == "failed" and wrong in told["reason"]


def test_few_lenses_and_wide_intervals_cannot_be_said():
    found = gates.arc_snr(sample(9, 1), sample(400, 2))
    assert status(found) == ["cannot be said"] * 3 and found[0].value is None
    edge = gates.colour(sample(25, 1), sample(400, 2, blue=0.2), BANDS)[0]
    assert edge.status == "cannot be said" and edge.lo95 < -0.2 < edge.hi95
    assert gates.verdict(found)["verdict"] == "cannot be said"
    assert gates.verdict([])["verdict"] == "cannot be said"


def test_only_what_passes_the_detectability_gate_is_compared():
    a, b = sample(150, 1), sample(400, 2)
    faint = sample(400, 3, bright=0.1)
    seen = np.r_[np.ones(400, bool), np.zeros(400, bool)]
    mixed = gates.Measured(
        *(np.concatenate([getattr(b, k), getattr(faint, k)]) for k in ("snr", "flux")),
        *(np.concatenate([getattr(b, k), getattr(faint, k)]) for k in ("pixel", "group")),
        seen,
    )
    assert [g.value for g in gates.arc_snr(a, mixed)] == [g.value for g in gates.arc_snr(a, b)]


def test_a_colour_with_a_missing_band_still_has_a_place_in_the_median():
    found = gates.colours(np.array([[1.0, 10.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]))[:, 0]
    assert found[0] == pytest.approx(2.5) and found[1] == np.inf and found[2] == -np.inf
    assert np.isnan(found[3])


def test_what_is_measured_is_the_flux_that_was_put_in():
    rng = np.random.default_rng(4)
    size, scale = 65, default().pixel_scale
    x = (np.arange(size) - 32) * scale
    blob = np.exp(-0.5 * ((x - 2.2) ** 2 + x[:, None] ** 2) / 0.5**2)[..., None]
    flux = np.array([1.0, 2.0, 3.0])
    noise = np.array([0.002, 0.003, 0.004])
    galaxy = np.exp(-np.hypot(x, x[:, None]) / 0.5)[..., None] * np.array([0.1, 0.2, 0.3])
    stamps = galaxy + flux * blob / blob.sum() + noise * rng.normal(size=(30, size, size, 3))
    stamps = stamps.astype(np.float32)
    stamps[0, :, :, 2] = np.nan
    found = subtracted(stamps, scale, 5.0, 1.38, 1)
    m = gates.measured(stamps, found, RING, 1, np.arange(30), np.ones(30, bool))
    np.testing.assert_allclose(np.median(m.flux[1:], 0), flux, rtol=0.1)
    pixels = found.ring(*RING).sum()
    np.testing.assert_allclose(m.snr.mean(), 2.0 / (0.003 * np.sqrt(pixels)), rtol=0.1)
    assert np.isnan(m.flux[0, 2]) and np.isnan(m.pixel[0, 2]) and np.isfinite(m.snr).all()
    np.testing.assert_allclose(np.nanstd(m.pixel, axis=0), noise, rtol=0.4)


def test_the_probe_and_saturation_have_their_gates():
    control = Probe(0.5, 0.03, np.nan, np.nan, np.nan, 60, 60)
    make = lambda auc, error, balanced=True: gates.probed(
        "probe", Probe(auc, error, 0.4, 0.6, 0.1, 60, 60), control, balanced, "matched"
    )
    assert [make(*v).status for v in ((0.5, 0.03), (0.9, 0.03), (0.6, 0.04))] == [
        *("passed", "failed", "cannot be said")
    ]
    unlike = make(0.9, 0.03, balanced=False)
    assert unlike.status == "cannot be said" and "not balanced" in unlike.words
    nothing = gates.probed("probe", Probe(*(np.nan,) * 5, 3, 3), control, True, "matched")
    assert nothing.status == "cannot be said" and nothing.value is None
    assert gates.saturation(saturation(np.full(50, 0.95)), 50).status == "failed"
    assert gates.saturation(saturation(np.linspace(0, 1, 50)), 50).status == "passed"
    assert gates.saturation(saturation(np.array([])), 0).status == "cannot be said"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    lenses, injections = rng.normal(size=(2, 30, 40, 40, 3)).astype(np.float32)
    names = [f"lens-<{i}>" for i in range(30)], [f"injected-{i}" for i in range(30)]
    title = "<script>alert(1)</script>"
    assert panel.write(tmp_path, lenses, injections, names, default(), 40, 3, title)
    return tmp_path


def answers(folder, of):
    key = json.loads((folder / panel.KEY).read_text())
    return key["panel"], [(r["image"], of(r["truth"])) for r in key["images"]]


def test_the_page_is_blinded_escaped_and_in_a_seeded_order(folder, tmp_path_factory):
    page = (folder / panel.PAGE).read_text()
    key = json.loads((folder / panel.KEY).read_text())
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert len(re.findall(r'<img src="data:image/png', page)) == 40 == len(key["images"])
    assert sum(r["truth"] == "lens" for r in key["images"]) == 20
    assert not any(r["id"] in page for r in key["images"])
    truth = [r["truth"] for r in key["images"]]
    assert truth != sorted(truth) and truth != sorted(truth, reverse=True)
    rng = np.random.default_rng(0)
    lenses, injections = rng.normal(size=(2, 30, 40, 40, 3)).astype(np.float32)
    names = [str(i) for i in range(30)]
    again = tmp_path_factory.mktemp("again")
    panel.write(again, lenses, injections, (names, names), default(), 40, 3)
    assert json.loads((again / panel.KEY).read_text())["panel"] == key["panel"]
    assert not panel.write(again, lenses[:0], injections, (names, names), default())


def test_answers_come_back_as_accuracy_with_an_interval_and_decide_the_gate(folder):
    assert panel.read(folder, folder) is None
    assert gates.panel(None).status == "not done"
    assert gates.panel(None, "not counted").words == "not counted"
    name, right = answers(folder, lambda truth: truth)
    rows = [{"image": i, "answer": a} for i, a in right]
    (folder / "panel_answers.json").write_text(json.dumps({"panel": name, "answers": rows}))
    found = panel.read(folder, folder)
    assert (found["k"], found["n"], found["hi95"]) == (40, 40, 1.0)
    assert gates.panel(found).status == "failed"
    (folder / "panel_answers.json").unlink()
    with (folder / "panel_answers.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["panel", "image", "answer"])
        table.writerows([name, i, "lens"] for i, _ in right)
    found = panel.read(folder, folder)
    assert found["k"] == 20 and found["lenses_called_lens"]["value"] == 1.0
    assert gates.panel(found).status == "passed"
    few = dict(found, n=5)
    assert gates.panel(few).status == "cannot be said"


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "not the answers of a panel"),
        ('{"panel": "x", "answers": []}', "another panel"),
        ('{"panel": "P", "answers": [{"image": 99, "answer": "lens"}]}', "answer 1"),
        ('{"panel": "P", "answers": [{"image": 0, "answer": "star"}]}', "'star'"),
    ],
)
def test_answers_that_cannot_be_right_are_refused(folder, text, words):
    name, _ = answers(folder, str)
    (folder / "panel_answers.json").write_text(text.replace('"P"', f'"{name}"'))
    with pytest.raises(InputError, match=words):
        panel.read(folder, folder)
