"""docs/metrics.md, docs/ensembles.md, docs/channels.md: commands are understood, code runs, and
links hold."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tyro

from classifiers.channels.verb import Lists
from classifiers.ensembles import members
from classifiers.ensembles import verb as ensemble
from classifiers.evaluation import judge_verb
from classifiers.shortcuts.verb import Shortcuts

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text() for name in ("metrics", "ensembles", "channels")}
SETTINGS = {
    "judge": judge_verb.Table,
    "ensemble": ensemble.Table,
    "channels": Lists,
    "shortcuts": Shortcuts,
}
COMMANDS = [
    line
    for text in PAGES.values()
    for block in re.findall(r"```\n(.*?)```", text, re.S)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("lensjax ")
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files that the pages' code reads."""
    out, rng = tmp_path_factory.mktemp("documents"), np.random.default_rng(0)
    n = 600
    y = (rng.random(n) < 0.3).astype(int)
    own = {name: 1 / (1 + np.exp(1 - 3 * y - rng.normal(size=n))) for name in range(4)}
    table = pd.DataFrame({"id": np.arange(n), "label": y, "split": np.arange(n) % 2})
    table["split"] = np.where(table["split"] == 1, "test", "val")
    table["ra"], table["dec"] = rng.uniform(0, 360, n), rng.uniform(-60, 60, n)
    names = ("ours", "theirs", "resnet", "efficientnet")
    table.assign(**dict(zip(names, own.values()))).to_parquet(out / "ours.parquet")
    table[["ra", "dec"]].head(60).to_csv(out / "huang2021.csv", index=False)
    table[["ra", "dec"]].iloc[30:90].to_csv(out / "stein2021.tsv", index=False, sep="\t")
    return out


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(line):
    _, verb, *arguments = shlex.split(line)
    tyro.cli(SETTINGS[verb], args=arguments)


def test_the_members_of_the_page_are_understood(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGES["ensembles"], re.S)
    (tmp_path / "members.yaml").write_text(block)
    found, judged = members.read(tmp_path / "members.yaml")
    assert [m.name for m in found][-2:] == ["without_ml", "fewer"] and judged.budgets == (100,)
    assert {m.train.model for m in found} == {"resnet18"} and found[3].train.mask == "core"


def test_there_are_commands_of_every_verb():
    assert {line.split()[1] for line in COMMANDS} == set(SETTINGS) and len(COMMANDS) >= 8


@pytest.mark.parametrize("page", PAGES)
def test_the_code_runs_and_links_hold(page, files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGES[page], re.S))
    exec(code, {})
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", PAGES[page]):
        assert (DOCS / target).exists(), target
