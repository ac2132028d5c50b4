"""Members of an ensemble from one file: each is trained on what the file says, once, and judged on
objects that none of them saw."""

import json

import galaxies
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score
from training_runs import TINY

from classifiers import finders, frozen
from classifiers.ensembles import members, members_verb, plots
from classifiers.ensembles.verb import command
from classifiers.training import choice
from classifiers.training import verb as training
from data.loader import load_split
from data.survey import default
from lensjax.errors import InputError

COMMON = {
    "model": "shielded_resnet",
    "architecture": TINY,
    "preprocess": {"crop": 24},
    "epochs": 1,
    "batch": 16,
    "learning_rate": 0.01,
}
JUDGED = {
    "on": ["val", "test"],
    "resamples": 40,
    "folds": 2,
    "columns": ["type_bin"],
    "minimum": 3,
    "rate": 0.05,
}


def config(path, own, judged=JUDGED):
    path.write_text(
        yaml.safe_dump({"train": COMMON, "members": own, "ensemble": judged}, sort_keys=False)
    )
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A survey, the list of a search that found every fourth of its objects, and its members."""
    out = galaxies.small_survey(tmp_path_factory.mktemp("members"), 400)
    pd.DataFrame(galaxies.table(400))[["ra", "dec"]][::4].to_csv(out / "search.csv", index=False)
    own = {
        "all": {},
        "core": {"mask": "core", "select": "psfsize_r < 1.2"},
        "old": {"without": {"lists": [f"ml={out / 'search.csv'}"], "radius": 1}},
    }
    return out, config(out / "members.yaml", own)


@pytest.fixture(scope="module")
def done(run):
    out, path = run
    assert command([str(path), "--out", str(out)]) == 0
    return out


def columns(out):
    return members_verb.whole(out)


def test_every_member_is_trained_on_what_the_file_says(done):
    whole = columns(done)
    seen = {
        name: json.loads((done / "members" / name / "training" / frozen.DESCRIPTION).read_text())
        for name in ("all", "core", "old")
    }
    train = whole["split"] == "train"
    lens, near = whole["label"] == 1, np.isin(np.round(whole["ra"] * 100) % 4, 0)
    wanted = {
        "all": train,
        "core": train & (whole["psfsize_r"] < 1.2),
        "old": train & ~(lens & near),
    }
    for name, those in wanted.items():
        assert seen[name]["splits"]["train"] == {
            "lenses": int((those & lens).sum()),
            "others": int((those & ~lens).sum()),
        }
    gone = pd.read_csv(done / "members" / "old" / "left_out.csv")
    assert set(gone["split"]) == {"train", "val"}
    assert len(gone) == int((lens & near & (whole["split"] != "test")).sum())
    keep = [0.0, default().radii.core / default().pixel_scale]
    assert seen["core"]["preprocess"]["keep"] == pytest.approx(keep)
    assert "keep" not in seen["all"]["preprocess"]


def test_held_out_objects_are_scored_by_the_frozen_members_and_judged(done):
    table = pd.read_parquet(done / "members" / "predictions.parquet").set_index("galaxy_id")
    assert set(table["split"]) == {"val", "test"}
    part = load_split(done, "test", ("image", "galaxy_id"))
    for name in ("all", "core"):
        finder = finders.load(str(done / "members" / name / "training"), done)
        own = finders.scored(finder, part["image"], part["galaxy_id"]).score
        assert table.loc[part["galaxy_id"], name].to_numpy() == pytest.approx(own, abs=1e-6)
    made = done / "ensemble"
    listed = pd.read_csv(made / "members.csv").set_index("member")
    assert listed["left_out"].gt(0).to_dict() == {"all": False, "core": False, "old": True}
    pairs = pd.read_csv(made / "comparison.csv")[["finder", "other"]].drop_duplicates()
    assert {("all", "old"), ("all", "core"), ("average", "stacked")} <= {*map(tuple, pairs.values)}
    strata = pd.read_csv(made / "strata.csv")
    assert {"in core", "type_bin"} == set(strata["stratum"])
    inside = strata[(strata["bin"] == "inside") & (strata["finder"] == "core")]
    test = columns(done)
    test = (test["psfsize_r"] < 1.2) & (test["split"] != "train") & (test["label"] == 1)
    assert (inside["lenses"] == test.sum()).all() and len(inside)


def test_a_masked_member_stands_beside_the_full_one_among_the_shortcuts(done):
    seen = pd.read_csv(done / "shortcuts" / "networks.csv").set_index("network")
    table = pd.read_parquet(done / "members" / "predictions.parquet")
    areas = {n: roc_auc_score(table["label"], table[n]) for n in ("all", "core")}
    assert [*seen.index] == ["core"] and seen.loc["core", "view"] == "core"
    assert seen.loc["core", "value"] == pytest.approx(areas["core"], abs=1e-6)
    assert seen.loc["core", "less"] == pytest.approx(areas["all"] - areas["core"], abs=1e-6)


def test_the_ablation_compares_on_the_kind_of_lenses_that_was_left_out(done):
    found = pd.read_csv(done / "ensemble" / "ablation.csv")
    number = found.groupby("lenses")["n"].first()
    assert number["all"] == number["left out"] + number["kept"] and number["left out"] > 0
    assert set(found["kind"]) == {"old"} and {"old", "core"} == set(found["other"])
    whole = found[(found["lenses"] == "all") & (found["metric"] == "roc_auc")]
    direct = pd.read_csv(done / "ensemble" / "comparison.csv")
    direct = direct[direct["metric"] == "roc_auc"]
    for row in whole.to_dict("records"):
        same = direct[(direct["finder"] == row["finder"]) & (direct["other"] == row["other"])]
        assert row["difference"] == same["difference"].iloc[0]


def test_finished_members_are_kept_and_only_changed_ones_are_trained_again(
    done, run, capsys, monkeypatch
):
    """A stop by SIGTERM in the second training ends the command in order; the first is kept."""
    asked = []
    monkeypatch.setattr(training, "work", lambda call, place: asked.append(place))
    monkeypatch.setattr(plots, "draw", lambda tables, out: [])
    own = yaml.safe_load(run[1].read_text())["members"]
    del own["core"]
    same = config(done / "same.yaml", own, {**JUDGED, "combine": False})
    assert command([str(same), "--out", str(done)]) == 0 and not asked
    said = capsys.readouterr().out
    assert "member all: up to date" in said and "member old: up to date" in said
    assert "lenses left out" in said
    own["old"]["without"]["radius"] = 40.0
    changed = config(done / "changed.yaml", own)
    assert command([str(changed), "--out", str(done)]) == 0
    assert asked == ["members/old/training"]
    assert not (done / "members" / "old" / "training").exists()


def test_a_control_loses_as_many_lenses_of_every_split_at_random(run):
    rules = {"without": {"where": "ra < 2"}}, {"without": {"as_many_as": "a"}}
    path = config(run[0] / "control.yaml", {"a": rules[0], "b": rules[1]})
    whole = columns(run[0])
    gone = members.left_out(members.read(path)[0], whole, run[0])
    for split in members.TRAINED:
        a, b = (gone[name] & (whole["split"] == split) for name in "ab")
        assert a.sum() == b.sum() > 0 and (a != b).any() and (whole["label"][b] == 1).all()
    assert not (gone["b"] & (whole["split"] == "test")).any()


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"a": {}}, "name two at least"),
        ({"a": {}, "average": {}}, "a name is a letter"),
        ({"a": {}, "type_bin": {}}, "a member is called type_bin, as a column is"),
        ({"a": {}, "b": {"epoch": 3}}, "unknown key 'epoch'"),
        ({"a": {}, "b": {"without": {}}}, "give one of where, lists and as_many_as"),
        ({"a": {}, "b": {"without": {"as_many_as": "a"}}}, "names a member with where or lists"),
        ({"a": {}, "b": {"without": {"where": "x", "only": ["y"]}}}, "only is for lists"),
    ],
)
def test_files_that_cannot_be_meant_are_refused(tmp_path, own, words):
    with pytest.raises(InputError, match=words):
        members.read(config(tmp_path / "m.yaml", own))


def test_training_objects_are_never_held_out_and_rules_must_leave_something(run, tmp_path):
    path = config(tmp_path / "m.yaml", {"a": {}, "b": {}}, {"on": ["train"]})
    with pytest.raises(InputError, match="val and test are held out"):
        members.read(path)
    for where, words in (("ra < -1", "leaves 0 of"), ("ra >= 0", "some must stay")):
        found, _ = members.read(
            config(tmp_path / "m.yaml", {"a": {}, "b": {"without": {"where": where}}})
        )
        with pytest.raises(InputError, match=words):
            members.left_out(found, columns(run[0]), run[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id\n1\n", "no column galaxy_id"),
        ("galaxy_id\nnobody\n", "none of its objects"),
        (None, "no such"),
    ],
)
def test_a_table_of_strangers_is_no_table_to_leave_out(run, tmp_path, text, words):
    from training_runs import settings

    if text is not None:
        (tmp_path / "t.csv").write_text(text)
    s = settings(without=str(tmp_path / "t.csv"))
    with pytest.raises(InputError, match=words):
        choice.chosen(load_split(run[0], "train", ("galaxy_id",)), s, run[0], "train")
