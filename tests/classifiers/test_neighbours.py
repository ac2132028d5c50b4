"""Nearest stamps in feature space: those of every distance, and the same from a graph."""

from pathlib import Path

import galaxies
import numpy as np
import pytest
from training_runs import TINY

from classifiers import frozen
from classifiers.finders.outside import Outside
from classifiers.shortcuts import neighbours, verb
from lensjax.errors import InputError


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)) * np.array([1, 1000, 1e-3, 1, 1, 0]) + 5
    return x, x[::40] + 1e-6


def test_the_nearest_are_those_of_every_distance_in_scatters_of_the_features(features):
    x, asked = features
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), np.inf)
    apart = np.linalg.norm((asked[:, None] - x[None]) / scale, axis=-1)
    rows, distance = neighbours.nearest(x, asked, 5)
    assert np.array_equal(rows, np.argsort(apart, axis=1)[:, :5])
    assert distance == pytest.approx(np.sort(apart, axis=1)[:, :5], abs=2e-3)
    assert neighbours.nearest(x[:3], asked, 5)[0].shape == (10, 3)
    assert neighbours.nearest(x, asked[:0], 5)[0].shape == (0, 5)


def test_a_graph_finds_nearly_all_of_them(features):
    pytest.importorskip("usearch")
    x, asked = features
    exact, apart = neighbours.nearest(x, asked, 5)
    found, distance = neighbours.nearest(x, asked, 5, "usearch")
    shared = np.mean([len({*a} & {*b}) / 5 for a, b in zip(exact, found)])
    assert shared > 0.9 and (np.diff(distance, axis=1) >= 0).all()
    assert np.median(np.abs(distance - apart)) < 1e-3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: (x, x[:, :2], 1), "as long as each other"),
        (lambda x: (x, x, 0), "at least 1 of each"),
        (lambda x: (np.where(x > 6, np.nan, x), x, 1), "not finite"),
    ],
)
def test_what_has_no_neighbours_is_refused(features, change, words):
    with pytest.raises(InputError, match=words):
        neighbours.nearest(*change(features[0]))


def test_a_stamp_is_no_neighbour_of_itself_even_beside_a_copy():
    x = np.array([[0.0], [0.0], [1.0], [5.0]])
    found = neighbours.table(np.array([*"abcd"]), np.array([0, 1, 1, 0]), x, np.array([0, 3]), 2)
    assert found[["id", "neighbour", "neighbour_label", "place"]].values.tolist() == [
        ["a", "b", 1, 1],
        ["a", "c", 1, 2],
        ["d", "c", 1, 1],
        ["d", *found["neighbour"].iloc[3:], *found["neighbour_label"].iloc[3:], 2],
    ]


def test_wrong_stamps_are_told_what_they_are_near_to_and_finders_without_features_are_refused(
    capsys,
):
    label = np.arange(12) % 2
    stamps = galaxies.stamps(label)
    stamps[5] = stamps[4]
    whole = {"image": stamps, "label": label, "galaxy_id": np.array([f"g{i}" for i in range(12)])}
    asked = verb.Shortcuts(Path("run"), finder="", neighbours=3)
    picked = {"false_positive": np.array([4]), "false_negative": np.array([], int)}
    network = frozen.untrained("shielded_resnet", TINY, crop=24)
    found = verb._neighbours(asked, network, whole, picked)
    assert found["neighbour"].iloc[0] == "g5" and found["distance"].iloc[0] == 0
    assert len(found) == 3 and set(found["kind"]) == {"false_positive"}
    assert "of the 3 stamps nearest to a false positive are lenses" in capsys.readouterr().out
    none = {kind: places[:0] for kind, places in picked.items()}
    empty = verb._neighbours(asked, network, whole, none)
    assert not len(empty) and list(empty) == list(found)
    outside = Outside("theirs", lambda x: x[:, 0, 0, 0], "logit")
    with pytest.raises(InputError, match="theirs: has no features"):
        verb._neighbours(asked, outside, whole, picked)
    with pytest.raises(InputError, match="in the features of a --finder"):
        verb.command(["run", "--neighbours", "2"])
