"""Manifest in, shards out: the right records in hashed order, the others named, equal bytes."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from data import manifest, shards
from data.cutouts import read_npz, write_npz
from data.loader import load_split
from data.splits import order_key
from lensjax.errors import InputError
from spark.shards import ShardSettings, write_shards

SIZE = 9


def run(out: Path, n: int = 20) -> None:
    rows = []
    for i in range(n):
        name, path, size = f"b_{i}", f"cutouts/b/b_{i}.npz", 7 if i == 3 else SIZE
        write_npz(
            out / path,
            np.random.default_rng(i).normal(size=(size, size, 3)).astype("f4"),
            {"galaxy_id": name, "ra": 1.0, "dec": 2.0},
        )
        row = {
            "cutout_path": path,
            "galaxy_id": name,
            "label": int(i % 4 == 0),
            "split": ("train", "train", "val", "test")[i % 4],
            "sample_weight": 1.0,
        }
        row |= {"size": size, "quality_ok": i != 5, "tier": "A" if i % 4 == 0 else "N2"}
        rows.append(row | {"ra": 10.0 + i, "dec": -1.0, "psfsize_r": None if i == 2 else 1.25})
    manifest.write(out / "manifest.parquet", pa.Table.from_pylist(rows))


def digests(out: Path) -> dict[str, str]:
    folder = out / "shards"
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_every_usable_cutout_is_in_its_split_once_in_hashed_order(tmp_path):
    run(tmp_path)
    figures, left_out = write_shards(None, tmp_path, SIZE, ShardSettings(records_per_shard=4))
    assert (
        figures["records"] == {"train": 9, "val": 5, "test": 4} and figures["shards"] == 3 + 2 + 1
    )
    assert [(galaxy, "7 pixels" in reason) for _, galaxy, reason in left_out] == [("b_3", True)]
    names: list[str] = []
    for split in ("train", "val", "test"):
        found = load_split(tmp_path, split)
        keys = order_key(found["galaxy_id"])
        for name, image, ra, label in zip(
            found["galaxy_id"], found["image"], found["ra"], found["label"]
        ):
            np.testing.assert_array_equal(image, read_npz(tmp_path / f"cutouts/b/{name}.npz")[0])
            assert ra == 10.0 + int(name[2:]) and label == (int(name[2:]) % 4 == 0)
        np.testing.assert_array_equal(np.isnan(found["psfsize_r"]), found["galaxy_id"] == "b_2")
        assert sorted(keys.tolist()) == keys.tolist()
        names += found["galaxy_id"].tolist()
    assert sorted(names) == sorted(f"b_{i}" for i in range(20) if i not in (3, 5))


def test_a_missing_damaged_or_swapped_cutout_is_named(tmp_path):
    run(tmp_path)
    path = tmp_path / "cutouts/b/b_7.npz"
    whole = path.read_bytes()
    for content, reason in (
        (None, "no such cutout"),
        (whole[:300], "not a whole NPZ"),
        ((tmp_path / "cutouts/b/b_8.npz").read_bytes(), "object b_8"),
    ):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=rf"b_7\.npz: .*{reason}"):
            write_shards(None, tmp_path, SIZE, ShardSettings(records_per_shard=4))
        with pytest.raises(InputError, match="no finished shards"):
            load_split(tmp_path, "val")
    path.write_bytes(whole)
    write_shards(None, tmp_path, SIZE, ShardSettings(records_per_shard=4))
    assert len(load_split(tmp_path, "test", ("label",))["label"]) == 4


def test_nothing_usable_is_an_error(tmp_path):
    run(tmp_path)
    with pytest.raises(InputError, match="no usable cutout of 64 pixels"):
        write_shards(None, tmp_path, 64, ShardSettings())


def test_tensorflow_datasets_opens_what_spark_wrote_and_the_bytes_are_those_of_a_plain_loop(
    tmp_path, spark
):
    import tensorflow_datasets as tfds

    run(tmp_path)
    write_shards(None, tmp_path, SIZE, ShardSettings(records_per_shard=4))
    first = digests(tmp_path)
    folder = tmp_path / "shards" / shards.NAME / shards.VERSION
    (folder / "lensjax_cutouts-train.tfrecord-00001-of-00003").unlink()
    (folder / "lensjax_cutouts-test.tfrecord-00000-of-00001").write_bytes(b"half")
    write_shards(spark, tmp_path, SIZE, ShardSettings(records_per_shard=4))
    assert digests(tmp_path) == first
    builder = tfds.builder_from_directory(folder)
    assert {name: info.num_examples for name, info in builder.info.splits.items()} == {
        "train": 9,
        "val": 5,
        "test": 4,
    }
