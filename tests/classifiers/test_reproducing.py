"""A run done again from its records: equal bytes, figures within intervals, inputs that changed."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
import tyro

from classifiers import chain
from classifiers.reproducing import command, conditions, figures
from classifiers.reproducing.verb import Asked, reproduced
from data import config, machine, record
from data.config import Invocation
from data.files import sha256, write_csv, write_json
from data.verb import Done, Reads, Verb
from lensjax.errors import InputError


@config.settings
class Settings:
    """Of the steps of this file."""

    value: float = 0.5
    source: str = ""


WORLD = {"shift": 0.0}
"""What no record knows of, as a fault that makes results differ."""


def make(call):
    (call.out / "made").mkdir(exist_ok=True)
    (call.out / "made" / "numbers.txt").write_text("1 2 3\n")
    return Done(["made/numbers.txt"])


def measure(call):
    assert (call.out / "made" / "numbers.txt").read_text() == "1 2 3\n"
    value = call.settings.value + WORLD["shift"]
    folder = call.out / "measured"
    figure = {"value": value, "lo95": value - 0.1, "hi95": value + 0.1}
    write_json(folder / "metrics.json", {"figures": {"auc": figure}})
    rows = {"axis": ["all"], "value": ["all"], "n": [3], "completeness": [value]}
    write_csv(folder / "table.csv", pd.DataFrame({**rows, "lo95": 0.1, "hi95": 0.7}))
    WORLD["runs"] = WORLD.get("runs", 0) + 1
    (folder / "log.txt").write_text(f"{WORLD['runs']} s\n")
    names = [f"measured/{name}" for name in ("metrics.json", "table.csv", "log.txt")]
    return Done(names, timed=["measured/log.txt"])


def reads(s, out):
    return Reads(("make",), [Path(s.source)] if s.source else [])


HERE = __name__
CHAIN = {
    "make": Verb("make", "Makes.", f"{HERE}:make", Settings, owns=("made",)),
    "measure": Verb(
        "measure",
        "Measures.",
        f"{HERE}:measure",
        Settings,
        ("make",),
        ("measured",),
        f"{HERE}:reads",
    ),
}


def execute(step, arguments):
    """In this process, from the configuration that is given."""
    source, _, out = arguments
    section = config.validated(Settings, config.read(source)[step], step)
    return CHAIN[step].run(Invocation(section, Path(out), False, source))


def again(path, out):
    return reproduced(path, out, CHAIN, execute)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run of both steps, in an unchanged checkout."""
    monkeypatch.setattr(record, "commit", lambda: "a" * 40)
    monkeypatch.setitem(WORLD, "shift", 0.0)
    out, source = tmp_path / "run", tmp_path / "lenses.csv"
    source.write_text("ra,dec\n")
    for name, s in (("make", Settings()), ("measure", Settings(0.25, str(source)))):
        CHAIN[name].run(Invocation(s, out, False, "default"))
    return out


def test_equal_bytes_hold_and_files_with_times_are_named(run, tmp_path):
    found = again(run, tmp_path / "again")
    assert found.holds and len(found.figures) == 0
    assert found.files["result"].tolist() == ["equal", "equal", "equal", "holds times"]
    assert "measure: not compared, because they hold times: measured/log.txt" in found.lines()
    written = json.loads((tmp_path / "again" / "reproduced" / "summary.json").read_text())
    assert written["holds"] and written["files"] == {"equal": 3, "holds times": 1}
    settings = config.read(tmp_path / "again" / "config.yaml")
    assert settings["measure"]["value"] == 0.25 and settings["run"]["steps"] == ["make", "measure"]


def test_one_record_is_done_again_beside_links_to_what_it_reads(run, tmp_path):
    found = again(run / "records" / "measure.json", tmp_path / "again")
    assert found.holds and set(found.files["step"]) == {"measure"}
    assert (tmp_path / "again" / "made").is_symlink()
    assert again(run / "records" / "measure.json", tmp_path / "again").holds  # it continues there
    with pytest.raises(InputError, match="something else was done again here"):
        again(run, tmp_path / "again")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="is not empty"):
        again(run, tmp_path / "full")
    with pytest.raises(InputError, match="another folder than the run's"):
        again(run, run / "again")


def test_an_output_that_comes_out_otherwise_is_found(run, tmp_path, monkeypatch):
    """On the same platform one bit is too many; elsewhere the interval counts."""
    monkeypatch.setitem(WORLD, "shift", 1e-6)
    found = again(run, tmp_path / "again")
    assert not found.holds and "same platform" in found.problems[0]
    assert "measured/metrics.json" in found.problems[0]
    (auc, marginal) = found.figures.to_dict("records")
    assert auc["moved"] == pytest.approx(1e-6) and auc["widths"] == pytest.approx(1e-5)
    assert auc["within"] is marginal["within"] is True
    assert marginal["figure"] == "axis all, value all"

    monkeypatch.setattr(record, "versions", lambda: {"lensjax": "0.1.0", "jax": "9.9"})
    found = again(run, tmp_path / "elsewhere")
    assert found.holds and len(found.moved) == 2
    assert any("jax" in line and "now 9.9" in line for line in found.unlike["measure"])
    monkeypatch.setitem(WORLD, "shift", 0.15)
    found = again(run, tmp_path / "far")
    assert not found.holds and "1 figures outside of their interval" in found.problems[0]
    assert any("0.25, now 0.4 (+0.15), outside of 0.15 to 0.35" in line for line in found.lines())


def test_files_of_the_run_that_changed_since_are_found(run, tmp_path, capsys, monkeypatch):
    (run / "measured" / "table.csv").write_text("polished\n")
    found = again(run / "records" / "measure.json", tmp_path / "again")
    assert found.files["result"].tolist() == ["equal", "equal", "holds times"] and not found.holds
    assert found.problems == ["measure: 1 files of the run are not as recorded any more: "
                              "measured/table.csv"]  # fmt: skip
    monkeypatch.setattr("classifiers.reproducing.verb.reproduced", lambda *_: found)
    assert command([str(run), "--out", str(tmp_path / "again")]) == 1
    assert "reproduce: does not hold" in capsys.readouterr().out


def test_inputs_that_changed_or_are_missing_are_refused_with_their_hash(run, tmp_path):
    source, made = tmp_path / "lenses.csv", run / "made" / "numbers.txt"
    whole = record.read(run, "measure")
    was = sha256(source)[:16]
    source.write_text("ra,dec\n1,2\n")
    now = sha256(source)[:16]
    with pytest.raises(InputError, match=f"lenses.csv: has changed: SHA-256 {now}, and {was} in"):
        again(run, tmp_path / "again")
    source.unlink()
    with pytest.raises(InputError, match=f"lenses.csv: missing; SHA-256 {was}"):
        again(run, tmp_path / "again")
    source.write_text("ra,dec\n")
    made.write_text("1 2 4\n")
    with pytest.raises(InputError, match=r"numbers.txt: has changed: SHA-256 \w{16}, and \w{16}"):
        again(run / "records" / "measure.json", tmp_path / "again")
    made.write_text("1 2 3\n")
    write_json(run / "records" / "measure.json", whole | {"external_sha256": {}})
    source.write_text("ra,dec\n3\n")
    with pytest.raises(InputError, match="has changed: 9 bytes, 7 in the record of 'measure'"):
        again(run, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_record_older_than_what_it_read_is_refused(run, tmp_path):
    made = record.read(run, "make")
    made["outputs"][0]["sha256"] = "0" * 64
    write_json(run / "records" / "make.json", made)
    with pytest.raises(InputError, match="wrote other files after 'measure' had read them"):
        again(run, tmp_path / "again")


def test_what_is_no_record_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="no such record"):
        again(run / "records" / "none.json", tmp_path / "again")
    with pytest.raises(InputError, match="no run directory"):
        again(tmp_path, tmp_path / "again")
    write_json(run / "records" / "make-part.json", record.read(run, "make") | {"step": "make-part"})
    with pytest.raises(InputError, match=r"no step .*; give .*make.json, the record of all of it"):
        again(run / "records" / "make-part.json", tmp_path / "again")


def test_conditions_are_compared_without_the_kernel_and_with_the_code():
    one = {"machine": machine.machine(), "versions": {"jax": "1"}, "commit": "c" * 40}
    assert conditions.unlike(one, one | {"machine": one["machine"] | {"system": "other"}}) == []
    two = {"machine": one["machine"] | {"cores": 512}, "versions": {}, "commit": "d" * 40}
    assert len(conditions.unlike(one, two)) == 3
    (said,) = conditions.unlike(*[one | {"commit": "c" * 40 + "+"}] * 2)
    assert said.startswith("files changed since commit")


def test_records_know_the_devices_that_jax_has_opened():
    import jax

    jax.devices()
    assert machine.devices()[0].endswith(jax.devices()[0].device_kind)


def test_only_the_smallest_files_are_hashed(tmp_path):
    for size in (1, 5, 10):
        (tmp_path / str(size)).write_bytes(bytes(size))
    found = record.hashes([*tmp_path.iterdir(), tmp_path, tmp_path / "absent"], most=6)
    assert found == {str(tmp_path / n): sha256(tmp_path / n) for n in ("1", "5")}


def test_lines_of_figures_are_told_apart(tmp_path):
    table = pd.DataFrame({"axis": ["a", "b"], "n": [1, 2], "completeness": [0.1, None]})
    write_csv(tmp_path / "one.csv", table.assign(lo95=0.0, hi95=0.2))
    write_csv(tmp_path / "two.csv", table.head(1).assign(lo95=0.0, hi95=0.2, completeness=0.3))
    found = figures.compared("audit", "one.csv", tmp_path / "one.csv", tmp_path / "two.csv")
    assert found["within"].tolist() == [False, True]
    assert figures.compared("audit", "", tmp_path / "two.csv", tmp_path / "one.csv")["within"][0]


def test_the_commands_of_the_page_are_understood_and_its_numbers_hold():
    page = (Path(__file__).resolve().parents[2] / "docs" / "run-directory.md").read_text()
    commands = re.findall(r"^    lensjax reproduce (.*)$", page, re.M)
    asked = [tyro.cli(Asked, args=command.split()) for command in commands]
    assert [one.record.name for one in asked] == ["default", "audit.json"]
    assert f"up to {record.HASHED / 2**30:g} GiB" in page
    with_records = re.search(r"Steps with a record are (.*?)\. Commands", page, re.S)[1]
    assert set(re.findall(r"`(\w+)`", with_records)) == {*chain.chain()}


@pytest.mark.parametrize("name", chain.chain())
def test_the_settings_of_every_step_come_back_from_its_record(name):
    cls = chain.chain()[name].settings
    try:
        usual = cls()
    except Exception:  # a setting without a default
        pytest.skip(f"{name} has no settings by default")
    plain = json.loads(json.dumps(asdict(usual), default=str))
    assert config.validated(cls, plain, name) == usual
