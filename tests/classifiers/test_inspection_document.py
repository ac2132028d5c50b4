"""docs/inspection.md: its commands run, on a folder with the files that it names."""

import re
import shlex
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inspections import SIDE, folder, grade
from scannable import bricks

from classifiers.inspection import verb
from classifiers.inspection.guard import addresses
from classifiers.inspection.store import GRADES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "inspection.md"
TEXT = PAGE.read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


@pytest.fixture
def place(tmp_path):
    ids, known = [f"c{i}" for i in range(20)], [f"k{i}" for i in range(60)]
    pd.DataFrame({"id": ids, "score": np.linspace(0.5, 1, 20)}).to_csv(
        tmp_path / "candidates.csv", index=False
    )
    table = pd.DataFrame({"id": known, "theta_e": np.linspace(0.5, 2.5, 60), "score": 0.9})
    table["truth"] = [("lens", "injection", "confuser", "other")[i % 4] for i in range(60)]
    table.to_csv(tmp_path / "known.csv", index=False)
    folder(tmp_path / "cutouts", ids)
    folder(tmp_path / "known", known)
    lines = []
    for low, high in ((0.5, 1.0), (1.0, 1.5), (1.5, 2.5)):
        line = {"theta_e": (low + high) / 2, "theta_e_lo": low, "theta_e_hi": high}
        line |= {"threshold_name": "0.5", "threshold": 0.5, "n": 100, "k": 50}
        lines.append({**line, "completeness": 0.5, "status": "sufficient"})
    run = tmp_path / "runs" / "mine"
    (run / "audit").mkdir(parents=True)
    (run / "survey").mkdir()
    found = bricks(run / "survey", 4).to_pandas()
    found["galaxy_id"] = [f"o{i}" for i in range(len(found))]
    found = found.rename(columns={"BRICKNAME": "brickname", "RA": "ra", "DEC": "dec"})
    (run / "candidates").mkdir()
    found.to_csv(run / "candidates" / "candidates.csv", index=False)
    pd.DataFrame(lines).to_parquet(tmp_path / "runs" / "mine" / "audit" / "completeness.parquet")
    return tmp_path


def test_commands_and_code_of_the_page_run(place, monkeypatch, capsys):
    """The server is opened and its pictures made; that it serves is tested elsewhere."""

    def opened(asked):
        pictures, of = verb.pictures_of(asked), verb.opened(asked)
        for o in map(of.object, range(1, of.count + 1)):
            assert pictures.problem(o.id) == ""
            for who in ("Anna", "Ben"):
                grade(of, who, o.number, str(np.array(list(GRADES))[o.number % 4]))
        of.close()
        return 0

    monkeypatch.setattr(verb, "serve", opened)
    with chdir(place):
        for line in "".join(blocks("sh")).replace("\\\n", " ").strip().splitlines():
            program, name, *words = shlex.split(line)
            assert (program, name) == ("lensjax", "inspect")
            size = ["--size", str(SIDE)] if words[0] == "serve" else []
            assert verb.work([*words, *size]) == 0
        names: dict = {}
        exec("".join(blocks("python")), names)
        assert 0 < names["whole"].query(theta_e=1.25).value < 0.5
        written = {p.stem for p in Path("blind/results").iterdir()}
    assert written == set(re.findall(r"^\| `(\w+)` \|", TEXT, re.M))
    assert "kappa of Anna, Ben: 1.00" in capsys.readouterr().out


def test_links_and_numbers_of_the_page_hold():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (PAGE.parent / target).exists(), target
    default = verb.Serve.__dataclass_fields__["port"].default
    assert f"{default}:localhost:{default}" in TEXT
    assert f"localhost:{default}" in addresses(default)
    for option in re.findall(r"`--([\w-]+)", TEXT):
        known = {**verb.Serve.__dataclass_fields__, **verb.Results.__dataclass_fields__}
        assert option.replace("-", "_") in known, option
