"""External hosts become ordinary cutouts: right units, bands, positions and sizes."""

import numpy as np
import pytest
from astropy.io import fits

from data.coadds import read_cube
from data.cutouts import read_npz, write_npz
from data.hosts import Stack, cube_tiles, stamps
from data.quality import rejected
from lensjax.errors import InputError


def test_stamps_of_des_are_in_nanomaggies_and_in_band_order(tmp_path):
    tmp_path = tmp_path / "DES_set-1"
    tmp_path.mkdir()
    for i, band in enumerate("grz"):
        fits.PrimaryHDU(np.full((2, 9, 9), 1000.0 * (i + 1), "f4")).writeto(
            tmp_path / f"{band}.fits"
        )
    (image, meta), second = stamps(tmp_path)
    np.testing.assert_allclose(image[4, 4], [1, 2, 3])
    assert (
        [meta["galaxy_id"], second[1]["galaxy_id"]] == ["DESset1_0", "DESset1_1"]
        and meta["pixel_scale"] == 0.263
        and np.isnan(meta["ra"])
    )
    fits.PrimaryHDU(np.ones((2, 9, 8), "f4")).writeto(tmp_path / "z.fits", overwrite=True)
    with pytest.raises(InputError, match="different shapes"):
        list(stamps(tmp_path))
    (tmp_path / "r.fits").unlink()
    with pytest.raises(InputError, match=r"r\.fits: no such file"):
        list(stamps(tmp_path))


def test_the_real_stamps_convert_and_pass(survey_data, tmp_path):
    found = list(stamps(survey_data / "images" / "des_lrg_hosts_grizY"))
    assert len(found) == 38 and all(rejected(image, 91) == "" for image, _ in found)
    raw = fits.getdata(survey_data / "images" / "des_lrg_hosts_grizY" / "r.fits")
    np.testing.assert_allclose(found[7][0][..., 1], raw[7] * 1e-3, rtol=1e-6)
    write_npz(tmp_path / "a.npz", *found[3])
    image, meta = read_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(image, found[3][0])
    assert (
        meta["galaxy_id"] == "deslrghostsgrizY_3"
        and meta["size"] == 91
        and meta["quality_ok"]
        and meta["layer"] == "des"
    )


def test_the_real_cube_gives_four_tiles_with_positions(survey_data):
    path = survey_data / "images" / "ls_dr5_grz" / "grz_225px_0p262.fits"
    whole, _ = read_cube(path)
    tiles = list(cube_tiles(path))
    assert len(tiles) == 4 and len({meta["galaxy_id"] for _, meta in tiles}) == 4
    joined = np.block([[[tiles[0][0]], [tiles[1][0]]], [[tiles[2][0]], [tiles[3][0]]]])
    np.testing.assert_array_equal(joined, whole[11:213, 11:213])
    for image, meta in tiles:
        assert (
            rejected(image) == ""
            and meta["pixel_scale"] == pytest.approx(0.262)
            and meta["layer"] == "ls-dr5"
        )
        assert abs(meta["ra"] - 146.7142) < 0.006 and abs(meta["dec"] + 1.0413) < 0.006
    # Up and to the east of the centre: x grows to the west, y to the north.
    assert tiles[0][1]["ra"] > tiles[1][1]["ra"] and tiles[0][1]["dec"] < tiles[2][1]["dec"]
    with pytest.raises(InputError, match="less than one piece"):
        list(cube_tiles(path, 301))


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ({"BAND": "z"}, r"g\.fits: BAND 'z' in its header, expected band g"),
        ({"EXTNAME": "WGT"}, r"g\.fits: EXTNAME 'WGT'"),
        (
            {"MAGZERO": 22.5},
            r"g\.fits: MAGZERO 22.5 in its header means zero point 22.5, expected 30",
        ),
    ],
)
def test_stacks_that_hold_something_else_are_refused(tmp_path, cards, said):
    for band in "grz":
        header = fits.Header(cards if band == "g" else {})
        fits.PrimaryHDU(np.ones((2, 9, 9), "f4"), header).writeto(tmp_path / f"{band}.fits")
    with pytest.raises(InputError, match=said):
        list(stamps(tmp_path))


def test_stacks_of_another_camera_have_their_own_zero_point_and_scale(tmp_path):
    for band in "grz":
        fits.PrimaryHDU(np.ones((1, 9, 9), "f4")).writeto(tmp_path / f"{band}.fits")
    stack = Stack(pixel_scale=0.2, zero_point=27.5, layer="mine")
    ((image, meta),) = stamps(tmp_path, stack=stack)
    np.testing.assert_allclose(image, 1e-2)
    assert (meta["pixel_scale"], meta["layer"]) == (0.2, "mine")
