"""Parquet files of positions as a HATS catalogue, which LSDB opens.

    export(outputs(out / "pool"), out / "hats", "negative pool of DR10")

Rows lie in the pixel of HEALPix, nested, that is as large as it can be with at most `most` rows,
sorted by their pixel of order 29 and then by name, so that the bytes depend on the rows only. Two
passes: positions first, then each pixel's rows from the files that have some. Memory is that of a
file and a pixel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.files import replacing_folder
from data.hats import PARTITIONS, PROPERTIES, Pixel
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

FINE = 29
"""Order of the pixels in the column `INDEX`"""
INDEX = f"_healpix_{FINE}"
DEEPEST = 10
"""Order of the smallest partitions, 3.4 arcmin"""


def export(
    files: Sequence[Path],
    folder: Path,
    name: str,
    ra: str = "ra",
    dec: str = "dec",
    most: int = 1_000_000,
) -> dict[str, int]:
    """Writes a HATS catalogue of the rows of Parquet files with one schema; returns how many rows
    and partitions it has.

    folder: must not be there, or be empty; it appears when it is whole. ra, dec: columns of
    positions, degrees. most: rows of a partition; pixels of order DEEPEST are not divided. Raises
    InputError where there is something in the folder, there are no rows, or a position is missing.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty; give another folder for the HATS catalogue")
    with replacing_folder(folder) as temporary:
        return _written(files, temporary, name, ra, dec, most)


def _written(
    files: Sequence[Path], folder: Path, name: str, ra: str, dec: str, most: int
) -> dict[str, int]:
    import pyarrow.parquet as pq

    written, chosen, rows = [], [], 0
    for (order, number), table in in_pixels(files, ra, dec, most):
        chosen.append((order, number))
        rows += len(table)
        below = f"Norder={order}/Dir={number // 10_000 * 10_000}/Npix={number}.parquet"
        path = folder / "dataset" / below
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd")
        footer = pq.read_metadata(path)
        footer.set_file_path(below)
        written.append(footer)
        schema = table.schema
    if not chosen:
        raise InputError("no rows to write as a HATS catalogue")
    pq.write_metadata(schema, folder / "dataset" / "_metadata", written)
    pq.write_metadata(schema, folder / "dataset" / "_common_metadata")
    lines = ["Norder,Npix", *(f"{order},{number}" for order, number in chosen)]
    (folder / PARTITIONS).write_text("\n".join(lines) + "\n")
    said = {
        "obs_collection": name.replace(" ", "_"),
        "obs_title": name,
        "dataproduct_type": "object",
        "hats_nrows": rows,
        "hats_col_ra": ra,
        "hats_col_dec": dec,
        "hats_col_healpix": INDEX,
        "hats_col_healpix_order": FINE,
        "hats_npix_suffix": ".parquet",
        "hats_max_rows": most,
        "hats_order": max(order for order, _ in chosen),
        "hats_version": "v1.0",
    }
    for file in PROPERTIES:  # readers of before 2025 look for the second
        (folder / file).write_text("".join(f"{key} = {value}\n" for key, value in said.items()))
    return {"rows": rows, "partitions": len(chosen)}


def in_pixels(
    files: Sequence[Path], ra: str, dec: str, most: int
) -> Iterator[tuple[Pixel, pa.Table]]:
    """The rows of Parquet files in the pixels of `partitions`, which are sorted by order and
    number, with the column `INDEX` in front, by which rows are sorted, and then by name. Raises
    InputError where a position is missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    held = [Counter(_pixels(path, ra, dec).tolist()) for path in files]
    counts: Counter[int] = sum(held, Counter())
    for order, number in partitions(counts, most):
        shift = 2 * (DEEPEST - order)
        some = [p for p, has in zip(files, held) if any(k >> shift == number for k in has)]
        found = [_within(pq.read_table(p, partitioning=None), ra, dec, order, number) for p in some]
        table = pa.concat_tables(found)
        keys = [(INDEX, "ascending")]
        keys += [(c, "ascending") for c in ("galaxy_id", ra, dec) if c in table.column_names]
        yield (order, number), table.sort_by(keys)


def partitions(counts: Counter[int], most: int) -> list[Pixel]:
    """The largest pixels, order and number, that hold at most so many rows, or cannot be divided.

    counts: rows in each pixel of order DEEPEST.
    """
    found: list[Pixel] = []
    order, left = 0, counts
    while left:
        shift = 2 * (DEEPEST - order)
        here: Counter[int] = Counter()
        for pixel, rows in left.items():
            here[pixel >> shift] += rows
        small = {p for p, rows in here.items() if rows <= most or order == DEEPEST}
        found += [(order, pixel) for pixel in small]
        left = Counter({p: rows for p, rows in left.items() if p >> shift not in small})
        order += 1
    return sorted(found)


def _pixels(path: Path, ra: str, dec: str, order: int = DEEPEST) -> np.ndarray:
    """The pixel of every row of a file. Raises InputError where a position is missing."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=[ra, dec], partitioning=None)
    place = table[ra].to_numpy(), table[dec].to_numpy()
    if not all(np.isfinite(x).all() for x in place):
        raise InputError(
            f"{path}: a position is missing; a HATS catalogue, and a VOTable or ECSV in its order, "
            "has none for such rows"
        )
    return _pixels_at(*place, order)


def _pixels_at(ra: np.ndarray, dec: np.ndarray, order: int) -> np.ndarray:
    import healpy

    return healpy.ang2pix(2**order, ra, dec, nest=True, lonlat=True).astype(np.int64)


def _within(table: pa.Table, ra: str, dec: str, order: int, number: int) -> pa.Table:
    """The rows in a pixel, with the column `INDEX` in front."""
    import pyarrow as pa

    fine = _pixels_at(table[ra].to_numpy(), table[dec].to_numpy(), FINE)
    inside = fine >> 2 * (FINE - order) == number
    return table.filter(pa.array(inside)).add_column(0, INDEX, pa.array(fine[inside]))
