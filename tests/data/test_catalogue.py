"""Catalogues of every release come out with the same columns; damaged files are refused by name."""

import numpy as np
import pytest

from data import catalogue, mapped
from data.columns import names
from data.survey import default
from lensjax.errors import InputError

fits = pytest.importorskip("astropy.io.fits")
COLUMNS = names(default(), "catalogue")


def dr10(n=3) -> dict:
    rng = np.random.default_rng(0)
    columns = {
        "RELEASE": np.full(n, 10000, np.int16),
        "BRICKNAME": np.full(n, "0001m002", "S8"),
        "OBJID": np.arange(n, dtype=np.int32),
        "TYPE": np.array(["SER", "DEV", "PSF"] * n, "S3")[:n],
        "RA": rng.uniform(0, 1, n),
        "DEC": rng.uniform(-1, 0, n),
        "MASKBITS": np.zeros(n, np.int32),
        "EBV": np.full(n, 0.1, np.float32),
        "SERSIC": np.full(n, 2.5, np.float32),
        "NOBS_I": np.ones(n, np.int16),
    }
    columns |= {f"SHAPE_{part}": np.full(n, 0.2, np.float32) for part in ("R", "E1", "E2")}
    columns |= {f"NOBS_{b}": np.full(n, 5, np.int16) for b in "GRZ"} | {
        f"FLUX_{b}": np.full(n, 9.0, np.float32) for b in "GRZ"
    }
    return columns | {
        f"{name}_{b}": np.full(n, 1.5, np.float32)
        for name in ("PSFSIZE", "PSFDEPTH", "GALDEPTH")
        for b in "GRZ"
    }


def dr8(kinds: list[str]) -> dict:
    n = len(kinds)
    columns = {
        k: v for k, v in dr10(n).items() if not k.startswith(("SERSIC", "SHAPE_", "PSFSIZE"))
    }
    shapes = {
        f"SHAPE{m}_{p}": np.full(n, v, np.float32)
        for m, v in (("DEV", 0.25), ("EXP", 0.5))
        for p in ("R", "E1", "E2")
    }
    return (
        columns
        | shapes
        | {
            "RELEASE": np.full(n, 8000, np.int16),
            "TYPE": np.array([k.ljust(4) for k in kinds], "S4"),
        }
    )


def write(path, columns, checksum=False):
    from astropy.table import Table

    fits.table_to_hdu(Table(columns)).writeto(path, checksum=checksum)
    return path


def test_dr10_has_every_column_with_its_type(tmp_path):
    c = catalogue.read(write(tmp_path / "sweep.fits", dr10()))
    assert set(COLUMNS) <= set(c)
    assert c["galaxy_id"].tolist() == ["0001m002_0", "0001m002_1", "0001m002_2"]
    assert (
        c["maskbits"].dtype == np.int64
        and c["ra"].dtype == np.float64
        and c["type"].tolist() == ["SER", "DEV", "PSF"]
    )
    table = catalogue.to_arrow(c)
    assert table.column_names == list(COLUMNS) and not any(
        table[n].null_count for n in table.column_names
    )


def test_dr8_shapes_follow_the_type_and_blanks_are_stripped(tmp_path):
    c = catalogue.read(
        write(tmp_path / "sweep.fits", dr8(["DEV", "EXP", "REX", "PSF", "COMP", "SIMP"]))
    )
    assert c["type"].tolist() == ["DEV", "EXP", "REX", "PSF", "COMP", "SIMP"]
    np.testing.assert_array_equal(c["shape_r"], [0.25, 0.5, 0.5, 0.0, np.nan, np.nan])
    np.testing.assert_array_equal(c["sersic"], [4.0, 1.0, 1.0, 0.0, np.nan, np.nan])
    assert "psfsize_g" not in c and "maskbits" in c
    assert (
        catalogue.to_arrow(c)["psfsize_g"].null_count == 6
        and catalogue.to_arrow(c)["sersic"].null_count == 2
    )


def test_maskbits_before_dr8_do_not_count_and_the_refusal_says_why(tmp_path):
    c = catalogue.read(
        write(tmp_path / "sweep.fits", dr8(["DEV"]) | {"RELEASE": np.full(1, 7000, np.int32)})
    )
    assert "maskbits" not in c
    with pytest.raises(
        InputError,
        match=r"old.fits \(RELEASE 7000\): the pool needs MASKBITS.*bits MEDIUM, GALAXY, CLUSTER",
    ):
        catalogue.require(c, ["ra", "maskbits"], "old.fits", "the pool")


def test_positions_alone_are_a_catalogue(tmp_path):
    c = catalogue.read(
        write(tmp_path / "positions.fits", {"ra": np.array([1.0]), "dec": np.array([2.0])})
    )
    assert set(c) == {"ra", "dec"}
    (tmp_path / "t.csv").write_text("Ra,DEC,other\n1,2,x\n")
    assert catalogue.read(tmp_path / "t.csv")["dec"].tolist() == [2.0]
    with pytest.raises(InputError, match="no column DEC"):
        catalogue.read(write(tmp_path / "half.fits", {"RA": np.array([1.0])}))


def test_parquet_and_csv_agree_with_fits(tmp_path):
    import pandas as pd

    text = {k: v.astype(str) if v.dtype.kind == "S" else v for k, v in dr10().items()}
    pd.DataFrame(text).to_parquet(tmp_path / "t.parquet")
    pd.DataFrame(text).to_csv(tmp_path / "t.csv", index=False)
    a, b, c = (
        catalogue.read(p)
        for p in (write(tmp_path / "t.fits", dr10()), tmp_path / "t.parquet", tmp_path / "t.csv")
    )
    for name in COLUMNS:
        np.testing.assert_array_equal(a[name], b[name])
        np.testing.assert_allclose(a[name], c[name], rtol=1e-6) if a[
            name
        ].dtype.kind == "f" else np.testing.assert_array_equal(a[name], c[name])


@pytest.mark.filterwarnings("ignore:.*did not parse as fits unit")
@pytest.mark.parametrize(
    ("name", "unit", "said"),
    [
        ("RA", "rad", "column RA is in rad, expected degrees"),
        ("FLUX_R", "uJy", "column FLUX_R is in uJy, of zero point 23.9, and .* have 22.5"),
        ("RA", "deg", ""),
        ("FLUX_R", "nanomaggies", ""),
        ("FLUX_R", "counts", ""),
    ],
)
def test_a_column_that_declares_another_unit_is_refused(tmp_path, name, unit, said):
    from astropy.table import Table

    table = Table(dr10())
    table[name].unit = unit
    table.write(tmp_path / "t.fits")
    plainly = mapped.opened(tmp_path / "t.fits", {name.lower(): name.lower()})
    assert (plainly is None) == bool(said)
    if not said:
        assert len(catalogue.read(tmp_path / "t.fits")["ra"])
        return
    with pytest.raises(InputError, match=rf"t\.fits: {said}"):
        catalogue.read(tmp_path / "t.fits")


def test_an_empty_catalogue_is_one(tmp_path):
    c = catalogue.read(write(tmp_path / "empty.fits", {k: v[:0] for k, v in dr10().items()}))
    assert len(c["ra"]) == len(c["galaxy_id"]) == 0 and catalogue.to_arrow(c).num_rows == 0


def damage(path, kind):
    whole = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "truncated in the header":
        path.write_bytes(whole[:3000])
    elif kind == "html":
        path.write_bytes(b"<html><body>502 Bad Gateway</body></html>")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "bit flip":
        path.write_bytes(whole[:-2900] + bytes([whole[-2900] ^ 16]) + whole[-2899:])
    elif kind == "absurd row count":
        path.write_bytes(
            whole.replace(b"NAXIS2  =                  300", b"NAXIS2  =         300000000000")
        )
    elif kind == "header noise":
        path.write_bytes(whole[:2880] + bytes(range(1, 81)) * 36 + whole[5760:])
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "truncated",
        "truncated in the header",
        "html",
        "empty",
        "bit flip",
        "absurd row count",
        "header noise",
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, kind):
    path = damage(write(tmp_path / "sweep-bad.fits", dr10(300), checksum=True), kind)
    with pytest.raises(InputError, match="sweep-bad.fits: ") as caught:
        catalogue.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RA", np.array(["a", "b", "c"], "S1"), "column RA is text"),
        ("TYPE", np.arange(3), "column TYPE is .*expected text"),
        ("TYPE", np.array([b"\xff\xfe"] * 3), "column TYPE holds bytes that are not text"),
        ("NOBS_G", np.array([1.5, 2.0, 3.0]), "column NOBS_G has values that are not whole"),
        ("OBJID", np.array([1.0, np.inf, 3.0]), "column OBJID has values that are not whole"),
        ("FLUX_Z", np.ones((3, 2), np.float32), "column FLUX_Z has 2 dimensions"),
    ],
)
def test_a_column_of_the_wrong_kind_is_named(tmp_path, name, value, message):
    with pytest.raises(InputError, match=f"sweep.fits: {message}"):
        catalogue.read(write(tmp_path / "sweep.fits", dr10() | {name: value}))


def test_what_is_not_a_catalogue_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such catalogue"):
        catalogue.read(tmp_path / "none.fits")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="expected .fits"):
        catalogue.read(tmp_path / "notes.txt")
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "image.fits")
    with pytest.raises(InputError, match="no table in this FITS"):
        catalogue.read(tmp_path / "image.fits")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="bad.parquet: not a readable table"):
        catalogue.read(tmp_path / "bad.parquet")
    (tmp_path / "bad.csv").write_bytes(b'"\x00\xff"')
    with pytest.raises(InputError, match=r"bad\.csv"):
        catalogue.read(tmp_path / "bad.csv")


def test_real_releases(survey_data):
    """Figures read from the files once, by hand: a DR8 REX and DEV, a DR3 EXP, the complete DR9
    row, the DR10 LRG table."""
    folder = survey_data / "tractor"
    c = catalogue.read(folder / "sweep_dr8" / "sweep-330m005-340p000.fits")
    row = dict(zip(c["galaxy_id"], zip(c["type"], c["sersic"], np.round(c["shape_r"], 5))))
    assert row["3381m017_69_8000"] == ("REX", 1.0, 0.31096) and row["3381m017_99_8000"] == (
        "DEV",
        4.0,
        0.96592,
    )
    assert "maskbits" in c
    for old, gone in (
        ("sweep_dr3", {"maskbits", "ebv", "psfsize_r"}),
        ("sweep_dr7", {"maskbits", "psfsize_r"}),
    ):
        c = catalogue.read(folder / old / "sweep-330m005-340p000.fits")
        assert gone.isdisjoint(c) and len(c["ra"]) == 6
    c = catalogue.read(folder / "tractor_dr9" / "tractor-1054p567.fits")
    assert (
        set(COLUMNS) <= set(c)
        and c["galaxy_id"].tolist() == ["1054p567_2657_9011"]
        and "brick_primary" in c
    )
    c = catalogue.read(folder / "dr10_lrg" / "lrg_parent_total_lrg_v3.parquet")
    assert len(c["ra"]) == 6826 and "galaxy_id" not in c and (c["type"] == "SER").sum() == 1854
