"""The row of a catalogue that is nearest to each lens of a list.

`of_range` finds these rows in a range of rows, `of_file` puts those of a file together from its
ranges, and `of_lenses` takes those of some lenses. All of them return Arrow tables with at most one
row for each lens: the columns of a catalogue, `lens` (the place of the lens in the list, ascending)
and `separation` (arcsec).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data import catalogue
from data.boxes import Box, inside
from data.catalogue import Columns, Lazy, at, length
from data.columns import names
from data.lenses import Lenses
from data.sky import SkyTree
from data.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Near:
    """Which rows are noted: those nearest to one of the lenses, within the horizon (arcsec)."""

    lenses: Lenses
    horizon: float


def rows_near(found: Columns | Lazy, lenses: Lenses, horizon: float) -> Columns:
    """Columns of the rows that may have a lens within the horizon, and brick_primary if there is
    one."""
    every = np.arange(length(found))
    ra, dec = at(found, "ra", every), at(found, "dec", every)
    placed = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    near = placed[lenses.tree().within(ra[placed], dec[placed], horizon * (1 + 1e-6))]
    columns = catalogue.take(found, near)
    if "brick_primary" in found:
        columns["brick_primary"] = at(found, "brick_primary", near)
    return columns


def of_rows(columns: Columns, lenses: Lenses, horizon: float, survey: Survey) -> pa.Table:
    """The nearest primary row of each lens that has one within the horizon."""
    import pyarrow as pa

    primary = columns.get("brick_primary", np.ones(len(columns["ra"]), bool))
    usable = np.isfinite(columns["ra"]) & np.isfinite(columns["dec"])
    usable &= np.ma.filled(primary, False)
    kinds = names(survey, "catalogue")
    columns = catalogue.take({k: v for k, v in columns.items() if k in kinds}, usable)
    index, separation = SkyTree(columns["ra"], columns["dec"]).nearest(lenses.ra, lenses.dec)
    lens = np.flatnonzero(separation <= horizon)
    table = catalogue.to_arrow(catalogue.take(columns, index[lens]), survey)
    return table.append_column("lens", pa.array(lens)).append_column(
        "separation", pa.array(separation[lens])
    )


def of_range(found: Columns | Lazy, where: Box, near: Near, survey: Survey) -> pa.Table:
    """As `of_rows`, of rows that have a box around them; only lenses near it are looked for."""
    here = np.flatnonzero(inside(near.lenses.ra, near.lenses.dec, where, near.horizon))
    some = near.lenses.where(here)
    table = of_rows(rows_near(found, some, near.horizon), some, near.horizon, survey)
    return _with_lens(table, here[table["lens"].to_numpy()])


def of_file(tables: Sequence[pa.Table]) -> pa.Table:
    """As `of_rows`, from the tables of the ranges that make up a file; of equally near rows the
    first."""
    import pyarrow as pa

    table = pa.concat_tables(tables)
    lens = table["lens"].to_numpy()
    order = np.lexsort((table["separation"].to_numpy(), lens))
    _, first = np.unique(lens[order], return_index=True)
    return table.take(pa.array(order[first]))


def of_lenses(table: pa.Table, chosen: np.ndarray) -> pa.Table:
    """The rows of some lenses, whose places are then those among the chosen. chosen: (m,) places in
    the list, ascending."""
    lens = table["lens"].to_numpy()
    kept = np.isin(lens, chosen)
    return _with_lens(table.filter(kept), np.searchsorted(chosen, lens[kept]))


def write(table: pa.Table, path: Path) -> None:
    """Writes a table as Parquet."""
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd", store_schema=False)


def _with_lens(table: pa.Table, lens: np.ndarray) -> pa.Table:
    import pyarrow as pa

    return table.set_column(table.schema.get_field_index("lens"), "lens", pa.array(lens))
