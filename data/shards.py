"""Cutouts and their labels as TFRecord shards that tensorflow-datasets opens.

They are written and described without TensorFlow.

    <folder>/lensjax_cutouts-train.tfrecord-00000-of-00003
        tf.train.Example records, in the order of `data.splits.order_key` within the split
    <folder>/features.json, dataset_info.json
        what tfds.builder_from_directory needs
    <folder>/shards.json
        the survey, and records, bytes, CRC32C and SHA-256 of every file; it is written last and
        makes the folder whole

The columns beside the image are those of the stage `shard` in `data.columns`. A missing text is "",
a missing number NaN, a missing integer -1. tf.train.Example knows no double, so numbers are float32
except positions, which are stored as bytes.
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

from data import columns, tfrecord
from data.files import replacing, sha256, write_json
from data.names import inside
from data.survey import OF_A_RUN, Survey, default, of_run
from lensjax.errors import InputError

NAME, VERSION = "lensjax_cutouts", "1.0.0"
INDEX = "shards.json"
SPLITS = ("train", "val", "test")
DOUBLE = ("ra", "dec")
"""Numbers that float32 cannot hold well enough."""
AGAIN = "write the shards again with `lensjax survey --force`"


def fields(survey: Survey | None = None) -> dict[str, type]:
    """What goes with the pixels of a cutout: name and type, besides the image."""
    kinds: dict[str, type] = {"string": str, "int64": np.int64, "float64": np.float32}
    return {
        name: np.float64 if name in DOUBLE else kinds[kind]
        for name, kind in columns.types(survey or default(), "shard").items()
    }


@dataclass(frozen=True)
class Shard:
    """One file to write: its name, its split, and the rows it holds (indices into the manifest, in
    order)."""

    file: str
    split: str
    rows: tuple[int, ...]


def _named(survey: Survey) -> dict[str, str]:
    """As `fields`, with the names of the types, as shards.json holds them."""
    return {name: kind.__name__ for name, kind in fields(survey).items()}


def located(folder: str | Path) -> Path:
    """The folder with shards.json: the given one, or below it when it is that of a run or its
    `shards`. Raises InputError when there is none."""
    for below in ("", f"{NAME}/{VERSION}", f"shards/{NAME}/{VERSION}"):
        if (Path(folder) / below / INDEX).is_file():
            return Path(folder) / below
    raise InputError(
        f"{folder}: no {INDEX} there, so no finished shards; run `lensjax survey` first"
    )


def index(folder: str | Path) -> dict[str, Any]:
    """What shards.json says: `survey` (name), `bands`, `fields` (columns and their types), `size`
    of the cutouts and, for each file, split, records, bytes, crc32c and sha256.

    An index of an older version names no survey; it is of the default one. Raises InputError when
    it cannot be read, when a file of it lies outside its folder, and when it is of another survey
    than the run whose folder is given.
    """
    path = located(folder) / INDEX
    try:
        found = json.loads(path.read_text())
        listed = [
            (s["file"], s["split"], s["records"], s["bytes"], s["crc32c"]) for s in found["shards"]
        ]
        found.setdefault("survey", default().name)
        found.setdefault("bands", list(default().bands))
        found.setdefault("fields", _named(default()))
        _ = found["size"] + len(found["bands"]) + len(kinds(found))
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise InputError(f"{path}: not a shard index; {AGAIN}") from None
    for file, *_ in listed:
        inside(path.parent, file, path)
    if (Path(folder) / OF_A_RUN).is_file():
        agree(found, of_run(folder), path)
    return found


def agree(listed: Mapping[str, Any], survey: Survey, where: str | Path) -> None:
    """Raises InputError when shards are of another survey, or have other bands.

    listed: what `index` returns. where: named in the error.
    """
    if listed["survey"] != survey.name or tuple(listed["bands"]) != survey.bands:
        raise InputError(
            f"{where}: shards of another survey (survey {listed['survey']!r} with bands "
            f"{','.join(listed['bands'])}; expected {survey.name!r} with {','.join(survey.bands)});"
            " use the run they belong to, or write them again with `lensjax survey --force`"
        )


def kinds(listed: Mapping[str, Any]) -> dict[str, type]:
    """Name and type of the columns that shards hold. listed: what `index` returns."""
    named = {"str": str, "int64": np.int64, "float32": np.float32, "float64": np.float64}
    return {name: named[kind] for name, kind in listed["fields"].items()}


def plan(split: Sequence[str], keys: np.ndarray, records_per_shard: int) -> list[Shard]:
    """Which rows go to which file, in which order; the same whatever the order of the rows.

    split: of each row. keys: order_key of each row; equal keys keep the order of the rows. An empty
    split gets no file.
    """
    names = np.asarray(split, dtype=str)
    unknown = set(np.unique(names)) - set(SPLITS)
    if unknown:
        raise InputError(
            f"manifest: split {sorted(unknown)[0]!r} is not one of {', '.join(SPLITS)}; rebuild "
            "the manifest"
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
def _features(size: int, bands: int, names: tuple[tuple[str, type], ...]) -> Any:
    import tensorflow_datasets as tfds

    def feature(kind: type) -> Any:
        if kind is str:
            return tfds.features.Text()
        return tfds.features.Tensor(
            shape=(), dtype=kind, encoding="bytes" if kind is np.float64 else "none"
        )

    image = tfds.features.Tensor(shape=(size, size, bands), dtype=np.float32, encoding="bytes")
    return tfds.features.FeaturesDict(
        {"image": image, **{name: feature(kind) for name, kind in names}}
    )


@cache
def _serializer(size: int, bands: int, names: tuple[tuple[str, type], ...]) -> Any:
    import tensorflow_datasets as tfds

    features = _features(size, bands, names)
    return tfds.core.example_serializer.ExampleSerializer(features.get_serialized_info())


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _scalar(kind: type, value: Any) -> Any:
    if kind is str:
        return "" if _absent(value) else str(value)
    if np.issubdtype(kind, np.integer):
        return -1 if _absent(value) else int(value)
    return np.nan if _absent(value) else kind(value)


def example(
    image: Float32[np.ndarray, "s s b"], row: Mapping[str, Any], survey: Survey | None = None
) -> bytes:
    """A serialised tf.train.Example, the same bytes for the same values.

    image: nanomaggies, bands of the survey (the default one if none). Raises InputError when a
    required value is missing.
    """
    survey = survey or default()
    missing = [c for c in columns.required(survey, "shard") if _absent(row.get(c))]
    if missing:
        raise InputError(
            f"manifest, {row.get('galaxy_id') or 'unnamed row'}: no {missing[0]}; rebuild the "
            "manifest"
        )
    named = fields(survey)
    shape = image.shape[0], image.shape[2], tuple(named.items())
    values = {
        "image": np.ascontiguousarray(image, np.float32),
        **{name: _scalar(kind, row.get(name)) for name, kind in named.items()},
    }
    encoded = _features(*shape).encode_example(values)
    # serialize_example of tensorflow-datasets leaves the order of the fields to chance.
    return _serializer(*shape).get_tf_example(encoded).SerializeToString(deterministic=True)


def write(path: Path, examples: Iterable[bytes]) -> dict[str, Any]:
    """Writes one shard under a temporary name, then renames it; returns what `finish` needs to know
    of it."""
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
    survey: Survey | None = None,
) -> Path:
    """Writes the metadata for tensorflow-datasets and, last, shards.json; returns its path.

    written: for each shard what `write` returned. survey: the default one if none. Raises
    InputError when a shard holds fewer records than planned.
    """
    import tensorflow_datasets as tfds

    survey = survey or default()
    named = fields(survey)

    entries = []
    for shard, found in zip(shards, written, strict=True):
        if found["records"] != len(shard.rows):
            raise InputError(
                f"{folder / shard.file}: {found['records']} records written, "
                f"{len(shard.rows)} planned; {AGAIN}"
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
        features=_features(size, len(survey.bands), tuple(named.items())),
        split_infos=splits,
        version=VERSION,
        filename_template=template,
        check_data=False,
        description=description,
    )
    said = {"survey": survey.name, "bands": survey.bands, "fields": _named(survey)}
    index_ = {"name": NAME, "version": VERSION, "size": size, "shards": entries}
    write_json(folder / INDEX, index_ | said)
    return folder / INDEX
