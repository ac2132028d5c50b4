"""The records of TFRecord shards once more, as WebDataset, ArrayRecord and Parquet.

Each shard becomes one file. Nothing is read but the shard, so that all forms hold the same records
in the same order, and equal shards give equal bytes.

webdataset
    A plain tar file (USTAR) with two members for each record: `<key>.npy`, the image (side, side,
    bands) float32 in nanomaggies, and `<key>.json`, the columns, null where a number is missing.
    The key has split, shard and record. Headers hold no time and no owner.
array_record
    The records themselves, serialised tf.train.Example, byte for byte those of the shard, in groups
    of one, so that any of them is read without its neighbours; not compressed, because the noise of
    the sky does not shrink. The package `array_record` writes it, which Grain brings along.
parquet
    A table with a row for each record: the columns, null where a number is missing, and `image`, a
    list of rows of pixels with a float32 in nanomaggies for each band. The package `datasets` of
    Hugging Face makes an array of it.
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data import loader, shards, tfrecord
from data.files import write_json
from data.survey import Survey
from lensjax.errors import InputError

Form = Literal["webdataset", "array_record", "parquet"]
FORMS: tuple[Form, ...] = get_args(Form)
INDEX = "dataset.json"
"""File beside those of a form that lists them; it is written last"""
IN_GROUPS = "group_size:1,uncompressed"
AT_ONCE = 64
"""Rows of a group of Parquet's rows, which are written and read as a whole; 8 MB of the Legacy
Surveys' stamps"""


def file_name(shard: str, form: Form) -> str:
    """Name of the file of a form for the name of a TFRecord file."""
    if form == "array_record":
        return shard.replace(".tfrecord-", ".array_record-")
    return shard.replace(".tfrecord-", "-") + (".tar" if form == "webdataset" else ".parquet")


def write(shard: Path, temporary: Path, *, form: Form, size: int, survey: Survey) -> dict[str, int]:
    """Writes the records of a shard in another form; returns how many there are. size: side of the
    cutouts. Raises InputError for a damaged shard, and where the package of the form is not
    there."""
    if form == "array_record":
        return {"records": _array_record(shard, temporary)}
    convert = _tar if form == "webdataset" else _parquet
    return {"records": convert(shard, temporary, size, survey)}


def finish(
    folder: Path,
    form: Form,
    size: int,
    survey: Survey,
    planned: Sequence[shards.Shard],
    entries: Sequence[Mapping[str, Any]],
) -> None:
    """Writes the list of the files of a form. entries: of the job, for each shard. Raises
    InputError when a file has another number of records than its shard."""
    for shard, entry in zip(planned, entries, strict=True):
        if entry["counters"]["records"] != len(shard.rows):
            raise InputError(
                f"{folder / entry['file']}: {entry['counters']['records']} records written, "
                f"{len(shard.rows)} planned; {shards.AGAIN}"
            )
    listed = [
        {
            "file": entry["file"],
            "split": shard.split,
            "records": len(shard.rows),
            "bytes": entry["bytes"],
            "sha256": entry["sha256"],
        }
        for shard, entry in zip(planned, entries, strict=True)
    ]
    kinds = {name: kind.__name__ for name, kind in shards.fields(survey).items()}
    said = {"survey": survey.name, "bands": survey.bands, "fields": kinds, "size": size}
    write_json(folder / INDEX, {"form": form, **said, "files": listed})


def _array_record(shard: Path, path: Path) -> int:
    try:
        from array_record.python.array_record_module import ArrayRecordWriter
    except ImportError:
        raise InputError(
            "array_record: this package is not installed; install it, or take array_record out of "
            "survey.shards.formats"
        ) from None
    count, writer = 0, ArrayRecordWriter(str(path), IN_GROUPS)
    try:
        for record in tfrecord.read(shard):
            writer.write(record)
            count += 1
    finally:
        try:
            writer.close()
        except RuntimeError as error:  # as it says that a disk is full, and only here
            numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            found = [n for n in numbers if os.strerror(n) in str(error)] or [errno.EIO]
            raise OSError(found[0], os.strerror(found[0]), str(path)) from None
    return count


def _examples(
    shard: Path, size: int, survey: Survey
) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Image and columns of each record; the image is the same array every time. Raises InputError
    for a record that is damaged or of another size."""
    kinds = shards.fields(survey)
    image = np.empty((size, size, len(survey.bands)), "<f4")
    for number, record in enumerate(tfrecord.read(shard)):
        columns: dict[str, list[Any]] = {name: [] for name in kinds}
        try:
            loader.decode(record, image, columns, kinds)
        except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
            raise InputError(
                f"{shard}, record {number}: not a cutout of {size} pixels ({error}); {shards.AGAIN}"
            ) from None
        yield image, {name: _plain(kinds[name], own) for name, (own,) in columns.items()}


def _tar(shard: Path, path: Path, size: int, survey: Survey) -> int:
    count = 0
    split, number = re.findall(r"-(\w+)\.tfrecord-(\d+)-of-", shard.name)[0]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for image, values in _examples(shard, size, survey):
            pixels = io.BytesIO()
            np.lib.format.write_array(pixels, image, version=(1, 0))
            text = json.dumps(values, sort_keys=True, allow_nan=False).encode()
            for ending, content in (("npy", pixels.getvalue()), ("json", text)):
                member = tarfile.TarInfo(f"{split}-{number}-{count:06d}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            count += 1
    return count


def _schema(size: int, survey: Survey) -> pa.Schema:
    """Of the Parquet form. The image has an extension type that `datasets` defines. Arrow keeps the
    name of such a type in the field's metadata, and programs that do not know it see lists."""
    image = pa.list_(pa.list_(pa.list_(pa.float32())))
    told = {
        "unit": "nanomaggy",
        "ARROW:extension:name": "datasets.features.features.Array3DExtensionType",
        "ARROW:extension:metadata": json.dumps(((size, size, len(survey.bands)), "float32")),
    }
    columns = [
        pa.field(name, pa.string() if kind is str else pa.from_numpy_dtype(kind))
        for name, kind in shards.fields(survey).items()
    ]
    return pa.schema([pa.field("image", image, metadata=told), *columns])


def _parquet(shard: Path, path: Path, size: int, survey: Survey) -> int:
    schema, count = _schema(size, survey), 0
    examples = _examples(shard, size, survey)
    with pq.ParquetWriter(
        path, schema, compression="none", use_dictionary=False, write_statistics=False
    ) as writer:
        while group := [(image.copy(), row) for image, row in islice(examples, AT_ONCE)]:
            images: Any = pa.array(np.stack([image for image, _ in group]).ravel())
            for length in (len(survey.bands), size, size):
                ends = np.arange(0, len(images) + 1, length, dtype=np.int32)
                images = pa.ListArray.from_arrays(ends, images)
            rest = pa.Table.from_pylist([row for _, row in group], pa.schema(list(schema)[1:]))
            writer.write_table(pa.table([images, *rest.columns], schema=schema))
            count += len(group)
    return count


def _plain(kind: type, value: Any) -> str | int | float | None:
    """A value of a record as JSON has it."""
    if kind is str:
        return str(value)
    if np.issubdtype(kind, np.integer):
        return int(value)
    return float(value) if math.isfinite(value) else None
