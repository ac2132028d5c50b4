"""What is read from, and published to, an S3 server is what lies on disk, also when it is busy."""

import gzip
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from s3_server import BUCKET, SECRET, needed, running, upload
from small_survey import sweep, write_survey

from data import catalogue, lenses, mapped, ranges, stores
from data.coadds import image_path, read_brick
from data.files import sha256
from data.folder import Folder
from data.publishing import MANIFEST, fetch, publish
from data.record import Step
from data.selection import Selection
from data.stores import place
from data.storetroubles import StoreError
from data.survey import default
from lensjax.errors import InputError
from spark import pool as pools
from spark.crossmatch import CrossmatchSettings, crossmatch
from spark.cutouts import CutoutSettings
from spark.inputs import SurveySettings, locate
from spark.pool import negative_pool

needed()

FILES = ["sweep/sweep-a.fits", "sweep/sweep-b.fits"]
URL = f"s3://{BUCKET}/dr10"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_survey(tmp_path_factory.mktemp("survey"), cutouts=False)


@pytest.fixture(scope="module")
def server(root):
    with running() as found:
        upload(root, URL)
        yield found


@pytest.fixture(autouse=True)
def quickly(server, monkeypatch):
    monkeypatch.setattr(stores, "FIRST_WAIT", 0.001)
    yield
    server.refusals.clear()
    server.spare = 0


def pool_of(out: Path, root, **more):
    listed, _ = lenses.read(root / "lenses.csv")
    refused = negative_pool(None, out, root, FILES, listed, Selection(), **more)
    return refused, {p.relative_to(out): sha256(p) for p in out.rglob("*") if p.is_file()}


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_the_pool_has_the_same_bytes_from_the_store_and_from_disk(root, server, tmp_path, scheme):
    there = place(f"{scheme}://{BUCKET}/dr10")
    assert pool_of(tmp_path / "store", there, range_bytes=8000) == pool_of(tmp_path / "disk", root)


def test_the_pool_from_a_web_server_has_the_same_bytes(root, server, tmp_path):
    there = place(f"{server.address}/{BUCKET}/dr10")
    with pytest.raises(StoreError, match=r"reading or writing it is forbidden \(403\)"):
        lenses.read(there / "lenses.csv")
    for path in (*FILES, "lenses.csv"):
        stores._store("s3").chmod(f"{URL}/{path}", acl="public-read")
    server.refusals += [(503, "busy")] * 2
    assert pool_of(tmp_path / "web", there, range_bytes=8000) == pool_of(tmp_path / "disk", root)


def test_files_that_are_read_whole_are_copied_and_named_by_their_address(server, tmp_path):
    table, url = sweep(4, rows=20), place(URL)
    table.write(tmp_path / "t.fits")
    (tmp_path / "t.fits.gz").write_bytes(gzip.compress((tmp_path / "t.fits").read_bytes()))
    table.write(tmp_path / "t.csv")
    table.write(tmp_path / "t.parquet")
    (tmp_path / "short.fits").write_bytes((tmp_path / "t.fits").read_bytes()[:4000])
    upload(tmp_path, f"{URL}/odd")
    for name in ("t.fits", "t.fits.gz", "t.csv", "t.parquet"):
        near, far = catalogue.read(tmp_path / name), catalogue.read(url / "odd" / name)
        assert near.keys() == far.keys()
        for column, value in near.items():
            np.testing.assert_array_equal(value, far[column])
    with pytest.raises(InputError, match=rf"^{URL}/odd/short.fits: no table in") as error:
        catalogue.read(url / "odd" / "short.fits")
    assert "/tmp" not in str(error.value)
    with pytest.raises(InputError, match="no such catalogue file"):
        catalogue.read(url / "odd" / "none.fits")


def test_row_groups_of_parquet_are_those_of_the_file_on_disk(server, tmp_path):
    sweep(5, rows=500).write(tmp_path / "groups.parquet")
    pq.write_table(pq.read_table(tmp_path / "groups.parquet"), tmp_path / "g.parquet", 100)
    (place(URL) / "g.parquet").put(tmp_path / "g.parquet")
    for path in (tmp_path / "g.parquet", place(URL) / "g.parquet"):
        found = ranges.opened(path, 1, 3, default())
        assert found is not None
        values = found.at("ra", np.arange(found.rows))
        if path == tmp_path / "g.parquet":
            expected = values
    np.testing.assert_array_equal(values, expected)


def test_settings_find_the_files_of_a_store_and_refuse_what_lies_on_disk_only(
    root, server, tmp_path
):
    found = locate(
        tmp_path, SurveySettings(root=f"s3a://{BUCKET}/dr10/", sweeps=("sweep/*-?.fits",))
    )
    assert found.catalogues == FILES and str(found.root) == URL
    step = Step(tmp_path, "survey", found.survey, external=found.external)
    first = step.key()
    assert step.key() == first
    changed = root / FILES[1]
    (place(URL) / FILES[1]).put(root / "lenses.csv")
    assert step.key() != first
    (place(URL) / FILES[1]).put(changed)
    assert step.key() == first
    for key, s in {
        "given": SurveySettings(root=URL, given=("*.npz",)),
        "folder.table": SurveySettings(root=URL, folder=Folder(table="table.csv")),
        "cutouts.stamps": SurveySettings(root=URL, cutouts=CutoutSettings(stamps=("s.h5",))),
        "cutouts.cubes": SurveySettings(root=URL, cutouts=CutoutSettings(cubes=("c.fits",))),
    }.items():
        with pytest.raises(InputError, match=f"survey.{key}: .* copy the survey to disk and set"):
            locate(tmp_path, s)
    with pytest.raises(InputError, match=f"{URL}/none-.*: no file matches; correct survey.sweeps"):
        locate(tmp_path, SurveySettings(root=URL, sweeps=("none-*",)))
    with pytest.raises(InputError, match="survey.publish: runs are published to s3://"):
        locate(tmp_path, SurveySettings(root=URL, publish="runs/one"))
    with pytest.raises(InputError, match=r"no such folder; set survey.root"):
        locate(tmp_path, SurveySettings(root=f"s3://{BUCKET}/nothing"))


def test_bricks_are_those_on_disk(server, tmp_path):
    name, size = "1500p100", 60
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 10.0}
    cards |= {"CRPIX1": 30.5, "CRPIX2": 30.5, "CD1_1": -0.262 / 3600, "CD2_2": 0.262 / 3600}
    for band in "gz":
        path = image_path(tmp_path, name, band)
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(ord(band)).normal(1, 0.1, (size, size)).astype("f4")
        fits.CompImageHDU(pixels, fits.Header(cards)).writeto(path, checksum=True)
    upload(tmp_path, URL)
    near, far = read_brick(tmp_path, name), read_brick(place(URL), name)
    np.testing.assert_array_equal(near.images, far.images)
    assert (near.missing, near.source, near.silent) == (far.missing, far.source, far.silent)
    assert far.missing == ("r",)
    with pytest.raises(InputError, match=f"^{URL}/coadd/.*: no image of brick 1501p100"):
        read_brick(place(URL), "1501p100")


def test_throttled_requests_are_repeated_and_change_nothing(root, server, tmp_path):
    server.refusals += [(503, "SlowDown")] * 3
    assert pool_of(tmp_path / "store", place(URL)) == pool_of(tmp_path / "disk", root)
    assert server.refusals == []


@pytest.mark.parametrize("spare", [0, 2, 5])  # looking at files, reading headers, and ranges
def test_a_store_that_stays_throttled_is_no_bad_file(root, server, tmp_path, spare):
    listed, _ = lenses.read(root / "lenses.csv")
    server.spare = spare
    server.refusals += [(503, "SlowDown")] * 1000
    with pytest.raises(
        OSError, match=rf"turned away {stores.ATTEMPTS} times in \d+ s .*throttled.*run the same"
    ):
        negative_pool(
            None, tmp_path, place(URL), FILES, listed, Selection(), on_bad_file="quarantine"
        )
    assert 1000 - len(server.refusals) <= stores.ATTEMPTS * 2 * len(FILES)


def test_a_catalogue_is_fetched_once_for_the_pool_and_the_matches(root, server, tmp_path):
    listed, _ = lenses.read(root / "lenses.csv")
    size = sum((root / path).stat().st_size for path in FILES)
    how = (FILES, [], listed, CrossmatchSettings())
    crossmatch(None, tmp_path / "disk", root, *how)
    before = server.given
    pool_of(tmp_path / "run", place(URL), horizon=CrossmatchSettings().horizon)
    assert size <= server.given - before < 1.5 * size + 2 * stores.BUFFER  # headers with more
    server.asked.clear()
    crossmatch(None, tmp_path / "run", place(URL), *how, pool=tmp_path / "run" / "pool")
    assert server.asked == []
    before = server.given
    crossmatch(None, tmp_path / "alone", place(URL), *how)
    assert server.given - before == size
    written = "positives/positives.parquet"
    for way in ("run", "alone"):
        assert sha256(tmp_path / way / written) == sha256(tmp_path / "disk" / written)


def test_a_file_that_changes_between_two_tasks_is_named(root, server, tmp_path, monkeypatch):
    """The second version is as large as the first. The run goes on when it is given again."""
    listed, _ = lenses.read(root / "lenses.csv")
    there = place(f"s3://{BUCKET}/changing")
    for path in FILES:
        (there / path).put(root / path)
    real, calls = pools.ranges.cut, []

    def cut(path, *more):
        calls.append(path)
        if len(calls) == 2:
            (there / FILES[0]).put(root / FILES[1])
        return real(path, *more)

    monkeypatch.setattr(pools.ranges, "cut", cut)
    run = lambda out: negative_pool(
        None, out, there, FILES[:1], listed, Selection(), "quarantine", range_bytes=8000
    )
    with pytest.raises(
        OSError, match="changed while this run was reading it; run the same"
    ) as error:
        run(tmp_path / "out")
    assert len(calls) > 2 and error.value.filename == f"{there}/{FILES[0]}"
    assert run(tmp_path / "again") == []


@pytest.mark.parametrize("way", ["s3", "web", "time"])
def test_a_version_that_was_looked_at_is_the_only_one_that_is_read(server, tmp_path, way):
    stored = place(f"s3://{BUCKET}/version-{way}")
    (tmp_path / "first").write_bytes(b"1" * 200_000)
    (tmp_path / "second").write_bytes(b"2" * 200_000)
    stored.put(tmp_path / "first")
    stores._store("s3").chmod(stored.url, acl="public-read")
    file = stored if way == "s3" else place(f"{server.address}/{BUCKET}/version-{way}")
    seen = file.pinned()
    if way == "time":
        seen = replace(seen, seen=stores.Stat(200_000, "Thu, 01 Jan 2026 00:00:00 GMT"))
        with pytest.raises(StoreError, match="changed while"):
            seen.bytes(0, 9)
        return
    handle = file.open()
    assert seen.bytes(5, 9) == handle.read(4) == b"1111"
    stored.put(tmp_path / "second")
    stores._store("s3").chmod(stored.url, acl="public-read")
    with pytest.raises(StoreError, match="changed while") as error:
        seen.bytes(100_000, 100_009)
    assert pickle.loads(pickle.dumps(error.value)).filename == file.url
    with pytest.raises(StoreError, match="changed while"):
        handle.seek(150_000)
        handle.read(1)
    assert file.bytes(0, 4) == b"2222" and file.pinned().stat() != seen.stat()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (400, "ExpiredToken", "credentials have expired; renew"),
        (403, "InvalidAccessKeyId", "does not know these credentials"),
        (403, "AccessDenied", "reading or writing it is forbidden"),
    ],
)
def test_what_no_repetition_cures_is_named_at_once(server, status, code, said):
    server.refusals += [(status, code)] * 2
    with pytest.raises(StoreError, match=said) as error:
        (place(URL) / FILES[0]).bytes(0, 10)
    assert len(server.refusals) == 1
    assert SECRET not in str(error.value) and FILES[0] in str(error.value)


def test_a_bucket_that_is_not_there_is_named(server):
    with pytest.raises(StoreError, match="no bucket 'elsewhere'"):
        place("s3://elsewhere/dr10/a.fits").bytes(0, 10)
    with pytest.raises(StoreError, match="no bucket 'elsewhere'"):
        place("s3://elsewhere/dr10").is_dir()


def test_an_answer_without_text_may_mean_expired_credentials(server):
    server.refusals += [(400, "")] * 9
    with pytest.raises(StoreError, match="credentials that have expired"):
        (place(URL) / FILES[0]).is_file()


def test_a_server_that_cannot_be_reached_is_not_a_missing_file():
    with pytest.raises(StoreError, match="cannot be reached"):
        place("http://127.0.0.1:9/dr10/a.fits").is_file()


@pytest.mark.parametrize(
    "address", [f"s3://key:{SECRET}@bucket/x", f"https://host/x?X-Amz-Signature={SECRET}"]
)
def test_addresses_with_credentials_are_refused_and_not_repeated(address):
    with pytest.raises(InputError, match="in the environment") as error:
        place(address)
    assert SECRET not in str(error.value)


def test_a_range_reads_its_own_bytes_only(server, tmp_path):
    sweep(3, rows=9000).write(tmp_path / "large.fits")
    size = (tmp_path / "large.fits").stat().st_size
    (place(URL) / "large.fits").put(tmp_path / "large.fits")
    table = mapped.opened(place(URL) / "large.fits", {"ra": "ra"})
    assert table is not None
    before = server.given
    view, _, _ = table.read(4000, 4100, ["ra"])
    assert server.given - before <= 100 * table.width + mapped.WORD < size / 50
    local = mapped.opened(tmp_path / "large.fits", {"ra": "ra"})
    np.testing.assert_array_equal(view["ra"], local.read(4000, 4100, [])[0]["ra"])


def test_a_run_is_published_whole_and_again_only_in_what_is_missing(server, tmp_path):
    out, url = tmp_path / "run", f"s3://{BUCKET}/published"
    (out / "pool").mkdir(parents=True)
    for name, text in {"pool/a": "1", "pool/b": "2", "same": "2", "c.csv": "3"}.items():
        (out / name).write_text(text)
    owned = ["pool", "same", "c.csv", "absent"]
    server.asked.clear()
    assert publish(out, owned, url) == {"files": 4, "stored": 3, "bytes": 3}
    put = [path for method, path in server.asked if method == "PUT"]
    assert put[-1].endswith(MANIFEST) and not any(MANIFEST in path for path in put[:-1])
    assert publish(out, owned, url) == {"files": 4, "stored": 0, "bytes": 0}
    (out / "c.csv").write_text("4")
    assert publish(out, owned, url)["stored"] == 1
    written = fetch(url, tmp_path / "copy")
    assert {p.relative_to(tmp_path / "copy"): p.read_text() for p in written} == {
        Path("pool/a"): "1",
        Path("pool/b"): "2",
        Path("same"): "2",
        Path("c.csv"): "4",
    }


def test_an_interrupted_publication_has_no_manifest(server, tmp_path, monkeypatch):
    (tmp_path / "a").write_text("never seen before")
    target = f"s3://{BUCKET}/interrupted"
    server.refusals += [(503, "SlowDown")] * 200
    with pytest.raises(StoreError, match="throttled"):
        publish(tmp_path, ["a"], target)
    server.refusals.clear()
    with pytest.raises(InputError, match="nothing is published"):
        fetch(target, tmp_path / "copy")


def test_a_changed_object_is_found_by_its_checksum(server, tmp_path):
    (tmp_path / "a").write_text("right")
    url = f"s3://{BUCKET}/changed"
    publish(tmp_path, ["a"], url)
    entry = json.loads((place(url) / MANIFEST).open().read())["files"][0]
    (tmp_path / "b").write_text("wrong")
    digest = entry["sha256"]
    (place(url) / "objects" / digest[:2] / digest).put(tmp_path / "b")
    (tmp_path / "m").write_text(json.dumps({"files": [entry | {"path": "../a"}]}))
    (place(f"s3://{BUCKET}/outside") / MANIFEST).put(tmp_path / "m")
    with pytest.raises(InputError, match="does not lie below"):
        fetch(f"s3://{BUCKET}/outside", tmp_path / "copy")
    with pytest.raises(StoreError, match="not what the manifest says of .*/a"):
        fetch(url, tmp_path / "copy")
