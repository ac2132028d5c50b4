"""Completeness tables as files: Parquet, CSV, ECSV and FITS.

All but CSV keep the units and meanings of the columns, and `about`, what holds for the whole table,
as JSON under the key `lensjax`: of the file's metadata (Parquet), of its `meta` (ECSV), or of the
header of its table (FITS, `LENSJAX`, beside TUNIT and TCOMM of every column). `products.about` has
its keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.audit.axes import stem_of
from classifiers.audit.injectionset import KEY
from data.files import replacing
from data.tables import read_csv
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

NEEDED = ("threshold_name", "threshold", "n", "completeness", "status")
ENDINGS = (".parquet", ".csv", ".ecsv", ".fits")
HEADER = "LENSJAX"

MEANING = {
    "axis": "axis that the line is along; all: every injection",
    "value": "cell along the axis",
    "hosts_available": "galaxies that may be hosts in this cell",
    "threshold_name": "name of the score threshold",
    "threshold": "score above which an injection counts as found",
    "n": "injections",
    "k": "injections that were found",
    "weight": "sum of the injections' weights",
    "completeness": "share of the weight that was found",
    "lo68": "lower end of the 68 % interval, injections independent",
    "hi68": "upper end of the 68 % interval, injections independent",
    "lo95": "lower end of the 95 % interval, injections independent",
    "hi95": "upper end of the 95 % interval, injections independent",
    "lo95_hosts": "lower end of the 95 % interval, hosts independent",
    "hi95_hosts": "upper end of the 95 % interval, hosts independent",
    "lo95_total": "lower end of the 95 % interval, with the threshold's own uncertainty",
    "hi95_total": "upper end of the 95 % interval, with the threshold's own uncertainty",
    "freedom": "degrees of freedom of the variance that n_eff is from",
    "n_eff": "independent injections by which it would be known as well",
    "hosts": "different hosts",
    "k_before": "injections whose host scored so high without an arc",
    "snr_p10": "10 % quantile of the arc's signal-to-noise",
    "snr_p50": "median of the arc's signal-to-noise",
    "snr_p90": "90 % quantile of the arc's signal-to-noise",
    "status": "whether there were as many injections as asked for",
}


def located(path: str | Path) -> Path:
    """The table of a run directory or of an audit's folder; a file as it is. Raises InputError when
    there is none."""
    path = Path(path)
    if path.is_dir():
        for folder in (path, path / "audit"):
            if (folder / "completeness.parquet").is_file():
                return folder / "completeness.parquet"
    if not path.is_file():
        raise InputError(f"{path}: no such completeness table; run `lensjax audit`")
    return path


def read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A completeness table and what is said of all of it. Raises InputError for a file of another
    ending, one that cannot be read, and one that is no completeness table."""
    from classifiers.selection import published

    if path.suffix not in ENDINGS:
        raise InputError(f"{path}: a completeness table ends in {', '.join(ENDINGS)}")
    try:
        found, about = _read(path)
    except Exception as error:  # four readers with their own families of errors
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path}: cannot be read as a table ({said})") from None
    if published.is_published(found):
        return published.converted(found, path)
    if missing := [c for c in NEEDED if c not in found]:
        raise InputError(f"{path}: not a completeness table, column {missing[0]!r} is missing")
    return found, about


def _read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    if path.suffix == ".csv":
        return read_csv(path, text=False), {}
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path, partitioning=None)
        about = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
        return table.to_pandas(), about
    from astropy.table import Table

    if path.suffix == ".ecsv":
        found = Table.read(path, format="ascii.ecsv")
        return found.to_pandas(), json.loads(found.meta.get(KEY.decode(), "{}"))
    found = Table.read(path, format="fits", character_as_bytes=False)
    return found.to_pandas(), json.loads(found.meta.get(HEADER, "{}"))


def write(table: pd.DataFrame, about: Mapping[str, Any], path: Path) -> None:
    """Writes a completeness table, or its marginals, in the format that the name's ending says; the
    same table gives the same bytes."""
    text = json.dumps(dict(about), sort_keys=True)
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False, float_format="%.8g")
        elif path.suffix == ".parquet":
            _write_parquet(table, about, text, temporary)
        elif path.suffix == ".ecsv":
            found = described(table, about)
            found.meta = {KEY.decode(): text}
            found.write(temporary, format="ascii.ecsv", delimiter=",")
        elif path.suffix == ".fits":
            _write_fits(described(table, about), text, temporary)
        else:
            raise InputError(f"{path}: a completeness table ends in {', '.join(ENDINGS)}")


def of_columns(table: pd.DataFrame, about: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Unit and meaning of each column, empty where there is nothing to say."""
    found = {str(c): ("", MEANING.get(str(c), "")) for c in table.columns}
    for axis in about.get("axes", ()):
        name, unit, label = axis["name"], axis["unit"], axis["label"]
        stem = stem_of(name)
        for column, words in (
            (name, f"{label}, of the cell"),
            (f"{stem}_lo", f"{label}, lower edge of the cell"),
            (f"{stem}_hi", f"{label}, upper edge of the cell"),
        ):
            if column in found:
                found[column] = (unit, words)
        bins = f"{name.removesuffix('_bin')}_bin"
        if bins in found:
            found[bins] = ("", f"bin of {label}" + (f", {unit}" if unit else ""))
    return found


def described(table: pd.DataFrame, about: Mapping[str, Any]) -> Table:
    """The table in astropy, with units and descriptions of its columns."""
    from astropy.table import Table

    found = Table.from_pandas(table)
    for name, (unit, meaning) in of_columns(table, about).items():
        found[name].unit, found[name].description = unit or None, meaning or None
    return found


def _write_parquet(table: pd.DataFrame, about: Mapping[str, Any], text: str, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = pa.Table.from_pandas(table, preserve_index=False)
    known = of_columns(table, about)
    fields = []
    for column in made.schema:
        pairs = zip(("unit", "description"), known[column.name])
        fields.append(column.with_metadata({k: v for k, v in pairs if v}))
    kept = made.schema.metadata or {}
    schema = pa.schema(fields, metadata={**kept, KEY: text.encode()})
    pq.write_table(made.cast(schema), path, compression="zstd")


def _write_fits(table: Table, text: str, path: Path) -> None:
    from astropy.io import fits

    made = fits.table_to_hdu(table)
    made.name = "COMPLETENESS"
    for i, name in enumerate(table.colnames, 1):
        if meaning := table[name].description:
            made.header[f"TCOMM{i}"] = meaning
    made.header[HEADER] = text
    fits.HDUList([fits.PrimaryHDU(), made]).writeto(path, output_verify="exception")
