"""The verb `ensemble` from tables to tables, and the cleaning of negatives."""

import json
from dataclasses import replace

import galaxies
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import expit

from classifiers.ensembles import cleaning, stacking, verb
from classifiers.ensembles.verb import command
from data import cutouts, manifest
from lensjax.errors import InputError

HIDDEN = (3, 700)
"""Objects that are lenses, whatever their label says."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a manifest and cutouts, and its objects' scores by two finders in two files."""
    out, rng = tmp_path_factory.mktemp("run"), np.random.default_rng(1)
    rows = galaxies.table(800, share=0.2, seed=4)
    for i in HIDDEN:
        rows[i] |= {"label": 0, "tier": "N1", "pool": "N1", "confuser_category": ""}
        rows[i]["split"] = "train" if i == HIDDEN[0] else "test"
    frame = pd.DataFrame(rows)
    frame["cutout_path"] = [f"cutouts/0010p000/{i}.npz" for i in frame["galaxy_id"]]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    manifest.write(out / "manifest.parquet", table)
    images = galaxies.stamps(frame["label"].to_numpy())
    for row, image in zip(rows, images):
        path = out / "cutouts" / "0010p000" / f"{row['galaxy_id']}.npz"
        cutouts.write_npz(path, image, {k: row[k] for k in ("galaxy_id", "ra", "dec")})
    lens = frame["label"].to_numpy().copy()
    lens[list(HIDDEN)] = 1
    known = frame[["galaxy_id", "label", "ra", "dec", "split", "type", "healpix_128"]]
    own = {name: expit(6 * lens - 3.5 + rng.normal(size=len(lens))) for name in "ab"}
    known.assign(a=own["a"]).to_parquet(out / "a.parquet")
    shuffled = known[["galaxy_id", "label"]].assign(b=own["b"]).sample(frac=1, random_state=0)
    shuffled.to_csv(out / "b.csv", index=False)
    return out


def call(run, *more):
    arguments = ["--id", "galaxy_id", "--scores", "a", "--other", str(run / "b.csv")]
    arguments += ["--other-scores", "b", "--cell", "healpix_128", "--split", "split"]
    arguments += ["--folds", "3", "--resamples", "40"]
    return command([str(run / "a.parquet"), *arguments, *more])


@pytest.fixture(scope="module")
def done(run):
    out = run / "ensemble"
    more = ["--manifest", str(run / "manifest.parquet"), "--columns", "type"]
    assert call(run, *more, "--budgets", "50", "--rate", "0.02", "--out", str(out)) == 0
    return out


def test_two_files_become_one_ranked_list_with_a_verdict_and_figures(run, done, capsys):
    names = {"yields", "selective", "selective_area", "correlation", "disagreement", "comparison"}
    names |= {"uncertainty", "discovery", "discovered", "scores", "suspects", "figures", "roc"}
    assert names <= {path.stem for path in done.glob("*.csv")}
    assert {"selective", "yields", "uncertainty", "roc"} <= {p.stem for p in done.glob("*.pdf")}
    ranked = pd.read_csv(done / "scores.csv", dtype={"id": str}).set_index("id")
    theirs = pd.read_csv(run / "b.csv").set_index("galaxy_id")["b"]
    assert ranked["b"].to_numpy() == pytest.approx(theirs[ranked.index].to_numpy(), abs=1e-7)
    assert ranked["average"].to_numpy() == pytest.approx(ranked[["a", "b"]].mean(axis=1), abs=1e-7)
    cells = pd.read_parquet(run / "a.parquet").set_index("galaxy_id")["healpix_128"]
    assert (ranked["fold"].groupby(cells[ranked.index]).nunique() == 1).all()
    state = json.loads((done / "stacker.json").read_text())
    assert state["inputs"] == ["a", "b"] and len(stacking.Stacker.of(state).bias) == 300
    pairs = pd.read_csv(done / "comparison.csv")[["finder", "other"]].drop_duplicates()
    assert pairs.to_numpy().tolist() == [["a", "average"], ["b", "average"], ["average", "stacked"]]


def test_hidden_lenses_are_listed_and_only_the_training_one_leaves_the_manifest(run, done):
    found = pd.read_csv(done / "suspects.csv").set_index("id")
    ids = [f"0010p000_{i}" for i in HIDDEN]
    assert found.loc[ids, "action"].tolist() == ["remove", "keep"]
    assert (found["probability"] > 0.4).all() and found["probability"].is_monotonic_decreasing
    assert found.loc[ids, "split"].tolist() == ["train", "test"] and "type" in found
    whole, clean = (manifest.read(p) for p in (run / "manifest.parquet", done / "cleaned.parquet"))
    gone = set(whole["galaxy_id"].to_pylist()) - set(clean["galaxy_id"].to_pylist())
    assert gone == set(found.index[found["action"] == "remove"]) and ids[0] in gone
    rest = whole.filter(pa.array([i not in gone for i in whole["galaxy_id"].to_pylist()]))
    assert rest.equals(clean)
    assert (done / "suspects.png").stat().st_size > 1000


def test_an_inspected_list_decides_what_leaves(run, done, tmp_path, capsys):
    listed = pd.read_csv(done / "suspects.csv")
    listed.assign(action="keep").to_csv(tmp_path / "seen.csv", index=False)
    asked = verb.Table(
        run / "a.parquet",
        manifest=run / "manifest.parquet",
        actions=tmp_path / "seen.csv",
        out=tmp_path,
    )
    verb._cleaned(asked, listed)
    assert "cleaned.parquet has 800 of 800 rows" in capsys.readouterr().out
    pd.DataFrame({"id": ["x"], "action": ["remove"]}).to_csv(tmp_path / "odd.csv", index=False)
    with pytest.raises(InputError, match="no suspect has the id x"):
        verb._cleaned(replace(asked, actions=tmp_path / "odd.csv"), listed)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"id": ["a", "a"], "action": ["keep", "keep"]}, "id a is there twice"),
        ({"id": ["a"], "action": ["burn"]}, "remove or keep; found a: 'burn'"),
        ({"id": ["a"]}, "column action is missing"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path, rows, words):
    pd.DataFrame(rows).to_csv(tmp_path / "l.csv", index=False)
    with pytest.raises(InputError, match=words):
        cleaning.read(tmp_path / "l.csv")


@pytest.mark.parametrize(
    ("who", "words"),
    [("nobody", "not in the manifest"), ("lens", "are lenses"), ("held", "not of the training")],
)
def test_lenses_strangers_and_held_out_objects_are_never_removed(run, who, words):
    table = pq.read_table(run / "manifest.parquet")
    rows = table.select(["galaxy_id", "label", "split"]).to_pandas()
    lens = rows[(rows["label"] == 1) & (rows["split"] == "train")]["galaxy_id"].iloc[0]
    held = rows[(rows["label"] == 0) & (rows["split"] == "val")]["galaxy_id"].iloc[0]
    name = {"nobody": "nobody", "lens": lens, "held": held}[who]
    with pytest.raises(InputError, match=words):
        cleaning.rebuilt(table, pd.DataFrame({"id": [name], "action": ["remove"]}))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--rate", "0"], "rate is 0.0; it lies between 0 and 1"),
        (["--other-scores", "b", "c"], "one column of --other-scores for every table"),
        (["--actions", "x.csv"], "--actions are for a --manifest"),
        (["--manifest", "m.parquet"], "a manifest is written to --out"),
        (["--clean", "1"], "clean is 1.0; it lies between 0 and 1"),
        (["--cell", "healpix", "--folds", "50"], "fewer than the 50 folds"),
    ],
)
def test_choices_that_do_not_fit_are_refused(run, more, words):
    with pytest.raises(InputError, match=words):
        call(run, *more)
