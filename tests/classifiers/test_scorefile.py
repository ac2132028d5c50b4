"""Scores by post: what goes out is whole and described, and what comes back is refused by row."""

import json

import numpy as np
import pandas as pd
import pytest

from classifiers.finders import load, scorefile
from data import survey
from lensjax.errors import InputError

SURVEY = survey.load("ls_dr10")
IDS = [f"i{n}" for n in range(6)]
GOOD = {name: (n + 1) / 10 for n, name in enumerate(IDS)}


@pytest.fixture
def stamps():
    return np.random.default_rng(0).normal(size=(6, 9, 9, 3)).astype(np.float32)


def exchange(folder, identity="one", **more):
    return scorefile.Exchange(folder, SURVEY, identity, "injection_id", **more)


def sent(folder, stamps, **more):
    made = exchange(folder, **more)
    ra, dec = np.linspace(10, 11, 6), np.linspace(-1, 1, 6)
    for name, part in (("a", slice(0, 4)), ("b", slice(4, 6))):
        columns = {"host_id": [f"h{i}" for i in range(6)][part], "ra": ra[part], "dec": dec[part]}
        made.write(name, IDS[part], stamps[part], columns)
    return made


def test_stamps_go_out_with_all_that_is_needed_to_score_them(tmp_path, stamps):
    stamps[0, 0] = np.nan
    made = sent(tmp_path, stamps)
    table = pd.read_csv(made.complete())
    assert table["injection_id"].tolist() == IDS and table["host_id"].tolist()[5] == "h5"
    for row in table.itertuples():
        with np.load(tmp_path / row.file, allow_pickle=False) as part:
            assert part["id"][row.row] == row.injection_id
            assert np.array_equal(part["stamps"][row.row], stamps[row.Index], equal_nan=True)
    described = json.loads((tmp_path / "stamps.json").read_text())
    assert described["bands"] == ["g", "r", "z"] and described["pixel_scale_arcsec"] == 0.262
    assert described["unit"] == "nanomaggy" and made.answer() is None
    assert "scores.csv" in made.waiting()


def test_fits_carries_the_sky(tmp_path, stamps):
    from astropy.io import fits
    from astropy.wcs import WCS

    sent(tmp_path, stamps, format="fits").complete()
    with fits.open(tmp_path / "stamps-b.fits") as found:
        header = found[1].header
        assert (
            header["ID"] == "i4" and header["BUNIT"] == "nanomaggy" and header["BANDS"] == "g,r,z"
        )
        assert np.array_equal(found[1].data, np.moveaxis(stamps[4], -1, 0))
        wcs = WCS(header).celestial
        assert np.allclose(wcs.wcs_pix2world([[4, 4]], 0), [[10.8, 0.6]])
        east, north = wcs.wcs_pix2world([[3, 4]], 0), wcs.wcs_pix2world([[4, 5]], 0)
        assert east[0, 0] > 10.8 and np.isclose(north[0, 1] - 0.6, 0.262 / 3600)


def test_parts_are_kept_and_another_experiment_is_refused(tmp_path, stamps):
    made = sent(tmp_path, stamps)
    assert made.has("a") and made.has("b") and not made.has("c")
    (tmp_path / ".rows-b.csv").unlink()
    assert not made.has("b")
    with pytest.raises(InputError, match="holds stamps of another experiment"):
        exchange(tmp_path, "two").has("a")
    with pytest.raises(InputError, match="cannot be used in the name of a file"):
        made.write("../x", IDS, stamps, {})


def test_an_id_that_goes_out_twice_is_refused(tmp_path, stamps):
    made = sent(tmp_path, stamps)
    made.write("c", ["i3"], stamps[:1], {"host_id": ["h"], "ra": [0], "dec": [0]})
    with pytest.raises(InputError, match=r"id i3 is in \.rows-a\.csv and \.rows-c\.csv"):
        made.complete()


def csv_of(rows, heading="id,score"):
    return "\n".join([heading, *(f"{a},{b}" for a, b in rows)]) + "\n"


def test_scores_come_back_in_any_order_from_csv_and_parquet(tmp_path):
    rows = list(GOOD.items())[::-1]
    (tmp_path / "scores.csv").write_text("\ufeff" + csv_of(rows))
    found = scorefile.read(tmp_path / "scores.csv", IDS)
    assert found.score.tolist() == list(GOOD.values())
    frame = pd.DataFrame(rows, columns=["injection_id", "score"]).assign(note="x")
    frame.to_parquet(tmp_path / "scores.parquet")
    again = scorefile.read(tmp_path / "scores.parquet", IDS, "injection_id")
    assert np.array_equal(found.score, again.score) and np.array_equal(found.logit, again.logit)
    (tmp_path / "logits.csv").write_text(csv_of(zip(IDS, range(6)), "ID, logit"))
    logits = scorefile.read(tmp_path / "logits.csv", IDS)
    assert logits.logit.tolist() == list(range(6)) and logits.score[0] == 0.5
    with pytest.raises(InputError, match=r"scores\.csv and scores\.parquet; keep one"):
        exchange(tmp_path).answer()


def changed(*rows, heading="id,score"):
    """The good table with rows put in place of those of the same number."""
    lines = csv_of(GOOD.items(), heading).splitlines()
    for number, text in rows:
        lines[number - 1 : number] = [text] if text is not None else []
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed((4, None)), r"ids without a score: i2; give every id of stamps.csv one score"),
        (changed((7, "i0,0.5")), r"there already: line 7 \(i0\), first line 2; ids without .*: i5"),
        (changed((3, "x,0.5")), r"not sent out: line 3 \(x\); ids without a score: i1"),
        (changed((3, "i1,nan")), r"scores that are no numbers: line 3 \(i1\): 'nan'"),
        (changed((3, "i1,")), r"scores that are no numbers: line 3 \(i1\): ''"),
        (changed((3, "i1,high")), r"scores that are no numbers: line 3 \(i1\): 'high'"),
        (changed((3, "i1,1_0")), r"scores that are no numbers: line 3"),
        (changed((3, "i1,1.01")), r"scores outside 0 to 1: line 3 \(i1\): 1.01"),
        (changed((3, "i1,inf")), r"scores outside 0 to 1: line 3"),
        (changed((3, "i1,0.5,1")), r"line 3 has 3 values, the heading 2"),
        (changed((1, "name,score")), r"has the columns name, score; expected id and score"),
        (changed((1, "id,id")), r"has the columns id, id; expected"),
        ("id,score\n", r"holds no scores; write one row for each of 6 stamps"),
        ("", r"has the columns \(none\)"),
        (csv_of((i, "x") for i in IDS), r"line 2 \(i0\): 'x', .*, line 4 \(i2\): 'x' and 3 more"),
    ],
)
def test_tables_that_cannot_be_right_are_refused_by_row(tmp_path, text, said):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as refused:
        scorefile.read(path, IDS)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)


def test_parquet_with_missing_values_or_damage_is_refused(tmp_path):
    path = tmp_path / "scores.parquet"
    pd.DataFrame({"id": IDS, "score": [0.1, None, 0.3, 0.4, 0.5, 0.6]}).to_parquet(path)
    with pytest.raises(InputError, match=r"no numbers: row 2 \(i1\): 'nan'|row 2 \(i1\): ''"):
        scorefile.read(path, IDS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="not a readable Parquet file"):
        scorefile.read(path, IDS)


def test_it_is_a_finder_that_cannot_score_at_once(tmp_path, stamps):
    found = load(f"scores:{tmp_path}", tmp_path)
    assert isinstance(found, scorefile.ScoreFile) and not found.differentiable
    with pytest.raises(InputError, match="scores come back in a table"):
        found.logits(stamps)
