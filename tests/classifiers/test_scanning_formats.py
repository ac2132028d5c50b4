"""Texts that mean harm are text in every format of a list, and formulas in none; a list is written
in the same bytes each time."""

import csv
import re

import numpy as np
import pytest
from astropy.io.votable import parse
from astropy.table import Table
from listable import HOSTILE, rows
from scannable import SMALL, digests

from benchmarks.scan import million
from classifiers.scanning import formats, listing, probability, ranking
from data import lenses
from data.names import as_text

READERS = {"ecsv": "ascii.ecsv", "fits": "fits", "vot": "votable"}
PLAIN = {re.sub(r"[\x00-\x1f\x7f]+", " ", name).strip() for name in HOSTILE}


@pytest.fixture(scope="module")
def table():
    """A list in which everything that may be text is hostile."""
    n = len(HOSTILE)
    found = rows(n, galaxy_id=list(HOSTILE), type=list(HOSTILE), source=list(HOSTILE))
    ranked = ranking.Ranked(("a", "b"), "a")
    best = ranking.best([found], ranked, n)
    places = (np.asarray(found[name].to_numpy()) for name in ("ra", "dec"))
    near = lenses.Lenses(np.array(HOSTILE), *places, np.array(HOSTILE))
    maps = probability.Maps({}, 0.0, {}, {})
    return listing.table(best, SMALL, ranked, maps, None, near, 1.0, None, {})


@pytest.fixture(scope="module")
def written(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("list")
    formats.write(table, {"name": "</DESCRIPTION>é"}, folder, "list", [*formats.WRITERS])
    return folder


def test_texts_are_one_line_and_otherwise_as_they_came(table):
    for name in ("galaxy_id", "known_lens", "known_grading", "type", "source"):
        assert set(table[name].to_pylist()) == PLAIN


def test_no_cell_of_text_is_a_formula_in_a_spreadsheet_and_numbers_are_numbers(table, written):
    with open(written / "list.csv", newline="", encoding="utf-8") as handle:
        heading, *lines = csv.reader(handle)
    assert len(lines) == len(HOSTILE) and {len(line) for line in lines} == {len(heading)}
    numbers = {"rank", "ra", "dec", "score"}
    for line in lines:
        cells = dict(zip(heading, line))
        for name, cell in cells.items():
            if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
                assert np.isfinite(float(cell)) and table.schema.field(name).type == "double"
        assert all(np.isfinite(float(cells[name])) for name in numbers)
    at = heading.index("galaxy_id")
    assert {line[at] for line in lines} == {as_text(text) for text in PLAIN}
    dec = [float(line[heading.index("dec")]) for line in lines]
    assert min(dec) < 0 and dec == table["dec"].to_pylist()


@pytest.mark.parametrize("kind", READERS)
def test_astropy_reads_the_texts_back(written, kind):
    found = Table.read(written / f"list.{kind}", format=READERS[kind])
    ascii_ = lambda text: text.encode("ascii", "backslashreplace").decode()
    wanted = PLAIN if kind == "ecsv" else {ascii_(text) for text in PLAIN}
    for name in ("galaxy_id", "known_lens", "type"):
        assert set(map(str, found[name])) == wanted
    if kind == "vot":
        parse(written / "list.vot", verify="exception")


def test_a_name_cannot_end_the_text_of_a_region(written):
    body = (written / "list.reg").read_text().splitlines()[2:]
    assert len(body) == len(HOSTILE)
    assert all((line.count("{"), line.count("}"), line.count("#")) == (1, 1, 1) for line in body)


def test_the_same_list_has_the_same_bytes(table, written, tmp_path):
    formats.write(table, {"name": "</DESCRIPTION>é"}, tmp_path, "list", [*formats.WRITERS])
    assert digests(tmp_path) == digests(written)


def test_the_benchmark_makes_a_list_of_every_format():
    found = million(300)
    assert found["rows"] == 300 and set(found["seconds"]) == {"ranking", "columns", "six formats"}
    assert found["total_seconds"] == pytest.approx(sum(found["seconds"].values()))
