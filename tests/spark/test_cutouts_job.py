"""Bricks in, cutout folders out: what is made, what is refused and listed, and equal bytes with and
without Spark."""

from pathlib import Path

import numpy as np
import pytest
from small_bricks import (
    SETTINGS,
    example,
    objects_of,
    write_sample,
)

from data.coadds import image_path, read_brick, slice_out
from data.cutouts import read_npz, write_npz
from lensjax.errors import InputError
from spark.cutouts import CutoutSettings, make_cutouts, objects


def test_every_object_has_its_cutout_or_a_reason(tmp_path):
    root, out = example(tmp_path)
    refused = make_cutouts(None, out, root, SETTINGS)
    assert [(path, galaxy) for path, galaxy, _ in refused] == [
        ("3598m030", "3598m030_2")
    ] and "outside the 260 x 260 pixels" in refused[0][2]
    made = {row["galaxy_id"]: row for row in objects(out)}
    assert (
        len(made) == 7
        and made["0001m002_0"]["missing"] == "r"
        and made["1500p100_0"]["missing"] == ""
    )
    assert made["1500p100_0"]["cutout_path"] == "cutouts/1500p100/1500p100_0.npz"
    image, meta = read_npz(out / made["1500p100_0"]["cutout_path"])
    np.testing.assert_array_equal(
        image, slice_out(read_brick(root, "1500p100").images, 130, 121).image
    )
    assert (made["1500p100_0"]["offset_x"], made["1500p100_0"]["offset_y"]) == (
        pytest.approx(0.2, abs=1e-6),
        pytest.approx(-0.3, abs=1e-6),
    )
    assert (
        meta["quality_ok"]
        and meta["layer"] == "ls-dr10"
        and meta["timestamp"] == "2020-01-02"
        and meta["nobs_z"] == 4
        and meta["tier"] == "A"
    )
    assert meta["pixel_scale"] == 0.262 and meta["size"] == 101 and meta["bands_requested"] == "grz"
    image, meta = read_npz(out / made["0001m002_0"]["cutout_path"])
    assert np.isnan(image[..., 1]).all() and not meta["has_r"] and not meta["quality_ok"]
    image, meta = read_npz(out / made["1500p100_2"]["cutout_path"])
    assert np.isnan(image[:, :30]).all() and np.isfinite(image[:, 30:]).all()


def test_metadata_has_the_names_of_the_real_files(tmp_path, survey_data):
    root, out = example(tmp_path)
    make_cutouts(None, out, root, SETTINGS)
    _, real = read_npz(next((survey_data / "images" / "ls_dr10_lens_cutouts").glob("*.npz")))
    _, ours = read_npz(out / "cutouts" / "1500p100" / "1500p100_0.npz")
    assert set(real) <= set(ours) and all(type(ours[k]) is type(real[k]) for k in real)


def test_a_damaged_brick_stops_the_job_or_loses_only_its_objects(tmp_path):
    root, out = example(tmp_path)
    path = image_path(root, "1500p100", "g")
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(InputError, match=r"legacysurvey-1500p100-image-g\.fits\.fz"):
        make_cutouts(None, out, root, SETTINGS)
    refused = make_cutouts(None, out, root, SETTINGS, "quarantine")
    assert [galaxy for _, galaxy, _ in refused] == [
        "1500p100_0",
        "1500p100_1",
        "1500p100_2",
        "3598m030_2",
    ]
    assert {row["galaxy_id"] for row in objects(out)} == {
        "0001m002_0",
        "0001m002_1",
        "3598m030_0",
        "3598m030_1",
    }


def test_existing_cutouts_are_copied_and_unreadable_ones_listed(tmp_path):
    root, out = tmp_path / "survey", tmp_path / "run"
    image = np.random.default_rng(0).normal(size=(101, 101, 3)).astype("f4")
    write_npz(
        root / "given" / "a.npz",
        image,
        {"galaxy_id": "1500p100_0", "ra": 150.0, "dec": 10.0, "tier": "B"},
    )
    (root / "given" / "b.npz").write_bytes(b"<html>")
    rows = [
        {**row, "source_cutout": f"given/{name}.npz"}
        for row, name in zip(objects_of("1500p100", [(1, 1), (2, 2)]), "ab")
    ]
    write_sample(out, rows)
    refused = make_cutouts(None, out, root, SETTINGS)
    assert [(path, galaxy) for path, galaxy, _ in refused] == [
        ("given/b.npz", "1500p100_1")
    ] and "not a whole NPZ" in refused[0][2]
    copied, meta = read_npz(out / "cutouts/1500p100/1500p100_0.npz")
    np.testing.assert_array_equal(copied, image)
    assert meta["tier"] == "B"


def test_hosts_of_other_surveys_become_cutouts(tmp_path, survey_data):
    out = tmp_path
    write_sample(out, [{"galaxy_id": "x", "brickname": "y", "source_cutout": "none.npz"}])
    s = CutoutSettings(
        stamps=("images/des_lrg_hosts_grizY",), cubes=("images/ls_dr5_grz/grz_225px_0p262.fits",)
    )
    refused = make_cutouts(None, out, survey_data, s)
    assert [galaxy for _, galaxy, _ in refused] == ["x"]
    made = objects(out)
    assert len(made) == 38 + 4
    assert read_npz(out / made[0]["cutout_path"])[0].shape == (91, 91, 3) and read_npz(
        out / made[-1]["cutout_path"]
    )[0].shape == (101, 101, 3)
    with pytest.raises(InputError, match="two hosts or bricks"):
        make_cutouts(None, out, survey_data, CutoutSettings(stamps=("a/des", "b/des")))


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_spark_and_a_plain_loop_write_the_same_bytes_and_a_rerun_only_what_is_missing(
    tmp_path, spark
):
    root, out = example(tmp_path)
    make_cutouts(None, out, root, SETTINGS)
    first = files(out / "cutouts")
    kept = (out / "cutouts" / "0001m002" / "0001m002_0.npz").stat().st_mtime_ns
    (out / "cutouts" / "1500p100" / "1500p100_1.npz").unlink()
    make_cutouts(spark, out, root, SETTINGS)
    assert files(out / "cutouts") == first
    assert (out / "cutouts" / "0001m002" / "0001m002_0.npz").stat().st_mtime_ns == kept
