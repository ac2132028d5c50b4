"""Cutouts and their labels as TFRecord shards that tensorflow-datasets opens, written and described without TensorFlow.

    <folder>/lensjax_cutouts-train.tfrecord-00000-of-00003   tf.train.Example records, ordered by `data.splits.order_key` within the split
    <folder>/features.json, dataset_info.json                for tfds.builder_from_directory
    <folder>/shards.json                                     records, bytes, CRC32C and SHA-256 of every file; written last: it makes the folder whole

A missing text is "", a missing number NaN, a missing integer -1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from jaxtyping import Float32

from data import tfrecord
from data.files import replacing, sha256, write_json
from lensjax.errors import InputError

NAME, VERSION = "lensjax_cutouts", "1.0.0"
INDEX = "shards.json"
SPLITS = ("train", "val", "test")
# Besides the image. tf.train.Example knows no double: positions, which need one, are stored as bytes.
FIELDS: dict[str, type] = {
    "galaxy_id": str,
    "label": np.int64,
    "split": str,
    "sample_weight": np.float32,
    "tier": str,
    "pool": str,
    "confuser_category": str,
    "type": str,
    "type_bin": str,
    "nobs_z_bin": str,
    "nobs_z": np.int64,
    "ra": np.float64,
    "dec": np.float64,
    "healpix_128": np.int64,
    "ebv": np.float32,
    **{
        f"{name}_{band}": np.float32
        for name in ("psfsize", "psfdepth", "galdepth")
        for band in "grz"
    },
}
REQUIRED = ("galaxy_id", "label", "split", "sample_weight")


@dataclass(frozen=True)
class Shard:
    """One file to write: its name, its split and the rows (indices into the manifest, in order) it holds."""

    file: str
    split: str
    rows: tuple[int, ...]


def located(folder: str | Path) -> Path:
    """The folder with shards.json: the given one, or below it when it is a run's folder or its `shards`. Raises InputError when there is none."""
    for below in ("", f"{NAME}/{VERSION}", f"shards/{NAME}/{VERSION}"):
        if (Path(folder) / below / INDEX).is_file():
            return Path(folder) / below
    raise InputError(
        f"{folder}: no {INDEX} there, so no finished shards; run `lensjax survey` first"
    )


def index(folder: str | Path) -> dict[str, Any]:
    """What shards.json says: `size` of the cutouts and, per file, split, records, bytes, crc32c, sha256. Raises InputError when unreadable."""
    path = located(folder) / INDEX
    try:
        found = json.loads(path.read_text())
        _ = (
            [
                (s["file"], s["split"], s["records"], s["bytes"], s["crc32c"])
                for s in found["shards"]
            ],
            found["size"],
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise InputError(
            f"{path}: not a shard index; write the shards again with `lensjax survey --force`"
        ) from None
    return found


def plan(split: Sequence[str], keys: np.ndarray, records_per_shard: int) -> list[Shard]:
    """Which rows go to which file, in which order; the same whatever the order of the rows.

    split: of each row · keys: order_key of each row, ties by row order. An empty split gets no file.
    """
    names = np.asarray(split, dtype=str)
    unknown = set(np.unique(names)) - set(SPLITS)
    if unknown:
        raise InputError(
            f"manifest: split {sorted(unknown)[0]!r} is not one of {', '.join(SPLITS)}; rebuild the manifest"
        )
    shards = []
    for name in SPLITS:
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(np.asarray(keys)[rows], kind="stable")]
        count = -(-len(rows) // records_per_shard)
        for i, part in enumerate(np.array_split(rows, count) if count else ()):
            shards.append(
                Shard(f"{NAME}-{name}.tfrecord-{i:05d}-of-{count:05d}", name, tuple(part.tolist()))
            )
    return shards


@cache
def _features(size: int) -> Any:
    import tensorflow_datasets as tfds

    def feature(kind: type) -> Any:
        if kind is str:
            return tfds.features.Text()
        return tfds.features.Tensor(
            shape=(), dtype=kind, encoding="bytes" if kind is np.float64 else "none"
        )

    image = tfds.features.Tensor(shape=(size, size, 3), dtype=np.float32, encoding="bytes")
    return tfds.features.FeaturesDict(
        {"image": image, **{name: feature(kind) for name, kind in FIELDS.items()}}
    )


@cache
def _serializer(size: int) -> Any:
    import tensorflow_datasets as tfds

    return tfds.core.example_serializer.ExampleSerializer(_features(size).get_serialized_info())


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _scalar(name: str, value: Any) -> Any:
    kind = FIELDS[name]
    if kind is str:
        return "" if _absent(value) else str(value)
    if np.issubdtype(kind, np.integer):
        return -1 if _absent(value) else int(value)
    return np.nan if _absent(value) else kind(value)


def example(image: Float32[np.ndarray, "s s 3"], row: Mapping[str, Any]) -> bytes:
    """A serialised tf.train.Example, the same bytes for the same values. Raises InputError when a required value is missing."""
    missing = [name for name in REQUIRED if _absent(row.get(name))]
    if missing:
        raise InputError(
            f"manifest, {row.get('galaxy_id') or 'unnamed row'}: no {missing[0]}; rebuild the manifest"
        )
    values = {
        "image": np.ascontiguousarray(image, np.float32),
        **{name: _scalar(name, row.get(name)) for name in FIELDS},
    }
    encoded = _features(image.shape[0]).encode_example(values)
    # tfds' own serialize_example leaves the order of the fields to chance.
    return _serializer(image.shape[0]).get_tf_example(encoded).SerializeToString(deterministic=True)


def write(path: Path, examples: Iterable[bytes]) -> dict[str, Any]:
    """Writes one shard under a temporary name, then renames it; returns what `finish` needs to know of it."""
    with replacing(path) as temporary:
        records = tfrecord.write(temporary, examples)
        found = described(temporary, records)
    return {**found, "file": Path(path).name}


def described(path: Path, records: int) -> dict[str, Any]:
    """Size and checksums of a shard that holds so many records."""
    crc = google_crc32c.Checksum()
    with open(path, "rb") as handle:
        for _ in crc.consume(handle, 1 << 22):
            pass
    return {
        "records": records,
        "bytes": path.stat().st_size,
        "crc32c": crc.hexdigest().decode(),
        "sha256": sha256(path),
    }


def finish(
    folder: Path,
    shards: Sequence[Shard],
    written: Sequence[Mapping[str, Any]],
    size: int,
    description: str = "",
) -> Path:
    """Writes the TFDS metadata and, last, shards.json; returns its path.

    written: for each shard what `write` returned. Raises InputError when a shard holds fewer records than planned.
    """
    import tensorflow_datasets as tfds

    entries = []
    for shard, found in zip(shards, written, strict=True):
        if found["records"] != len(shard.rows):
            raise InputError(
                f"{folder / shard.file}: {found['records']} records written, {len(shard.rows)} planned; run `lensjax survey --force`"
            )
        entries.append(
            {
                "file": shard.file,
                "split": shard.split,
                **{k: found[k] for k in ("records", "bytes", "crc32c", "sha256")},
            }
        )
    pattern = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    template = tfds.core.ShardedFileTemplate(
        data_dir=folder, dataset_name=NAME, filetype_suffix="tfrecord", template=pattern
    )
    splits = [
        tfds.core.SplitInfo(
            name=name,
            shard_lengths=[e["records"] for e in entries if e["split"] == name],
            num_bytes=sum(e["bytes"] for e in entries if e["split"] == name),
            filename_template=template.replace(split=name),
        )
        for name in SPLITS
        if any(e["split"] == name for e in entries)
    ]
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=_features(size),
        split_infos=splits,
        version=VERSION,
        filename_template=template,
        check_data=False,
        description=description,
    )
    write_json(folder / INDEX, {"name": NAME, "version": VERSION, "size": size, "shards": entries})
    return folder / INDEX
