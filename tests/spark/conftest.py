"""One Spark session for the whole folder: starting Java costs seconds."""

import os
from pathlib import Path

import programs
import pytest


@pytest.fixture(scope="session")
def java() -> None:
    """Skips, by its name, where there is no Java."""
    programs.java()


@pytest.fixture(scope="session")
def spark(java):
    from spark.session import session

    before = os.environ.get("PYTHONPATH")
    here = str(Path(__file__).parent)  # so that the workers find the functions of test modules
    os.environ["PYTHONPATH"] = os.pathsep.join([here, *([before] if before else [])])
    try:
        with session("lensjax tests", cores=2) as running:
            yield running
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
