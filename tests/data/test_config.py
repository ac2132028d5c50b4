"""Configuration: unknown keys, wrong values and broken files are refused by name."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from classifiers.finders import description
from data import config, survey
from lensjax.errors import InputError
from lensjax.prior import prior_entries


@config.settings
class Inner:
    clip: Annotated[float, Field(gt=0)] = 10.0


@config.settings
class Sample:
    """A section."""

    epochs: Annotated[int, Field(ge=1)] = 3
    name: str = "a"
    inner: Inner = Inner()


def test_defaults_are_the_embedded_default():
    assert config.read() == {}
    assert config.validated(Sample, {}, "x") == Sample()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epoch": 3}, "unknown key 'epoch' (did you mean 'epochs'? known: epochs, name, inner)"),
        ({"epochs": 0}, "epochs: Input should be greater than or equal to 1, got 0"),
        ({"epochs": "many"}, "epochs"),
        ({"inner": {"clip": -1}}, "inner.clip"),
    ],
)
def test_wrong_values_are_named(values, words):
    with pytest.raises(InputError) as caught:
        config.validated(Sample, values, "my.yaml, section x")
    assert words in str(caught.value) and str(caught.value).startswith("my.yaml, section x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", "not valid YAML"),
        ("- 1\n", "expected sections"),
        ("train: 3\n", "expected sections"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text, words):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        config.read(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"train:\n  seed: 1\n  seed: 2\n", r"line 3: .*the key seed is there twice"),
        (b"train: {}\ntrain: {}\n", r"line 2: .*the key train is there twice"),
        (b"[" * 5000, "nested too deeply"),
        ("train: {note: é}".encode("latin-1"), "byte 15 is no text in UTF-8; save the file as"),
        (b"1: {}\n", r'line 1: .*the key 1 is no text; put it into quotes: "1"'),
        (b"true: {}\n", "the key true is no text"),
        (b"train: {seed: 2020-13-01}\n", "month must be in"),
        (b"train: {seed: " + b"9" * 400 + b"}\n", "is no number that can be used"),
        (b"train: {seed: " + b"9" * 5000 + b"}\n", "is no number that can be used"),
    ],
)
def test_every_file_of_yaml_is_read_by_the_same_rules(tmp_path: Path, content, words):
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    for read in (config.read, survey.load, description.described, lambda p: prior_entries(p)):
        with pytest.raises(InputError, match=words) as refused:
            read(str(path))
        assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_merged_mappings_may_be_overridden(tmp_path: Path):
    path = tmp_path / "c.yaml"
    path.write_text("a: &a {x: 1, y: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, y: 3}\n")
    assert config.read(path)["c"] == {"x": 1, "y": 3}


def test_a_missing_file_names_the_presets():
    with pytest.raises(InputError, match="no such configuration file.*default"):
        config.read("nowhere.yaml")


def test_flags_override_the_file(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("train: {epochs: 7, name: b}\n")
    call = config.invocation(
        "train",
        Sample,
        [str(path), "--name", "c", "--inner.clip", "20", "--out", str(tmp_path / "o")],
        "help",
    )
    assert call.settings == Sample(epochs=7, name="c", inner=Inner(clip=20.0))
    assert call.out == tmp_path / "o" and not call.force
    assert config.invocation("train", Sample, [str(path)], "help").out == Path("runs/mine")


def test_a_flag_out_of_range_is_refused(capsys):
    with pytest.raises((InputError, SystemExit)):
        config.invocation("train", Sample, ["--epochs", "0"], "help")


def test_a_key_inside_another_is_compared_with_its_neighbours():
    with pytest.raises(InputError, match=r"'inner.clp' \(did you mean 'clip'\? known: clip\)"):
        config.validated(Sample, {"inner": {"clp": 1}}, "x")


def test_mistyped_presets_files_and_sections_are_answered_with_the_nearest(tmp_path: Path):
    with pytest.raises(InputError, match="did you mean 'shielded'"):
        config.read("Shilded")
    path = tmp_path / "mine.yaml"
    path.write_text("trian: {epochs: 7}\n")
    with pytest.raises(InputError, match="did you mean '.*/mine.yaml'"):
        config.read(tmp_path / "mien.yaml")
    with pytest.raises(InputError, match="unknown section 'trian' .did you mean 'train'"):
        config.invocation("train", Sample, [str(path)], "help")
