"""Cutouts and their validation for other surveys, a folder of cutouts, and hostile names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from astropy.io import fits
from astropy.wcs import WCS
from test_cutouts_job import SETTINGS, example, files, objects_of, write_sample

from data import lenses, quality
from data.coadds import image_path
from data.cutouts import read_npz
from data.folder import Folder, take_in
from data.loader import load_split
from data.survey import Survey, load, of_run
from data.survey import write as write_definition
from lensjax.errors import InputError
from spark import survey as verb
from spark import validation
from spark.cutouts import CutoutSettings, Source, cut, make_cutouts, objects
from spark.manifest import write_manifest
from spark.validation import judge, validate

BRICK = "1500p100"


def write_coadd(root: Path, survey: Survey, side: int, **cards) -> tuple[WCS, np.ndarray]:
    """A brick of any survey in the units of its files; returns its WCS and pixels."""
    wcs, scale = WCS(naxis=2), survey.pixel_scale / 3600
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = (
        ["RA---TAN", "DEC--TAN"],
        [150, 10],
        [-scale, scale],
    )
    wcs.wcs.crpix = [(side + 1) / 2] * 2
    shape = (side, side, len(survey.bands))
    pixels = np.random.default_rng(0).normal(0, 1, shape).astype("f4")
    for i, band in enumerate(survey.bands):
        path = image_path(root, BRICK, band, survey)
        path.parent.mkdir(parents=True, exist_ok=True)
        header = wcs.to_header()
        header.update({"FILTER": band, "BRICKNAM": BRICK, "MAGZERO": survey.zero_point, **cards})
        hdu = fits.ImageHDU(pixels[..., i], header)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    return wcs, pixels


@pytest.mark.parametrize("name", ["hsc", "euclid_vis", "lsst", "ls_dr10_griz"])
def test_a_brick_of_any_survey_is_cut_in_its_bands_units_and_size(tmp_path, name):
    survey = load(name)
    wcs, pixels = write_coadd(tmp_path, survey, 220)
    ra, dec = (float(v) for v in wcs.wcs_pix2world(120, 105, 0))
    row = {"galaxy_id": f"{BRICK}_7", "ra": ra, "dec": dec, "brickname": BRICK}
    row |= {f"nobs_{survey.selection_band}": 6, f"psfsize_{survey.selection_band}": 0.7}
    place = tmp_path / "cutouts" / BRICK
    counters = cut(Source("brick", BRICK, rows=[row]), place, root=tmp_path, survey=survey)
    assert counters["cutouts"] == 1
    image, meta = read_npz(place / f"{BRICK}_7.npz")
    half = survey.stamp // 2
    expected = pixels[105 - half : 106 + half, 120 - half : 121 + half]
    np.testing.assert_allclose(image, expected * survey.nanomaggies_per_unit, rtol=1e-5)
    assert meta["bands_requested"] == survey.bands_text and meta["survey"] == name
    assert meta["layer"] == survey.images.layer and meta["size"] == survey.stamp
    assert meta[f"nobs_{survey.selection_band}"] == 6
    assert meta["pixel_scale"] == pytest.approx(survey.pixel_scale)
    path = f"cutouts/{BRICK}/{BRICK}_7.npz"
    verdict = judge([(f"{BRICK}_7", path)], tmp_path / "v", out=tmp_path, survey=survey)
    assert verdict["usable"] == 1 and verdict["refused"] == []
    row = pq.read_table(tmp_path / "v").to_pylist()[0]
    assert list(row) == list(validation.types(survey))
    other = judge([(f"{BRICK}_7", path)], tmp_path / "w", out=tmp_path)
    assert f"is of survey '{name}', expected 'ls_dr10'" in other["refused"][0][2]


def test_pixels_are_measured_when_cut_and_not_again_when_validated(tmp_path, monkeypatch):
    root, out = example(tmp_path)
    calls = []
    whole = quality.features
    monkeypatch.setattr(quality, "features", lambda *a: calls.append(1) or whole(*a))
    make_cutouts(None, out, root, SETTINGS)
    assert len(calls) == 7
    validate(None, out, 101)
    assert len(calls) == 7


def test_simulated_and_real_bricks_are_not_mixed(tmp_path):
    root, out = example(tmp_path)
    for band in "gz":
        with fits.open(image_path(root, "0001m002", band), mode="update") as hdus:
            hdus[1].header["SIMULATD"] = True
    with pytest.raises(InputError, match="brick 0001m002 is simulated and brick 1500p100 is not"):
        make_cutouts(None, out, root, SETTINGS)


def test_an_object_of_another_release_than_its_image_is_listed(tmp_path):
    root, out = example(tmp_path)
    rows = objects_of("1500p100", [(130, 130), (110, 110)])
    write_sample(out, [row | {"release": n} for row, n in zip(rows, (10001, 9010))])
    refused = make_cutouts(None, out, root, SETTINGS)
    assert [galaxy for _, galaxy, _ in refused] == ["1500p100_1"]
    assert "of release 9010, its brick's image of data release 10" in refused[0][2]


@pytest.mark.parametrize("name", ["../../xy", "/abs", "a/b", ".hidden", "_x", "a b", ""])
@pytest.mark.parametrize("column", ["brickname", "galaxy_id"])
def test_names_from_a_catalogue_do_not_become_paths(tmp_path, name, column):
    root, out = example(tmp_path / "in")
    rows = objects_of("1500p100", [(130, 130), (110, 110)])
    rows[0][column] = name
    write_sample(out, rows)
    with pytest.raises(InputError, match="cannot be used in the name of a file"):
        make_cutouts(None, out, root, SETTINGS)
    refused = make_cutouts(None, out, root, SETTINGS, "quarantine")
    assert len(refused) == 1 and "cannot be used" in refused[0][2]
    assert [row["galaxy_id"] for row in objects(out)] == ["1500p100_1"]
    assert not list(tmp_path.rglob("*xy*"))


def test_a_path_of_the_table_of_objects_stays_in_the_run(tmp_path):
    root, out = example(tmp_path)
    make_cutouts(None, out, root, SETTINGS)
    path = out / "cutouts" / "1500p100" / "objects.parquet"
    table = pq.read_table(path, partitioning=None)
    at = table.column_names.index("cutout_path")
    wrong = pa.array(["../../../etc/passwd"] * table.num_rows)
    pq.write_table(table.set_column(at, "cutout_path", wrong), path)
    with pytest.raises(InputError, match="does not lie below"):
        objects(out)
    verdict = judge([("a", "../a.npz")], tmp_path / "v", out=out, size=101)
    assert verdict["cutouts"] == 0 and "does not lie below" in verdict["refused"][0][2]


@pytest.mark.parametrize("name", ["a set", "[set]", "é,set", "_set", ".set", "a+b%20"])
def test_folders_of_hosts_may_have_any_name_with_a_letter_in_it(tmp_path, name):
    folder = tmp_path / "survey" / name
    folder.mkdir(parents=True)
    for band in "grz":
        noise = np.random.default_rng(ord(band)).normal(0, 1, (2, 64, 64)).astype("f4")
        fits.PrimaryHDU(noise, fits.Header({"BAND": band})).writeto(folder / f"{band}.fits")
    write_sample(tmp_path, [{"galaxy_id": "x", "brickname": "y", "source_cutout": "none.npz"}])
    s = CutoutSettings(stamps=(name,))
    make_cutouts(None, tmp_path, tmp_path / "survey", s)
    found = objects(tmp_path)
    assert len(found) == 2 and validate(None, tmp_path) == []
    assert all((tmp_path / row["cutout_path"]).is_file() for row in found)
    with pytest.raises(InputError, match="no letter or digit in its name"):
        make_cutouts(None, tmp_path, tmp_path / "survey", CutoutSettings(stamps=("[é]",)))


def folder_of_cutouts(folder: Path, survey: Survey) -> Folder:
    """Thirty objects, each third without a label, one with a bad pixel, one without a file."""
    folder.mkdir(parents=True)
    lines = ["name,ra,dec,lens,fwhm"]
    for i in range(30):
        shape = (survey.stamp, survey.stamp, len(survey.bands))
        image = np.random.default_rng(i).normal(0, 1, shape).astype("f4")
        if i == 4:
            image[survey.stamp // 2, survey.stamp // 2, 0] = np.nan
        if i != 5:
            np.savez(folder / f"o{i}.npz", image)
        lines.append(f"o{i},{12 * i},{i - 15},{'' if i % 3 == 2 else i % 2},0.7")
    (folder / "table.csv").write_text("\n".join(lines))
    psf = f"psfsize_{survey.reference}"
    return Folder(table="table.csv", columns={"id": "name", "label": "lens", psf: "fwhm"})


def test_a_folder_of_cutouts_becomes_a_manifest_with_spark_and_without(tmp_path, spark):
    survey = replace(load("ls_dr10"), stamp=48)
    folder = tmp_path / "some one's [cutouts], é"
    table = folder_of_cutouts(folder, survey)
    seen = []
    for name, session in (("plain", None), ("with spark", spark)):
        out = tmp_path / name
        figures, lost = take_in(out, folder, table, survey, on_bad_file="quarantine")
        assert figures["rows"] == 29
        assert lost == [("table.csv", 6, "o5.npz: no such file")]
        refused = make_cutouts(session, out, folder, CutoutSettings(), survey=survey, table=table)
        assert [(path, galaxy) for path, galaxy, _ in refused] == [("o4.npz", "o4")]
        assert refused[0][2].startswith("row 5: ") and "NaN within 8 pixels" in refused[0][2]
        assert validate(session, out, survey=survey) == []
        figures = write_manifest(out, "70/15/15")
        assert figures["rows"] == 19 and figures["hosts"] == 9  # without o4, o5 (no label)
        seen.append({**files(out / "cutouts"), "manifest": (out / "manifest.parquet").read_bytes()})
    assert seen[0] == seen[1]
    rows = pq.read_table(tmp_path / "plain" / "manifest.parquet").to_pylist()
    assert {row["split"] for row in rows if row["cutout_type"] == "unlabelled"} == {"test"}
    assert all(row["psfsize_r"] == 0.7 and row["quality_ok"] for row in rows)
    assert {row["label"] for row in rows} == {0, 1} and len(
        {row["healpix_128"] for row in rows}
    ) > 20


@pytest.mark.parametrize("few", [5000, 0])
def test_the_verb_survey_takes_a_folder_of_cutouts(few, tmp_path, request, monkeypatch, capsys):
    """Few objects without Spark, many with it."""
    monkeypatch.setattr(verb, "FEW", few)
    if few:
        monkeypatch.setattr(verb, "session", lambda *a: pytest.fail("Spark was started"))
    else:
        request.getfixturevalue("spark")
    survey = replace(load("ls_dr10"), stamp=48, name="mine")
    folder, out = tmp_path / "their cutouts", tmp_path / "out"
    table = folder_of_cutouts(folder, survey)
    write_definition(folder / "definition.yaml", survey)
    section = {"root": str(folder), "on_bad_file": "quarantine"}
    section["folder"] = {"table": table.table, "columns": dict(table.columns)}
    section["folder"]["lenses"] = "known.csv"
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({"survey": section}))
    with pytest.raises(InputError, match=r"known.csv: no such lens list; correct survey.folder"):
        verb.command([str(config), "--out", str(out)])
    (folder / "known.csv").write_text("name,RA,DEC,grade\nL1,12.0,-14.0,C\nL2,,3,A\n")
    assert verb.command([str(config), "--out", str(out)]) == 0
    assert of_run(out) == survey
    known, _ = lenses.read(out / lenses.OF_A_RUN)
    assert known.name.tolist() == ["L1"] and known.grading.tolist() == ["C"]
    rows = pq.read_table(out / "manifest.parquet").to_pylist()
    assert len(rows) == 28 and {row["size"] for row in rows} == {48}
    quarantine = (out / "quarantine.csv").read_text().splitlines()[1:]
    assert [line.split(",")[:3] for line in quarantine] == [
        ["sample", "known.csv", "3"],
        ["sample", "table.csv", "6"],
        ["cutouts", "o4.npz", "o4"],
    ]
    packed = [
        name
        for split in ("train", "val", "test")
        for name in load_split(out / "shards", split, ("galaxy_id",))["galaxy_id"].astype(str)
    ]
    labelled = [row["galaxy_id"] for row in rows if row["cutout_type"] != "unlabelled"]
    assert sorted(packed) == sorted(labelled) and len(packed) == 19
    assert verb.command([str(config), "--out", str(out)]) == 0
    assert "up to date" in capsys.readouterr().out
