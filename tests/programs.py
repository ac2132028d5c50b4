"""Programs of the system that some tests need: a test is skipped by the name of the one that is
absent."""

import pytest

from lensjax.doctor.programs import path_of


def needed(*programs: str) -> list[str]:
    """The paths of programs on the PATH; of names with | between them, any will do. Skips the test,
    naming the first that is absent."""
    found = []
    for names in programs:
        path = path_of(names.split("|"))
        if not path:
            pytest.skip(f"no {names.replace('|', ' or ')} on this machine")
        found.append(path)
    return found


def java() -> None:
    """Skips the test where Spark would find no Java, or none of what its launch script calls."""
    from lensjax.errors import InputError
    from spark.session import java_home

    pytest.importorskip("pyspark")
    needed("bash", "dirname")
    try:
        java_home()
    except InputError as error:
        pytest.skip(f"no Java on this machine: {error}")
