"""What an audit writes for others: figures and LaTeX tables say what the tables say."""

import re
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import selection_worlds as worlds

from classifiers.audit import completeness, summary
from classifiers.intervals import weighted
from classifiers.selection import SelectionFunction, latex, plots, products, tablefile
from data.files import sha256

AXES = [asdict(axis) for axis in (*worlds.GRID.axes, *worlds.GRID.measured)]


@pytest.fixture(scope="module")
def audited():
    """Tables and summary of an audit in which one cell has few injections."""
    rows = worlds.injections(worlds.smooth, np.random.default_rng(5))
    corner = (rows["theta_e"] > 2.25) & (rows["cell_psf_fwhm"] == 1.4)
    rows = rows[~corner | (rows["source_mag"] < 23.5)]
    marginal = completeness.marginals(rows, worlds.THRESHOLDS, worlds.GRID, 100)
    treatments = pd.DataFrame(
        {
            "sentence": ["source g_r is 10% & more", "never applied"],
            "axis": "all",
            "status": ["done", "the finder cannot be asked"],
            "change": [-1.25, np.nan],
            "lo95": [-2.0, np.nan],
            "hi95": [0.25, np.nan],
            "gained": [3.0, np.nan],
            "lost": [9.0, np.nan],
            "mcnemar_p": [0.146, np.nan],
        }
    )
    own = weighted(rows["score"] > 0.5, np.ones(len(rows)), rows["galaxy_id"].to_numpy())
    said = {
        "axes": AXES,
        "thresholds": worlds.THRESHOLDS,
        "threshold_of_words": 0.5,
        "prior": "my_prior",
        "completeness": summary.overall(marginal),
        "headline": {
            "threshold": 0.5,
            "completeness": own.value,
            "systematic": {"low": 0.1, "high": 0.3},
        },
    }
    return rows, worlds.table(rows), marginal, treatments, said


@pytest.fixture(scope="module")
def written(audited, tmp_path_factory):
    _, table, marginal, treatments, said = audited
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    for folder in folders:
        products.write(folder, table, marginal, treatments, said, {"axes": AXES, "prior": "mine"})
    return folders


def test_the_same_audit_gives_the_same_bytes(written):
    one, two = ({str(p.relative_to(f)): sha256(p) for p in f.rglob("*.*")} for f in written)
    assert one == two
    assert set(one) == {
        *(f"{t}{e}" for t in ("completeness", "marginals") for e in tablefile.ENDINGS),
        *(f"latex/{t}.tex" for t in ("headline", "marginals", "treatments")),
        *(f"figures/{f}.{e}" for f in ("maps", "marginals") for e in ("pdf", "png")),
    }


def test_the_written_table_answers_as_the_counted_one(written, audited):
    wanted = SelectionFunction.of(audited[1], about={"axes": AXES})
    point = {"theta_e": [0.7, 2.5], "psf": [1.0, 1.4], "depth": 23.4, "source_mag": 24.1}
    for ending in (".fits", ".ecsv", ".parquet"):
        found = SelectionFunction.load(written[0] / f"completeness{ending}")
        assert [a.kind for a in found.axes] == ["drawn", "host", "host", "measured"]
        np.testing.assert_allclose(found.query(**point).value, wanted.query(**point).value)
        assert found.query(**point).flag.tolist() == ["insufficient"] * 2


def lines(text: str) -> list[list[str]]:
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [[c.strip() for c in row.split("&")] for row in body.split(r"\\") if row.strip()]


def test_latex_has_the_numbers_of_the_tables(written, audited):
    marginal = audited[2]
    found = lines((written[0] / "latex" / "marginals.tex").read_text())
    at = marginal[(marginal["threshold_name"] == "p0.5") & (marginal["n"] > 0)]
    assert len(found) == len(at)
    for cells, line in zip(found, at.to_dict("records")):
        assert int(cells[2]) == line["n"] and int(cells[3]) == line["hosts"]
        value, up, down = map(float, re.findall(r"[\d.]+", cells[4])[:3])
        wanted = [100 * line[k] for k in ("completeness", "hi95_hosts", "lo95_hosts")]
        assert [value, value + up, value - down] == pytest.approx(wanted, abs=0.11)
        assert ("dagger" in cells[4]) == (line["status"] != "sufficient")
    names = [cells[1] for cells in found]
    assert {"23--24", "0--10", "0.5"} <= set(names)
    head = lines((written[0] / "latex" / "headline.tex").read_text())
    assert [row[0] for row in head] == ["p0.3 ($0.3$)", "p0.5 ($0.5$)"]
    assert head[0][4] == "---" and head[1][4] == "$10.0$--$30.0$"
    assert r"prior my\_prior" in (written[0] / "latex" / "headline.tex").read_text()


def test_latex_lists_the_treatments_that_were_applied(audited):
    text = latex.treatments(audited[3])
    body = text.split(r"\midrule")[1]
    assert r"source g\_r is 10\% \& more & $-1.2^{+1.5}_{-0.8}$ & 3 & 9 & $0.146$" in body
    assert "never applied" not in text and text.count(r"\begin{") == text.count(r"\end{") == 2


@pytest.mark.parametrize(
    "text, wanted",
    [("a_b", r"a\_b"), ("50 %", r"50 \%"), (r"\x{}", r"\textbackslash{}x\{\}"), ("1e+06", "1e+06")],
)
def test_nothing_in_a_text_is_a_command(text, wanted):
    assert latex.escaped(text) == wanted


def test_maps_hatch_what_is_insufficient_and_give_no_value(audited):
    from matplotlib.figure import Figure

    whole = completeness.whole(audited[1], "p0.5")
    layout = plots.panels(whole, AXES)
    assert [a["name"] for a in (layout.across, layout.up)] == ["theta_e", "psf_fwhm"]
    assert [label for label, _ in layout.maps] == [
        "5-sigma depth in r 23.00 to 23.60 mag",
        "5-sigma depth in r 23.60 to 24.20 mag",
    ]
    for _, part in layout.maps:
        axes = Figure().add_subplot()
        plots.completeness_map(axes, part, layout.across, layout.up, layout.top, plots.PRINT)
        hatched = [p for p in axes.patches if p.get_hatch()]
        short = part[part["status"] != "sufficient"]
        assert len(axes.patches) == 15 and len(hatched) == len(short) == 1
        x, y = (int(v + 0.5) for v in hatched[0].get_xy())
        assert (x, y) == (4, 2)
        texts = [t.get_text() for t in axes.texts]
        assert texts.count(f"n={short['n'].iloc[0]}") == 1
        assert sum(t.isdigit() for t in texts) == 14


def test_a_grid_of_one_axis_has_no_map(tmp_path, audited):
    only = [a for a in AXES if a["name"] in ("theta_e", "source_mag")]
    assert plots.panels(completeness.whole(audited[1], "p0.5"), only) is None
