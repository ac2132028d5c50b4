"""What `--dry-run` says of files, rows, tasks, time and cost; and that it does nothing else."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crowded_survey import frame
from small_survey import ROWS, sweep, write_survey

from data.ranges import RANGE_BYTES, count
from spark import survey
from spark.cluster import Cluster
from spark.plan import NEAR, PER_TASK, POOL, START, Plan, lines, plan, seconds

DR10 = Plan(1436, 2_000_000_000, (), 1436 * 8 * RANGE_BYTES, 1436 * 8)


def test_rows_are_counted_by_headers_and_what_says_none_is_named(tmp_path):
    sweep(1).write(tmp_path / "a.fits")
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
    pq.write_table(pa.Table.from_pandas(frame(sweep(2))), tmp_path / "b.parquet")
    (tmp_path / "c.csv").write_text("ra,dec\n1,2\n")
    (tmp_path / "d.fits").write_text("<html>")
    files = ["a.fits", "a.fits.gz", "b.parquet", "c.csv", "d.fits"]
    half = -(-(tmp_path / "a.fits").stat().st_size // 2)
    found = plan(tmp_path, files, half)
    assert (found.files, found.rows) == (5, 3 * ROWS)
    assert found.ranges == sum(count(tmp_path / name, half) for name in files) > len(files)
    assert [path for path, _ in found.uncounted] == ["c.csv", "d.fits"]
    assert found.bytes == sum((tmp_path / name).stat().st_size for name in files)
    assert found.whole == (2, max((tmp_path / name).stat().st_size for name in files[1::2]))
    assert "2 files (.gz, .fz, .csv) have no ranges" in " ".join(lines(found, Cluster()))


def test_time_is_that_of_the_processors_or_of_reading():
    fast = Cluster(nodes=20, cores=16, mib_per_second=1e9)
    pool, match = seconds(DR10, fast)
    work = DR10.rows / POOL + DR10.rows / NEAR
    assert work / 320 < pool < 1.6 * work / 320
    assert 1436 * PER_TASK / 320 <= match < 0.1 * pool
    slow = Cluster(nodes=20, cores=16, mib_per_second=1.0)
    assert seconds(DR10, slow)[0] == pytest.approx(1436 * 8 * 128 / 20, rel=1e-4)
    assert seconds(DR10, slow)[1] == match
    few = Plan(1, 1000, (), 1000, 1)
    assert max(seconds(few, fast)) < 1.0


def test_cost_is_machines_times_hours_times_price():
    cluster = Cluster(nodes=20, cores=16, price=2.0)
    total = START + sum(seconds(DR10, cluster))
    said = " ".join(lines(DR10, cluster))
    assert f"costing {20 * total / 3600 * 2:.2f} at 2 an hour" in said
    assert "1,436 catalogue files, 2,000,000,000 rows" in said and "11,488 tasks" in said
    assert "costing" not in " ".join(lines(DR10, Cluster()))


def test_the_verb_prints_the_plan_and_leaves_the_run_alone(tmp_path, capsys):
    write_survey(tmp_path / "s", cutouts=False)
    out = tmp_path / "out"
    flags = ["--root", str(tmp_path / "s"), "--out", str(out), "--dry-run"]
    for more in ([], ["--force"]):
        assert survey.command([*flags, *more, "--cluster.nodes", "20"]) == 0
        said = capsys.readouterr().out
        assert f"2 catalogue files, {2 * ROWS} rows" in said and "20 machines of 2 cores" in said
        assert not out.exists()
    assert survey.command([*flags, "--test-limit", "1"]) == 0
    assert f"1 catalogue files, {ROWS} rows" in capsys.readouterr().out
