"""Sample and validation → manifest.parquet: what the catalogue says of an object, beside what was
found in its cutout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data import manifest, splits
from data.folder import UNLABELLED
from data.survey import Survey, of_run
from spark import validation

HOST = "host"


def write_manifest(
    out: Path, scheme: splits.Scheme, survey: Survey | None = None
) -> dict[str, Any]:
    """Writes manifest.parquet from sample/ and validation/; returns the figures of the verified
    split.

    Every cutout that could be read has a row; `quality_ok` tells which may be used. Hosts from
    outside the survey (cutout_type `host`) and objects without a label are left out of the figures.
    survey: the run's if none. Raises InputError when the splits leak (`data.splits.verify`).
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    survey = survey or of_run(out)
    sample = pq.read_table(out / "sample" / "sample.parquet", partitioning=None)
    table = manifest.assembled(validation.table(out), sample, survey)
    manifest.write(out / "manifest.parquet", table, survey)
    apart = pa.array([HOST, UNLABELLED])
    host = pc.is_in(table["cutout_type"], value_set=apart)
    usable = pc.sum(table["quality_ok"]).as_py() or 0
    own = table.filter(pc.invert(host))
    names = ("galaxy_id", "cutout_path", "healpix_128", "split", "label")
    figures = splits.verify(
        {name: own[name].to_numpy(zero_copy_only=False) for name in names}, scheme
    )
    return figures | {
        "hosts": pc.sum(host).as_py() or 0,
        "quality_ok": usable,
        "rejected": table.num_rows - usable,
    }
