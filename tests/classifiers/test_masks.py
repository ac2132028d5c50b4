"""A network that sees one part of a stamp sees it everywhere: frozen, exported, loaded."""

import json

import galaxies
import jax
import numpy as np
import pytest
from training_runs import TINY, settings

from classifiers import exchange, finders, frozen, onnxfile
from classifiers.training import verb
from data.preprocess import Preprocess, kept_pixels, raw_robust
from data.survey import default
from lensjax.errors import InputError

RING = (2.0, 5.5)


@pytest.fixture(scope="module")
def stamps():
    return galaxies.stamps(np.array([0, 1, 1, 0]))


@pytest.fixture(scope="module")
def finder():
    made = frozen.untrained("shielded_resnet", TINY, crop=24)
    return frozen.freeze(made.model, Preprocess(crop=24, keep=RING), made.info)


def radius(side):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.hypot(y, x)


def test_the_ring_is_as_the_whole_stamp_has_it_and_the_rest_is_sky(stamps):
    whole = np.asarray(raw_robust(stamps, Preprocess(crop=24)))
    part = np.asarray(raw_robust(stamps, Preprocess(crop=24, keep=RING)))
    inside = (radius(24) >= RING[0]) & (radius(24) < RING[1])
    assert np.array_equal(part[:, inside], whole[:, inside]) and not part[:, ~inside].any()
    assert np.array_equal(
        part[..., ::-1, :, :], raw_robust(stamps[:, ::-1], Preprocess(24, keep=RING))
    )
    with pytest.raises(InputError, match="has no pixel in this ring"):
        kept_pixels(Preprocess(crop=24, keep=(40, 50)))


def test_light_outside_the_ring_changes_no_score_and_has_no_gradient(finder, stamps):
    sky = Preprocess(crop=24).annulus
    r = radius(32)
    unseen = ((r < RING[0]) | (r > RING[1])) & ~((r > sky[0] * 12 - 1) & (r < sky[1] * 12 + 1))
    other = stamps.copy()
    other[:, unseen] += 1.0
    assert np.array_equal(finder.logits(stamps), finder.logits(other))
    slope = np.asarray(jax.grad(lambda x: finder.logits(x).sum())(stamps))
    assert np.isfinite(slope).all() and not slope[:, unseen].any() and slope[:, ~unseen].any()


def test_a_frozen_finder_keeps_its_mask_and_one_without_says_nothing_of_it(
    finder, stamps, tmp_path
):
    frozen.save(tmp_path, finder)
    again = frozen.load(tmp_path)
    assert again.preprocess.keep == RING
    assert np.array_equal(again.logits(stamps), finder.logits(stamps))
    plain = frozen.freeze(finder.model, Preprocess(crop=24), finder.info)
    frozen.save(tmp_path, plain)
    assert "keep" not in json.loads((tmp_path / frozen.DESCRIPTION).read_text())["preprocess"]


def test_an_onnx_file_applies_the_mask_itself(finder, stamps, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    path = onnxfile.save(tmp_path / "ring.onnx", finder)
    wanted = np.asarray(finder.logits(stamps))
    normalised = np.moveaxis(np.asarray(raw_robust(stamps, Preprocess(crop=24))), -1, 1)
    theirs = runtime.InferenceSession(str(path)).run(["logits"], {"images": normalised})[0]
    assert theirs == pytest.approx(wanted, abs=1e-4)
    ours = finders.load(str(path), tmp_path)
    assert ours.logits(stamps) == pytest.approx(wanted, abs=1e-4)


def test_an_exported_folder_comes_back_with_its_mask_and_its_tensors_alone_are_refused(
    finder, stamps, tmp_path
):
    frozen.save(tmp_path / "own", finder)
    hub, back = str(tmp_path / "hub"), tmp_path / "back"
    assert exchange.command(["export", str(tmp_path / "own"), "--to", hub]) == 0
    assert "outside the ring 2.00 <= r < 5.50" in (tmp_path / "hub" / "README.md").read_text()
    assert exchange.command(["import", hub, "--to", str(back)]) == 0
    assert np.array_equal(frozen.load(back).logits(stamps), finder.logits(stamps))
    alone = ["import", f"{hub}/model.safetensors", "--to", str(back), "--crop", "24"]
    words = ["--model", "shielded_resnet", "--architecture", json.dumps(TINY)]
    with pytest.raises(InputError, match="trained on the ring .* give the folder"):
        exchange.command([*alone, *words])


def test_the_mask_of_a_training_is_that_of_the_survey_and_given_once(survey):
    here = default()
    ends = (here.radii.core / here.pixel_scale, here.radii.arc[1] / here.pixel_scale)
    for mask, ring in (("core", (0.0, ends[0])), ("annulus", ends)):
        assert verb.resolved(settings(mask=mask), survey).preprocess.keep == ring
    assert verb.resolved(settings(), survey).preprocess.keep is None
    both = settings(mask="core", preprocess={"crop": 24, "keep": [1, 2]})
    with pytest.raises(InputError, match="give one"):
        verb.resolved(both, survey)
    with pytest.raises(InputError, match="inner radius is below the outer"):
        settings(preprocess={"crop": 24, "keep": [3, 2]})
