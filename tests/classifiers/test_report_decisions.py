"""What decisions left in a run directory is on the page, drawn and told as far as it is known."""

from types import SimpleNamespace

import pandas as pd
import pytest

from classifiers.report import decisions
from classifiers.report.page import Figures, Table
from lensjax.errors import InputError


def test_every_folder_is_a_section_with_figure_caption_and_tables(tmp_path):
    (tmp_path / "judge").mkdir()
    figures = pd.DataFrame(
        {"finder": "a<b", "metric": ["roc_auc", "ece"], "value": [0.9, None]}
    ).assign(lo95=[0.8, None], hi95=[0.95, None], status=["ok", "insufficient"])
    figures.to_csv(tmp_path / "judge" / "figures.csv", index=False)
    (tmp_path / "judge" / "empty.csv").write_text("")
    (found,) = decisions.section(SimpleNamespace(out=tmp_path))
    (drawn,) = [b for b in found.blocks if isinstance(b, Figures)]
    (table,) = [b for b in found.blocks if isinstance(b, Table)]
    _, svg, caption = drawn.figures[0]
    assert found.id == "judge" and table.name == "judge_figures" and len(table.table) == 2
    assert "a&lt;b roc_auc" in svg and "ece" not in svg
    assert "95 %" in caption and "1 rows that the data cannot support" in caption
    assert len(decisions.files(tmp_path)) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "judge/figures",
            "bootstrap intervals of 95 % (tpr0 and tpr10: Jeffreys' intervals).",
        ),
        ("channels/overlap", "with Jeffreys' intervals of 95 %."),
        ("shortcuts/features", "with bootstrap intervals of 95 %."),
        ("inspection/results/rates", "with Jeffreys' intervals of 95 % (over hosts that"),
    ],
)
def test_a_caption_says_of_which_kind_its_intervals_are(tmp_path, name, said):
    path = tmp_path / f"{name}.csv"
    path.parent.mkdir(parents=True)
    pd.DataFrame({"value": [0.5], "lo95": [0.4], "hi95": [0.6]}).to_csv(path, index=False)
    (found,) = decisions.section(SimpleNamespace(out=tmp_path))
    (drawn,) = [b for b in found.blocks if isinstance(b, Figures)]
    assert said in drawn.figures[0][2]


def test_a_run_without_decisions_has_no_section_and_a_broken_table_is_named(tmp_path):
    assert decisions.section(SimpleNamespace(out=tmp_path)) == []
    (tmp_path / "shortcuts").mkdir()
    (tmp_path / "shortcuts" / "features.csv").write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"features\.csv: cannot be read"):
        decisions.section(SimpleNamespace(out=tmp_path))
