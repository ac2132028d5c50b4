"""docs/scanning.md: its commands are run, in order, in a folder that has what they name."""

import csv
import re
import shlex
from pathlib import Path

import galaxies
import numpy as np
import pandas as pd
import pytest
from scannable import FINDER, SMALL, bricks, trained_run

from classifiers import scanning
from classifiers.scanning import candidates_verb, formats
from data import shards, survey

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scanning.md"
TEXT = PAGE.read_text()
BLOCKS = "".join(re.findall(r"```sh\n(.*?)```", TEXT, re.S)).replace("\\\n", "")
COMMANDS = BLOCKS.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the commands name: a run with bricks, shards, a network and an evaluation; another
    survey; a folder of stamps; a lens list."""
    here = tmp_path_factory.mktemp("here")
    run, north = here / "runs" / "mine", here / "surveys" / "north"
    trained_run(run)
    north.mkdir(parents=True)
    catalogue = bricks(north)
    with open(here / "lenses.csv", "w") as handle:
        handle.write("name,RA [deg],DEC [deg],grading\n")
        handle.writelines(f"Lens {i},{r['RA']},{r['DEC']},A\n" for i, r in enumerate(catalogue))
    (here / "my_finders.py").write_text(FINDER)
    (here / "stamps").mkdir()
    survey.write(here / "stamps" / survey.DEFINITION, SMALL)
    with open(here / "stamps" / "objects.csv", "w", newline="") as handle:
        csv.writer(handle).writerows([["id"], ["s1"], ["s2"]])
    for name in ("s1", "s2"):
        np.savez(here / "stamps" / f"{name}.npz", image=galaxies.stamps(np.ones(1, int))[0])
    return here


def test_its_commands_run_in_order(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    for line in COMMANDS:
        program, verb, *words = shlex.split(line)
        assert program == "lensjax"
        assert getattr(scanning, verb)(words) == 0, line
    said = capsys.readouterr().out
    assert "no probability" not in said and "no completeness: the run has no audit" in said
    listed = pd.read_csv("runs/mine/candidates/candidates.csv")
    assert (listed["probability_in_survey"] < listed["probability"]).all()
    north = pd.read_csv("runs/north/candidates/candidates.csv")
    assert north["known_lens"].notna().all() and north["known_separation"].max() < 0.01
    for name in ("spread", "disagreement", "probability", "probability_ours", "score_theirs"):
        assert np.isfinite(north[name]).all(), name
    packed = pd.read_parquet("runs/packed/scan/top.parquet")
    assert len(packed) == 220 and set(packed["split"]) == set(shards.SPLITS)


def test_what_it_says_of_files_columns_and_flags_is_so(folder):
    flags = {name.lstrip("-") for name in re.findall(r"`--([a-z-]+)[` ]", TEXT)}
    known = {
        f.replace("_", "-")
        for c in ("ScanSettings", "CandidateSettings")
        for f in getattr(scanning, c).__dataclass_fields__
    }
    assert flags <= known | {"force"}
    assert all(f"`.{kind}`" in TEXT or f"`candidates.{kind}`" in TEXT for kind in formats.WRITERS)
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (PAGE.parent / target).exists(), target
    s = scanning.CandidateSettings()
    assert f"({s.radius:g} arcsec)" in TEXT and s.calibrate == "beta"
    assert candidates_verb.FOLDER == "candidates"
