"""docs/real-data.md: hosts of DES and of the Legacy Surveys, with measured PSFs and galaxies of
COSMOS as sources, are audited, and what cannot be said is said. Without Spark, and with few
injections."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
import quick_compilation
import yaml
from astropy.io import fits

from classifiers.audit import assumptions, campaign, kernels, psfshape, verb
from classifiers.audit.injection import Experiment
from classifiers.audit.settings import AuditSettings
from classifiers.report.collect import collect
from classifiers.report.sections import sections
from classifiers.report.settings import ReportSettings
from data import lenses, record
from data.config import validated
from data.cutouts import read_npz
from data.folder import take_in
from data.survey import OF_A_RUN, load, write
from spark.cutouts import make_cutouts
from spark.inputs import SurveySettings
from spark.manifest import write_manifest
from spark.shards import ShardSettings, write_shards
from spark.validation import validate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "real-data.md"
FEW = {
    "injections": 24,
    "per_host": 2,
    "theta_e": [1.5],
    "batch": 8,
    "sensitivity_sample": 0,
    "treatment_sample": 8,
    "treatments": ["psf_gaussian"],
    "counterfactuals": 0,
    "native_sample": 8,
}


@pytest.fixture(scope="module")
def here(survey_data, tmp_path_factory):
    """The folder of the recipe, made by its code; the working directory while the tests run."""
    folder = tmp_path_factory.mktemp("recipe")
    made = jax.jit(Experiment.observe, compiler_options=quick_compilation.OPTIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LENSJAX_DATA", str(survey_data))
        quick = lambda e, b, n: made(e, b, n.of(len(b)))
        patch.setattr(campaign, "observe", quick)
        exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)), {})
        yield folder


def audited(here: Path, name: str) -> Path:
    """A run directory with the steps of a survey and a small audit."""
    config = yaml.safe_load((here / "real" / f"{name}.yaml").read_text())
    s = validated(SurveySettings, config["survey"], "survey")
    root, out = Path(s.root), here / "runs" / name
    survey = load(root / "definition.yaml" if name == "des" else "ls_dr10")
    out.mkdir(parents=True)
    write(out / OF_A_RUN, survey)
    if s.folder.lenses:
        lenses.write(out / lenses.OF_A_RUN, lenses.read(root / s.folder.lenses)[0])
    figures, refused = take_in(out, root, s.folder, survey)
    assert not refused and figures["unlabelled"] == figures["rows"]
    assert make_cutouts(None, out, root, s.cutouts, "stop", survey, s.folder) == []
    assert validate(None, out, survey=survey) == []
    write_manifest(out, s.sample.scheme, survey)
    # A folder of hosts has nothing to train on, and that is no error.
    assert write_shards(None, out, survey.stamp, ShardSettings(), 0, survey)[0]["shards"] == 0
    with record.Step(out, "survey", s) as step:
        step.finish(["manifest.parquet"])
    verb.run(out, validated(AuditSettings, config["audit"] | FEW, "audit"))
    return out


@pytest.fixture(scope="module")
def des(here) -> Path:
    return audited(here, "des")


@pytest.fixture(scope="module")
def legacy(here) -> Path:
    return audited(here, "legacy")


def summary_of(out: Path) -> dict:
    return json.loads((out / "audit" / "summary.json").read_text())


def test_des_stamps_are_hosts_in_their_own_units_and_pixels_with_the_psf_of_des(des, survey_data):
    rows = pd.read_parquet(des / "audit" / "injections.parquet")
    assert rows["galaxy_id"].nunique() > 20 and rows["score"].between(0, 1).all()
    assert set(rows["pixel_scale"]) == {0.263} and set(rows["stamp_size"]) == {91}
    images = survey_data / "images"
    stamp, _ = read_npz(des / rows[rows["galaxy_id"] == "lrg_3"]["cutout_path"].iloc[0])
    for i, band in enumerate("griz"):
        counts = fits.getdata(images / "des_lrg_hosts_grizY" / f"{band}.fits")[3]
        np.testing.assert_allclose(stamp[..., i], counts * 10 ** (-0.4 * (30 - 22.5)), rtol=1e-5)
    (path,) = set(rows["psf_path"])
    kernel = kernels.read(des / path, 4)
    lens = images / "des_lens_J0330-5228"
    for i, band in enumerate("griz"):
        psf = fits.getdata(lens / f"DESJ033056.9318-522813.0188_{band}_psf.fits").astype(float)
        np.testing.assert_allclose(kernel[i], psf / psf.sum(), atol=1e-7)
        width = psfshape.fwhm(psf) * 0.263
        np.testing.assert_allclose(rows[f"psf_fwhm_{band}"], width, rtol=1e-3)
        assert 0.9 < width < 1.2


def test_arcs_are_galaxies_of_cosmos_and_the_kernels_are_set_beside_a_gaussian(des, here):
    with np.load(here / "real" / "galaxies.npz") as found:
        assert len(found["images"]) == 12 and (found["images"].sum((1, 2)) > 0).all()
    config = yaml.safe_load((here / "real" / "des.yaml").read_text())
    assert list(config["audit"]["prior"]["source"]) == ["GalaxyImage"]
    rows = pd.read_parquet(des / "audit" / "injections.parquet")
    assert (rows["magnification"] > 1).all() and not rows["flag_invalid"].any()
    lines = assumptions.overall(pd.read_csv(des / "audit" / "treatments.csv"))
    treated = lines.set_index("treatment").loc["psf_gaussian"]
    assert "instead of kernels" in treated["sentence"] and treated["status"] == "done"


def test_what_cannot_be_said_of_des_is_said_in_the_summary_and_on_the_page(des):
    found = summary_of(des)
    assert found["psf_source"] == {"kernel": 38}
    assert found["headline"]["statistical"]["status"] == "sufficient"
    said = [
        "of the field of DES J0330-5228, another one than the hosts'",
        "no list of known lenses",
        "38 of 38 hosts have no position",
        "E(B-V) is unknown for 38 of 38 hosts",
        "38 hosts have no depth in their table",
        "No negatives of this survey were scored",
        "trained on none of this run's galaxies",
        "hosts with PSF kernels have no FWHM to be degraded to",
        "Hosts count as they were sampled",
    ]
    page = {s.id: s for s in sections(collect(des), ReportSettings())}
    (shown,) = page["limitations"].blocks
    for words in said:
        assert any(words in line for line in found["limitations"]), words
        assert any(words in line for line in shown.lines), words
    assert any("no list of known lenses" in line for b in page["hosts"].blocks for line in b.lines)


@pytest.mark.stress
def test_candidates_of_dr10_become_no_hosts_and_the_others_have_their_psf(legacy, survey_data):
    rows = pd.read_parquet(legacy / "audit" / "injections.parquet")
    assert set(rows["galaxy_id"]) == {"dr5_0", "dr5_1", "dr5_2", "dr5_3", "exposure"}
    left_out = pd.read_csv(legacy / "audit" / "hosts_left_out.csv")
    assert len(left_out) == 5 and (left_out["separation_arcsec"] < 0.5).all()
    assert left_out["lens"].str.startswith("DESI-").all()
    assert set(left_out["grading"]) == {"probable"}
    # The survey's own table of exposures is an independent measurement of the PSF's width.
    ccds = survey_data / "images" / "ccd_decam_grz_a" / "survey-ccds-1.fits.gz"
    own = rows[rows["galaxy_id"] == "exposure"].iloc[0]
    for ccd in fits.getdata(ccds):
        band = str(ccd["filter"]).strip()
        assert own[f"psf_fwhm_{band}"] == pytest.approx(ccd["fwhm"] * 0.262, rel=0.1), band
        stamp, _ = read_npz(legacy / own["cutout_path"])
        image = stamp[..., "grz".index(band)]
        scatter = 1.4826 * np.median(np.abs(image - np.median(image)))
        assert scatter == pytest.approx(ccd["sig1"], rel=0.15), band  # nanomaggies
    assert own["psf_measured_on"] == ""


@pytest.mark.stress
def test_five_hosts_have_no_interval_and_what_else_cannot_be_said(legacy):
    found = summary_of(legacy)
    assert found["headline"]["statistical"]["status"] == "insufficient"
    assert "no statistical interval, 5 hosts are too few" in found["words"][0]
    assert "5 hosts, too few for an interval" in found["words"][1]
    assert found["lens_veto"]["hosts_left_out"] == 5
    assert found["lens_veto"]["lists"] == {"lens list of the survey": 32838}
    (psf,) = [w for w in found["limitations"] if "The PSF of" in w]
    assert "4 of 5 hosts" in psf and "single exposures of other fields" in psf
    page = {s.id: s for s in sections(collect(legacy), ReportSettings())}
    tables = [b.name for b in page["hosts"].blocks if b.kind == "table"]
    assert tables == ["hosts_left_out"]
    tile = next(t for b in page["verdict"].blocks if b.kind == "tiles" for t in b.tiles)
    assert tile.detail.startswith("no interval: 5 hosts are too few")


def test_an_injection_with_a_measured_psf_is_made_again_to_the_last_bit(des):
    from classifiers.audit.injectionset import InjectionSet
    from classifiers.audit.redraw import redraw

    injections = InjectionSet.load(des / "audit" / "injections.parquet")
    assert redraw(injections, 7, des).differs == []
