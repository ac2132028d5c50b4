"""Bricks that are damaged, that lack a band, or that are not what they are said to be: each is
named.

One line an outcome. The objects of such a brick are listed with the reason, and the cutouts of the
brick beside it have the bytes that they have alone.
"""

import shutil

import numpy as np
import pytest
from astropy.io import fits
from small_bricks import SETTINGS, header, objects_of, write_sample, write_survey
from small_survey import tree

from data.coadds import image_path
from data.cutouts import read_npz
from lensjax.errors import InputError
from spark.cutouts import make_cutouts, objects

HARMED, GOOD = "1500p100", "3598m030"
ROWS = [*objects_of(HARMED, [(130.2, 120.7), (100, 150)]), *objects_of(GOOD, [(130, 130)])]


def bytes_of(change):
    """The image in r with other bytes."""
    return lambda path: path.write_bytes(change(bytearray(path.read_bytes())))


def says(**cards):
    """The image in r with other words in its header."""

    def change(path):
        with fits.open(path, mode="update", checksum=True) as hdus:
            hdus[1].header.update(cards)

    return change


def shows(pixels, **cards):
    """Another image in r."""

    def change(path):
        image = fits.ImageHDU(pixels, fits.Header({**header(HARMED), **cards}))
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, overwrite=True)

    return change


def table(path):
    held = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])])
    held.writeto(path, overwrite=True)


def flipped(content):
    content[-20_000] ^= 4
    return content


def enormous(path):
    cards = {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": 10**6, "NAXIS2": 10**6}
    path.write_bytes(fits.Header(cards).tostring().encode() + bytes(2880))


def every_band(path):
    for file in path.parent.glob("*.fits.fz"):
        file.unlink()


def zeros(side):
    return np.zeros((side, side), np.float32)


NOT_FITS = "not a readable FITS image"
OUTCOMES = [
    # what, how it is made, what is said of it
    ("no band at all", every_band, f"no image of brick {HARMED}"),
    ("cut in half", bytes_of(lambda c: c[: len(c) // 2]), NOT_FITS),
    ("bit flipped", bytes_of(flipped), "checksum of HDU 1 is wrong"),
    ("no bytes", bytes_of(lambda c: b""), NOT_FITS),
    ("a page of HTML", bytes_of(lambda c: b"<html>502 Bad Gateway</html>" * 200), NOT_FITS),
    ("a message in JSON", bytes_of(lambda c: b'{"error": "rate limit"}'), NOT_FITS),
    ("a table", table, "no image in it"),
    ("larger than a brick", enormous, "more than a brick can have"),
    ("of another shape", shows(zeros(200)), "shape or WCS differs from band g"),
    ("with another place", says(CRPIX1=1.0), "shape or WCS differs from band g"),
    ("says another band", says(FILTER="z"), "FILTER 'z' in its header, expected band r"),
    ("says another brick", says(BRICKNAM="1501p100"), "expected brick 1500p100"),
    ("says weights", says(IMTYPE="invvar"), "not an image of fluxes"),
    ("says another zero point", says(MAGZERO=30.0), "means zero point 30, expected 22.5"),
    ("says another unit", says(BUNIT="mag"), "is not a flux per pixel"),
    ("says another release", says(DRVERSIO=9010), "release 9 by its header, 10 in band g"),
    ("says it is simulated", says(SIMULATD=True), "simulated True by its header, False in band g"),
]


@pytest.fixture(scope="module")
def bricks(tmp_path_factory):
    """Both bricks as they should be."""
    root = tmp_path_factory.mktemp("bricks")
    write_survey(root, {GOOD: "grz", HARMED: "grz"})
    return root


@pytest.fixture(scope="module")
def alone(bricks, tmp_path_factory):
    """What the good brick gives."""
    out = tmp_path_factory.mktemp("alone")
    write_sample(out, ROWS[2:])
    assert make_cutouts(None, out, bricks, SETTINGS) == []
    return tree(out / "cutouts" / GOOD)


@pytest.fixture
def survey(bricks, tmp_path):
    """A copy of both bricks, and a sample on them."""
    shutil.copytree(bricks, tmp_path / "survey")
    write_sample(tmp_path / "run", ROWS)
    return tmp_path / "survey", tmp_path / "run"


@pytest.mark.parametrize(("what", "harm", "said"), OUTCOMES, ids=[x[0] for x in OUTCOMES])
def test_a_brick_is_named_and_the_one_beside_it_cut(survey, alone, what, harm, said):
    root, out = survey
    harm(image_path(root, HARMED, "r"))
    with pytest.raises(InputError, match="1500p100") as error:
        make_cutouts(None, out, root, SETTINGS)
    assert "\n" not in str(error.value)
    refused = make_cutouts(None, out, root, SETTINGS, "quarantine")
    assert [(path, galaxy) for path, galaxy, _ in refused] == [
        (HARMED, f"{HARMED}_{i}") for i in (0, 1)
    ]
    assert all(said in reason and "\n" not in reason for *_, reason in refused), refused
    assert [row["galaxy_id"] for row in objects(out)] == [f"{GOOD}_0"]
    assert tree(out / "cutouts" / GOOD) == alone


def test_a_brick_without_a_band_is_cut_and_has_nothing_there(survey, alone):
    root, out = survey
    image_path(root, HARMED, "r").unlink()
    assert make_cutouts(None, out, root, SETTINGS) == []
    for row in objects(out):
        image, _ = read_npz(out / row["cutout_path"])
        lacks = row["galaxy_id"].startswith(HARMED)
        assert [bool(np.isnan(image[..., b]).all()) for b in range(3)] == [False, lacks, False]
    assert tree(out / "cutouts" / GOOD) == alone
