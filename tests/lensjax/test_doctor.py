"""What `lensjax doctor` finds on machines that lack things, each of them made up; and that what it
says of itself is whole."""

import json
import os
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import jax
import programs
import pytest

import lensjax.cli
from lensjax.doctor import Finding, command, devices, examined, machine, software, storage
from lensjax.doctor.programs import PROGRAMS
from lensjax.doctor.programs import findings as of_programs
from lensjax.doctor.verb import told

ROOT = Path(__file__).resolve().parents[2]


def levels(found) -> list[str]:
    return [f.level for f in found]


def test_every_subject_is_asked_and_every_finding_is_sentences():
    found = examined()
    assert list(found)[:4] == ["software", "devices", "machine", "disk"]
    for finding in (f for several in found.values() for f in several):
        for text in filter(None, (finding.text, finding.cure)):
            assert re.fullmatch(r"[A-Z0-9`/].*\.", text), text
        assert bool(finding.cure) == (finding.level != "ok")
    assert len(told(found).splitlines()) < 120
    assert max(len(line) for line in told(found).splitlines()) < 130  # paths are not broken


def test_news_that_is_not_good_without_a_cure_is_a_defect():
    with pytest.raises(ValueError, match="names its cure"):
        Finding("slow", "It is slow.")


@pytest.mark.parametrize(("broken", "code"), [(False, 0), (True, 1)])
def test_json_and_the_exit_status_say_whether_something_is_broken(
    monkeypatch, capsys, tmp_path, broken, code
):
    monkeypatch.setattr(lensjax.doctor.verb, "contributed", dict)
    out = tmp_path / "runs"
    if broken:
        out.touch()
    assert command(["--json", "--out", str(out)]) == code
    said = json.loads(capsys.readouterr().out)
    assert said["whole"] is not broken
    assert ("cannot be written" in json.dumps(said["findings"]["disk"])) is broken
    assert said["findings"]["devices"][0]["values"]["backend"] == jax.default_backend()


def test_a_question_that_fails_is_a_finding_too(monkeypatch):
    def failing():
        raise RuntimeError("nothing there")

    monkeypatch.setattr(lensjax.doctor.verb, "contributed", lambda: {"odd": failing})
    (finding,) = examined()["odd"]
    assert finding.level == "note" and "RuntimeError: nothing there" in finding.text


def test_every_extra_of_the_project_is_explained_and_every_bound_understood():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {*software.NEEDS, "all"} == {*project["optional-dependencies"]}
    for several in (project["dependencies"], *project["optional-dependencies"].values()):
        for line in several:
            rest = re.sub(r"^[\w.-]+(\[[\w,]+\])?", "", line.partition(";")[0])
            assert re.fullmatch(r"((>=|<)[\d.]+,?)*", rest), line


def test_what_is_missing_or_too_old_is_named_with_the_command_that_installs_it():
    asked = software.requirements(
        [
            "jax>=0.10",
            'pyspark<5,>=3.5; platform_machine == "none" and extra == "spark"',
            'pyspark<5,>=4; platform_machine != "none" and extra == "spark"',
            'onnx>=1.18; extra == "onnx"',
            'lensjax[data]; extra == "onnx"',
        ]
    )
    assert [(r.name, r.bounds, r.extra) for r in asked] == [
        ("jax", ">=0.10", ""),
        ("pyspark", "<5,>=4", "spark"),
        ("onnx", ">=1.18", "onnx"),
    ]

    def installed(name):
        if name == "onnx":
            raise PackageNotFoundError(name)
        return {"jax": "0.9.9", "pyspark": "5.0.1"}[name]

    core, spark_, onnx = software.extras(asked, installed)
    assert core.level == "broken" and "jax 0.9.9 is not >=0.10" in core.text
    assert f'`{sys.executable} -m pip install "jax>=0.10"`' in core.cure
    assert spark_.level == onnx.level == "note" and "pyspark 5.0.1 is not <5" in spark_.text
    assert "(not installed: onnx)" in onnx.text and onnx.values["missing"] == ["onnx"]
    assert levels(software.extras(asked, {"jax": "0.10.0", "pyspark": "4", "onnx": "1.20"}.get))


@pytest.mark.parametrize(
    ("version", "numbers"), [("1.10.0rc1", (1, 10)), ("2.0", (2,)), ("0.10.2+cpu", (0, 10, 2))]
)
def test_versions_are_compared_by_their_numbers(version, numbers):
    assert software.numbers(version) == numbers


def test_a_verb_whose_package_is_missing_says_so_in_one_line(monkeypatch, capsys):
    class Entry:
        name = "try"

        def load(self):
            raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn.metrics")

    monkeypatch.setattr(lensjax.cli, "entry_points", lambda **kw: [Entry()])
    for words in (["try"], ["--help"]):
        assert lensjax.cli.main(words) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "scikit-learn, which the extra `classifiers`" in said
    assert software.absent("my_finder") == software.absent(None) == ""


def test_limits_of_a_container_count_and_not_the_machine(tmp_path):
    information, own = tmp_path / "meminfo", tmp_path / "cgroup"
    information.write_text("MemTotal:  8000000 kB\nMemAvailable:  6000000 kB\n")
    own.write_text("0::/job/step\n")
    (tmp_path / "job" / "step").mkdir(parents=True)
    assert machine.memory(information, tmp_path, own) == (8192000000.0, 6144000000.0)
    (tmp_path / "job" / "memory.max").write_text("2000000000\n")
    (tmp_path / "job" / "memory.current").write_text("500000000\n")
    (tmp_path / "job" / "step" / "memory.max").write_text("max\n")
    (tmp_path / "job" / "cpu.max").write_text("50000 100000\n")
    assert machine.memory(information, tmp_path, own) == (2e9, 1.5e9)
    assert machine.cores(tmp_path, own) == 0.5
    assert levels(machine._memory(2e9, 1.5e9)) == ["slow"]
    assert levels(machine._memory(float("nan"), float("nan"))) == ["note"]


@pytest.mark.parametrize(
    ("flags", "level"), [("sse avx avx2 fma", "ok"), ("sse avx", "slow"), ("sse", "broken")]
)
def test_an_old_processor_is_told(flags, level):
    (finding,) = machine.processor(f"model name : Old\nflags : {flags}\n", "x86_64")
    assert finding.level == level and "Old" in finding.text
    assert not levels(machine.processor("Features : neon", "aarch64"))


def test_small_pages_and_forgotten_switches_are_slow():
    assert levels(machine.pages("always madvise [never]")) == ["slow"]
    assert levels(machine.pages("[always] madvise never")) == levels(machine.pages("")) == []
    kept = {"JAX_COMPILATION_CACHE_DIR": "here"}
    assert levels(devices.switches(kept)) == ["ok"]
    assert levels(devices.switches({"JAX_DISABLE_JIT": "1", "LENSJAX_PLAIN": "0"})) == ["slow"] * 2


def test_a_card_that_is_not_used_and_a_jax_that_does_not_start(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not devices.card(tmp_path)
    (tmp_path / "nvidia0").touch()
    assert devices.card(tmp_path)
    monkeypatch.setattr(jax, "devices", lambda: jax.local_devices(backend="cpu"))
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    *_, card = devices._devices(True)
    assert "does not use it: JAX_PLATFORMS is 'cpu'" in card.text and card.cure.startswith("Unset")

    def failing():
        raise RuntimeError("no driver")

    monkeypatch.setattr(jax, "devices", failing)
    assert levels(devices._devices(True)) == ["broken"]


def test_a_disk_that_is_full_far_away_or_closed(monkeypatch, tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nhome:/x {tmp_path} nfs4 rw 0 0\n")
    assert storage.kind(tmp_path / "runs" / "a", mounts) == "nfs4"
    assert storage.nearest(tmp_path / "runs" / "a") == tmp_path
    assert levels(storage.findings(tmp_path / "runs", mounts))[:2] == ["ok", "slow"]
    monkeypatch.setattr(storage, "DISK", 1e9)
    assert levels(storage.findings(tmp_path, tmp_path / "none"))[0] == "note"
    monkeypatch.setattr(os, "access", lambda *a: False)
    assert "no permission" in next(iter(storage.findings(tmp_path, mounts))).text


def test_programs_that_are_absent_are_named_and_tests_skip_by_the_same_names(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = list(of_programs())
    assert levels(found) == ["note"] * len(PROGRAMS)
    assert any("no chromium or google-chrome on the PATH" in f.text for f in found)
    with pytest.raises(pytest.skip.Exception, match="no chromium or google-chrome on this machine"):
        programs.needed("chromium|google-chrome")
    (tmp_path / "git").touch(mode=0o755)
    assert programs.needed("git") == [str(tmp_path / "git")]
    assert levels(of_programs()).count("ok") == 1
