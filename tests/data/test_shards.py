"""Shards: read by independent readers, opened by tensorflow-datasets, equal in every run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data import shards, tfrecord
from data.splits import order_key
from lensjax.errors import InputError


def rows(n: int) -> list[dict]:
    return [
        {
            "galaxy_id": f"1500p100_{i}",
            "label": i % 2,
            "split": ("train", "train", "val")[i % 3],
            "sample_weight": 0.5,
            "tier": "N1",
            "pool": None,
            "ra": 150.123456789 + i,
            "dec": -1.5,
            "healpix_128": 7,
            "nobs_z": 4,
            "psfsize_r": float("nan"),
        }
        for i in range(n)
    ]


def stamps(n: int, size: int = 9) -> np.ndarray:
    images = np.random.default_rng(1).normal(size=(n, size, size, 3)).astype("f4")
    images[0, 0, 0, 0] = np.nan
    return images


def write(folder: Path, n: int = 10, per_shard: int = 3) -> tuple[list[dict], np.ndarray]:
    table, images = rows(n), stamps(n)
    planned = shards.plan(
        [r["split"] for r in table], order_key([r["galaxy_id"] for r in table]), per_shard
    )
    written = [
        shards.write(folder / s.file, (shards.example(images[i], table[i]) for i in s.rows))
        for s in planned
    ]
    shards.finish(folder, planned, written, 9)
    return table, images


def test_masked_checksum_of_the_standard_vector():
    crc = 0xE3069283  # CRC-32C of "123456789"
    assert tfrecord.masked(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def test_grain_reads_what_we_write(tmp_path):
    grain = pytest.importorskip("grain")
    path = tmp_path / "a.tfrecord"
    records = [b"", b"x" * 1000, bytes(range(256))]
    assert tfrecord.write(path, records) == 3
    assert (
        list(grain.experimental.TFRecordIterDataset(str(path)))
        == records
        == list(tfrecord.read(path))
    )


def test_plan_orders_by_hash_whatever_the_order_of_the_rows():
    ids = np.array([f"b_{i}" for i in range(50)])
    split = np.where(np.arange(50) % 5 == 0, "test", "train")
    keys = order_key(ids)
    names = [ids[list(s.rows)].tolist() for s in shards.plan(split, keys, 16)]
    order = np.random.default_rng(0).permutation(50)
    assert [
        ids[order][list(s.rows)].tolist() for s in shards.plan(split[order], keys[order], 16)
    ] == names
    assert [s.file for s in shards.plan(split, keys, 16)] == [
        *(f"lensjax_cutouts-train.tfrecord-{i:05d}-of-00003" for i in range(3)),
        "lensjax_cutouts-test.tfrecord-00000-of-00001",
    ]
    assert [g for part in names[:3] for g in part] == sorted(
        ids[split == "train"], key=lambda g: order_key([g])[0]
    )
    with pytest.raises(InputError, match="'dev'"):
        shards.plan(["dev"], np.array([1]), 4)


def test_tensorflow_datasets_opens_them(tmp_path):
    import tensorflow_datasets as tfds

    table, images = write(tmp_path)
    builder = tfds.builder_from_directory(tmp_path)
    assert {name: info.num_examples for name, info in builder.info.splits.items()} == {
        "train": 7,
        "val": 3,
    }
    record = next(tfrecord.read(tmp_path / "lensjax_cutouts-train.tfrecord-00000-of-00003"))
    found = builder.info.features.deserialize_example_np(record)
    i = [r["galaxy_id"] for r in table].index(found["galaxy_id"].decode())
    np.testing.assert_array_equal(found["image"], images[i])
    assert (
        found["ra"] == table[i]["ra"]
        and found["label"] == table[i]["label"]
        and found["pool"] == b""
        and np.isnan(found["psfsize_r"])
    )


def test_a_second_process_writes_the_same_bytes(tmp_path):
    write(tmp_path / "a")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_shards, pathlib; "
        "test_shards.write(pathlib.Path(sys.argv[2]))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / "b")], check=True
    )
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "b").iterdir()) and len(names) == 4 + 3
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_refuses_a_row_without_a_required_value_and_a_short_shard(tmp_path):
    image, row = stamps(1)[0], rows(1)[0]
    with pytest.raises(InputError, match="1500p100_0: no sample_weight"):
        shards.example(image, {**row, "sample_weight": float("nan")})
    planned = shards.plan(["train", "train"], np.array([1, 2]), 4)
    with pytest.raises(InputError, match="1 records written, 2 planned"):
        shards.finish(
            tmp_path,
            planned,
            [shards.write(tmp_path / planned[0].file, [shards.example(image, row)])],
            9,
        )
    assert not (tmp_path / shards.INDEX).exists()
