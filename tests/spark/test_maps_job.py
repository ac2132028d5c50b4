"""Maps of the sky from the negative pool: every row counts once, whatever file it is in."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from hpgeom import angle_to_pixel
from small_survey import write_survey

from data.config import validated
from data.files import sha256
from data.lenses import Lenses
from data.selection import Selection
from data.skymap import SkyMaps
from data.survey import default
from lensjax.errors import InputError
from spark.jobs import outputs
from spark.maps import MapSettings, make_maps
from spark.pool import negative_pool


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out, root = tmp_path_factory.mktemp("out"), write_survey(tmp_path_factory.mktemp("survey"))
    paths = sorted(str(p.relative_to(root)) for p in root.glob("sweep/*.fits"))
    nothing = Lenses(*([] for _ in Lenses.__dataclass_fields__))
    negative_pool(None, out, root, paths, nothing, Selection())
    return out


def test_the_maps_are_those_of_the_pool_s_rows(out):
    pool = outputs(out / "pool")
    figures = make_maps(None, out, pool, MapSettings(nside=32, more=()))
    rows = pq.ParquetDataset(pool).read().to_pandas()
    maps = SkyMaps.load(out)
    assert figures["nside"] == 32 and figures["maps"] == 3 * len(default().bands) + 3
    number = maps["galaxies"].at(rows["ra"], rows["dec"])
    assert (1 / number).sum() == pytest.approx(figures["pixels"])  # every pixel, by its rows
    seeing = maps["psf_fwhm"].at(rows["ra"], rows["dec"])
    assert seeing.mean() == pytest.approx(rows["psfsize_r"].mean(), rel=1e-6)
    assert np.isfinite(maps["depth_m5"].at(rows["ra"], rows["dec"])).all()
    exposures = maps["nobs_z"].at(rows["ra"], rows["dec"])
    assert exposures.mean() == pytest.approx(rows["nobs_z"].mean(), rel=1e-6)
    assert not (out / "maps" / "_parts").exists()


def test_other_pixels_hold_the_same_galaxies_and_the_footprint_is_theirs(out, tmp_path):
    pool = outputs(out / "pool")
    make_maps(None, tmp_path, pool, MapSettings(nside=64, more=(32, 128)))
    rows = pq.ParquetDataset(pool).read().to_pandas()
    for nside, folder in ((32, "nside-32"), (64, ""), (128, "nside-128")):
        alone = tmp_path / f"alone-{nside}"
        make_maps(None, alone, pool, MapSettings(nside=nside, more=()))
        for name in ("galaxies.hsp", "ebv.hsp", "footprint.moc.fits"):
            found = tmp_path / "maps" / folder / name
            if name == "ebv.hsp":  # sums of sums are rounded elsewhere
                one, other = (SkyMaps.load({"x": p})["x"] for p in (found, alone / "maps" / name))
                at = rows["ra"], rows["dec"]
                np.testing.assert_allclose(one.at(*at), other.at(*at), rtol=1e-6)
            else:
                assert sha256(found) == sha256(alone / "maps" / name)
        moc = fits.getdata(tmp_path / "maps" / folder / "footprint.moc.fits")["UNIQ"]
        order = np.log2(moc // 4).astype(int) // 2
        shift = 2 * (int(np.log2(nside)) - order)
        first = (moc - 4 * 4**order) << shift
        every = np.concatenate([f + np.arange(4**k) for f, k in zip(first, shift // 2)])
        pixels = angle_to_pixel(nside, rows["ra"].to_numpy(), rows["dec"].to_numpy())
        assert sorted(every) == sorted(set(pixels))


def test_the_same_tables_give_the_same_bytes_and_other_files_the_same_values(out, tmp_path):
    pool = outputs(out / "pool")
    whole = pq.ParquetDataset(pool).read()
    pq.write_table(whole, tmp_path / "all.parquet")
    for name, tables in (("a", pool), ("b", pool)):
        make_maps(None, tmp_path / name, tables, MapSettings(nside=32))
    make_maps(None, tmp_path / "c", [tmp_path / "all.parquet"], MapSettings(nside=32))
    files = sorted(p.name for p in (tmp_path / "a" / "maps").glob("*.*"))
    digests = lambda name: [sha256(tmp_path / name / "maps" / f) for f in files]
    assert digests("a") == digests("b")
    one, other = (SkyMaps.load(tmp_path / name)["psf_fwhm"] for name in "ac")
    at = whole["ra"].to_numpy(), whole["dec"].to_numpy()
    np.testing.assert_allclose(one.at(*at), other.at(*at), rtol=2e-7)


def test_galaxies_without_a_position_are_left_out_and_counted(out, tmp_path):
    whole = pq.ParquetDataset(outputs(out / "pool")).read().to_pandas()
    whole.loc[whole.index[:3], "dec"] = np.nan
    whole.to_parquet(tmp_path / "some.parquet")
    figures = make_maps(None, tmp_path / "some", [tmp_path / "some.parquet"], MapSettings(nside=32))
    assert figures["galaxies_without_position"] == 3
    rows = whole.iloc[3:]
    number = SkyMaps.load(tmp_path / "some")["galaxies"].at(rows["ra"], rows["dec"])
    assert (1 / number).sum() == pytest.approx(figures["pixels"])
    whole.assign(ra=np.nan).to_parquet(tmp_path / "none.parquet")
    figures = make_maps(None, tmp_path / "none", [tmp_path / "none.parquet"], MapSettings(nside=32))
    assert figures["pixels"] == 0 and figures["galaxies_without_position"] == len(whole)
    assert np.isnan(SkyMaps.load(tmp_path / "none")["galaxies"].at(10.0, 0.0))


def test_nside_is_a_power_of_two():
    with pytest.raises(InputError, match="nside should be a power of 2, got 100"):
        validated(MapSettings, {"nside": 100}, "survey.maps")
    with pytest.raises(InputError, match="nside should be a power of 2, got 3"):
        validated(MapSettings, {"more": [2, 3]}, "survey.maps")
