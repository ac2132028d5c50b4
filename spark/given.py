"""Existing cutouts of a survey, as far as their metadata describe the objects in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.catalogue import ONE_OBJECT
from data.columns import as_column
from data.cutouts import read_npz
from data.names import is_safe
from data.sky import separation
from data.survey import Survey, default
from lensjax.errors import InputError
from spark.pool import OnBadFile

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 2000
"""Existing cutouts whose metadata one task reads."""


def describe(
    paths: Sequence[str],
    temporary: Path,
    *,
    root: Path,
    on_bad_file: OnBadFile,
    survey: Survey | None = None,
) -> dict[str, Any]:
    """The work on a chunk of existing cutouts: what their metadata say of galaxy_id, position,
    type, exposures and brick. Raises InputError when one is refused and on_bad_file is "stop"."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"path": "string", "galaxy_id": "string", "ra": "float64", "dec": "float64"}
    kinds |= {f"nobs_{(survey or default()).selection_band}": "int64"}
    kinds |= {"brickname": "string", "type": "string"}
    rows, refused = [], []
    for path in paths:
        try:
            meta = read_npz(root / path)[1]
            meta["type"] = meta.get("type") or meta.get("match_type")
            row = {name: as_column(meta.get(name), kind) for name, kind in kinds.items()}
            row["path"] = path
            if not all(
                x is not None and abs(x) <= limit
                for x, limit in ((row["ra"], 360.0), (row["dec"], 90.0))
            ):
                raise InputError(
                    f"{path}: RA {meta['ra']}, Dec {meta['dec']} is not a position in degrees; "
                    "remove the cutout"
                )
            for key in ("galaxy_id", "brickname"):
                if row[key] and not is_safe(row[key]):
                    raise InputError(
                        f"{path}: {key} {row[key]!r} cannot be used in the name of a file; remove "
                        "the cutout"
                    )
            rows.append(row)
        except InputError as error:
            if on_bad_file == "stop":
                raise InputError(str(error)) from None
            refused.append([path, str(error)])
    made = {"string": pa.string(), "float64": pa.float64(), "int64": pa.int64()}
    schema = pa.schema([(name, made[kind]) for name, kind in kinds.items()])
    pq.write_table(pa.Table.from_pylist(rows, schema), temporary, store_schema=False)
    return {"cutouts": len(rows), "refused": refused}


def once(known: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """The first cutout of every object (galaxy_id), and the others with the reason why they are not
    used. known: path, galaxy_id, ra, dec. Raises InputError when two cutouts of one name are more
    than ONE_OBJECT apart: they are of two objects."""
    again = known.duplicated("galaxy_id").to_numpy(bool)
    if not again.any():
        return known, []
    first = known.groupby("galaxy_id")[["path", "ra", "dec"]].transform("first")[again]
    others = known[again]
    places = (first["ra"], first["dec"], others["ra"], others["dec"])
    apart = separation(*(place.to_numpy(float) for place in places))
    named = list(zip(others["path"], others["galaxy_id"], first["path"], strict=True))
    for (path, name, other), distance in zip(named, apart, strict=True):
        if distance > ONE_OBJECT:
            raise InputError(
                f"{other} and {path} are both cutouts of {name}, and are {distance:.1f} arcsec "
                "apart; give each object a name of its own, or remove one of them"
            )
    return known[~again], [(path, f"{name} is also in {other}") for path, name, other in named]
