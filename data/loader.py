"""A whole split of the shards as arrays in memory, with every byte checked.

Nothing that is short, damaged or swapped is read silently. TensorFlow is not needed: records are
read by `data.tfrecord`, examples by the protocol buffers that tensorflow-datasets carries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from data import shards, tfrecord
from data.survey import Survey
from lensjax.errors import InputError

CURE = shards.AGAIN


def load_split(
    folder: str | Path,
    split: str,
    fields: Sequence[str] | None = None,
    survey: Survey | None = None,
) -> dict[str, np.ndarray]:
    """The records of a split in stored order: name to array of length N.

    folder: with shards.json, or that of a run. split: train, val or test; an empty array each when
    it has no records. fields: names in `shards.fields`, and "image": (N, s, s, B) float32
    nanomaggies, NaN where there is no data; everything if None. Text comes as numpy str.
    survey: what the shards must be of, if it is to be checked; those in the folder of a run are
    always checked against the run's survey.
    Raises InputError, naming file, record and reason, when a shard is missing, of another size than
    recorded, fails a checksum, or holds another number of records; on an unknown split or field;
    and when the shards are of another survey.
    """
    where, listed = shards.located(folder), shards.index(folder)
    kinds = shards.kinds(listed)
    known = ("image", *kinds)
    fields = known if fields is None else fields
    unknown = [name for name in fields if name not in known]
    if unknown or split not in shards.SPLITS:
        wrong, allowed = (unknown[0], known) if unknown else (split, shards.SPLITS)
        raise InputError(f"{folder}: {wrong!r} is not among {', '.join(allowed)}")
    if survey is not None:
        shards.agree(listed, survey, where / shards.INDEX)
    files = [entry for entry in listed["shards"] if entry["split"] == split]
    total, size = sum(entry["records"] for entry in files), listed["size"]
    shape = (total, size, size, len(listed["bands"]))
    images = np.empty(shape, np.float32) if "image" in fields else None
    columns: dict[str, list[Any]] = {name: [] for name in fields if name != "image"}
    n = 0
    for entry in files:
        n = _read(where / entry["file"], entry, images, columns, n, kinds)
    found = {} if images is None else {"image": images}
    return found | {name: np.asarray(values, dtype=kinds[name]) for name, values in columns.items()}


def _read(
    path: Path,
    entry: dict[str, Any],
    images: np.ndarray | None,
    columns: dict[str, list[Any]],
    n: int,
    kinds: Mapping[str, type],
) -> int:
    """Appends one shard's records after the first n; returns their new number."""
    content, first = _checked(path, entry), n
    for number, record in enumerate(tfrecord.records(content, path)):
        if number == entry["records"]:
            raise InputError(f"{path}: more than the {number} records of {shards.INDEX}; {CURE}")
        try:
            decode(record, images[n] if images is not None else None, columns, kinds)
        except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}, record {number}: not a cutout of {shards.NAME} {shards.VERSION} "
                f"({error}); {CURE}"
            ) from None
        n += 1
    if n - first != entry["records"]:
        raise InputError(
            f"{path}: {n - first} records, {shards.INDEX} says {entry['records']}; {CURE}"
        )
    return n


def _checked(path: Path, entry: dict[str, Any]) -> bytes:
    """Content of a shard that is as long as it was written."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: missing, {shards.INDEX} lists it; {CURE}") from None
    if (
        google_crc32c.value(content).to_bytes(4, "big").hex() == entry["crc32c"]
        and len(content) == entry["bytes"]
    ):
        return content
    # This names the damaged record, if there is one.
    for _ in tfrecord.records(content, path):
        pass
    raise InputError(
        f"{path}: whole, but not the file of {shards.INDEX} (CRC32C or size differ, "
        f"{len(content)} bytes against {entry['bytes']}); {CURE}"
    )


def decode(
    record: bytes,
    image: np.ndarray | None,
    columns: dict[str, list[Any]],
    kinds: Mapping[str, type],
) -> None:
    """Puts one serialised tf.train.Example into `image` and the columns. kinds: their types."""
    from google.protobuf.message import DecodeError
    from tensorflow_datasets.proto import tf_example_pb2

    try:
        feature = tf_example_pb2.Example.FromString(record).features.feature
    except DecodeError:
        raise ValueError("not a tf.train.Example") from None
    if image is not None:
        image[...] = np.frombuffer(feature["image"].bytes_list.value[0], np.float32).reshape(
            image.shape
        )
    for name, values in columns.items():
        kind, stored = kinds[name], feature[name]
        if kind is str:
            values.append(stored.bytes_list.value[0].decode())
        elif kind is np.float64:
            values.append(np.frombuffer(stored.bytes_list.value[0], np.float64)[0])
        else:
            values.append(
                (stored.int64_list if np.issubdtype(kind, np.integer) else stored.float_list).value[
                    0
                ]
            )
