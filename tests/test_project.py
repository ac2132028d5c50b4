"""What somebody who joins the project needs: forms for reports, the changelog, the release script,
the works that are credited, and the gaps to begin with."""

import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
KINDS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
CREDITED = {
    "the training protocol": "2508.20087",
    "the shielded network": "1703.02642",
    "candidates of 2020": "1906.00970",
    "candidates of 2021": "2005.04730",
    "candidates of 2024": "2206.02764",
    "the survey": "1804.08657",
    "the collection of lens lists": "2406.04398",
    "resnet18": "1512.03385",
    "efficientnet_v2_s": "2104.00298",
    "the meta-learner": "1906.09735",
    "the isothermal lens": "A&A 284, 285",
    "b_n of a Sersic profile": "astro-ph/9911078",
    "the flux of a Sersic profile": "astro-ph/0503176",
    "the convention of theta_E": "1803.09746",
    "the published selection function": "stronglens-realism-gap",
}
"""Works that the specification of this project takes definitions, data or numbers from."""


@pytest.fixture(scope="module")
def release():
    """The module of the release script."""
    spec = importlib.util.spec_from_file_location("release", ROOT / "scripts" / "release.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["release"] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["release"]


@pytest.mark.parametrize("name", ["bug", "wrong-number", "question"])
def test_every_form_has_what_an_issue_tracker_asks_for(name):
    form = yaml.safe_load((FORMS / f"{name}.yml").read_text())
    assert {"name", "description", "title", "labels", "body"} <= form.keys()
    ids = []
    for part in form["body"]:
        assert part["type"] in KINDS
        if part["type"] == "markdown":
            assert part["attributes"]["value"]
            continue
        ids.append(part["id"])
        assert part["attributes"]["label"] and isinstance(part["validations"]["required"], bool)
        assert part["type"] != "dropdown" or len(part["attributes"]["options"]) > 1
    assert len(set(ids)) == len(ids) > 0
    assert any(part.get("validations", {}).get("required") for part in form["body"])


def test_there_is_no_report_without_a_form():
    config = yaml.safe_load((FORMS / "config.yml").read_text())
    assert config["blank_issues_enabled"] is False
    found = {path.stem for path in FORMS.glob("*.yml")}
    assert found == {"bug", "wrong-number", "question", "config"}


def test_weaknesses_and_breaches_are_reported_to_the_maintainers_alone():
    for name in ("SECURITY.md", "CODE_OF_CONDUCT.md"):
        text = " ".join((ROOT / name).read_text().split())
        assert "private advisory of th" in text and "maintainers" in text, name
    assert "version 2.1" in text


def test_every_fragment_of_the_changelog_is_of_a_known_kind_and_says_something():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    kinds = {kind["directory"] for kind in settings["type"]}
    told = (ROOT / settings["directory"] / "README.md").read_text()
    assert all(f"`{kind}`" in told for kind in kinds) and settings["ignore"] == ["README.md"]
    changelog = (ROOT / settings["filename"]).read_text()
    assert changelog.count(settings["start_string"]) == 1
    for path in (ROOT / settings["directory"]).iterdir():
        if path.name in settings["ignore"]:
            continue
        named = re.fullmatch(r"\+[\w-]+\.(\w+)\.md", path.name)
        assert named and named[1] in kinds, path.name
        assert path.read_text().strip().endswith("."), path.name


def test_the_plan_of_a_release_tries_what_it_builds_with_the_pins_and_outside_the_checkout(
    release, tmp_path
):
    steps = release.plan("1.2.3", release.files("1.2.3"), tmp_path)
    names = [step.name for step in steps]
    tried = ("new environment", "installation", "help", "version", "smoke")
    assert names[:3] == ["the working tree has no changes", "changelog", "build"]
    assert names[3:] == [f"{kind}: {what}" for kind in ("wheel", "sdist") for what in tried]
    for step in steps:
        words = " ".join(step.command)
        if step.name.endswith("installation"):
            assert "constraints.txt" in words and "lensjax-1.2.3" in words
        if step.name.endswith(("help", "version", "smoke")):
            assert step.command[0].startswith(str(tmp_path)) and not step.here


def test_a_dry_run_prints_every_step_and_runs_none(release, monkeypatch, capsys):
    monkeypatch.setattr(release, "version", lambda: "1.2.3")
    monkeypatch.setattr(release, "release", lambda *a: pytest.fail("it ran"))
    assert release.main(["--dry-run"]) == 0
    said = capsys.readouterr().out
    steps = release.plan("1.2.3", release.files("1.2.3"), ROOT)
    assert all(f"{step.name}: " in said for step in steps) and len(said.splitlines()) == len(steps)


@pytest.mark.parametrize(
    ("project", "cited", "changelog", "said"),
    [
        ("1.2.3", "1.2.3", "", ""),
        ("1.2.3rc1", "1.2.3rc1", "## 1.2.3 (2030-01-01)\n", ""),
        ("1.2.3", "1.2.2", "", "make them equal"),
        ("1.2", "1.2", "", "is not like 1.2.3"),
        ("1.2.3", "1.2.3", "## 1.2.3 (2030-01-01)\n", "raise the version"),
        ("1.2.3", "1.2.3", None, "no fragment"),
    ],
)
def test_a_version_that_cannot_be_released_is_refused(
    release, tmp_path, project, cited, changelog, said
):
    (tmp_path / "pyproject.toml").write_text(f'[project]\nversion = "{project}"\n')
    (tmp_path / "CITATION.cff").write_text(f"cff-version: 1.2.0\nversion: {cited}\n")
    (tmp_path / "CHANGELOG.md").write_text(changelog or "")
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "README.md").touch()
    if changelog is not None:
        (tmp_path / "changelog.d" / "+a.added.md").touch()
    if not said:
        assert release.version(tmp_path) == project
        return
    with pytest.raises(ValueError, match=said):
        release.version(tmp_path)


def test_the_version_of_this_tree_is_semantic_and_the_same_everywhere(release):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["version"] == str(cited["version"])
    assert re.fullmatch(release.SEMANTIC, project["version"])


def test_the_citation_has_its_keys_and_every_work_that_this_one_rests_on():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    wanted = {"cff-version", "message", "title", "version", "license", "authors", "references"}
    assert wanted <= cited.keys() and cited["type"] == "software"
    for work in cited["references"]:
        assert {"type", "title", "authors", "year"} <= work.keys()
        assert all(author["family-names"] for author in work["authors"]), work["title"]
    titles = " ".join(work["title"] for work in cited["references"])
    assert [what for what, key in CREDITED.items() if key not in titles] == []


def test_every_gap_to_begin_with_names_a_file_that_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("\n## Good first contributions\n")[2]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 6
    for _, gap, begins, _ in rows:
        (path,) = re.findall(r"`(\S+)`", begins)
        assert (ROOT / path).is_file(), gap
