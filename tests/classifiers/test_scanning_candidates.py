"""Lists of candidates: every column against its definition, every file reopened by astropy."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import selection_worlds as worlds
from astropy import units
from astropy.coordinates import SkyCoord, match_coordinates_sky
from astropy.io import fits
from astropy.io.votable import parse
from astropy.table import Table
from listable import HOSTILE, N, rows, scanned
from scannable import SMALL
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy

from classifiers.evaluation import calibrators
from classifiers.scanning import candidates as command
from classifiers.scanning import candidates_verb, conditions, listing, probability, ranking
from classifiers.selection import SelectionFunction, tablefile
from data import lenses
from data import survey as surveys
from data.files import write_json
from data.names import as_text
from data.photometry import depth_m5
from lensjax.errors import InputError


@pytest.fixture(scope="module")
def given():
    table = rows()
    refused = pa.array([None] * (N - 2) + ["blank", "blank"], pa.string())
    return table.set_column(table.column_names.index("refused"), "refused", refused)


@pytest.fixture(scope="module")
def run(given, tmp_path_factory):
    """A run with a scan by two finders, an audit, a lens list, and its list of candidates."""
    out = scanned(tmp_path_factory.mktemp("candidates") / "run", given)
    completeness = worlds.table(worlds.injections(worlds.smooth, np.random.default_rng(0), 60))
    (out / "audit").mkdir()
    tablefile.write(completeness, {}, out / "audit" / "completeness.parquet")
    places = given.to_pandas().iloc[10:80:10]
    shift = np.array([0.0, 1.0, 2.9, 3.1, 4.0, 40.0, 0.5]) / 3600
    with open(out / "lenses.csv", "w", newline="") as handle:
        lines = csv.writer(handle)
        lines.writerow(["name", "RA [deg]", "DEC [deg]", "grading"])
        for i, (ra, dec) in enumerate(zip(places["ra"], places["dec"] + shift)):
            lines.writerow(["" if i == 6 else HOSTILE[i], ra, dec, "confident"])
        lines.writerow(["nowhere", "abc", 3, ""])
    words = ["--out", str(out), "--number", "100", "--validation", str(out), "--radius", "3"]
    words += ["--lenses", str(out / "lenses.csv"), "--calibrate", "platt", "--prevalence", "0.001"]
    assert command(words) == 0
    return out


@pytest.fixture(scope="module")
def listed(run):
    return pq.read_table(run / "candidates" / "candidates.parquet").to_pandas()


@pytest.fixture(scope="module")
def scored(given):
    """The scored rows as they are ranked."""
    found = given.to_pandas()[: N - 2]
    found["mean"] = (found["score_a"] + found["score_b"]) / 2
    return found.sort_values("mean", ascending=False).reset_index(drop=True)


def test_the_best_are_listed_with_their_magnitudes_and_links(listed, scored):
    best = scored.iloc[:100]
    assert listed["galaxy_id"].tolist() == best["galaxy_id"].tolist()
    assert listed["rank"].tolist() == [*range(1, 101)]
    assert listed["score"].to_numpy() == pytest.approx(best["mean"].to_numpy(), abs=1e-15)
    flux = best["flux_r"].to_numpy()
    with np.errstate(invalid="ignore"):
        mag = 22.5 - 2.5 * np.log10(flux)
    assert listed["mag_r"].to_numpy() == pytest.approx(mag, nan_ok=True)
    assert np.isnan(listed["mag_r"]).tolist() == (flux <= 0).tolist()
    for row in listed.head(5).to_dict("records"):
        found = re.fullmatch(r"https://\S+\?ra=([\d.]+)&dec=(-?[\d.]+)&layer=\S+", row["viewer"])
        assert [float(v) for v in found.groups()] == pytest.approx(
            [row["ra"], row["dec"]], abs=1e-6
        )


def test_probabilities_are_those_of_maps_fitted_to_the_validation_rows(run, listed, scored):
    validation = scored[scored["split"] == "val"]
    label = validation["label"].to_numpy(int)
    for name in ("a", "b"):
        own = calibrators.fit(label, validation[f"logit_{name}"].to_numpy(), "platt")
        expected = own(scored[f"logit_{name}"].to_numpy()[:100])
        assert listed[f"probability_{name}"].to_numpy() == pytest.approx(expected, rel=1e-6)
    logit = np.log(validation["mean"] / (1 - validation["mean"])).to_numpy()
    own = calibrators.fit(label, logit, "platt")
    mean = scored["mean"].to_numpy()[:100]
    expected = own(np.log(mean / (1 - mean)))
    assert listed["probability"].to_numpy() == pytest.approx(expected, rel=1e-6)
    shifted = calibrators.prior_shift(expected, label.mean(), 0.001)
    assert listed["probability_in_survey"].to_numpy() == pytest.approx(shifted, rel=1e-6)
    said = json.loads((run / "candidates" / "summary.json").read_text())["probability"]
    assert (said["lenses"], said["lenses"] + said["others"]) == (label.sum(), len(label))
    assert said["validation"] == "scan" and set(said["maps"]) == {"a", "b", "ranked"}


def test_a_scan_of_another_kind_or_prevalence_than_the_validation_is_said(run, scored):
    """The sum of the probabilities over all of the scan is compared with the prevalence."""
    validation = scored[scored["split"] == "val"]
    logit = lambda rows: np.log(rows["mean"] / (1 - rows["mean"])).to_numpy()
    own = calibrators.fit(validation["label"].to_numpy(int), logit(validation), "platt")
    share = validation["label"].mean()
    total = calibrators.prior_shift(own(logit(scored)), share, 0.001).sum()
    found = json.loads((run / "candidates" / "summary.json").read_text())
    sums = found["expected_in_scan"]
    assert sums["lenses"] == pytest.approx(total, rel=1e-6) and sums["objects"] == len(scored)
    assert sums["by_prevalence"] == pytest.approx(0.001 * len(scored))
    ranked = ranking.Ranked(("a", "b"), "mean")
    maps = probability.Maps({"": own}, share, {}, {})
    parts = lambda: ranking.tables(run / "scan")
    alike, n = probability.expected(parts(), ranked, maps, share)
    assert 0.5 < alike / (share * n) < 2
    for times, contradicts in ((2.1, True), (1.9, False), (0.4, True)):
        other = sums | {"lenses": times * sums["by_prevalence"]}
        said = "\n".join(candidates_verb._lines(found | {"expected_in_scan": other}, run))
        assert ("either another share of them are lenses, or the" in said) == contradicts


def test_entropy_spread_and_disagreement_are_scipy_s(listed):
    p = np.stack([listed["probability_a"], listed["probability_b"]])
    both = np.stack([listed["probability"], 1 - listed["probability"]])
    assert listed["entropy"].to_numpy() == pytest.approx(scipy_entropy(both, base=2), abs=1e-12)
    scores = np.stack([listed["score_a"], listed["score_b"]])
    assert listed["spread"].to_numpy() == pytest.approx(np.abs(scores[0] - scores[1]) / 2)
    two = [np.stack([q, 1 - q]) for q in p]
    expected = jensenshannon(*two, base=2) ** 2
    assert listed["disagreement"].to_numpy() == pytest.approx(expected, abs=1e-9)
    assert listing.entropy(np.array([0.0, 0.5, 1.0])).tolist() == [0, 1, 0]
    assert listing.divergence(np.array([[0.0, 0.3], [1.0, 0.3]])).tolist() == [1.0, 0.0]


def test_known_lenses_are_those_that_astropy_matches(run, listed):
    known, refused = lenses.read(run / "lenses.csv")
    _, apart, _ = match_coordinates_sky(
        SkyCoord(listed["ra"], listed["dec"], unit="deg"),
        SkyCoord(known.ra, known.dec, unit="deg"),
    )
    within = apart <= 3 * units.arcsec
    assert listed["known_lens"].notna().tolist() == within.tolist() and within.sum() >= 1
    assert listed["known_separation"][within].to_numpy() == pytest.approx(
        apart[within].arcsec, abs=1e-6
    )
    said = json.loads((run / "candidates" / "summary.json").read_text())["known_lenses"]
    assert said["matched"] == within.sum() and said["radius_arcsec"] == 3.0
    assert said["refused_lines"] == [[9, refused[0][1]]]


def test_completeness_is_that_of_the_selection_function_under_the_row_s_conditions(run, listed):
    own = SelectionFunction.load(run, "p0.5").summed("psf_fwhm", "depth_m5")
    answer = own.query(psf=listed["psf_fwhm_r"].to_numpy(), depth=listed["m5_r"].to_numpy())
    inside = answer.flag != "outside"
    assert 0 < inside.sum() < len(listed)
    assert listed["completeness_flag"].tolist() == answer.flag.tolist()
    assert listed["completeness"].to_numpy() == pytest.approx(answer.value, nan_ok=True)
    assert listed["completeness_hi95"].to_numpy() == pytest.approx(answer.upper)
    said = json.loads((run / "candidates" / "summary.json").read_text())["completeness"]
    assert said["threshold"] == 0.5 and said["summed_over"] == ["theta_e"]
    assert said["of"] == "audit/completeness.parquet"


def test_conditions_that_are_not_known_are_said_to_be(run):
    of = conditions.function(run, "0.3")
    assert of.threshold_name == "p0.3"
    r = {"psfsize_r": np.array([1.2, np.nan]), "psfdepth_r": np.array([900.0, 900.0])}
    known = conditions.known(SMALL, {**r, "ebv": np.zeros(2)})
    assert known["depth_m5"] == pytest.approx(depth_m5([900.0, 900.0]))
    answer, _ = conditions.expected(of, known)
    assert answer.flag.tolist()[1] == "unknown" and answer.flag[0] != "unknown"
    assert np.isnan(answer.value[1]) and (answer.lower[1], answer.upper[1]) == (0, 1)
    with pytest.raises(InputError, match="no threshold"):
        conditions.function(run, "p0.9")


READERS = {"csv": "ascii.csv", "ecsv": "ascii.ecsv", "fits": "fits", "vot": "votable"}


@pytest.mark.parametrize("kind", READERS)
def test_astropy_opens_the_list_in_every_format(run, listed, kind):
    found = Table.read(run / "candidates" / f"candidates.{kind}", format=READERS[kind])
    assert found.colnames == listed.columns.tolist() and len(found) == len(listed)
    for name in listed:
        own, read = listed[name], found[name]
        missing = own.isna().to_numpy()
        good = [str(v) if own.dtype == object else float(v) for v in read[~missing]]
        expected = own[~missing].tolist()
        if own.dtype == object:
            expected = [as_text(v) for v in expected] if kind == "csv" else expected
            assert good == expected, name
        else:
            assert good == pytest.approx(expected, rel=1e-14), name
            blank = np.ma.getmaskarray(read)[missing] | ~np.isfinite(np.ma.getdata(read)[missing])
            assert blank.all(), name
    if kind != "csv":
        assert found["ra"].unit == units.deg and found["known_separation"].unit == units.arcsec
    if kind == "vot":
        parse(run / "candidates" / "candidates.vot", verify="exception")
    if kind == "fits":
        with fits.open(run / "candidates" / "candidates.fits") as hdus:
            hdus.verify("exception")
            assert json.loads(hdus[1].header["LENSJAX"])["rows"] == 100


def test_regions_are_circles_at_the_positions(run, listed):
    lines = (run / "candidates" / "candidates.reg").read_text().splitlines()
    assert lines[:2] == ["# Region file format: DS9 version 4.1", "fk5"]
    circle = re.compile(
        r'circle\(([\d.]+),(-?[\d.]+),3"\) # color=(green|yellow) text=\{(\d+) (\S+) ([\d.]+)\}'
    )
    found = [circle.fullmatch(line).groups() for line in lines[2:]]
    assert len(found) == len(listed)
    at = SkyCoord([f[0] for f in found], [f[1] for f in found], unit="deg")
    own = SkyCoord(listed["ra"], listed["dec"], unit="deg")
    assert at.separation(own).arcsec.max() < 0.01
    assert [f[4] for f in found] == listed["galaxy_id"].tolist()
    assert [f[2] == "green" for f in found] == listed["known_lens"].notna().tolist()


def test_the_evaluation_gives_the_map_of_the_finder_that_it_was_of(given, tmp_path):
    out = scanned(tmp_path / "run", rows(split=[None] * N, label=[None] * N), by="a")
    val = given.to_pandas()
    val = val[val["split"] == "val"].assign(logit=val["logit_a"])
    (out / "evaluation").mkdir()
    val[["split", "label", "logit"]].to_parquet(out / "evaluation" / "scores.parquet")
    write_json(
        out / "evaluation" / "metrics.json", {"classifier": {"model": "a", "sha256": "a" * 4}}
    )
    assert command(["--out", str(out), "--formats", "parquet"]) == 0
    found = pq.read_table(out / "candidates" / "candidates.parquet").to_pandas()
    own = calibrators.fit(val["label"].to_numpy(int), val["logit"].to_numpy(), "beta")
    logit = given.to_pandas().set_index("galaxy_id")["logit_a"].loc[found["galaxy_id"]]
    assert found["probability"].to_numpy() == pytest.approx(own(logit.to_numpy()), rel=1e-9)
    assert "probability_b" not in found and "split" not in found
    said = json.loads((out / "candidates" / "summary.json").read_text())["probability"]["none"]
    assert "another finder" in said["b"]


def test_without_validation_audit_and_lenses_the_list_says_so(given, tmp_path, capsys):
    out = scanned(tmp_path / "run", given)
    assert command(["--out", str(out), "--formats", "csv", "--number", "0"]) == 0
    said = capsys.readouterr().out
    assert "no probability of a, b: the run has no evaluation" in said
    assert "no list of known lenses" in said and "no completeness: the run has no audit" in said
    found = pd.read_csv(out / "candidates" / "candidates.csv")
    assert len(found) == N - 2 and "probability" not in found
    assert command(["--out", str(out), "--formats", "csv", "--number", "0"]) == 0
    assert "up to date" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rank", "c"], "expected a, b or mean"),
        (["--calibrate", "", "--prevalence", "0.1"], "needs probabilities"),
        (["--lenses", "nowhere.csv"], "no such lens list"),
        (["--completeness", "nowhere"], "no such completeness table"),
        (["--minimum", "1.0"], "no row scores 1 or more, the highest is 0.9"),
        (["--validation", "nowhere.csv"], "no such file"),
    ],
)
def test_choices_that_do_not_fit_are_refused(given, tmp_path, words, said):
    out = scanned(tmp_path / "run", given)
    with pytest.raises(InputError, match=said):
        command(["--out", str(out), *words])
    assert not (out / candidates_verb.FOLDER / "summary.json").exists()


def test_a_scan_that_has_not_finished_has_no_candidates(tmp_path):
    with pytest.raises(InputError, match="'scan' has not finished"):
        command(["--out", str(tmp_path)])


def test_the_viewer_of_a_survey_is_an_address_with_a_position():
    plain = surveys.plain(SMALL)
    for wrong in ("https://x/?ra={ra}", "javascript:{ra}{dec}", 'https://x"{ra},{dec}'):
        with pytest.raises(InputError, match="viewer"):
            surveys.validated(surveys.Survey, {**plain, "viewer": wrong}, "survey")
    none = surveys.validated(surveys.Survey, {**plain, "viewer": ""}, "survey")
    assert listing.links(none, np.zeros(2), np.zeros(2)) == [None, None]
    assert listing.links(SMALL, np.array([np.nan]), np.zeros(1)) == [None]
