"""The manifest: one row per cutout, everything that training, evaluation and audit need to know about it, in one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from data.files import replacing
from data.survey import of_run
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

TYPES: dict[str, str] = {
    # the cutout and where it came from
    **dict.fromkeys(("cutout_path", "filename", "galaxy_id"), "string"),
    "label": "int64",
    "cutout_type": "string",
    **dict.fromkeys(("ra", "dec"), "float64"),
    "size": "int64",
    "pixel_scale": "float64",
    **dict.fromkeys(
        ("timestamp", "pipeline_version", "cutout_url", "layer", "bands_requested", "tier"),
        "string",
    ),
    "weight": "float64",
    "nobs_z": "int64",
    **dict.fromkeys(("match_type", "brickname"), "string"),
    # what validation found in its pixels
    **dict.fromkeys(("nan_count_g", "nan_count_r", "nan_count_z"), "int64"),
    **dict.fromkeys(("nan_frac", "central_nan_frac"), "float64"),
    **dict.fromkeys(("has_g", "has_r", "has_z"), "bool"),
    **dict.fromkeys(
        (
            "core_brightness_r",
            "core_max_r",
            "annulus_brightness_r",
            "annulus_std_r",
            "outer_brightness_r",
            "radial_gradient_r",
        ),
        "float64",
    ),
    **dict.fromkeys(
        (
            "mad_r",
            "std_r",
            "median_r",
            "mean_r",
            "percentile_1_r",
            "percentile_99_r",
            "clip_frac_r",
        ),
        "float64",
    ),
    "quality_ok": "bool",
    # how it is used
    "split": "string",
    "sample_weight": "float64",
    **dict.fromkeys(("pool", "confuser_category", "nobs_z_bin", "type", "type_bin"), "string"),
    "healpix_128": "int64",
    # observing conditions
    **{
        f"{name}_{band}": "float64"
        for name in ("psfsize", "psfdepth", "galdepth")
        for band in "grz"
    },
    "ebv": "float64",
}
"""Column → type, in the order of the file."""

REQUIRED = ("cutout_path", "label", "split", "sample_weight")
"""Columns training needs: never null. `tier` is needed for strata; every other column may be null."""

TIERS = ("A", "B", "N1", "N2")
SPLITS = ("train", "val", "test")
SAMPLE_WEIGHTS = {
    "parity": dict.fromkeys(TIERS, 1.0),
    "audit": {"A": 1.0, "B": 0.5, "N1": 1.0, "N2": 1.0},
}
"""Sample weight of each tier under the two named schemes."""


NOT_BELOW = r"^$|^/|(^|/)\.\.(/|$)|\\|\x00"
"""Paths that are empty, absolute, or have a step upwards; as in `data.names.inside`."""


def schema() -> pa.Schema:
    """Arrow schema of the manifest."""
    import pyarrow as pa

    make = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
    return pa.schema(
        [pa.field(name, make[kind], nullable=name not in REQUIRED) for name, kind in TYPES.items()]
    )


def validated(table: pa.Table, where: str | Path = "manifest") -> pa.Table:
    """The table with the schema's columns, order and types; columns that are absent but not required become null, unknown ones are dropped.

    where: named in errors. Raises InputError naming a required column that is absent, empty in some row, or not convertible; a label that is not 0 or 1;
    an unknown split or tier; a sample weight that is negative or not finite; a galaxy_id or cutout_path that occurs twice.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise InputError(
            f"{where}: column {', '.join(missing)} is missing; rebuild the manifest with `lensjax survey`"
        )
    columns = []
    for field in schema():
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        try:
            columns.append(table[field.name].cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"{where}: column {field.name} is {table[field.name].type}, expected {field.type} ({str(error).splitlines()[0]})"
            ) from None
    result = pa.table(columns, schema=pa.schema([field.with_nullable(True) for field in schema()]))
    for name in REQUIRED:
        if result[name].null_count:
            row = pc.index(pc.is_null(result[name]), True).as_py()
            raise InputError(f"{where}: row {row} has no {name}, which training needs")
    for name, allowed in {"label": (0, 1), "split": SPLITS, "tier": TIERS}.items():
        odd = pc.invert(
            pc.is_in(result[name], value_set=pa.array([*allowed, None], type=result[name].type))
        )
        if pc.any(odd).as_py():
            row = pc.index(odd, True).as_py()
            raise InputError(
                f"{where}: row {row} has {name} {result[name][row].as_py()!r}, expected one of {', '.join(map(str, allowed))}"
            )
    weight = result["sample_weight"]
    odd = pc.invert(pc.and_(pc.is_finite(weight), pc.greater_equal(weight, 0.0)))
    if pc.any(odd).as_py():
        row = pc.index(odd, True).as_py()
        raise InputError(
            f"{where}: row {row} has sample_weight {weight[row].as_py()}, expected a number that is not negative"
        )
    outside = pc.match_substring_regex(result["cutout_path"], NOT_BELOW)
    if pc.any(outside).as_py():
        row = pc.index(outside, True).as_py()
        raise InputError(
            f"{where}: row {row} has cutout_path {result['cutout_path'][row].as_py()!r}, which does not "
            "lie below the run's folder; remove the row"
        )
    for name in ("galaxy_id", "cutout_path"):
        present = pc.drop_null(result[name])
        if pc.count_distinct(present).as_py() < len(present):
            counts = present.value_counts()
            twice = next(c["values"].as_py() for c in counts if c["counts"].as_py() > 1)
            raise InputError(f"{where}: {name} {twice!r} occurs twice; each cutout has one row")
    return result


def assembled(cutouts: pa.Table, sample: pa.Table) -> pa.Table:
    """One row per validated cutout, with the schema's columns: what the file and its pixels say, joined to what the sample says of its object.

    Where both know a column (position, type, ...) the sample's value, from the catalogue, wins. A cutout of no object of the sample is an external host:
    label 0, split test, sample weight 1, no cell and no pool. Raises InputError as `validated` does.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    known = [name for name in sample.column_names if name in TYPES]
    right = sample.select(known).rename_columns(
        [name if name == "galaxy_id" else f"sample.{name}" for name in known]
    )
    joined = cutouts.join(right, "galaxy_id", join_type="left outer").sort_by("galaxy_id")
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for field in schema():
        found = [
            joined[name].cast(field.type)
            for name in (f"sample.{field.name}", field.name)
            if name in joined.column_names
        ]
        columns[field.name] = (
            pc.coalesce(*found) if found else pa.nulls(joined.num_rows, field.type)
        )
    for name, value in {"label": 0, "split": "test", "sample_weight": 1.0}.items():
        columns[name] = pc.coalesce(columns[name], pa.scalar(value, columns[name].type))
    return validated(pa.table(columns))


def write(path: str | Path, table: pa.Table) -> None:
    """Validates, sorts by galaxy_id and writes; equal tables give equal bytes. Raises InputError as `validated` does."""
    import pyarrow.parquet as pq

    table = validated(table, path).sort_by("galaxy_id")
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", store_schema=False)


def read(path: str | Path) -> pa.Table:
    """The manifest with exactly the schema's columns (healpix_128 stored as double is accepted).

    Raises InputError when the file is missing, is not Parquet, or as `validated` does; and when its
    usable cutouts are in other bands than those of the survey that the run was made for.
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
            f"{path}: not a readable Parquet file ({str(error).splitlines()[0]}); rebuild it with `lensjax survey --force`"
        ) from None
    result, survey = validated(table, path), of_run(path.parent)
    odd = pc.and_(
        pc.fill_null(pc.not_equal(result["bands_requested"], survey.bands_text), False),
        pc.fill_null(result["quality_ok"], True),
    )
    if pc.any(odd).as_py():
        row = pc.index(odd, True).as_py()
        raise InputError(
            f"{path}: row {row} has bands_requested {result['bands_requested'][row].as_py()!r}, the "
            f"survey {survey.name} of this run has {survey.bands_text!r}; this manifest is of another "
            "survey: put its own survey.yaml beside it, or run `lensjax survey --force`"
        )
    return result
