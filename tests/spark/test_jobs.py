"""A job's outputs are whole or absent, made once, and the same after an interruption."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.files import sha256
from lensjax.errors import InputError
from spark import jobs

ITEMS = [(f"part-{i}", i) for i in range(6)]


def write(payload, path):
    if payload == "bad":
        raise InputError("x.fits: broken; fetch it again")
    if payload == "full":
        raise OSError(28, "No space left on device", "/x")
    path.write_text(f"payload {payload}\n")
    return {"value": payload}


def write_folder(payload, path):
    path.mkdir()
    for i in range(payload):
        (path / f"{i}.txt").write_text(f"{i}")
    return {"files": payload}


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("distributed", [False, True])
def test_every_item_is_written_and_listed(tmp_path, spark, distributed):
    entries = jobs.run_partitions(
        spark if distributed else None, tmp_path / "a", ITEMS, write, ".txt", "test"
    )
    assert [e["name"] for e in entries] == [n for n, _ in ITEMS]
    assert [e["counters"]["value"] for e in entries] == list(range(6))
    assert all(e["sha256"] == sha256(tmp_path / "a" / e["file"]) for e in entries)
    assert jobs.outputs(tmp_path / "a") == [tmp_path / "a" / f"part-{i}.txt" for i in range(6)]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "_SUCCESS",
        "_job.json",
        *[f"part-{i}.txt" for i in range(6)],
    ]


def test_loop_and_spark_write_the_same_bytes(tmp_path, spark):
    jobs.run_partitions(spark, tmp_path / "a", ITEMS, write, ".txt", "test")
    jobs.run_partitions(None, tmp_path / "b", ITEMS, write, ".txt", "test")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_a_restart_redoes_only_what_is_missing(tmp_path):
    jobs.run_partitions(None, tmp_path, ITEMS, write, ".txt", "test")
    before = tree(tmp_path)
    (tmp_path / "part-2.txt").unlink()
    (tmp_path / "part-4.txt").write_text("short")
    (tmp_path / ".part-3.7.partial.txt").write_text("left by a killed attempt")
    made = []
    jobs.run_partitions(
        None, tmp_path, ITEMS, lambda p, t: made.append(p) or write(p, t), ".txt", "test"
    )
    assert made == [2, 4]
    assert tree(tmp_path) == before


def test_folders_are_outputs_too(tmp_path):
    items = [("a", 2), ("b", 0), ("c", 3)]
    entries = jobs.run_partitions(None, tmp_path, items, write_folder, "", "test")
    assert [e["bytes"] for e in entries] == [2, 0, 3]
    (tmp_path / "c" / "1.txt").unlink()
    made = []
    again = jobs.run_partitions(
        None, tmp_path, items, lambda p, t: made.append(p) or write_folder(p, t), "", "test"
    )
    assert made == [3] and again == entries


@pytest.mark.parametrize("distributed", [False, True])
def test_a_refused_item_stops_the_job_or_is_quarantined(tmp_path, spark, distributed):
    session = spark if distributed else None
    items = [*ITEMS, ("part-bad", "bad"), ("part-bad2", "bad")]
    with pytest.raises(InputError, match=r"x.fits: broken; fetch it again \(and 1 more refused\)"):
        jobs.run_partitions(session, tmp_path, items, write, ".txt", "test")
    assert not (tmp_path / "_SUCCESS").exists() and (tmp_path / "part-5.txt").exists()
    with pytest.raises(InputError, match="not finished"):
        jobs.outputs(tmp_path)
    entries = jobs.run_partitions(
        session, tmp_path, items, write, ".txt", "test", on_error="quarantine"
    )
    assert entries[-1] == {"name": "part-bad2", "error": "x.fits: broken; fetch it again"}
    assert len(jobs.outputs(tmp_path)) == 6


def test_a_full_disk_is_an_oserror_that_keeps_what_is_done(tmp_path, spark):
    with pytest.raises(OSError, match="No space left") as caught:
        jobs.run_partitions(spark, tmp_path, [*ITEMS, ("late", "full")], write, ".txt", "test")
    assert caught.value.errno == 28
    made = []
    jobs.run_partitions(
        None,
        tmp_path,
        [*ITEMS, ("late", 9)],
        lambda p, t: made.append(p) or write(p, t),
        ".txt",
        "test",
    )
    assert made == [9]


def test_two_items_of_one_name_are_a_defect(tmp_path):
    with pytest.raises(ValueError, match="same name"):
        jobs.run_partitions(None, tmp_path, [("a", 1), ("a", 2)], write, ".txt", "test")


KILLED = """
import sys, time
from pathlib import Path
from spark.jobs import run_partitions
from spark.session import session

def slow(payload, path):
    time.sleep(0.15)
    path.write_text(f"payload {payload}\\n")
    return {"value": payload}

with session("killed", cores=1) as spark:
    run_partitions(spark, sys.argv[1], [(f"part-{i}", i) for i in range(30)], slow, ".txt", "test")
"""


@pytest.mark.usefixtures("java")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_job_continues_and_ends_byte_identical(tmp_path, how):
    items = [(f"part-{i}", i) for i in range(30)]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "a")],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.time() + 60
    while len(list((tmp_path / "a").glob("part-*.txt"))) < 3 and time.time() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, how)
    assert process.wait(60) != 0
    time.sleep(0.5)
    left = {p.name for p in (tmp_path / "a").glob("part-*.txt")}
    assert 3 <= len(left) < 30 and not (tmp_path / "a" / "_SUCCESS").exists()
    made = []
    jobs.run_partitions(
        None, tmp_path / "a", items, lambda p, t: made.append(p) or write(p, t), ".txt", "test"
    )
    assert made and not {f"part-{i}.txt" for i in made} & left
    jobs.run_partitions(None, tmp_path / "b", items, write, ".txt", "test")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert json.loads((tmp_path / "a" / "_job.json").read_text())["items"][7]["counters"] == {
        "value": 7
    }
