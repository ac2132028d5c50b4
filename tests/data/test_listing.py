"""Files below a folder are all found, or the folder that hides them is named."""

import os

import pytest

from data.config import matching
from data.listing import below
from lensjax.errors import InputError


@pytest.fixture
def tree(tmp_path):
    for name in ("a.npz", "one/b.npz", "one/two/c.npz", "one/two/d.txt"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).touch()
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "e.npz").touch()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "away")
    (tmp_path / "root" / "again").symlink_to(tmp_path / "root" / "one")
    (tmp_path / "root" / "one" / "loop").symlink_to(tmp_path / "root")
    return tmp_path / "root"


def test_folders_behind_links_are_searched_and_each_folder_once(tree):
    found = below(tree, "**/*.npz")
    assert found == ["a.npz", "link/e.npz", "one/b.npz", "one/two/c.npz"]
    assert below(tree, "link/*.npz") == ["link/e.npz"] == below(tree, "l*/e.npz")
    assert below(tree, "*/*.npz") == ["again/b.npz", "link/e.npz", "one/b.npz"]
    inner = ["one/b.npz", "one/loop/a.npz", "one/loop/link/e.npz", "one/two/c.npz"]
    assert below(tree, "one/**/*.n?z") == inner
    assert below(tree, "one/two/c.npz") == ["one/two/c.npz"] and below(tree, "*.fits") == []


@pytest.mark.parametrize("pattern", ["**/*.npz", "one/*/*.npz"])
def test_a_folder_that_cannot_be_listed_is_named(tree, monkeypatch, pattern):
    scandir = os.scandir

    def denied(folder):
        if str(folder).endswith("two"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(InputError, match=r"one/two: this folder cannot be listed \(Permission"):
        matching(tree, [pattern], "survey.given")


def test_a_file_whose_name_is_no_text_is_named(tree):
    (tree / "one" / os.fsdecode(b"\xff.npz")).touch()
    with pytest.raises(InputError, match=r"file name b'one/\\xff.npz' is no UTF-8; rename"):
        below(tree, "**/*.npz")
    assert below(tree, "*.npz") == ["a.npz"]


@pytest.mark.parametrize("pattern", ["", "/etc/*"])
def test_a_pattern_that_is_none_is_refused_by_its_setting(tree, pattern):
    with pytest.raises(InputError, match="survey.given: pattern .*: expected a pattern relative"):
        matching(tree, [pattern], "survey.given")


def test_a_name_with_the_characters_of_a_pattern_is_that_file(tree):
    (tree / "f[1]*.npz").touch()
    assert matching(tree, ["f[1]*.npz"], "survey.given") == ["f[1]*.npz"]
