"""A survey whose driver or executor is killed (kill -9) at any point: the same command gives the
bytes of an undisturbed run, from disk and from an object store."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import programs
import pytest
import s3_server
import yaml
from small_survey import SIZE, tree, write_survey

from data import shards
from spark import survey

HERE = Path(__file__).parents[2]
FILES = "abcdefghijkl"
"""Catalogue files, enough of them that one dies while others are still to be done"""
SHARDS = f"shards/{shards.NAME}/{shards.VERSION}"
JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
KILLED = """
import os, signal, sys
from contextlib import nullcontext
from spark import survey

below, left, real = sys.argv[1], int(sys.argv[2]), os.replace

def replace(old, new):
    global left
    left -= below in str(new)
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(old, new)

os.replace, survey.session = replace, lambda *a, **k: nullcontext()
survey.command(sys.argv[3:])
"""
"""The survey without Spark, which dies before it renames a file for the n-th time in a folder"""


def arguments(inputs: dict[str, Any], out: Path) -> list[str]:
    """Of the verb: some shards of few records."""
    config = out.parent / f"{out.name}.yaml"
    few = {"sample": {"negatives_per_positive": 4}, "shards": {"records_per_shard": 3}}
    config.write_text(yaml.safe_dump({"survey": inputs | few}))
    return [str(config), "--out", str(out)]


@pytest.fixture(scope="module", params=["disk", "store"])
def inputs(request, tmp_path_factory) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Settings of a survey: on disk with its stamps, or in a store with its bricks; and those that
    give the same bytes from disk."""
    root = tmp_path_factory.mktemp(request.param) / "survey"
    if request.param == "disk":
        write_survey(root, names=FILES, rows=70)
        found = {"root": str(root), "given": ["given/*.npz"], "cutouts": {"size": SIZE}}
        yield found, found
        return
    s3_server.needed()
    write_survey(root, cutouts=False, names=FILES, rows=70, bricks=True)
    url = f"s3://{s3_server.BUCKET}/dr10"
    with s3_server.running():
        s3_server.upload(root, url)
        size = {"cutouts": {"size": SIZE}}
        yield {"root": url, **size}, {"root": str(root), **size}


def test_killed_at_three_points_and_given_again(inputs, tmp_path, monkeypatch):
    there, on_disk = inputs
    call = arguments(there, tmp_path / "killed")
    for below, after in (("pool/_ranges/", 2), ("/positives/", 3), (f"/{SHARDS}/", 4)):
        run = [sys.executable, "-c", KILLED, below, str(after), *call]
        done = subprocess.run(run, capture_output=True, text=True, timeout=300)
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert list((tmp_path / "killed" / SHARDS).glob(".*.partial*"))
    monkeypatch.setattr(survey, "session", lambda *a, **k: nullcontext())
    assert survey.command(call) == 0
    assert survey.command(arguments(on_disk, tmp_path / "whole")) == 0
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


def some_done(folder: str):
    """Whether a job has done some of its items and not all."""

    def reached(out: Path, scratch: Path) -> bool:
        return len(list((out / folder / "_done").glob("*.json"))) > 1

    return reached


def shuffling(out: Path, scratch: Path) -> bool:
    """Whether the sample's rows are being sent from executor to executor."""
    return not (out / "records" / "survey-sample.json").exists() and any(
        scratch.rglob("shuffle_*.data")
    )


POINTS = {"ranges": some_done("pool/_ranges"), "sample": shuffling, "shards": some_done(SHARDS)}
"""Where it is killed"""


@pytest.fixture(scope="module")
def submit(inputs):
    """Starts the survey on a cluster of two executors: submit(out, scratch) is the process."""
    programs.java()
    import pyspark

    from spark.session import java_home

    program = str(Path(pyspark.__file__).parent / "bin" / "spark-submit")
    environment = os.environ | {
        "JAVA_HOME": java_home(),
        "PYTHONPATH": str(HERE),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }

    def submit(out: Path, scratch: Path) -> subprocess.Popen:
        scratch.mkdir()
        master = ["--master", "local-cluster[2,1,1024]", "--driver-memory", "1g"]
        verb = [str(HERE / "lensjax" / "cli.py"), "survey", *arguments(inputs[0], out)]
        return subprocess.Popen(
            [program, *master, *verb],
            env=environment | {"SPARK_LOCAL_DIRS": str(scratch)},
            cwd=scratch,
            stdout=subprocess.DEVNULL,
            stderr=open(scratch / "log.txt", "w"),
        )

    return submit


@pytest.fixture(scope="module")
def undisturbed(submit, tmp_path_factory):
    """Every file of an undisturbed run."""
    out = tmp_path_factory.mktemp("undisturbed")
    began = time.perf_counter()
    assert submit(out / "run", out / "scratch").wait(600) == 0
    print(f"undisturbed: {time.perf_counter() - began:.0f} s")
    return tree(out / "run")


def executors(driver: int) -> list:
    """The executors of a cluster inside a driver."""
    psutil = pytest.importorskip("psutil")
    found = []
    for process in psutil.Process(driver).children():
        with suppress(psutil.Error):
            if any("CoarseGrainedExecutorBackend" in word for word in process.cmdline()):
                found.append(process)
    return found


def until(reached, process: subprocess.Popen, out: Path, scratch: Path) -> None:
    """Waits until a run has come to a point."""
    while not reached(out, scratch):
        assert process.poll() is None, (scratch / "log.txt").read_text()[-3000:]
        time.sleep(0.002)


DYING = """
import os, signal, sys, time
from pathlib import Path
from spark.jobs import run_partitions
from spark.session import session

def parent(process):
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])

def work(payload, path):
    number, once = payload
    path.mkdir()
    (path / "a").write_text(f"{number} ")
    if number == 2 and not os.path.exists(once):
        open(once, "w").close()
        os.kill(parent(os.getppid()), signal.SIGKILL)
        time.sleep(60)
    (path / "b").write_text(f"{number} ")
    return {"number": number}

out, once = sys.argv[1:]
items = [(f"part-{i}", (i, once)) for i in range(4)]
with session("dying") as spark:
    run_partitions(spark, out, items, work, "", "test")
"""
"""A job whose executor dies once, in the middle of an item: the worker's parent is Spark's daemon
of Python, and that one's is the executor."""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_an_executor_that_dies_is_replaced_and_leaves_nothing(tmp_path):
    """The short form of the test below: a job alone, on a cluster of one executor."""
    programs.java()
    import pyspark

    from spark.session import java_home

    (tmp_path / "dying.py").write_text(DYING)
    program = str(Path(pyspark.__file__).parent / "bin" / "spark-submit")
    few = [("spark.shuffle.service.enabled", "false"), ("spark.ui.enabled", "false")]
    few += [(f"spark.{who}.extraJavaOptions", JAVA) for who in ("driver", "executor")]
    call = [program, "--master", "local-cluster[1,1,1024]", "--driver-memory", "512m"]
    call += [word for key, value in few for word in ("--conf", f"{key}={value}")]
    out, once = tmp_path / "out", tmp_path / "died"
    done = subprocess.run(
        [*call, str(tmp_path / "dying.py"), str(out), str(once)],
        env=os.environ
        | {
            "JAVA_HOME": java_home(),
            "PYTHONPATH": str(HERE),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(tmp_path / "scratch"),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert once.exists() and "ExecutorLostFailure" in done.stderr
    names = [f"part-{i}" for i in range(4)]
    assert sorted(p.name for p in out.iterdir()) == ["_SUCCESS", "_job.json", *names]
    held = [sorted(p.read_text() for p in (out / name).iterdir()) for name in names]
    assert held == [[f"{i} "] * 2 for i in range(4)]


@pytest.mark.stress
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("who", ["driver", "executor"])
def test_killed_on_a_cluster(submit, undisturbed, tmp_path, who, point):
    """A dead executor is replaced while the command runs. After a dead driver, which is Java and
    Python, the command is given again at once; its executors notice on their own."""
    out, began = tmp_path / "run", time.perf_counter()
    process = submit(out, tmp_path / "scratch")
    own = []
    try:
        until(POINTS[point], process, out, tmp_path / "scratch")
        own = executors(process.pid)
        assert len(own) == 2
        if who == "executor":
            own[0].kill()
        else:
            import psutil

            driver = psutil.Process(process.pid)
            for part in (driver, *(c for c in driver.children() if c not in own)):
                part.kill()
            assert process.wait(60) == -signal.SIGKILL
        killed = time.perf_counter() - began
        step = "pool" if point == "ranges" else point
        assert not (out / "records" / f"survey-{step}.json").exists()
        if who == "driver":
            process = submit(out, tmp_path / "again")
        assert process.wait(600) == 0
    finally:
        process.kill()
        for left in own:
            with suppress(Exception):
                left.wait(30)
            with suppress(Exception):
                left.kill()
    print(
        f"{who}, {point}: killed after {killed:.0f} s, {time.perf_counter() - began:.0f} s in all"
    )
    assert tree(out) == undisturbed
