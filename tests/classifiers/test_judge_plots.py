"""Figures of `judge` show what their tables hold, and say what is missing."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from classifiers.evaluation import diagrams, plots


def axes_of(draw):
    figure, axes = pyplot.subplots()
    draw(axes)
    pyplot.close(figure)
    return axes


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(3)
    y = (np.arange(4000) % 8 == 0).astype(int)
    return y, np.round(1 / (1 + np.exp(2 - 3 * y - rng.normal(size=4000))), 3)


def test_the_roc_passes_through_its_table_and_has_intervals_where_the_figures_do(sample):
    table = diagrams.roc(*sample, 10).assign(finder="a")
    row = {"finder": "a", "metric": "recall_at_fpr_1e-2", "value": 0.6, "lo95": 0.5, "hi95": 0.8}
    none = {"finder": "a", "metric": "recall_at_fpr_1e-4", "status": "insufficient"}
    (draw,) = plots._roc(table, pd.DataFrame([row | {"status": "ok"}, none]))
    axes = axes_of(draw)
    curve = next(line for line in axes.lines if line.get_label() == "a")
    x, y = curve.get_data()
    for rate in (1e-3, 1e-2, 0.1):
        own = table[table["false_positive_rate"] <= rate]["recall"].max()
        assert y[x <= rate * 1.003].max() == pytest.approx(own, abs=0.005)
    assert axes.get_xscale() == "log" and axes.get_xlim() == (plots.FLOOR, 1)
    assert len(axes.collections[0].get_segments()) == 1
    assert axes.collections[0].get_segments()[0][:, 1] == pytest.approx([0.5, 0.8])


def test_reliability_has_a_panel_for_each_scope_and_words_where_it_is_insufficient(sample):
    table = diagrams.reliability(*sample, 10).assign(finder="a")
    panels = plots._reliability(table, "finder")
    assert len(panels) == len(diagrams.TOP)
    whole, _, least = map(axes_of, panels)
    own = table[table["scope"] == "all"]
    assert whole.lines[-1].get_ydata() == pytest.approx(own["fraction_lenses"].to_numpy())
    assert "insufficient" in least.texts[0].get_text()


def test_bars_of_a_list_sum_to_what_its_kinds_hold_and_rare_kinds_share_a_part():
    kinds = ["lens", *(f"kind {i}" for i in range(9))]
    fraction = np.r_[0.3, np.linspace(0.15, 0.01, 9)]
    rows = {"scenario": "wide", "budget": 100, "kind": kinds, "fraction": fraction, "finder": "a"}
    (draw,) = plots._composition(pd.DataFrame(rows))
    axes = axes_of(draw)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0] == "lens" and labels[-1] == "other kinds" and len(labels) == len(plots.PARTS)
    widths = [bar.get_width() for bar in axes.patches[:-1]]
    assert sum(widths) == pytest.approx(fraction.sum())


def test_without_values_there_is_no_figure(tmp_path):
    empty = pd.DataFrame({"finder": ["a"], "budget": [3], "purity": [None], "status": ["few"]})
    assert plots.draw({"budgets": empty, "roc": pd.DataFrame()}, tmp_path) == []
