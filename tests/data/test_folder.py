"""A folder of somebody's cutouts: every form of file gives the same pixels, every row is judged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from data import splits
from data.cutouts import write_npz
from data.folder import Folder, read_table, take_in
from data.stampfile import read_stamp
from data.survey import load
from lensjax.errors import InputError

SIDE = 40
HSC = replace(load("hsc"), stamp=SIDE)
UNIT = HSC.nanomaggies_per_unit
EUCLID = replace(load("euclid_vis"), stamp=SIDE)


def pixels(seed: int = 0, bands: int = 5) -> np.ndarray:
    """Some galaxy in units of the survey's files."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    noise = np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE, bands))
    return (noise + 50 * np.exp(-np.hypot(x, y) / 4)[..., None]).astype("f4")


def header(scale: float = HSC.pixel_scale, **cards) -> fits.Header:
    base = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0}
    base |= {"CRPIX1": 20.5, "CRPIX2": 20.5, "CDELT1": -scale / 3600, "CDELT2": scale / 3600}
    return fits.Header(base | cards)


def write_bands(folder: Path, name: str, image: np.ndarray, **cards) -> None:
    for i, band in enumerate(HSC.bands):
        here = header(FILTER=f"HSC-{band.upper()}", FLUXMAG0=10 ** (0.4 * 27), **cards)
        fits.PrimaryHDU(image[..., i], here).writeto(folder / f"{name}_{band}.fits")


def table(folder: Path, text: str, name: str = "t.csv") -> Folder:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return Folder(table=name)


def read_all(folder: Path, s: Folder, survey=HSC) -> dict[str, tuple[np.ndarray, dict]]:
    rows, refused = read_table(folder, s, survey)
    assert refused == []
    return {r["galaxy_id"]: read_stamp(folder, r, s, survey, SIDE) for r in rows}


def test_every_form_of_file_gives_the_same_pixels_in_nanomaggies(tmp_path):
    image = pixels()
    np.savez(tmp_path / "a1.npz", image)
    np.savez(tmp_path / "a2.npz", image=np.moveaxis(image, -1, 0).astype("f8"), psf=np.ones(3))
    np.savez(tmp_path / "a3.npz", **{band: image[..., i] for i, band in enumerate(HSC.bands)})
    cube = np.moveaxis(image, -1, 0)
    fits.PrimaryHDU(cube, header()).writeto(tmp_path / "a4.fits")
    fits.PrimaryHDU(cube[::-1], header(BANDS="yzirg")).writeto(tmp_path / "a5.fits")
    write_bands(tmp_path, "a6", image)
    meta = {"galaxy_id": "a7", "ra": 1.0, "dec": 2.0, "bands_requested": "grizy"}
    write_npz(tmp_path / "a7.npz", image * np.float32(UNIT), meta | {"pixel_scale": 0.168})
    ids = [f"a{i}" for i in range(1, 8)]
    found = read_all(tmp_path, table(tmp_path, "id\n" + "\n".join(ids)))
    assert list(found) == ids
    for name, (stamp, meta) in found.items():
        np.testing.assert_allclose(stamp, image * np.float32(UNIT), rtol=1e-6, err_msg=name)
        assert stamp.dtype == np.float32 and meta["quality_ok"]
        assert meta["bands_requested"] == "grizy" and meta["pixel_scale"] == 0.168
        assert meta["survey"] == "hsc" and np.isnan(meta["ra"])
    notes = {name: meta["provenance"] for name, (_, meta) in found.items()}
    assert notes["a1"] == "not in the header: band, zero point, pixel scale"
    assert "band" not in notes["a5"] and notes["a6"] == "not in the header: kind of image"
    assert notes["a7"] == ""


def test_a_survey_of_one_band_takes_plain_images(tmp_path):
    image = pixels(bands=1)
    np.savez(tmp_path / "a.npz", image[..., 0])
    fits.PrimaryHDU(image[..., 0], header(0.1)).writeto(tmp_path / "b.fits")
    (tmp_path / "vis").mkdir()
    fits.PrimaryHDU(image[..., 0], header(0.1, FILTER="VIS")).writeto(tmp_path / "vis" / "c.fits")
    found = read_all(tmp_path, table(tmp_path, "id\na\nb\nc"), EUCLID)
    for stamp, _ in found.values():
        expected = image * np.float32(EUCLID.nanomaggies_per_unit)
        np.testing.assert_allclose(stamp, expected, rtol=1e-6)


def test_tables_of_every_format_say_the_same_in_the_folder_and_elsewhere(tmp_path):
    columns = {
        "Name": ["007", "b", "c"],
        "RA": [150.0, 10.5, np.nan],
        "DEC": [2.0, -3.0, np.nan],
        "is_lens": [1, 0, -99],
        "psfsize_i": [0.6, 0.7, np.nan],
        "m5_i": [26.0, 25.5, np.nan],
    }
    made = Table(columns, masked=True)
    made["is_lens"].mask = [False, False, True]
    made.write(tmp_path / "t.fits")
    made.write(tmp_path / "t.ecsv")
    lens = pa.array([1, 0, None])
    pq.write_table(pa.table({**columns, "is_lens": lens}), tmp_path / "t.parquet")
    lines = ["Name,RA,DEC,is_lens,psfsize_i,m5_i", "007,150.0,2.0,1,0.6,26.0"]
    (tmp_path / "t.csv").write_text("\n".join([*lines, "b, 10.5,-3.0,0,0.7,25.5", "c,,,,nan,"]))
    for name in ("007", "b", "c"):
        np.savez(tmp_path / f"{name}.npz", pixels())
    found = []
    (tmp_path / "t.csv").rename(tmp_path.parent / "t.csv")
    for name in ("t.fits", "t.ecsv", "t.parquet", str(tmp_path.parent / "t.csv")):
        s = Folder(table=name, columns={"id": "Name", "label": "is_lens"})
        rows, refused = read_table(tmp_path, s, HSC)
        assert refused == []
        found.append(repr(rows))
    assert len(set(found)) == 1
    assert [(r["galaxy_id"], r["label"]) for r in rows] == [("007", 1), ("b", 0), ("c", None)]
    # 5 sigma at magnitude 26: 5 / sqrt(psfdepth) is the flux of that magnitude.
    assert 5 / np.sqrt(rows[0]["psfdepth_i"]) == pytest.approx(10 ** (0.4 * (22.5 - 26.0)))
    assert rows[2]["psfdepth_i"] is None and rows[0]["psfsize_g"] is None


BAD_ROWS = {
    "id": "a,1,1,0|a,2,2,0",  # two rows of one id
    "name": "../../x,1,1,0",
    "empty": ",1,1,0",
    "half": "b,1,,0",
    "far": "c,1,95,0",
    "text": "d,one,1,0",
    "label": "e,1,1,2",
    "gone": "nofile,1,1,0",
    "infinite": "f,inf,1,0",
}


def test_rows_that_cannot_be_used_are_listed_with_the_reason(tmp_path):
    lines = [line for group in BAD_ROWS.values() for line in group.split("|")]
    for name in "abcdefg":
        np.savez(tmp_path / f"{name}.npz", pixels())
    s = table(tmp_path, "\n".join(["id,ra,dec,label", *lines, "g,5,5,0"]))
    rows, refused = read_table(tmp_path, s, HSC)
    assert [r["galaxy_id"] for r in rows] == ["g"]
    reasons = {row: reason for _, row, reason in refused}
    assert list(reasons) == list(range(1, 11)) and {path for path, _, _ in refused} == {"t.csv"}
    said = ["also in row 2", "also in row 1", "cannot be used", "no id", "dec is missing"]
    said += ["not a position", "not a number", "label '2'", "nofile.npz: no such file"]
    for reason, words in zip(reasons.values(), [*said, "not finite"]):
        assert words in reason and "\n" not in reason
    with pytest.raises(InputError, match=r"t\.csv, row 1: id 'a' is also in row 2"):
        take_in(tmp_path / "out", tmp_path, s, HSC)
    figures, listed = take_in(tmp_path / "out", tmp_path, s, HSC, on_bad_file="quarantine")
    assert figures["rows"] == 1 and listed == refused


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("shape", "shape 39x40x5, expected 40x40x5"),
        ("bands", "has no axis of 5 bands"),
        ("nan", "NaN within"),
        ("all nan", "no data in band g"),
        ("scale", "pixel scale 0.2, expected 0.168"),
        ("filter", "expected band g"),
        ("zero point", "means zero point 22.5, expected 27"),
        ("weights", "not an image of fluxes"),
        ("damaged", "a_g.fits"),
        ("other object", "is of object b"),
        ("two arrays", "survey.folder.array"),
        ("pickle", "pickled objects"),
    ],
)
def test_stamps_that_are_not_what_they_should_be_are_refused_by_row_and_file(tmp_path, harm, said):
    image = pixels()
    if harm == "shape":
        np.savez(tmp_path / "a.npz", image[:-1])
    elif harm == "bands":
        np.savez(tmp_path / "a.npz", image[..., :4])
    elif harm == "nan":
        image[20, 20] = np.nan
        np.savez(tmp_path / "a.npz", image)
    elif harm == "all nan":
        np.savez(tmp_path / "a.npz", image * np.where(np.arange(5) == 0, np.nan, 1))
    elif harm == "other object":
        write_npz(tmp_path / "a.npz", image, {"galaxy_id": "b", "ra": 1.0, "dec": 1.0})
    elif harm == "two arrays":
        np.savez(tmp_path / "a.npz", image, image)
    elif harm == "pickle":
        np.savez(tmp_path / "a.npz", np.array([{}], object))
    else:
        write_bands(tmp_path, "a", image)
        path = tmp_path / "a_g.fits"
        changes = {
            "scale": {"CDELT1": -0.2 / 3600, "CDELT2": 0.2 / 3600},
            "filter": {"FILTER": "HSC-Z"},
            "zero point": {"MAGZERO": 22.5},
            "weights": {"EXTNAME": "VARIANCE"},
        }
        if harm == "scale":
            for band in HSC.bands:
                with fits.open(tmp_path / f"a_{band}.fits", mode="update") as hdus:
                    hdus[0].header.update(changes[harm])
        elif harm == "damaged":
            path.write_bytes(path.read_bytes()[:3000])
        else:
            with fits.open(path, mode="update") as hdus:
                hdus[0].header.update(changes[harm])
    s = table(tmp_path, "id\na")
    rows, _ = read_table(tmp_path, s, HSC)
    with pytest.raises(InputError) as error:
        read_stamp(tmp_path, rows[0], s, HSC, SIDE)
    text = str(error.value)
    assert text.startswith("row 1: ") and said in text and "\n" not in text
    assert "a.npz" in text or "a_g.fits" in text


def test_splits_follow_the_sky_then_the_id_and_the_table_first(tmp_path):
    lines, names = ["id,ra,dec,label,split"], [f"o{i:03d}" for i in range(60)]
    for i, name in enumerate(names):
        place = f"{i * 3},{i % 7}" if i < 40 else ","
        lines.append(f"{name},{place},{'' if i % 5 == 4 else i % 2},{'val' if i == 0 else ''}")
        np.savez(tmp_path / f"{name}.npz", pixels(i))
    s = table(tmp_path, "\n".join(lines))
    figures, refused = take_in(tmp_path / "out", tmp_path, s, HSC)
    assert refused == [] and figures == {
        "rows": 60,
        "positive": 24,
        "negative": 24,
        "unlabelled": 12,
    }
    rows = pq.read_table(tmp_path / "out" / "sample" / "sample.parquet").to_pylist()
    by_name = {row["galaxy_id"]: row for row in rows}
    assert by_name["o000"]["split"] == "val"
    for i, name in enumerate(names[1:], 1):
        row = by_name[name]
        if i % 5 == 4:
            expected = "test"
            assert (row["cutout_type"], row["tier"], row["pool"]) == ("unlabelled", None, None)
        elif i < 40:
            cell = splits.healpix_128(np.array([i * 3.0]), np.array([float(i % 7)]))
            assert row["healpix_128"] == cell[0]
            expected = splits.split(cell)[0]
        else:
            u = splits.uniform(name)
            expected = "train" if u < 0.7 else "val" if u < 0.85 else "test"
            assert row["healpix_128"] is None and row["ra"] is None
        assert row["split"] == expected
    again = (tmp_path / "out" / "sample" / "sample.parquet").read_bytes()
    take_in(tmp_path / "out", tmp_path, s, HSC)
    assert (tmp_path / "out" / "sample" / "sample.parquet").read_bytes() == again


def test_a_file_of_two_rows_is_refused_in_both(tmp_path):
    """The same stamp as several objects could be in training and in the test."""
    for name in "ab":
        np.savez(tmp_path / f"{name}.npz", pixels())
    s = table(tmp_path, "id,label,file\nx,1,a.npz\ny,0,./a.npz\nz,0,b.npz\nw,0,none.npz")
    rows, refused = read_table(tmp_path, s, HSC)
    assert [row["galaxy_id"] for row in rows] == ["z"]
    said = ["a.npz is also the file of row 2", "./a.npz is also the file of row 1"]
    assert [(n, why) for _, n, why in refused] == [
        *zip((1, 2), said),
        (4, "none.npz: no such file"),
    ]


def test_the_reason_is_said_where_no_row_can_be_used(tmp_path):
    s = table(tmp_path, "id,label\na,1\n")
    with pytest.raises(InputError, match=r"no row that can be used \(row 1: .*no such file\)"):
        take_in(tmp_path / "out", tmp_path, s, HSC, on_bad_file="quarantine")
    with pytest.raises(InputError, match=r"no row that can be used \(it has no rows\)"):
        take_in(tmp_path / "out", tmp_path, table(tmp_path, "id,label\n"), HSC)


def test_a_table_that_splits_one_cell_of_the_sky_is_refused(tmp_path):
    for name in "ab":
        np.savez(tmp_path / f"{name}.npz", pixels())
    s = table(tmp_path, "id,ra,dec,label,split\na,10,10,1,train\nb,10.001,10,0,test")
    with pytest.raises(InputError, match=r"rows 1 and 2: both in HEALPix cell .* leave the column"):
        take_in(tmp_path / "out", tmp_path, s, HSC)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"table": "none.csv"}, "no such table"),
        ({"table": "t.txt"}, "ends in .csv"),
        ({"table": "../t.csv"}, "does not lie below"),
        ({"columns": {"psf": "x"}}, "survey.folder.columns names 'psf'"),
        ({"columns": {"ra": "alpha"}}, r"no column 'alpha' \(survey.folder.columns.ra\)"),
        ({"columns": {}}, "no column 'id'"),
    ],
)
def test_tables_that_cannot_be_read_are_refused_in_one_line(tmp_path, settings, said):
    (tmp_path / "t.csv").write_text("name,ra\na,1\n")
    (tmp_path / "t.txt").write_text("id\na\n")
    s = Folder(**{"table": "t.csv", "columns": {"id": "name"}} | settings)
    with pytest.raises(InputError, match=said) as error:
        read_table(tmp_path, s, HSC)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["with blank", "[1]", "é,ü", "_private", ".hidden", "a+b%20#x"])
def test_folders_and_files_may_have_any_name(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    np.savez(folder / f"{name} a.npz", pixels())
    s = replace(table(folder, "id\na", f"{name}.csv"), files=name + " {id}.npz")
    assert list(read_all(folder, s)) == ["a"]
    s = replace(table(folder, f'id,file\na,"{name} a.npz"', f"{name}.csv"))
    assert list(read_all(folder, s)) == ["a"]
    with pytest.raises(InputError, match="use the fields"):
        table(folder, "id\na")
        read_all(folder, Folder(table="t.csv", files="{id.__class__}.npz"))
    with pytest.raises(InputError, match="as they stand here"):
        read_all(folder, Folder(table="t.csv", files="{id:05d}.npz"))
