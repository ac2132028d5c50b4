"""What `lensjax doctor` finds out about Spark: its version, and the Java that it would start."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lensjax.doctor.finding import Finding
from lensjax.errors import InputError
from spark.session import CURE, java_home

USUAL = 17
"""Java that Spark 3.5 is used with here, and the oldest that Spark 4 works on."""
OLDEST = {"3": 8, "4": USUAL}
"""The oldest Java of each version of Spark, as Spark's own documentation says."""


def findings() -> Iterator[Finding]:
    """About Spark and Java; the Java is started to ask for its version."""
    try:
        spark = version("pyspark")
    except PackageNotFoundError:
        text = "Spark is not installed, so that Java does not matter."
        yield Finding("note", text, "Install the extra `spark`, see above, for `lensjax survey`.")
        return
    try:
        home = java_home()
    except InputError as error:
        said = str(error).partition(CURE)[0].rstrip(" ;:,")
        unset = ", or unset JAVA_HOME" if "JAVA_HOME=" in said else ""
        yield Finding("broken", f"{said}.", f"Cure: {CURE}{unset}.")
        return
    program = str(Path(home) / "bin" / "java") if home else "java"
    try:
        done = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        text = f"The Java that Spark would use does not start ({program}: {error})."
        yield Finding("broken", text, f"Cure: {CURE}.", {"java": program})
        return
    yield judged(spark, program, done.stderr + done.stdout)


def judged(spark: str, program: str, said: str) -> Finding:
    """Whether a Spark works on a Java. spark: its version; said: what `java -version` prints."""
    found = re.search(r"version \"(?:1\.)?(\d+)", said)
    java = int(found[1]) if found else 0
    values = {"spark": spark, "java": java, "program": program}
    cure = f"Cure: {CURE}, or unset JAVA_HOME."
    if java < OLDEST.get(spark[:1], USUAL):
        text = f"Spark {spark} needs Java {USUAL}, and {program} is {java or 'of no version'}."
        return Finding("broken", text, cure, values)
    if spark.startswith("3.") and java != USUAL:
        text = f"Spark {spark} is tested here with Java {USUAL}, and {program} is {java}."
        return Finding("note", text, f"If `lensjax survey` fails: {CURE}.", values)
    return Finding("ok", f"Spark {spark} would use Java {java} ({program}).", values=values)
