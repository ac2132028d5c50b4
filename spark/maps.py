"""Catalogue → maps/: observing conditions on the sky (`data.skymap`), of the negative pool, or of
the sample where a table stands for catalogues."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from data import skymap, voexport
from data.config import settings
from data.files import remove
from data.hats import PROPERTIES
from data.hatsexport import export
from data.survey import Survey, default
from spark.jobs import outputs, run_partitions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARTS = "_parts"
"""Folder of the sums of every file, removed once they are put together."""
HATS, TABLES = "hats", "catalogue"
"""Folders of the run that hold the galaxies as a HATS catalogue, and as VOTable and ECSV."""


@settings
class MapSettings:
    """How fine the maps are, and the formats in which their galaxies are written besides
    Parquet."""

    nside: Annotated[int, Field(ge=1, le=8192)] = 256
    """of the HEALPix pixels, a power of 2; 256 is 0.23 degrees, about a brick"""
    more: tuple[Annotated[int, Field(ge=1, le=8192)], ...] = (128, 1024)
    """the same maps of other pixels, in folders of their own below"""
    hats: Annotated[int, Field(ge=0)] = 0
    """the pool (the sample, where a table stands for catalogues) is written as a HATS catalogue
    with at most so many rows in a partition, 1000000 for example; 0: it is not"""
    formats: tuple[voexport.Kind, ...] = ()
    """the same rows in one file each, catalogue/galaxies.vot (VOTable) and galaxies.ecsv"""

    @field_validator("nside", "more")
    @classmethod
    def _powers(cls, value: int | tuple[int, ...]) -> int | tuple[int, ...]:
        for one in value if isinstance(value, tuple) else (value,):
            if one & (one - 1):
                raise ValueError(f"nside should be a power of 2, got {one}")
        return value


def written(s: MapSettings) -> tuple[str, ...]:
    """Files of a run that say that the maps, and the catalogue, are whole."""
    catalogue = (f"{HATS}/{PROPERTIES[0]}",) if s.hats else ()
    tables = (f"{TABLES}/{voexport.file_name(kind)}" for kind in s.formats)
    return (f"maps/{skymap.GALAXIES}{skymap.ENDING}", *catalogue, *tables)


def make_maps(
    spark: SparkSession | None,
    out: Path,
    tables: Sequence[Path],
    s: MapSettings,
    survey: Survey | None = None,
) -> dict[str, Any]:
    """Writes maps/*.hsp from the rows of Parquet tables with columns of the catalogue, and the same
    maps of other pixels in maps/nside-N; the rows are read once. With `s.hats` it writes hats/, the
    rows themselves, as well, and with `s.formats` one table of each format in catalogue/. Returns
    figures. survey: the default survey if none. Raises InputError as `data.hatsexport.export` and
    `data.voexport.export` do."""
    import pandas as pd

    survey = survey or default()
    folder = out / "maps"
    finest = max((s.nside, *s.more))
    work = partial(summed, survey=survey, nside=finest)
    items = [(path.stem, path) for path in tables]
    done = run_partitions(spark, folder / PARTS, items, work, ".parquet", "maps of the sky")
    unplaced = sum(one["counters"]["without_position"] for one in done)
    parts = [pd.read_parquet(path) for path in outputs(folder / PARTS)]
    files = []
    for nside in dict.fromkeys((s.nside, *s.more)):
        below = folder if nside == s.nside else folder / f"nside-{nside}"
        below.mkdir(exist_ok=True)
        of_pixels = [skymap.coarser(part, finest, nside) for part in parts]
        files += skymap.write(below, of_pixels, survey, nside)
    pixels = pd.concat(skymap.coarser(part, finest, s.nside) for part in parts)["pixel"].nunique()
    shutil.rmtree(folder / PARTS)
    figures = {"maps": len(files), "nside": s.nside, "pixels": int(pixels)}
    if s.hats:
        remove(out / HATS)  # of a run that was killed after it
        title = f"galaxies of {survey.title}"
        figures["hats_partitions"] = export(tables, out / HATS, title, most=s.hats)["partitions"]
    if s.formats:
        remove(out / TABLES)
        title = f"galaxies of {survey.title}"
        figures["table_rows"] = voexport.export(tables, out / TABLES, s.formats, survey, title)
    return figures | ({"galaxies_without_position": unplaced} if unplaced else {})


def summed(path: Path, temporary: Path, *, survey: Survey, nside: int) -> dict[str, Any]:
    """The work on one table: its rows summed by pixel. Those without a position are left out."""
    import pyarrow.parquet as pq

    names = {"ra", "dec", *(column for column, *_ in skymap.quantities(survey).values())}
    held = [name for name in pq.read_schema(path).names if name in names]
    table = pq.read_table(path, columns=held, partitioning=None)
    columns = {name: table[name].to_pandas().to_numpy(float) for name in held}
    placed = np.isfinite(columns["ra"]) & np.isfinite(columns["dec"])
    columns = {name: values[placed] for name, values in columns.items()}
    skymap.sums(columns, survey, nside).to_parquet(temporary, index=False)
    return {"without_position": int((~placed).sum())}
