"""What is read from, and published to, an S3 server is what lies on disk, also when it is busy."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from s3_server import BUCKET, running, upload
from small_survey import sweep, write_survey

from data import lenses, mapped, stores
from data.files import sha256
from data.publishing import MANIFEST, fetch, publish
from data.selection import Selection
from data.stores import StoreError, place
from lensjax.errors import InputError
from spark.pool import negative_pool

if absent := [m for m in ("moto", "s3fs", "flask") if importlib.util.find_spec(m) is None]:
    pytest.skip(f"{', '.join(absent)} not installed (extra s3, moto)", allow_module_level=True)

FILES = ["sweep/sweep-a.fits", "sweep/sweep-b.fits"]
URL = f"s3://{BUCKET}/dr10"
SECRET = "a-secret-of-nobody"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_survey(tmp_path_factory.mktemp("survey"), cutouts=False)


@pytest.fixture(scope="module")
def server(root):
    with running() as found, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", found.address)
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        stores._store("s3").mkdir(BUCKET)
        upload(root, URL)
        yield found
        stores._store.cache_clear()


@pytest.fixture(autouse=True)
def quickly(server, monkeypatch):
    monkeypatch.setattr(stores, "FIRST_WAIT", 0.001)
    yield
    server.refusals.clear()


def pool_of(out: Path, root, **more):
    listed, _ = lenses.read(root / "lenses.csv")
    refused = negative_pool(None, out, root, FILES, listed, Selection(), **more)
    return refused, {p.relative_to(out): sha256(p) for p in out.rglob("*") if p.is_file()}


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_the_pool_has_the_same_bytes_from_the_store_and_from_disk(root, server, tmp_path, scheme):
    there = place(f"{scheme}://{BUCKET}/dr10")
    assert pool_of(tmp_path / "store", there, range_bytes=8000) == pool_of(tmp_path / "disk", root)


def test_throttled_requests_are_repeated_and_change_nothing(root, server, tmp_path):
    server.refusals += [(503, "SlowDown")] * 3
    assert pool_of(tmp_path / "store", place(URL)) == pool_of(tmp_path / "disk", root)
    assert server.refusals == []


def test_a_store_that_stays_throttled_is_no_bad_file(root, server, tmp_path):
    listed, _ = lenses.read(root / "lenses.csv")
    server.refusals += [(503, "SlowDown")] * 1000
    with pytest.raises(OSError, match=r"turned away 6 times in \d+ s .*throttled.*run the same"):
        negative_pool(
            None, tmp_path, place(URL), FILES, listed, Selection(), on_bad_file="quarantine"
        )
    assert 1000 - len(server.refusals) <= 6 * 2 * len(FILES)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (400, "ExpiredToken", "credentials have expired; renew"),
        (403, "InvalidAccessKeyId", "does not know these credentials"),
        (403, "AccessDenied", "may not do this"),
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
    with pytest.raises(StoreError, match="not what the manifest says of a"):
        fetch(url, tmp_path / "copy")
