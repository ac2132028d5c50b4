"""Model cards name the survey of the run, and are the same code wherever one is written."""

import dataclasses
import json

import pytest
import yaml

from classifiers import card, frozen, pretrained
from data.preprocess import Preprocess
from data.survey import default, load, names


def network(survey=None, **more):
    plain = frozen.untrained(crop=32)
    said = plain.info | more | ({"survey": card.about(survey)} if survey else {})
    return dataclasses.replace(plain, meta=json.dumps(said))


def head(survey, **more):
    return {
        "model": "logistic head on encoder.onnx",
        "head": "logistic",
        "trunk": {"trunk": "encoder.onnx", "sha256": "ab" * 32},
        "features": 12,
        "seed": 42,
        "splits": {"train": {"lenses": 20, "others": 80}},
        "survey": card.about(survey),
    } | more


@pytest.mark.parametrize("name", names())
def test_title_and_text_name_the_survey_of_the_run(name):
    survey = load(name)
    for text in (card.of_network(network(survey)), card.of_head(head(survey))):
        front, body = text.split("---\n")[1:]
        assert yaml.safe_load(front)["library_name"] == "lensjax"
        title = body.strip().splitlines()[0]
        assert title.startswith("# ") and title.endswith(f"in images of {survey.title}")
        assert f"bands {', '.join(survey.bands)} at {survey.pixel_scale:g} arcsec" in body
        assert f"images other than those of {survey.title}" in body
        others = {load(other).title for other in names()} - {survey.title}
        assert not [one for one in others if one in body.replace(survey.title, "")]


def test_what_is_not_known_is_said():
    text = card.of_network(network())
    assert "in images of a survey that is not recorded\n" in text
    assert "- **Survey**: not recorded; 3 bands." in text and "validation AUC\n  none" in text
    assert "control" not in text
    assert "control" in card.of_network(network(default(), shuffled_labels=True))
    ring = dataclasses.replace(network(), preprocess=Preprocess(crop=32, keep=(2.0, 9.0)))
    assert "outside the ring 2.00 <= r < 9.00" in card.of_network(ring)


def test_names_are_text():
    survey = dataclasses.replace(default(), title="<script>\n# x</script> [a](http://b) `c`")
    for text in (card.of_network(network(survey)), card.of_head(head(survey))):
        assert "<script>" not in text and "\n# x" not in text and "[a](" not in text


def test_an_export_has_the_card_of_its_folder_but_for_the_weights(tmp_path):
    source = network(default(), manifest_sha256="0" * 64, epoch=3, val_auc=0.9)
    pretrained.exported(source, tmp_path)
    exported = (tmp_path / card.FILE).read_text()
    assert exported == card.of_network(source, card.TORCH)
    own = card.of_network(source)
    apart = [(a, b) for a, b in zip(own.split("- **"), exported.split("- **")) if a != b]
    assert len(apart) == 1 and all(part.startswith("Weights") for part in apart[0])
    assert "epoch 3, validation AUC\n  0.9000" in own and "0" * 64 in own
    assert json.loads((tmp_path / "config.json").read_text())["bands"] == list(default().bands)
    assert not [line for line in own.splitlines() if len(line) > 200]
