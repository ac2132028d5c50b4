"""The sample is the same with Spark, without it, and however the pool is cut into files."""

import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from small_survey import write_survey

from data import lenses, splits
from data.columns import names
from data.files import sha256
from data.manifest import SAMPLE_WEIGHTS
from data.selection import Selection
from data.survey import default
from lensjax.errors import InputError
from spark.crossmatch import CrossmatchSettings, crossmatch, write_parquet
from spark.jobs import outputs
from spark.pool import negative_pool
from spark.sampling import SampleSettings, sample

FILES = ["sweep/sweep-a.fits", "sweep/sweep-b.fits"]
SETTINGS = SampleSettings(negatives_per_positive=4.0)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Pool and positives of the small survey."""
    folder = tmp_path_factory.mktemp("run")
    root = write_survey(folder / "survey", cutouts=False)
    listed, _ = lenses.read(root / "lenses.csv")
    negative_pool(None, folder, root, FILES, listed, Selection())
    crossmatch(None, folder, root, FILES, [], listed, CrossmatchSettings())
    return folder


def run(spark, out, pool, settings=SETTINGS):
    figures = sample(spark, out, pool, settings)
    return (
        pq.read_table(out / "sample" / "sample.parquet").to_pandas(),
        figures,
        sha256(out / "sample" / "sample.parquet"),
    )


def test_spark_and_plain_and_any_partitioning_give_the_same_bytes(out, tmp_path, spark):
    pool = outputs(out / "pool")
    plain = run(None, out, pool)
    assert run(spark, out, pool)[1:] == plain[1:]
    whole = pd.concat([pq.read_table(p).to_pandas() for p in pool]).sample(frac=1.0, random_state=3)
    for pieces in (1, 5):
        files = [tmp_path / f"{pieces}-{i}.parquet" for i in range(pieces)]
        for i, file in enumerate(files):
            write_parquet(file, whole.iloc[i::pieces])
        assert run(spark, out, files)[1:] == run(None, out, files)[1:] == plain[1:]


def test_rows_carry_what_the_manifest_needs(out):
    rows, figures, _ = run(None, out, outputs(out / "pool"))
    assert (
        rows.columns.tolist() == list(names(default(), "sample"))
        and rows["galaxy_id"].is_monotonic_increasing
        and rows["galaxy_id"].is_unique
    )
    positive = rows["label"] == 1
    assert (
        positive.sum() == 12
        and set(rows.loc[positive, "tier"]) == {"A", "B"}
        and rows.loc[positive, "pool"].isna().all()
    )
    assert (rows.loc[~positive, "tier"] == rows.loc[~positive, "pool"]).all() and set(
        rows.loc[~positive, "pool"]
    ) == {"N1", "N2"}
    assert (rows["sample_weight"] == rows["tier"].map(SAMPLE_WEIGHTS["audit"])).all()
    assert (rows["split"] == splits.split(splits.healpix_128(rows["ra"], rows["dec"]))).all()
    assert rows.loc[positive, "lens_name"].str.startswith("DESI").all() and rows.loc[
        positive, "match_type"
    ].equals(rows.loc[positive, "type"])
    table = pd.read_csv(out / "counts" / "sample.csv").set_index(["nobs_z_bin", "type_bin", "pool"])
    for key, n in rows[~positive].groupby(["nobs_z_bin", "type_bin", "pool"]).size().items():
        assert table.loc[key, "sampled"] == n
    total = table.reset_index().iloc[-1]
    assert (
        total["wanted"] == 48 == total["got"] + total["shortfall"]
        and total["sampled"] == (~positive).sum() == figures["sampled"]
    )
    assert total["positives"] == 12


def test_parity_weights_and_two_way_split(out):
    rows, *_ = run(
        None,
        out,
        outputs(out / "pool"),
        SampleSettings(negatives_per_positive=2.0, weights="parity", scheme="70/30"),
    )
    assert (rows["sample_weight"] == 1.0).all() and set(rows["split"]) <= {"train", "val"}
    assert rows.loc[rows["tier"] == "B", "weight"].eq(0.5).all()


def test_an_object_listed_twice_is_kept_once_and_a_positive_is_never_a_negative(
    out, tmp_path, spark
):
    pool = outputs(out / "pool")
    first = pq.read_table(pool[0]).to_pandas()
    positive = pq.read_table(out / "positives" / "positives.parquet").to_pandas()["galaxy_id"][0]
    write_parquet(tmp_path / "older.parquet", first.iloc[:20].assign(release=8000, flux_r=-1.0))
    write_parquet(tmp_path / "positive.parquet", first.iloc[[0]].assign(galaxy_id=positive))
    everything = [tmp_path / "older.parquet", *pool, tmp_path / "positive.parquet"]
    want_all = SampleSettings(negatives_per_positive=100.0)
    for session in (spark, None):
        rows, figures, _ = run(session, out, everything, want_all)
        assert figures["pool"]["listed_twice"] == 20 and figures["pool"]["also_positive"] == 1
        assert (rows["flux_r"] > 0).all() and (rows["galaxy_id"] == positive).sum() == 1
        assert (
            figures["sampled"] == sum(len(pq.read_table(p)) for p in pool)
            and figures["unfilled"] == 1200 - figures["sampled"]
        )


def test_no_positive_is_refused(out, tmp_path):
    none = pq.read_table(out / "positives" / "positives.parquet").slice(0, 0)
    (tmp_path / "positives").mkdir()
    pq.write_table(none, tmp_path / "positives" / "positives.parquet")
    pq.write_table(
        pq.read_table(out / "positives" / "given.parquet"), tmp_path / "positives" / "given.parquet"
    )
    with pytest.raises(InputError, match="no lens of the list matched"):
        sample(None, tmp_path, outputs(out / "pool"), SETTINGS)


def test_one_name_for_two_objects_of_different_files_is_refused(tmp_path, spark):
    root = write_survey(tmp_path / "survey", cutouts=False)
    moved = Table.read(root / "sweep" / "sweep-a.fits")
    moved["RA"] += 0.01
    moved.write(root / "sweep" / "sweep-c.fits")
    files = [f"sweep/sweep-{name}.fits" for name in "abc"]
    listed, _ = lenses.read(root / "lenses.csv")
    negative_pool(None, tmp_path, root, files, listed, Selection())
    crossmatch(None, tmp_path, root, files, [], listed, CrossmatchSettings())
    for session in (None, spark):
        with pytest.raises(InputError, match="galaxy_id 01.* is the name of two objects of the"):
            sample(session, tmp_path, outputs(tmp_path / "pool"), SampleSettings())


def test_an_existing_cutout_of_another_place_is_not_an_objects(out, tmp_path):
    """Both of its name: in its own file once 190 degrees away, once where the object is."""
    copied = tmp_path / "positives"
    copied.mkdir()
    shutil.copy(out / "positives" / "positives.parquet", copied)
    there = pq.read_table(copied / "positives.parquet").to_pandas().head(2)
    given = there[["galaxy_id", "ra", "dec"]].assign(path=["a.npz", "b.npz"])
    given.loc[1, "ra"] = (given.loc[1, "ra"] + 190) % 360
    given.to_parquet(copied / "given.parquet")
    rows, *_ = run(None, tmp_path, outputs(out / "pool"))
    found = rows.set_index("galaxy_id")["source_cutout"]
    assert [found[name] for name in there["galaxy_id"]] == ["a.npz", None]


def test_existing_cutouts_without_a_release_in_their_name_are_found_by_place(tmp_path):
    root = write_survey(tmp_path / "survey")
    table = Table.read(root / "sweep" / "sweep-a.fits")
    table["RELEASE"] = 9010
    table.write(root / "sweep" / "sweep-a.fits", overwrite=True)
    given = sorted(str(p.relative_to(root)) for p in root.glob("given/*.npz"))
    listed, _ = lenses.read(root / "lenses.csv")
    negative_pool(None, tmp_path, root, ["sweep/sweep-a.fits"], listed, Selection())
    crossmatch(None, tmp_path, root, ["sweep/sweep-a.fits"], given, listed, CrossmatchSettings())
    sample(None, tmp_path, outputs(tmp_path / "pool"), SampleSettings(negatives_per_positive=2))
    rows = pq.read_table(tmp_path / "sample" / "sample.parquet").to_pylist()
    of_a = [row for row in rows if row["release"] == 9010]
    assert of_a and all(row["galaxy_id"].endswith("_9010") for row in of_a)
    wanted = [f"given/{row['galaxy_id'].removesuffix('_9010')}.npz" for row in of_a]
    assert [row["source_cutout"] for row in of_a] == wanted
