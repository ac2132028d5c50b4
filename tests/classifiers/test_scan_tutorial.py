"""docs/tutorials/scan.md: its commands and code, in order, lead from a run to what grades mean.

The short form takes stamps of 32 pixels, an untrained network and few objects; a program stands in
for the people. The commands on the default run, as they stand, are a stress test.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inspections import grade
from scannable import trained_run

from classifiers import chain, scanning
from classifiers.inspection import verb
from data import lenses

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "scan.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", TEXT, re.S)
SUCH_AS = re.compile(r"`(inspection/[\w./]+|runs/default/[\w./]+\.\w+)`")


def graded(asked: verb.Serve) -> int:
    """In place of the server: two programs that look at every picture and know some answers."""
    pictures, of = verb.pictures_of(asked), verb.opened(asked)
    for o in map(of.object, range(1, of.count + 1)):
        if pictures.problem(o.id) == "":
            assert len(pictures.of(o.id, pictures.panels[0].name)) > 100
        for who in ("Anna", "Ben"):
            grade(of, who, o.number, "A" if o.truth == "lens" or o.number % 9 == 0 else "D")
    of.close()
    return 0


def follow(folder: Path, run) -> dict:
    """Goes through the page in a folder; run: does a command. Returns the names of its code."""
    names: dict = {}
    for kind, block in BLOCKS:
        if kind == "python":
            exec(block, names)
        for line in block.replace("\\\n", " ").splitlines() if kind == "sh" else ():
            program, *words = shlex.split(line)
            assert program == "lensjax"
            run(words)
    for path in SUCH_AS.findall(TEXT):
        assert (folder / path).exists(), path
    return names


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """A folder with what `lensjax run` leaves in runs/default, as far as the page needs it."""
    folder = tmp_path_factory.mktemp("here")
    out = folder / "runs" / "default"
    table = trained_run(out, per_brick=14).to_pandas()
    manifest = pd.DataFrame({"ra": table["RA"], "dec": table["DEC"]})
    ids = [f"{b}_{o}" for b, o in zip(table["BRICKNAME"], table["OBJID"])]
    manifest = manifest.assign(galaxy_id=ids, brickname=table["BRICKNAME"], quality_ok=True)
    manifest["label"] = [i % 3 == 0 for i in range(len(manifest))]
    manifest["split"] = ["train" if i % 4 == 0 else "test" for i in range(len(manifest))]
    manifest.astype({"label": int}).to_parquet(out / "manifest.parquet")
    known = pd.DataFrame({"name": ["Some lens"], "ra": table["RA"][7], "dec": table["DEC"][7]})
    known.assign(grading="A").to_parquet(out / lenses.OF_A_RUN)
    line = {"theta_e": 1.5, "theta_e_lo": 1.0, "theta_e_hi": 2.0, "status": "sufficient"}
    line |= {"threshold_name": "0.5", "threshold": 0.5, "n": 100, "k": 50, "completeness": 0.5}
    (out / "audit").mkdir()
    pd.DataFrame([line]).to_parquet(out / "audit" / "completeness.parquet")
    return folder


def test_it_leads_to_graded_candidates_and_to_what_the_graders_miss(here, monkeypatch, capsys):
    def run(words):
        if words[0] == "run":
            assert chain.resolve("default", [])
            return
        if words[0] == "candidates":
            words = [*words, "--minimum", "0.0"]
        work = verb.work if words[0] == "inspect" else getattr(scanning, words[0])
        assert work(words[1:]) == 0, words

    monkeypatch.chdir(here)
    monkeypatch.setattr(verb, "serve", graded)
    names = follow(here, run)
    assert 0 < len(names["new"]) < len(names["listed"])
    assert set(names["new"]["split"].dropna()) <= {"test"}
    assert set(names["known"]["truth"]) == {"lens", "other"}
    said = capsys.readouterr().out
    assert "Cohen kappa of Anna, Ben: 1.00" in said and "all graders, completeness" in said
    rates = pd.read_csv(here / "inspection" / "results" / "rates.csv")
    assert rates["status"].eq("sufficient").any() and np.isfinite(rates["k"]).all()


@pytest.mark.stress  # ten minutes: it makes the default run
def test_the_page_holds_on_the_default_run(tmp_path, monkeypatch):
    def run(words):
        if words[:2] == ["inspect", "serve"]:
            assert verb.work(words[1:]) == 0
            return
        command = [sys.executable, "-m", "lensjax.cli", *words]
        assert subprocess.run(command, cwd=tmp_path).returncode == 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verb, "serve", graded)
    names = follow(tmp_path, run)
    assert len(names["listed"]) == 300 and len(names["known"]) > 40
