"""The page of two runs: differences with the right intervals, and what is not compared by name."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import twin_runs
import tyro
from scipy import stats
from twin_runs import GRID, HOSTS, THRESHOLD, found, injections, twin

from classifiers.audit.axes import Axis, Grid
from classifiers.evaluation.comparison import delong
from classifiers.report.changes import completeness, evaluations, pair, settings, verdicts
from classifiers.report.changes.verb import Two, work
from lensjax.cli import main
from lensjax.errors import InputError

LOW, HIGH = 0.2, 0.3
"""Slopes of the completeness of the two finders."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return twin(folder / "old", LOW, 1.5), twin(folder / "new", HIGH, 2.0, epochs=5)


def compared(first, second):
    return completeness.compared(pair.read(first, second))


def line(table, axis="all", value="all"):
    which = (table["axis"] == axis) & (table["value"] == value)
    (row,) = table[which & (table["threshold_name"] == THRESHOLD)].to_dict("records")
    return row


def truth(low=0.5, high=2.5):
    """Mean difference of the two finders' completeness over a range of radii, percentage points."""
    theta_e = np.linspace(low, high, 10_001)
    return 100 * float(np.mean(found(theta_e, HIGH) - found(theta_e, LOW)))


def test_the_same_injections_are_compared_in_pairs(runs):
    """Counts are those of the two tables; the interval is Student's over hosts, by hand."""
    result = compared(*runs)
    row = line(result.table)
    one, two = (injections(slope)["score"].to_numpy() > 0.5 for slope in (LOW, HIGH))
    assert (row["gained"], row["lost"]) == ((two & ~one).sum(), (one & ~two).sum())
    assert row["way"] == "paired" and "the same 360 injections" in result.words[0]
    step = 100 * (two.astype(float) - one).reshape(HOSTS, -1).mean(1)
    assert row["difference"] == pytest.approx(step.mean())
    squares = (step - step.mean()) ** 2  # few hosts carry the variance (`intervals.mean`)
    freedom = min(squares.sum() ** 2 / (squares**2).sum(), HOSTS - 1)
    half = stats.sem(step) * stats.t.ppf(0.975, freedom)
    assert row["hi95"] - row["difference"] == pytest.approx(half)
    lost, moved = int(row["lost"]), int(row["gained"] + row["lost"])
    assert row["mcnemar_p"] == pytest.approx(stats.binomtest(lost, moved).pvalue)
    for axis, value, ends in (("all", "all", ()), ("theta_e", "1.0", (0.5, 1.5)),
                              ("theta_e", "2.0", (1.5, 2.5)), ("psf_fwhm", "1.1", ()),
                              ("source_mag", "23-24.5", ())):  # fmt: skip
        row = line(result.table, axis, value)
        error = (row["hi95"] - row["lo95"]) / 4
        assert abs(row["difference"] - truth(*ends)) < 3 * error, axis
    assert result.axes_apart == result.apart == []


def test_other_injections_are_independent_with_a_wider_interval(runs, tmp_path):
    other = twin(tmp_path / "other", HIGH, 2.0)
    twin_runs.add_audit(other, injections(HIGH, seed=7))
    row, close = line(compared(runs[0], other).table), line(compared(*runs).table)
    assert row["way"] == "independent" and np.isnan(row["gained"])
    assert row["lo95"] < truth() < row["hi95"]
    assert row["hi95"] - row["lo95"] > 1.5 * (close["hi95"] - close["lo95"])
    # Newcombe's interval by hand, from the intervals of both.
    below = np.hypot(row["completeness_second"] - row["lo95_second"],
                     row["hi95_first"] - row["completeness_first"])  # fmt: skip
    assert row["difference"] - row["lo95"] == pytest.approx(100 * below)
    twin_runs.add_audit(other, injections(HIGH).head(300))
    result = compared(runs[0], other)
    assert result.way == "independent" and "300 of them are in both" in result.words[0]


def test_other_populations_and_axes_are_named_and_not_compared(runs, tmp_path):
    other = twin(tmp_path / "other", HIGH, 2.0)
    twin_runs.add_audit(other, injections(HIGH), prior=("wider", {"n": 2.0, "q": 0.5}))
    result = compared(runs[0], other)
    assert result.table["difference"].isna().all() and set(result.table["axis"]) == {"all"}
    named = [("prior of the arcs.n", "1.0", "2.0"), ("prior of the arcs.q", "—", "0.5")]
    assert result.apart == named

    finer = Axis("psf_fwhm", "PSF FWHM", "arcsec", "host", "psf", edges=(1.0, 1.1, 1.2, 1.4))
    grid = Grid(GRID.drawn, (finer,), GRID.measured)
    twin_runs.add_audit(other, injections(HIGH, 3, grid), grid)
    result = compared(runs[0], other)
    assert set(result.table["axis"]) == {"all", "theta_e", "source_mag"} and not result.apart
    ((name, one, two),) = result.axes_apart
    assert name == "psf_fwhm" and one == "host: 1-1.2, 1.2-1.4" and two.startswith("host: 1-1.1, ")


def test_evaluations_of_the_same_objects_are_paired(runs):
    result = evaluations.compared(pair.read(*runs))
    table = result.table.set_index("figure")
    one, two = (pd.read_parquet(run / "evaluation" / "scores.parquet") for run in runs)
    tested = delong(one["label"].to_numpy(), one["score"].to_numpy(), two["score"].to_numpy())
    auc = table.loc["roc_auc"]
    assert result.way == "paired" and auc["p_value"] == pytest.approx(tested.p)
    assert auc["difference"] == pytest.approx(tested.second - tested.first)
    assert auc["lo95"] < auc["difference"] < auc["hi95"]
    lens = (one["label"] == 1).to_numpy()
    passed = [t["score"].to_numpy()[lens] > 0.5 for t in (one, two)]
    recall = table.loc["recall_at_0.5"]
    assert recall["gained"] == (passed[1] & ~passed[0]).sum()
    assert recall["first"] == pytest.approx(passed[0].mean())
    assert table.loc["recall_at_fpr_1e-3", "status"].startswith("insufficient")


def test_evaluations_that_draw_cells_have_no_test_that_takes_objects_as_independent(runs, tmp_path):
    both = [twin_runs.twin(tmp_path / name, LOW, q) for name, q in (("a", 1.5), ("b", 2.0))]
    for run in both:
        path = run / "evaluation" / "metrics.json"
        path.write_text(path.read_text().replace('"of": "objects"', '"of": "healpix"'))
    result, free = (evaluations.compared(pair.read(*of)) for of in (both, runs))
    tested, known = (of.table.set_index("figure")["p_value"].notna() for of in (result, free))
    assert tested.index[tested].tolist() == ["roc_auc"] and known["recall_at_0.5"]
    assert "McNemar" not in result.words[0] and "McNemar" in free.words[0]


def test_evaluations_of_other_objects_are_independent_or_named(runs, tmp_path):
    other = twin(tmp_path / "other", HIGH, 2.0)
    twin_runs.add_evaluation(other, 2.0, seed=5, extra=200)
    result = evaluations.compared(pair.read(runs[0], other))
    auc = result.table.set_index("figure").loc["roc_auc"]
    assert result.way == "independent" and "200 of which are in both" in result.words[0]
    assert auc["lo95"] < auc["second"] - auc["first"] < auc["hi95"] and np.isnan(auc["p_value"])
    twin_runs.add_evaluation(other, 2.0, on="all")
    result = evaluations.compared(pair.read(runs[0], other))
    assert result.way == "" and result.table["difference"].isna().all()
    assert "different samples (test and all). They are not compared." in result.words[0]


def test_settings_conditions_and_verdicts_that_differ_are_listed(runs, tmp_path):
    both = pair.read(*runs)
    rows = settings.table(both).to_dict("records")
    said = {(r["where"], r["setting"]): (r["first"], r["second"]) for r in rows}
    assert said["train", "epochs"] == ("3", "5")
    assert said["train", "architecture.widths"] == ("[8, 3]", "[8, 5]")
    assert {where for where, _ in said} == {"train"}
    (verdict,) = verdicts.table(both).to_dict("records")
    assert verdict["verdict"] == "realism of the injections"
    assert (verdict["first"], verdict["second"]) == ("failed", "passed")
    twin_runs.finish(runs[1], "simulate")
    later = settings.table(pair.read(*runs)).to_numpy().tolist()
    assert ["simulate", "the step itself", "—", "done"] in later
    (runs[1] / "records" / "simulate.json").unlink()


def test_the_command_of_the_page_is_understood():
    page = (Path(__file__).resolve().parents[2] / "docs" / "run-directory.md").read_text()
    (words,) = re.findall(r"^    lensjax report (.*)$", page, re.M)
    asked = tyro.cli(Two, args=words.split())
    assert (asked.first.name, asked.second.name) == ("before", "after")
    assert work(["mine.yaml", "--out", "runs/mine"]) is None and work([]) is None


class Page(HTMLParser):
    """Links, what is loaded, figures without a description, and the text."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.silent, self.words, self.sections = [], [], 0, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links += [given["href"]] if tag == "a" else []
        self.sections += [given["id"]] if tag == "section" else []
        self.loads += [v for k, v in attrs if k == "src" or (k == "href" and tag == "link")]
        self.silent += given.get("role") == "img" and not given.get("aria-label")

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_says_what_changed_with_its_data_beside_it(runs, tmp_path, capsys):
    out = tmp_path / "page"
    assert main(["report", *map(str, runs), "--out", str(out)]) == 0
    text = (out / "index.html").read_text()
    page = Page(text)
    assert page.sections == ["changes", "completeness", "evaluation", "verdicts", "settings",
                             "uncompared"]  # fmt: skip
    assert page.silent == 0 and page.loads == [] and text.count("<svg") == 7
    tables = [link for link in page.links if not link.startswith("#")]
    assert len(tables) == 10 and all((out / link).is_file() for link in tables)
    row = line(compared(*runs).table)
    said = f"difference {row['difference']:+.1f} points"
    printed = capsys.readouterr().out
    assert said in printed and said in " ".join(page.words)
    assert "What changed from old to new" in text and "SIMULATED" not in text
    written = pd.read_csv(out / "tables" / "completeness_changes.csv")
    assert set(written["threshold_name"]) == {THRESHOLD, "p0.7"}
    assert main(["report", *map(str, runs), "--out", str(out)]) == 0
    assert (out / "index.html").read_text() == text


def test_runs_without_an_audit_are_told_of_in_words(runs, tmp_path):
    from classifiers.report.changes.sections import sections, words

    bare = twin_runs.run_directory(tmp_path / "bare", 16, finder=False)
    made = sections(pair.read(runs[0], bare))
    assert "Completeness: Only one of the runs has an audit" in words(made)[0]
    assert any(text.startswith("Evaluation: Only one") for text in words(made))


def test_what_is_no_run_or_no_threshold_is_refused(runs, tmp_path):
    with pytest.raises(InputError, match=r"no run directory, it has no manifest\.parquet"):
        pair.read(runs[0], tmp_path)
    with pytest.raises(InputError, match="is both of the runs"):
        pair.read(runs[0], runs[0])
    with pytest.raises(InputError, match=r"fpr0\.01: not in both audits .*known: p0\.5, p0\.7"):
        completeness.threshold(pair.read(*runs), compared(*runs), "fpr0.01")
    assert pair.named(tmp_path / "a" / "run", tmp_path / "b" / "run") == ("a/run", "b/run")
