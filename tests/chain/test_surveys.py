"""`lensjax run` for surveys other than the default one: one defined here, and each that is shipped.

Everything is as small as it can be: the figures mean nothing, and the network learns nothing.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import programs
import pytest
import quick_compilation
import yaml
from own_survey import OWN

from data.survey import Survey, load, names, write

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("simulate", "survey", "train", "evaluate", "audit", "report")
pytestmark = [pytest.mark.slow, pytest.mark.stress]


def run(out: Path, survey: Survey, name: str, steps: tuple[str, ...] = STEPS) -> Path:
    """The directory of a small run for a survey of that name, or of that file."""
    programs.java()
    side = max(round(survey.pixels(75)), survey.stamp + 60)
    config = {
        "run": {"steps": list(steps)},
        "simulate": {
            "survey": name,
            "bricks": 6,
            "brick_pixels": side,
            "galaxies": 150,
            "lenses": 24,
        },
        "survey": {"sample": {"negatives_per_positive": 3}},
        "train": {
            "architecture": {"widths": [8, 8, 8, 8]},
            "epochs": 1,
            "batch": 8,
            "preprocess": {"crop": 48},
        },
        "evaluate": {"resamples": 20, "minimum": 2},
        "audit": {
            "theta_e": [1.5],
            "injections": 4,
            "sufficient": 2,
            "sensitivity_sample": 4,
            "treatment_sample": 0,
            "counterfactuals": 0,
            "batch": 4,
        },
    }
    out.mkdir(parents=True)
    (out / "small.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, "-m", "lensjax.cli", "run", out / "small.yaml", "--out", out / "run"],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": quick_compilation.FLAGS},
        capture_output=True,
        text=True,
        timeout=900,
    )
    print(done.stdout[-1500:], done.stderr[-3000:], sep="\n")  # shown when a test fails
    return out / "run"


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """A run for the survey that is defined here, up to the shards."""
    folder = tmp_path_factory.mktemp("surveys")
    write(folder / "own.yaml", OWN)
    return run(folder / "own", OWN, str(folder / "own.yaml"), STEPS[:2])


def cut_out(out: Path, survey: Survey) -> pd.DataFrame:
    """The usable rows of the manifest, after checks that they are those of the survey."""
    assert load(out / "survey.yaml") == survey == load(out / "survey" / "definition.yaml")
    manifest = pd.read_parquet(out / "manifest.parquet")
    assert {*survey.per_band("psfsize", "psfdepth", "nan_count", "has")} <= {*manifest.columns}
    usable = manifest[manifest.quality_ok]
    assert len(usable) > 20 and set(usable.label) == {0, 1}
    assert set(usable.split) == {"train", "val", "test"}
    with np.load(out / usable.cutout_path.iloc[0], allow_pickle=False) as stored:
        assert stored["cutout"].shape == (survey.stamp, survey.stamp, len(survey.bands))
    return usable


def whole(out: Path, survey: Survey) -> None:
    """Every step has a record, and its results are those of the survey."""
    for step in STEPS:
        assert json.loads((out / "records" / f"{step}.json").read_text())["outputs"], step
    usable = cut_out(out, survey)
    model = json.loads((out / "training" / "classifier.json").read_text())
    assert model["config"]["bands"] == len(survey.bands)
    scores = pd.read_parquet(out / "evaluation" / "scores.parquet")
    assert len(scores) == len(usable) and np.isfinite(scores.logit).all()
    injections = pd.read_parquet(out / "audit" / "injections.parquet")
    assert len(injections) and np.isfinite(injections[["logit", "logit_before"]]).all(None)
    page = (out / "report" / "index.html").read_text()
    assert "SIMULATED" in page and survey.title.split(" (")[0].split("'")[0] in page


def test_a_survey_of_one_s_own_is_simulated_selected_and_cut_out(own):
    cut_out(own, OWN)


def test_a_survey_of_one_s_own_runs_from_simulation_to_report(tmp_path):
    write(tmp_path / "own.yaml", OWN)
    whole(run(tmp_path / "own", OWN, str(tmp_path / "own.yaml")), OWN)


def test_its_cutouts_are_its_files_in_nanomaggies(own):
    """Pixels of the brick's files by astropy alone, times 10^(-0.4 (25 - 22.5))."""
    from astropy.io import fits
    from astropy.wcs import WCS

    manifest = pd.read_parquet(own / "manifest.parquet")
    row = manifest[manifest.quality_ok].iloc[0]
    (folder,) = [p for p in (own / "survey" / "images").iterdir() if p.name in str(row.cutout_path)]
    with np.load(own / row.cutout_path, allow_pickle=False) as stored:
        cutout = stored["cutout"]
    for channel, band in enumerate(OWN.bands):
        pixels, header = fits.getdata(folder / f"{band}-{folder.name}.fits.fz", 1, header=True)
        x, y = WCS(header).all_world2pix(row.ra, row.dec, 0)
        half = (OWN.stamp - 1) / 2
        left, low = (int(np.floor(float(v) - half + 0.5)) for v in (x, y))
        near = pixels[low + 27 : low + 38, left + 27 : left + 38]
        part = cutout[27:38, 27:38, channel]
        assert np.allclose(part, near * 10 ** (-0.4 * 2.5), rtol=1e-5)


@pytest.fixture(scope="module", params=[n for n in names() if n != "ls_dr10"])
def shipped(request, tmp_path_factory) -> tuple[Path, Survey]:
    """A run for every shipped survey but the default one, which runs in test_chain."""
    survey = load(request.param)
    return run(tmp_path_factory.mktemp("shipped") / survey.name, survey, survey.name), survey


def test_every_shipped_survey_runs_from_simulation_to_report(shipped):
    whole(*shipped)
