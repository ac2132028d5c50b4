"""Sample × validation → manifest.parquet: what the catalogue says of an object, beside what was found in its cutout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data import manifest, splits
from data.folder import UNLABELLED
from spark import validation

HOST = "host"


def write_manifest(out: Path, scheme: splits.Scheme) -> dict[str, Any]:
    """Writes manifest.parquet from sample/ and validation/; returns the figures of the verified split.

    Every cutout that could be read has a row; `quality_ok` tells which may be used. Hosts from outside the survey (cutout_type `host`) are in no cell
    and are left out of the figures. Raises InputError when the splits leak (`data.splits.verify`).
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = manifest.assembled(
        validation.table(out), pq.read_table(out / "sample" / "sample.parquet", partitioning=None)
    )
    manifest.write(out / "manifest.parquet", table)
    apart = pa.array([HOST, UNLABELLED])
    host = pc.is_in(table["cutout_type"], value_set=apart)
    usable = pc.sum(table["quality_ok"]).as_py() or 0
    survey = table.filter(pc.invert(host))
    names = ("galaxy_id", "cutout_path", "healpix_128", "split", "label")
    figures = splits.verify(
        {name: survey[name].to_numpy(zero_copy_only=False) for name in names}, scheme
    )
    return figures | {
        "hosts": pc.sum(host).as_py() or 0,
        "quality_ok": usable,
        "rejected": table.num_rows - usable,
    }
