"""Tables that CFITSIO has compressed give the values of the plain ones, or are refused."""

import numpy as np
import pytest
from astropy.io import fits
from fpack import fpack

from data import cataloguefile
from lensjax.errors import InputError

ROWS = 501
RNG = np.random.default_rng(7)
NAN = np.where(np.arange(ROWS) % 50 == 3, np.nan, RNG.normal(size=ROWS))
ARRAYS = {
    "short": ("I", RNG.integers(-(2**15), 2**15, ROWS).astype(np.int16), {}),
    "long": (
        "J",
        np.where(RNG.random(ROWS) < 0.1, -99, RNG.integers(-(2**31), 2**31, ROWS)).astype(np.int32),
        {"null": -99},
    ),
    "longlong": ("K", RNG.integers(-(2**62), 2**62, ROWS), {}),
    "byte": ("B", RNG.integers(0, 256, ROWS).astype(np.uint8), {}),
    "unsigned": ("I", RNG.integers(0, 2**16, ROWS).astype(np.uint16), {"bzero": 2**15}),
    "scaled": ("J", RNG.integers(-99, 99, ROWS).astype(np.int32), {}),
    "single": ("E", NAN.astype(np.float32), {}),
    "double": ("D", NAN, {}),
    "pair": ("2E", RNG.normal(size=(ROWS, 2)).astype(np.float32), {}),
    "logical": ("L", RNG.random(ROWS) < 0.5, {}),
    "text": ("9A", RNG.choice(np.array([b"", b"a", b" bcd", b"0123m4567"], "S9"), ROWS), {}),
}
WANTED = {name: name for name in ARRAYS}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("fpacked") / "t.fits"
    given = [fits.Column(n, f, array=a, **more) for n, (f, a, more) in ARRAYS.items()]
    given.append(fits.Column("many", "PE()", array=np.array([np.ones(3)] * ROWS, "O")))
    fits.BinTableHDU.from_columns(given).writeto(path)
    fits.setval(path, f"TSCAL{list(ARRAYS).index('scaled') + 1}", value=0.5, ext=1)
    return path


def packed(plain, folder, rows=0, **methods):
    (folder / "t.fits").write_bytes(plain.read_bytes())
    fpack(folder / "t.fits", folder / "t.fits.fz", rows, **methods)
    return folder / "t.fits.fz"


@pytest.mark.parametrize("rows", [0, 100, 167, 1])
def test_values_are_those_of_the_plain_file(plain, tmp_path, rows):
    path = packed(plain, tmp_path, rows)
    tiles = fits.getheader(path, 1)["NAXIS2"]
    assert tiles == (-(-ROWS // rows) if rows else 1)
    same(cataloguefile.read(path, WANTED), cataloguefile.read(plain, WANTED))


@pytest.mark.parametrize("method", ["GZIP_1", "GZIP_2", "RICE_1"])
def test_every_method_of_integers(plain, tmp_path, method):
    names = ("short", "long", "unsigned", "scaled")  # of bytes, CFITSIO has no GZIP_2
    path = packed(plain, tmp_path, 200, **dict.fromkeys(names, method))
    header = fits.getheader(path, 1)
    assert {header[f"ZCTYP{list(ARRAYS).index(n) + 1}"] for n in names} == {method}
    same(cataloguefile.read(path, WANTED), cataloguefile.read(plain, WANTED))


def same(found, expected):
    assert list(found) == list(expected)
    for name, (value, unknown) in expected.items():
        assert found[name][0].dtype == value.dtype, name
        np.testing.assert_array_equal(found[name][0], value, name)
        np.testing.assert_array_equal(found[name][1], unknown, name)


def rewritten(path, **cards):
    """The file with other values in the header of its table, and checksums that agree."""
    with fits.open(path, mode="update", checksum=True) as hdus:
        hdus[1].header.update({key.upper(): value for key, value in cards.items()})


def test_what_cannot_be_read_is_named(plain, tmp_path):
    path = packed(plain, tmp_path)
    with pytest.raises(InputError, match="column many is compressed and has the type P.*funpack"):
        cataloguefile.read(path, {"many": "many"})
    assert list(cataloguefile.read(path, {"double": "d"})) == ["d"]
    rewritten(path, zctyp1="PLIO_1")
    with pytest.raises(InputError, match="column short is compressed by PLIO_1"):
        cataloguefile.read(path, WANTED)


@pytest.mark.parametrize(
    "cards", [{"znaxis2": ROWS + 1}, {"znaxis2": ROWS - 1}, {"ztilelen": 0}, {"zform8": "2D"}]
)
def test_a_header_that_is_not_that_of_its_data_is_named(plain, tmp_path, cards):
    path = packed(plain, tmp_path, 100)
    rewritten(path, **cards)
    with pytest.raises(InputError, match="t.fits.fz: not a readable FITS table"):
        cataloguefile.read(path, WANTED)


def test_any_flipped_byte_of_the_data_is_named(plain, tmp_path):
    path = packed(plain, tmp_path)
    content = path.read_bytes()
    first = content.index(b"XTENSION") + 2880 * 4
    for at in RNG.integers(first, len(content) - 2880, 12):
        changed = bytearray(content)
        changed[at] ^= 8
        path.write_bytes(changed)
        with pytest.raises(InputError, match="t.fits.fz: not a readable FITS table"):
            cataloguefile.read(path, WANTED)
