"""A verb: the one preamble of every step, and the order of the chain."""

from dataclasses import replace
from pathlib import Path

import pytest

from data import config, record
from data.verb import Done, Reads, Verb, load
from lensjax.cli import ordered, verbs
from lensjax.errors import InputError


@config.settings
class Settings:
    """A section."""

    lines: int = 2
    source: str = ""
    stop: bool = False


def work(call):
    folder = call.out / "made"
    folder.mkdir(exist_ok=True)
    (folder / "part").mkdir(exist_ok=True)
    if call.settings.stop:
        return None
    (folder / "text").write_text("x\n" * call.settings.lines)
    return Done(["made/text"], {"lines": call.settings.lines}, ["done"], [folder / "part"])


def reads(s, out):
    return Reads((), [Path(s.source)] if s.source else [])


def guard(call):
    if (call.out / "made" / "part").is_dir():
        raise InputError("would be lost")


@pytest.fixture
def verb():
    here = __name__
    return Verb(
        name="make",
        summary="Makes.",
        settings=Settings,
        owns=("made",),
        reads=f"{here}:reads",
        guard=f"{here}:guard",
        work=f"{here}:work",
    )


def test_a_verb_does_its_work_once_and_again_by_force(verb, tmp_path, capsys):
    assert verb(["--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "make: done\n"
    assert record.read(tmp_path, "make")["notes"] == {"lines": 2}
    assert not (tmp_path / "made" / "part").exists()
    before = (tmp_path / "made" / "text").stat().st_mtime_ns
    assert verb(["--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "make: up to date\n"
    assert (tmp_path / "made" / "text").stat().st_mtime_ns == before
    assert verb(["--out", str(tmp_path), "--force"]) == 0
    assert (tmp_path / "made" / "text").stat().st_mtime_ns > before


def test_a_file_outside_the_run_makes_the_step_stale(verb, tmp_path, capsys):
    outside = tmp_path / "list.csv"
    outside.write_text("1")
    words = ["--out", str(tmp_path / "out"), "--source", str(outside)]
    verb(words)
    outside.write_text("12")
    verb(words)
    assert "up to date" not in capsys.readouterr().out


def test_unfinished_work_leaves_no_record_and_is_guarded(verb, tmp_path):
    assert verb(["--out", str(tmp_path), "--stop"]) == 0
    assert record.read(tmp_path, "make") is None
    with pytest.raises(InputError, match="would be lost"):
        verb(["--out", str(tmp_path)])
    assert verb(["--out", str(tmp_path), "--force"]) == 0


def test_a_verb_without_settings_takes_the_arguments_as_they_are(monkeypatch):
    seen = []
    monkeypatch.setattr(f"{__name__}.work", lambda argv: seen.append(argv))
    assert Verb(name="plain", summary="Plain.", work=f"{__name__}:work")(["a", "--b"]) == 0
    assert seen == [["a", "--b"]]


def elsewhere(argv):
    return 3 if argv[:1] == ["--other"] else None


def test_arguments_of_something_else_lead_there_and_others_to_the_step(verb, tmp_path):
    other = replace(verb, otherwise=f"{__name__}:elsewhere", guard="")
    assert other(["--other", "x"]) == 3
    assert other(["--out", str(tmp_path)]) == 0 and record.read(tmp_path, "make")


def test_the_order_follows_from_after():
    found = {n: Verb(n, "", "", after=a) for n, a in [("c", ("b",)), ("b", ("a", "z")), ("a", ())]}
    assert ordered(found) == ["a", "b", "c"]


def test_the_verbs_of_the_house_stand_in_the_order_of_the_chain():
    every = verbs().items()
    steps = [name for name, verb in every if verb.settings is not None and not verb.optional]
    assert steps == ["simulate", "survey", "train", "evaluate", "audit", "report"]


@pytest.mark.parametrize("name", verbs())
def test_every_function_that_a_verb_names_exists(name):
    verb = verbs()[name]
    assert verb.name == name and verb.summary.endswith(".")
    named = (verb.work, verb.reads, verb.guard, verb.instead, verb.otherwise)
    for function in filter(None, named):
        assert callable(load(function))
