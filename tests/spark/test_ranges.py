"""A pool has the same bytes however its files are cut into ranges; every row is accounted for."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crowded_survey import CUTS, HALF, crowded, frame, made, read_whole, write, write_near_lenses
from small_survey import sweep

from data import ranges
from data.files import sha256
from data.selection import CATEGORIES
from data.survey import default
from lensjax.errors import InputError
from spark import pool as pools
from spark.pool import refused_rows


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("crowded")
    table = crowded()
    write(root / "a.fits", table)
    write(root / "b.fits", sweep(2, rows=HALF), checksum=False)
    pq.write_table(pa.Table.from_pandas(frame(table)), root / "p.parquet", row_group_size=90)
    write_near_lenses(root / "l.csv", table)
    return root


@pytest.mark.parametrize("file", ["a.fits", "b.fits", "p.parquet"])
def test_any_number_of_ranges_gives_the_bytes_of_the_file_read_whole(root, tmp_path, file):
    assert ranges.opened(root / file, 0, 1, default()) is not None
    expected = read_whole(root, file)
    counts = []
    for n in (1, 2, 7):
        (found,), table = made(root, tmp_path / str(n), [file], n)
        assert found == expected
        assert not (tmp_path / str(n) / "pool" / "_ranges").exists()
        counts.append(table)
    jobs = {sha256(tmp_path / str(n) / "pool" / "_job.json") for n in (1, 2, 7)}
    assert len(jobs) == 1 and all(counts[0].equals(c) for c in counts)
    total = counts[0].loc["total"]
    assert total["rows"] == sum(total.get(c, 0) for c in CUTS) and total["kept"] > 50
    assert total["N2"] == sum(total[c] for c in CATEGORIES)
    if file != "b.fits":
        assert total["merger_neighbour"] > 5 and total["maskbits_unknown"] == 1
        assert total["nameless"] == 1 and total["near_lens"] > 0
        reasons = [(row, why) for _, row, why in refused_rows(tmp_path / "7", [file])]
        assert [row for row, _ in reasons] == [18, 31] and reasons[1][1] == "no MASKBITS"


def test_bytes_that_are_no_text_refuse_the_file(tmp_path):
    words = b"DEV" + b"D\xffV"
    ends = pa.py_buffer(np.array([0, 3, 6], np.int32).tobytes())
    odd = pa.Array.from_buffers(pa.string(), 2, [None, ends, pa.py_buffer(words)])
    held = pa.Table.from_pandas(frame(crowded())[:2], preserve_index=False)
    at = held.column_names.index("TYPE")
    pq.write_table(held.set_column(at, "TYPE", odd), tmp_path / "p.parquet")
    found = ranges.opened(tmp_path / "p.parquet", 0, 1, default())
    with pytest.raises(InputError, match=r"p\.parquet: column TYPE holds bytes that are no text"):
        found.at("type", np.arange(2))


def test_order_of_files_and_spark_change_nothing(root, tmp_path, spark):
    one, _ = made(root, tmp_path / "one", ["a.fits", "b.fits"], 1)
    other, _ = made(root, tmp_path / "other", ["b.fits", "a.fits"], 7)
    sparked, _ = made(root, tmp_path / "spark", ["a.fits", "b.fits"], 7, spark)
    assert one == other[::-1] == sparked


def test_an_interrupted_pool_goes_on_and_does_only_what_is_missing(root, tmp_path, monkeypatch):
    files = ["a.fits", "b.fits"]
    whole, _ = made(root, tmp_path / "whole", files, 3)
    real, calls = pools.ranges.cut, []

    def failing(path, i, n, *rest):
        calls.append((path.name, i))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(path, i, n, *rest)

    monkeypatch.setattr(pools.ranges, "cut", failing)
    with pytest.raises(KeyboardInterrupt):
        made(root, tmp_path / "out", files, 3)
    again, _ = made(root, tmp_path / "out", files, 3)
    assert again == whole and calls[:2] not in (calls[3:5], calls[4:6])
    assert len(calls) == len(set(calls)) + 1
