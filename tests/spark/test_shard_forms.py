"""WebDataset, ArrayRecord and Parquet hold what the TFRecord shards hold, and the pages say how to
read them."""

import contextlib
import errno
import io
import json
import re
import resource
import sys
import tarfile
import types
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from test_shards_job import SIZE, digests, run

from data import shardforms, shards, tfrecord
from data.loader import load_split
from data.survey import default
from lensjax.errors import InputError
from spark.shards import ShardSettings, write_shards

PAGE = Path(__file__).resolve().parents[2] / "docs" / "shards.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
SETTINGS = ShardSettings(records_per_shard=4, formats=shardforms.FORMS)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    run(out)
    write_shards(None, out, SIZE, SETTINGS)
    return out


def listed(out, form):
    return json.loads((out / "shards" / form / "dataset.json").read_text())


def of_tar(path):
    """Keys, images and columns of a tar file, in order."""
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        contents = [archive.extractfile(member).read() for member in members]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    names = [m.name.split(".") for m in members]
    assert [e for _, e in names] == ["npy", "json"] * (len(names) // 2)
    assert [k for k, _ in names[::2]] == [k for k, _ in names[1::2]]
    images = [np.load(io.BytesIO(c)) for c in contents[::2]]
    return [k for k, _ in names[::2]], images, [json.loads(c) for c in contents[1::2]]


@pytest.mark.parametrize("split", shards.SPLITS)
def test_tar_files_have_the_examples_of_the_tfrecord_files(out, split):
    found, said = load_split(out, split), listed(out, "webdataset")
    keys, images, columns = [], [], []
    for entry in said["files"]:
        if entry["split"] == split:
            path = out / "shards" / "webdataset" / entry["file"]
            own, *rest = of_tar(path)
            assert len(own) == entry["records"] and path.stat().st_size == entry["bytes"]
            keys += own
            images += rest[0]
            columns += rest[1]
    assert len(set(keys)) == len(keys) == len(found["label"])
    assert all("." not in key and key.startswith(split) for key in keys)
    assert {image.dtype for image in images} == {np.dtype("<f4")}
    np.testing.assert_array_equal(np.stack(images), found["image"])
    assert {name: kind.__name__ for name, kind in shards.fields(default()).items()} == (
        said["fields"]
    )
    for name, kind in shards.fields(default()).items():
        values = [np.nan if row[name] is None else row[name] for row in columns]
        np.testing.assert_array_equal(np.array(values, kind), found[name], err_msg=name)
    assert (said["survey"], said["size"]) == (default().name, SIZE)


def test_array_record_files_have_the_records_of_the_tfrecord_files_byte_for_byte(out):
    module = pytest.importorskip("array_record.python.array_record_module")
    index = shards.index(out)
    entries = listed(out, "array_record")["files"]
    assert [e["split"] for e in entries] == [e["split"] for e in index["shards"]]
    for entry, shard in zip(entries, index["shards"]):
        reader = module.ArrayRecordReader(str(out / "shards" / "array_record" / entry["file"]))
        records = list(tfrecord.read(shards.located(out) / shard["file"]))
        assert reader.read_all() == records and len(records) == entry["records"]
        assert reader.read([len(records) - 1]) == records[-1:]
        reader.close()


@pytest.mark.parametrize("split", shards.SPLITS)
def test_tables_have_the_examples_of_the_tfrecord_files_and_say_their_shape(out, split):
    found, bands = load_split(out, split), len(default().bands)
    files = [e for e in listed(out, "parquet")["files"] if e["split"] == split]
    tables = [pq.read_table(out / "shards" / "parquet" / entry["file"]) for entry in files]
    assert [t.num_rows for t in tables] == [entry["records"] for entry in files]
    assert tables[0].column_names == ["image", *shards.fields(default())]
    told = tables[0].field("image").metadata
    assert told[b"unit"] == b"nanomaggy"
    assert json.loads(told[b"ARROW:extension:metadata"]) == [[SIZE, SIZE, bands], "float32"]
    rows = [row for table in tables for row in table.to_pylist()]
    images = np.array([row["image"] for row in rows], np.float32)
    np.testing.assert_array_equal(images, found["image"])
    for name, kind in shards.fields(default()).items():
        values = [np.nan if row[name] is None else row[name] for row in rows]
        np.testing.assert_array_equal(np.array(values, kind), found[name], err_msg=name)


def test_the_rows_of_a_table_are_the_same_in_groups_of_another_size(out, tmp_path, monkeypatch):
    first = shards.located(out) / shards.index(out)["shards"][0]["file"]
    tables = []
    for rows in (2, 64):
        monkeypatch.setattr(shardforms, "AT_ONCE", rows)
        path = tmp_path / f"{rows}.parquet"
        found = shardforms.write(first, path, form="parquet", size=SIZE, survey=default())
        assert found == {"records": shards.index(out)["shards"][0]["records"]}
        tables.append(pq.read_table(path))
    assert tables[0].equals(tables[1], check_metadata=True)


def test_the_shards_and_the_bytes_are_the_same_with_spark_and_a_rerun_makes_what_is_missing(
    out, tmp_path, spark
):
    run(tmp_path)
    write_shards(None, tmp_path, SIZE, ShardSettings(records_per_shard=4))
    plain = digests(tmp_path)
    assert not any("webdataset" in name or "array_record" in name for name in plain)
    write_shards(spark, tmp_path, SIZE, SETTINGS)
    whole = digests(tmp_path)
    assert whole == digests(out) and plain.items() <= whole.items()
    lost = sorted((tmp_path / "shards" / "webdataset").glob("*.tar"))[1]
    lost.unlink()
    write_shards(None, tmp_path, SIZE, SETTINGS)
    assert digests(tmp_path) == whole


def test_a_damaged_shard_and_a_missing_package_are_named(out, tmp_path, monkeypatch):
    first = shards.index(out)["shards"][0]["file"]
    content = bytearray((shards.located(out) / first).read_bytes())
    content[200] ^= 1
    (tmp_path / first).write_bytes(content)
    for form in shardforms.FORMS:
        with pytest.raises(InputError, match=r"record 0: the checksum"):
            shardforms.write(
                tmp_path / first, tmp_path / "x", form=form, size=SIZE, survey=default()
            )
    whole = shards.located(out) / first
    with pytest.raises(InputError, match=r"record 0: not a cutout of 8 pixels"):
        shardforms.write(whole, tmp_path / "x", form="webdataset", size=SIZE - 1, survey=default())
    monkeypatch.setitem(sys.modules, "array_record.python.array_record_module", None)
    with pytest.raises(InputError, match="not installed; install it, or take array_record out"):
        shardforms.write(whole, tmp_path / "x", form="array_record", size=SIZE, survey=default())


@pytest.mark.parametrize("form", shardforms.FORMS)
def test_a_file_that_does_not_fit_is_an_error_of_the_disk(out, tmp_path, form):
    first = shards.located(out) / shards.index(out)["shards"][0]["file"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OSError) as error:
            shardforms.write(first, tmp_path / "x", form=form, size=SIZE, survey=default())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.errno == errno.EFBIG


def torch_or_its_like(monkeypatch):
    """PyTorch; where it is not installed, what the page uses of it."""
    with contextlib.suppress(ImportError):
        import torch

        return torch
    data = types.SimpleNamespace(IterableDataset=object, get_worker_info=lambda: None)
    like = types.ModuleType("torch")
    like.utils, like.from_numpy = types.SimpleNamespace(data=data), np.asarray
    monkeypatch.setitem(sys.modules, "torch", like)
    return like


@pytest.fixture
def mine(out, tmp_path, monkeypatch):
    """The run where the page has it."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(out)
    monkeypatch.chdir(tmp_path)


def test_the_page_reads_what_was_written(mine, out, monkeypatch, capsys):
    pytest.importorskip("array_record.python.array_record_data_source")
    torch = torch_or_its_like(monkeypatch)
    names: dict = {}
    for block in BLOCKS[:-1]:
        exec(block, names)
    wanted, told = load_split(out, "train"), capsys.readouterr().out.splitlines()
    assert told[0].startswith(str(wanted["image"].shape)) and told[1].startswith("9 ")
    read = list(names["Cutouts"]("runs/mine/shards/webdataset", "train"))
    stamps = np.stack([np.asarray(image) for image, _ in read])
    np.testing.assert_array_equal(stamps, np.nan_to_num(wanted["image"]).transpose(0, 3, 1, 2))
    assert [label for _, label in read] == wanted["label"].tolist()
    share = types.SimpleNamespace(id=1, num_workers=2)
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: share)
    assert 0 < len(list(names["Cutouts"]("runs/mine/shards/webdataset", "train"))) < len(read)


def test_the_page_opens_the_tables_with_the_package_datasets(mine, out, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    pytest.importorskip("datasets")
    names: dict = {}
    exec(BLOCKS[-1], names)
    for split in shards.SPLITS:
        opened, wanted = names["found"][split], load_split(out, split)
        np.testing.assert_array_equal(opened[:]["image"], wanted["image"])
        assert opened[:]["label"].tolist() == wanted["label"].tolist()
        assert opened.features["image"].shape == wanted["image"].shape[1:]
