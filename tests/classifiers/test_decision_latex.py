"""Tables for papers hold the numbers of the CSV files, and text in them is text."""

import numpy as np
import pandas as pd
import pytest

from classifiers.evaluation import judging, latex
from classifiers.evaluation.predictions import Predictions, logit

ODD = r"net_1 & 50% \input{x}"


@pytest.fixture(scope="module")
def tables():
    rng, y = np.random.default_rng(1), np.arange(400) % 4 == 0
    p = {n: 1 / (1 + np.exp(1 - a * y - rng.normal(size=400))) for n, a in ((ODD, 2), ("b", 3))}
    ids = np.arange(400).astype(str)
    table = Predictions(ids, y.astype(int), p, {n: logit(s) for n, s in p.items()}, {})
    return judging.judged(table, judging.Question(resamples=40, budgets=(40,)))


def rows(text):
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [[c.strip() for c in r.replace(r"\&", "and").split("&")] for r in body.split(r"\\")[:-1]]


def test_every_figure_is_that_of_the_table_with_its_interval(tables):
    own = tables["figures"]
    own = own[own["metric"].isin(latex.SHOWN)].to_dict("records")
    found = rows(latex.text("figures", tables["figures"]))
    assert len(found) == len(own)
    for cells, line in zip(found, own):
        if line["status"] != "ok":
            assert cells[2] == latex.DASH
            continue
        low, high = line["value"] - line["lo95"], line["hi95"] - line["value"]
        assert cells[2] == f"${line['value']:.3f}^{{+{high:.3f}}}_{{-{low:.3f}}}$"
    compared = latex.text("comparison", tables["comparison"])
    (delong,) = [cells for cells in rows(compared) if cells[2] == r"roc\_auc"]
    p = tables["comparison"].set_index("metric").loc["roc_auc", "p_value"]
    assert delong[4] == ("$<0.001$" if p < 1e-3 else f"${p:.3f}$")
    assert len([c for c in rows(compared) if c[2] == "ece"]) == 1 and "mce" not in compared


def test_every_column_that_a_form_names_is_shown_or_refused(tables):
    own = tables["budgets"]
    (first, _) = rows(latex.text("budgets", own))
    row = own.iloc[0]
    high, low = row["hi95"] - row["purity"], row["purity"] - row["lo95"]
    assert first[2] == f"${row['purity']:.3f}^{{+{high:.3f}}}_{{-{low:.3f}}}$"
    for name in ("purity", "hi95"):
        with pytest.raises(KeyError, match=f"the table budgets has no column .*{name}"):
            latex.text("budgets", own.drop(columns=name))


def test_names_are_text_and_a_table_without_rows_is_no_file(tables, tmp_path):
    found = latex.text("figures", tables["figures"])
    assert r"\input" not in found and r"net\_1 \& 50\% \textbackslash{}input\{x\}" in found
    empty = {"overlap": pd.DataFrame(columns=["first", "second"])}
    files = latex.write({**tables, **empty, "roc": tables["roc"]}, tmp_path)
    assert {path.name for path in files} == {"figures.tex", "comparison.tex", "budgets.tex"}
    assert all(path.read_text().count(r"\begin{tabular}") == 1 for path in files)


def test_long_lists_are_cut_and_say_so_and_what_is_missing_is_a_dash():
    many = pd.DataFrame({"rank": range(1, 41), "galaxy_id": "a_b", "ra": 1.0, "dec": 2.0})
    many["score"] = 1e-5
    many["completeness"] = np.nan
    text = latex.text("candidates", many)
    found = rows(text)
    assert len(found) == latex.LONGEST and "The first 30 of 40 rows." in text
    assert found[0] == ["1", r"a\_b", "$1.00000$", "$2.00000$", "$<0.001$", latex.DASH]
