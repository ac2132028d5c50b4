"""The rows of a survey may be cut into files and ranges in any way: the pool has the same rows, and
in every file and range the counters add up to the rows."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table
from crowded_survey import CUTS, HALF, as_bytes, crowded, known, made, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from small_survey import write_lenses

from data.selection import CATEGORIES, Selection
from data.survey import default
from spark import ranges

KINDS = ["SER", "DEV", "REX", "EXP", "PSF", ""]


def survey_of(seed: int, rows: int, centre: tuple[float, float]) -> Table:
    """Rows within an arcminute of a place, so that most have neighbours; every cut removes some,
    and every kind of value is missing somewhere."""
    rng = np.random.default_rng(seed)
    table = crowded(max(rows, 30))[:rows]
    aside = rng.uniform(-30, 30, (2, rows)) / 3600
    table["RA"] = (centre[0] + aside[0] / np.cos(np.radians(centre[1]))) % 360
    table["DEC"] = centre[1] + aside[1]
    table["TYPE"] = rng.choice(KINDS, rows).astype("S3") if rows else table["TYPE"]
    for name in ("RA", "DEC", "FLUX_Z", "FLUX_R"):
        table[name][rng.random(rows) < 0.03] = np.nan
    table["OBJID"][rng.random(rows) < 0.03] = -1
    return table


def adds_up(counts) -> bool:
    return counts["rows"] == sum(counts.get(name, 0) for name in CUTS)


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 9999),
    st.integers(0, 90),
    st.lists(st.integers(0, 90), max_size=3),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
    st.sampled_from([(150.0, 2.0), (0.0, 20.0), (359.999, -17.0), (40.0, 0.0)]),
)
def test_counters_add_up_and_rows_are_the_same(seed, rows, places, n, order, centre):
    table = survey_of(seed, rows, centre)
    cuts = sorted(min(p, rows) for p in places)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_lenses(root / "l.csv", [("L", centre[0], centre[1] + 0.004, "probable")])
        table.write(root / "whole.fits")
        files = []
        for start, stop in zip([0, *cuts], [*cuts, rows], strict=True):
            files.append(f"{len(files)}.fits")
            table[start:stop].write(root / files[-1])
        order.shuffle(files)
        whole, of_whole = made(root, root / "one", ["whole.fits"])
        cut, of_cut = made(root, root / "many", files, n)
        pd.testing.assert_frame_equal(rows_of(cut), rows_of(whole))
        assert all(adds_up(row) for _, row in of_cut.iterrows())
        same = [*CUTS, "rows", "N1", "N2", *CATEGORIES]
        held = [name for name in same if name in of_whole]
        assert of_whole.loc["total", held].tolist() == of_cut.loc["total", held].tolist()
        for i in range(n):
            args = (n, Selection(), known(root).tree(), default())
            assert adds_up(ranges.cut(root / "whole.fits", i, *args).facts.counters)


def test_a_companion_in_another_file_makes_a_merger_in_bytes_too(tmp_path, spark):
    """The companions of one file's objects are in the other."""
    table = crowded()
    write_lenses(tmp_path / "l.csv", [("far", 200.0, -80.0, "probable")])
    table.write(tmp_path / "whole.fits")
    for i, piece in enumerate((table[:37], table[37:HALF], table[HALF:HALF], table[HALF:])):
        piece.write(tmp_path / f"piece-{i}.fits")
    pieces = [f"piece-{i}.fits" for i in range(4)]
    (whole,), counts = made(tmp_path, tmp_path / "whole", ["whole.fits"], 2)
    cut, other = made(tmp_path, tmp_path / "cut", pieces, 3, spark)
    shuffled, _ = made(tmp_path, tmp_path / "shuffled", pieces[::-1], 1)
    assert cut == shuffled[::-1]
    joined = pa.concat_tables([pq.read_table(io.BytesIO(p)) for p in cut]).combine_chunks()
    assert as_bytes(joined, tmp_path / "joined") == whole
    assert counts.loc["total", "merger_neighbour"] > 10
    same = [c for c in counts.columns if c not in ("refused", "release")]
    assert counts.loc["total", same].tolist() == other.loc["total", same].tolist()
