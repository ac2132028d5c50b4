"""Heads on frozen features: they learn, leak nothing, are finders like any other, and trunks that
cannot be right are refused by name."""

import dataclasses
import json
import re
import shlex
from pathlib import Path

import galaxies
import jax
import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from classifiers import exchange, finders, frozen
from classifiers.audit import choosing
from classifiers.audit.settings import AuditSettings
from classifiers.evaluation import calibrators
from classifiers.finders import head, head_training, onnx_session, trunk
from data import manifest
from data.files import sha256
from data.loader import load_split
from data.survey import of_run
from lensjax.errors import InputError

ENCODER = """
import numpy as np

calls = [0]

def features(stamps):
    x = np.nan_to_num(stamps)
    n = x.shape[1] // 4
    parts = x[:, : 4 * n, : 4 * n].reshape(len(x), 4, n, 4, n, -1)
    return parts.mean(axis=(2, 4)).reshape(len(x), -1)

def flat(stamps):
    return features(stamps)[:, 0]

def nan(stamps):
    return np.where(np.arange(len(stamps))[:, None] == 1, np.nan, features(stamps))

def restless(stamps):
    calls[0] += 1
    return features(stamps) + calls[0]

def fails(stamps):
    raise RuntimeError("no luck")
"""


def listed(out, split=""):
    """Writes a run's manifest. split: of all galaxies, if not their own."""
    rows = [{**r, "cutout_path": f"cutouts/{r['galaxy_id']}.npz"} for r in galaxies.table(240)]
    rows = [{**r, "split": split or r["split"], "pool": r["pool"] or None} for r in rows]
    manifest.write(out / "manifest.parquet", pa.Table.from_pylist(rows))
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = galaxies.small_survey(tmp_path_factory.mktemp("heads") / "out", 240)
    listed(out)
    (out.parent / "encoder.py").write_text(ENCODER)
    frozen.save(out / "training", frozen.untrained(crop=32))
    return out


@pytest.mark.parametrize("kind", ["logistic", "mlp"])
def test_a_head_learns_is_calibrated_on_validation_and_survives_its_file(run, tmp_path, kind):
    text = f"{run.parent / 'encoder.py'}:features"
    info = head_training.train(run, text, tmp_path, kind)
    found = finders.load(str(tmp_path), run)
    test, val = load_split(run, "test"), load_split(run, "val")
    scores = finders.scored(found, test["image"])
    assert isinstance(found, finders.Finder) and not found.differentiable
    assert roc_auc_score(test["label"], scores.score) > 0.95
    what, home, numbers, _ = head.read(tmp_path)
    features = trunk.load(what, home, run, of_run(run)).features(val["image"], val["galaxy_id"])
    raw = head.logit(numbers | {"slope": 1.0, "intercept": 0.0}, features)
    wanted = calibrators.fit(val["label"], raw, "platt").numbers
    assert wanted == pytest.approx(info["calibration"]["numbers"], rel=1e-6)
    names = {str(path) for path in finders.files(str(tmp_path), run)}
    assert str(tmp_path / head.HEAD) in names and len(names) == 2
    card = (tmp_path / "README.md").read_text()
    assert of_run(run).title in card and f"{kind} head on" in card and info["features"] == 48


def test_test_labels_change_nothing(run, tmp_path, monkeypatch):
    """A planted split: whatever the test split holds, the head is the same to the last digit."""
    text = f"{run.parent / 'encoder.py'}:features"
    head_training.train(run, text, tmp_path / "a")

    def planted(out, split, fields=None):
        assert split != "test" or tuple(fields) == ("galaxy_id",)
        return load_split(out, split, fields)

    monkeypatch.setattr(head_training, "load_split", planted)
    head_training.train(run, text, tmp_path / "b")
    own, again = (head.read(tmp_path / n)[2] for n in "ab")
    assert all(np.array_equal(own[k], again[k]) for k in own)

    shared = lambda out, split, fields=None: load_split(out, "train", fields)
    monkeypatch.setattr(head_training, "load_split", shared)
    with pytest.raises(InputError, match="in another split too"):
        head_training.train(run, text, tmp_path / "c")


def test_a_head_on_our_network_has_gradients_that_are_the_chain_rule(run):
    network, rng = frozen.load(run / "training"), np.random.default_rng(0)
    size = 8
    numbers = {"mean": np.zeros(size), "scale": np.ones(size), "out": rng.normal(size=size)}
    numbers |= {"offset": 0.5, "slope": 2.0, "intercept": 0.1}
    single = {k: np.float32(v) for k, v in numbers.items()}
    found = head.OwnHead(network, single, '{"model": "x"}')
    stamps = load_split(run, "test")["image"][:2]
    g = jax.grad(lambda x: found.logits(x).sum())(stamps)
    h = jax.grad(lambda x: 2 * (network.features(x) @ single["out"]).sum())(stamps)
    assert np.isfinite(g).all() and np.abs(g).max() > 0
    assert np.allclose(g, h, rtol=1e-4, atol=1e-6 * np.abs(h).max())


@pytest.mark.parametrize(
    ("name", "message"),
    [("flat", "answers with shape"), ("nan", "not finite"), ("restless", "asked again"),
     ("fails", "no luck"), ("features output=logit", "leave out output")],
)  # fmt: skip
def test_trunks_that_cannot_be_right_are_refused(run, tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        head_training.train(run, f"{run.parent / 'encoder.py'}:{name}", tmp_path)
    assert not (tmp_path / head.HEAD).exists()


def test_onnx_numbers_outside_the_folder_are_refused(tmp_path):
    for place, refused in (("../weights.bin", True), ("weights.bin", False)):
        tensor = onnx.TensorProto(name="w", data_type=1, dims=[1])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)
        graph = onnx.helper.make_graph([], "g", [], [], [tensor])
        (tmp_path / "e.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
        if refused:
            with pytest.raises(InputError, match="outside its own folder"):
                onnx_session.self_contained(tmp_path / "e.onnx")
        else:
            onnx_session.self_contained(tmp_path / "e.onnx")


def test_a_trunk_that_changed_since_is_refused(run, tmp_path):
    (tmp_path / "mine.py").write_text(ENCODER)
    head_training.train(run, f"{tmp_path / 'mine.py'}:features", tmp_path / "h")
    (tmp_path / "mine.py").write_text(ENCODER + "\n")
    with pytest.raises(InputError, match="SHA-256 differs"):
        finders.load(str(tmp_path / "h"), run)


@pytest.fixture(scope="module")
def another(run, tmp_path_factory):
    """A run with the same galaxies and another manifest: all of them are in its test split."""
    return listed(tmp_path_factory.mktemp("another"), "test")


def hosts(out, where, **said):
    """Splits of the hosts, and the hosts, of an audit of a head."""
    s = AuditSettings(finder=str(where), **said)
    found, _ = choosing.choose(out, s, finders.load(str(where), out).info, of_run(out))
    return set(found.split), set(found.ids)


@pytest.mark.parametrize("trunk", ["encoder.py:features", ""])
def test_no_host_was_a_training_object_of_a_head(run, another, tmp_path, trunk):
    text = f"{run.parent / trunk}" if trunk else ""
    head_training.train(run, text, tmp_path / "h")
    trained = set(pd.read_csv(tmp_path / "h" / "trained_on.csv")["galaxy_id"])
    for said in ({}, {"trained_on": "train"}, {"trained_on": "none"}):
        splits, ids = hosts(run, tmp_path / "h", **said)
        assert ids and "train" not in splits and not ids & trained
    for said in ({}, {"trained_on": "none"}):
        with pytest.raises(InputError, match="was in the classifier's training split"):
            hosts(another, tmp_path / "h", **said)
    with pytest.raises(InputError, match="another manifest .*its own list"):
        hosts(another, tmp_path / "h", trained_on="train")
    table = pd.read_parquet(run / "manifest.parquet")
    free = table[(table["label"] == 0) & ~table["galaxy_id"].isin(trained)]
    free[["galaxy_id"]].to_csv(tmp_path / "free.csv", index=False)
    _, ids = hosts(another, tmp_path / "h", host_list=str(tmp_path / "free.csv"))
    assert ids and not ids & trained
    with open(tmp_path / "h" / "trained_on.csv", "w") as file:
        file.write("galaxy_id,ra,dec\n")
    with pytest.raises(InputError, match="not the list that was written with the head"):
        hosts(run, tmp_path / "h")


def test_no_host_was_a_training_object_of_the_trunk(run, another, tmp_path):
    """The head is fitted to one run, and its trunk, a network of ours, to another one."""
    network = frozen.untrained(crop=32)
    seen = sha256(another / "manifest.parquet")
    noted = dataclasses.replace(
        network, meta=json.dumps(json.loads(network.meta) | {"manifest_sha256": seen})
    )
    place = tmp_path / "other" / "training"
    frozen.save(place, noted)
    head_training.train(run, str(place), tmp_path / "h")
    with pytest.raises(InputError, match="not the manifest that the head's trunk was trained on"):
        hosts(run, tmp_path / "h")
    path = listed(place.parent, "train") / "manifest.parquet"
    note = json.loads((place / frozen.DESCRIPTION).read_text())
    (place / frozen.DESCRIPTION).write_text(json.dumps(note).replace(seen, sha256(path)))
    head_training.train(run, str(place), tmp_path / "h")
    with pytest.raises(InputError, match="was in the classifier's training split"):
        hosts(run, tmp_path / "h")


def test_the_commands_of_the_document_run(run, monkeypatch, capsys):
    monkeypatch.chdir(run.parent)
    text = (Path(__file__).resolve().parents[2] / "docs" / "finders.md").read_text()
    lines = re.findall(r"^    lensjax weights (head .*)$", text, re.M)
    assert len(lines) == 2
    for line in lines:
        assert exchange.work(shlex.split(line)) == 0
    assert "calibrated on val" in capsys.readouterr().out
    assert finders.load("heads/own", run).differentiable
    assert finders.load("heads/theirs", run).name == "mlp head on encoder.py:features"
