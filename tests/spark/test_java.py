"""What `lensjax doctor` finds out about Spark and its Java."""

import pytest

from spark import doctor


@pytest.mark.parametrize(
    ("version", "said", "level"),
    [
        ("3.5.9", 'openjdk version "17.0.9" 2023', "ok"),
        ("3.5.9", 'openjdk version "21" 2023', "note"),
        ("3.5.9", "what?", "broken"),
        ("4.0.0", 'openjdk version "21.0.1" 2023', "ok"),
        ("4.0.0", 'java version "1.8.0_391"', "broken"),
    ],
)
def test_the_java_that_spark_would_use_is_judged_by_its_version(version, said, level):
    assert doctor.judged(version, "java", said).level == level


def test_a_java_home_without_java_is_broken(monkeypatch, tmp_path):
    pytest.importorskip("pyspark")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    (finding,) = doctor.findings()
    assert finding.level == "broken" and "no bin/java there" in finding.text
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").write_text("#!/bin/none\n")
    (tmp_path / "bin" / "java").chmod(0o755)
    (finding,) = doctor.findings()
    assert finding.level == "broken" and "does not start" in finding.text
