"""docs/tutorials/own-finder.md: its commands and code run, in order, and lead to what it shows.

The short form takes stamps of 48 pixels in place of the simulated survey, few injections, and one
process. As it stands, the page is a stress test.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import jax
import pandas as pd
import pytest
import quick_compilation
from auditable import run_directory

from classifiers import chain
from classifiers.audit import campaign
from classifiers.audit.injection import Experiment
from lensjax.cli import main, verbs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "own-finder.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"```(sh|python|text)\n(.*?)```", TEXT, re.S)
FEW = (
    "--set audit.injections=8 audit.theta_e=[1.0,2.0] audit.batch=8 audit.treatment_sample=0 "
    "audit.realism_sample=0 evaluate.resamples=40"
).split()


def commands(block: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in block.replace("\\\n", " ").strip().splitlines()]


def plain(text: str) -> str:
    """A text without its line breaks, and with # for every number: these are of the survey."""
    return re.sub(r"\d+(\.\d+)?", "#", " ".join(text.split()))


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """The folder of the page after all that it says, in its short form, and what was printed."""
    here = tmp_path_factory.mktemp("own")
    run_directory(here / "runs" / "sim", 80, finder=False)
    made = jax.jit(Experiment.observe, compiler_options=quick_compilation.OPTIONS)
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setattr(campaign, "observe", lambda e, b, n: made(e, b, n.of(len(b))))
        patch.setattr(chain, "execute", lambda step, words: verbs()[step](words))
        patch.setattr(sys, "path", list(sys.path))
        texts = []
        for kind, block in BLOCKS:
            if kind == "python":
                exec(block, names)
            for words in commands(block) if kind == "sh" else ():
                if words[0] == "run":
                    assert chain.resolve("default", words[words.index("--set") + 1 :])
                    continue
                printed, asked = [], "--trained-on" not in words
                patch.setattr("builtins.print", lambda *a, p=printed, **k: p.append(str(a[0])))
                few = [] if asked or "--dry-run" in words else FEW
                assert main([*words, *few]) == (2 if asked else 0), printed
                texts.append("\n".join(printed))
        patch.undo()
        sys.modules.pop("my_finder", None)
    return here, texts, names


def test_what_is_missing_and_what_is_planned_are_as_the_page_shows_them(said):
    _, texts, _ = said
    shown = [block for kind, block in BLOCKS if kind == "text"]
    assert plain(texts[0]) == plain(shown[0])
    for line in ("cutouts", "bands", "labels", "PSF", "depth", "positions", "trained on", "run"):
        (own,) = re.findall(rf"^  {line} .*$", texts[1], re.M)
        assert plain(own) in plain(shown[1]), line


def test_it_ends_with_a_report_and_with_the_figure_of_what_is_found(said):
    here, texts, names = said
    out = here / "runs" / "own"
    assert (out / "report" / "index.html").is_file() and "audit: 32 injections" in texts[2]
    for path in re.findall(r"`(runs/own/[\w./-]+\.\w+)`", TEXT):
        assert (here / path).is_file(), path
    shown = names["shown"]
    assert (
        shown["value"].astype(float).tolist() == [1.0, 2.0]
        and shown["completeness"].between(0, 1).all()
    )
    rows = pd.read_parquet(out / "audit" / "injections.parquet")
    table = pd.read_parquet(here / "galaxies.parquet").set_index("objid")
    assert (table.loc[rows["galaxy_id"], "lens"] == 0).all()


def test_the_configuration_that_it_leaves_repeats_the_run(said, capsys, monkeypatch):
    here, _, _ = said
    monkeypatch.chdir(here)
    monkeypatch.setattr(chain, "execute", lambda step, words: verbs()[step](words))
    (line,) = re.findall(r"`lensjax (run runs/own/own.yaml .*?)`", TEXT)
    assert main([*line.split(), *FEW]) == 0
    assert capsys.readouterr().err.count("up to date") == 4


def test_links_and_options_of_the_page_exist():
    from classifiers.audit.own.arguments import Arguments

    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (PAGE.parent / target).exists(), target
    known = {f"--{name.replace('_', '-')}" for name in Arguments.__dataclass_fields__}
    own = "".join(re.findall(r"`--[^`]+`", TEXT)) + "".join(b for k, b in BLOCKS if k == "sh")
    assert set(re.findall(r"--[a-z-]+", own)) <= known


@pytest.mark.stress  # five minutes
def test_the_page_holds_as_it_stands(tmp_path):
    command = [sys.executable, "-m", "lensjax.cli"]
    printed, shown = [], []
    for kind, block in BLOCKS:
        if kind == "python":
            done = subprocess.run([sys.executable, "-c", SETUP + block], cwd=tmp_path)
            assert done.returncode == 0
        elif kind == "text":
            shown.append(block)
        for words in commands(block) if kind == "sh" else ():
            done = subprocess.run(command + words, cwd=tmp_path, capture_output=True, text=True)
            asked = words[0] == "audit" and "--trained-on" not in words
            assert done.returncode == (2 if asked else 0), done.stderr
            printed.append(done.stdout)
    missing, planned, ran = printed[1:]
    assert missing.split() == shown[0].split()
    ours, theirs = (re.sub(r"[\d.]+ ms", "ms", text).split() for text in (planned, shown[1]))
    assert ours == theirs
    table = pd.read_csv(tmp_path / "runs/own/audit/marginals.csv").query("axis == 'all'")
    found = table.set_index("threshold_name")["completeness"]
    assert abs(found["p0.5"] - 0.28) < 0.05 and abs(found["fpr0.05"] - 0.08) < 0.05, ran


SETUP = "import numpy as np, pandas as pd\nfrom pathlib import Path\n"
