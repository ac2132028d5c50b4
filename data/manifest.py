"""The manifest: one row for each cutout, in one Parquet file.

A row says all that training, evaluation and audit need to know about a cutout. The columns are
those of the stage `manifest` in `data.columns`; columns beside them, as a redshift or a flux, are
kept after these. The file says of which survey it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from data import columns
from data.files import replacing
from data.names import SAFE
from data.survey import Survey, default, of_run
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

TIERS = ("A", "B", "N1", "N2")
SPLITS = ("train", "val", "test")
SAMPLE_WEIGHTS = {
    "parity": dict.fromkeys(TIERS, 1.0),
    "audit": {"A": 1.0, "B": 0.5, "N1": 1.0, "N2": 1.0},
}
"""Sample weight of each tier under the two named schemes."""
CURE = "rebuild the manifest with `lensjax survey`"
NOT_BELOW = r"^$|^/|(^|/)\.\.(/|$)|\\|\x00"
"""Paths that are empty, absolute, or have a step upwards; as in `data.names.inside`."""


def validated(
    table: pa.Table, where: str | Path = "manifest", survey: Survey | None = None
) -> pa.Table:
    """The table with the columns of the stage `manifest`, in their order and types.

    Columns that are absent but not required become null; columns that are not of the stage come
    after those that are. where: named in errors. survey: the default survey if none.
    Raises InputError naming a required column that is absent, empty in some row, or cannot be
    converted; a label that is not 0 or 1; an unknown split or tier; a sample weight that is
    negative or not finite; a galaxy_id or cutout_path that occurs twice, or cannot be part of a
    path; and a table that is of another survey.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    survey = survey or default()
    schema = columns.schema(survey, "manifest")
    _of_survey(table, where, survey)
    required = columns.required(survey, "manifest")
    missing = [name for name in required if name not in table.column_names]
    if missing:
        raise InputError(f"{where}: column {', '.join(missing)} is missing; {CURE}")
    found = []
    for field in schema:
        if field.name not in table.column_names:
            found.append(pa.nulls(table.num_rows, field.type))
            continue
        try:
            found.append(table[field.name].cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"{where}: column {field.name} is {table[field.name].type}, expected "
                f"{field.type} ({str(error).splitlines()[0]}); {CURE}"
            ) from None
    extra = [field for field in table.schema if field.name not in schema.names]
    fields = [field.with_nullable(True) for field in schema] + extra
    found += [table[field.name] for field in extra]
    result = pa.table(found, schema=pa.schema(fields, metadata=schema.metadata))
    for name in required:
        if result[name].null_count:
            row = pc.index(pc.is_null(result[name]), True).as_py()
            raise InputError(f"{where}: row {row} has no {name}, which training needs; {CURE}")
    _check_values(result, where)
    return result


def _of_survey(table: pa.Table, where: str | Path, survey: Survey) -> None:
    """Raises InputError when a table says that it is of another survey, or has columns of a band
    that this survey does not have and none of a band that it has."""
    said = (table.schema.metadata or {}).get(b"survey", b"").decode()
    cure = f"use the run's own manifest, or the definition of its survey ({where}'s survey.yaml)"
    if said and said != survey.name:
        raise InputError(
            f"{where}: a manifest of another survey (survey {said!r}, expected {survey.name!r}); "
            f"{cure}"
        )
    stems = ("nan_count_", "has_", "psfsize_", "psfdepth_", "galdepth_")
    bands = [
        name.removeprefix(stem)
        for stem in stems
        for name in table.column_names
        if name.startswith(stem)
    ]
    foreign = [band for band in bands if band not in survey.bands]
    if foreign and not said:
        raise InputError(
            f"{where}: a manifest of another survey (it has columns of band {foreign[0]!r}, "
            f"{survey.name} has the bands {', '.join(survey.bands)}); {cure}"
        )


def _check_values(table: pa.Table, where: str | Path) -> None:
    """Raises InputError for the first row with a value that cannot be used."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, allowed in {"label": (0, 1), "split": SPLITS, "tier": TIERS}.items():
        known = pa.array([*allowed, None], type=table[name].type)
        odd = pc.invert(pc.is_in(table[name], value_set=known))
        if pc.any(odd).as_py():
            row = pc.index(odd, True).as_py()
            raise InputError(
                f"{where}: row {row} has {name} {table[name][row].as_py()!r}, expected one of "
                f"{', '.join(map(str, allowed))}"
            )
    weight = table["sample_weight"]
    odd = pc.invert(pc.and_(pc.is_finite(weight), pc.greater_equal(weight, 0.0)))
    if pc.any(odd).as_py():
        row = pc.index(odd, True).as_py()
        raise InputError(
            f"{where}: row {row} has sample_weight {weight[row].as_py()}, expected a number that "
            "is not negative"
        )
    outside = {
        "cutout_path": (
            pc.match_substring_regex(table["cutout_path"], NOT_BELOW),
            "which does not lie below the run's folder",
        ),
        "galaxy_id": (
            pc.invert(pc.match_substring_regex(table["galaxy_id"], f"^{SAFE}$")),
            "which cannot be used in the name of a file",
        ),
    }
    for name, (odd, why) in outside.items():
        odd = pc.fill_null(odd, False)
        if pc.any(odd).as_py():
            row = pc.index(odd, True).as_py()
            raise InputError(
                f"{where}: row {row} has {name} {table[name][row].as_py()!r}, {why}; remove the row"
            )
    for name in ("galaxy_id", "cutout_path"):
        present = pc.drop_null(table[name])
        if pc.count_distinct(present).as_py() < len(present):
            counts = present.value_counts()
            twice = next(c["values"].as_py() for c in counts if c["counts"].as_py() > 1)
            raise InputError(f"{where}: {name} {twice!r} occurs twice; each cutout has one row")


def assembled(cutouts: pa.Table, sample: pa.Table, survey: Survey | None = None) -> pa.Table:
    """One row for each validated cutout: what the file and its pixels say, joined to what the
    sample says of its object.

    Where both know a column (position, type, ...) the value of the sample, which is the
    catalogue's, wins. What the catalogue says beside the columns of a manifest (fluxes, shapes) is
    kept after them. A cutout of no object of the sample is a host from outside the survey: label 0,
    split test, sample weight 1, no cell and no pool. Raises InputError as `validated` does.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    survey = survey or default()
    schema = columns.schema(survey, "manifest")
    beside = [
        field
        for field in columns.schema(survey, "catalogue")
        if field.name not in schema.names and field.name in sample.column_names
    ]
    fields = [*schema, *beside]
    known = [field.name for field in fields if field.name in sample.column_names]
    right = sample.select(known).rename_columns(
        [name if name == "galaxy_id" else f"sample.{name}" for name in known]
    )
    joined = cutouts.join(right, "galaxy_id", join_type="left outer").sort_by("galaxy_id")
    made: list[pa.ChunkedArray | pa.Array] = []
    for field in fields:
        found = [
            joined[name].cast(field.type)
            for name in (f"sample.{field.name}", field.name)
            if name in joined.column_names
        ]
        value = pc.coalesce(*found) if found else pa.nulls(joined.num_rows, field.type)
        start = {"label": 0, "split": "test", "sample_weight": 1.0}.get(field.name)
        made.append(value if start is None else pc.coalesce(value, pa.scalar(start, value.type)))
    loose = pa.schema([field.with_nullable(True) for field in fields], metadata=schema.metadata)
    return validated(pa.table(made, schema=loose), survey=survey)


def write(path: str | Path, table: pa.Table, survey: Survey | None = None) -> None:
    """Validates, sorts by galaxy_id and writes; equal tables give equal bytes.

    survey: that of the run whose folder the path lies in, if none. Raises InputError as `validated`
    does.
    """
    import pyarrow.parquet as pq

    survey = survey or of_run(Path(path).parent)
    table = validated(table, path, survey).sort_by("galaxy_id")
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read(path: str | Path, survey: Survey | None = None) -> pa.Table:
    """The manifest in a file (healpix_128 stored as double is accepted).

    survey: that of the run whose folder the file lies in, if none. Raises InputError when the file
    is missing, is not Parquet, or as `validated` does; and when its usable cutouts are in other
    bands than the survey's.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such manifest; run `lensjax survey` first")
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: not a readable Parquet file ({str(error).splitlines()[0]}); rebuild it with "
            "`lensjax survey --force`"
        ) from None
    survey = survey or of_run(path.parent)
    result = validated(table, path, survey)
    odd = pc.and_(
        pc.fill_null(pc.not_equal(result["bands_requested"], survey.bands_text), False),
        pc.fill_null(result["quality_ok"], True),
    )
    if pc.any(odd).as_py():
        row = pc.index(odd, True).as_py()
        raise InputError(
            f"{path}: row {row} has bands_requested {result['bands_requested'][row].as_py()!r}, "
            f"the survey {survey.name} of this run has {survey.bands_text!r}; a manifest of "
            "another survey: put its own survey.yaml beside it, or run `lensjax survey --force`"
        )
    return result
