"""`lensjax inspect`: what is started goes on, and what came of it is written."""

import socket
import stat

import galaxies
import numpy as np
import pandas as pd
import pytest
from inspections import SIDE, folder, grade

from classifiers.inspection import verb
from classifiers.selection import SelectionFunction
from lensjax.errors import InputError


def asked(tmp_path, **more):
    ids = [f"c{i}" for i in range(6)]
    known = [f"k{i}" for i in range(24)]
    if not (tmp_path / "t.csv").is_file():
        pd.DataFrame({"id": ids, "score": np.arange(6) / 6}).to_csv(tmp_path / "t.csv")
        truth = ["lens" if i % 2 else "confuser" for i in range(24)]
        table = pd.DataFrame({"id": known, "truth": truth, "theta_e": np.arange(24) / 12})
        table.assign(score=0.5).to_csv(tmp_path / "k.csv")
    images = folder(tmp_path / "images", ids[:2])
    values = {"calibration": tmp_path / "k.csv", "size": SIDE} | more
    return verb.Serve(tmp_path / "t.csv", tmp_path / "out", images, **values)


def test_an_inspection_goes_on_where_it_was_and_is_not_mixed_up_with_another(tmp_path):
    first = verb.opened(asked(tmp_path))
    assert first.count == 30
    grade(first, "Anna", 3, "B")
    first.close()
    again = verb.opened(asked(tmp_path, show=("score",), title="Again"))
    assert again.graded("Anna", 3) == ("B", "")
    assert again.session["show"] == ("score",) and again.session["mixed"]
    again.close()
    for other in ({"seed": 1}, {"order": "ranked"}, {"calibration": None}):
        with pytest.raises(InputError, match="of another inspection"):
            verb.opened(asked(tmp_path, **other))
    (tmp_path / "t.csv").write_text("id\nc0\n")
    with pytest.raises(InputError, match=r"another inspection \(table differ"):
        verb.opened(asked(tmp_path))


@pytest.mark.parametrize(
    ("show", "said"),
    [
        (("id",), "ids would tell"),
        (("theta_e",), "theta_e is not known for all objects"),
        (("colour",), "no column 'colour'"),
    ],
)
def test_columns_that_would_tell_calibration_items_are_not_shown(tmp_path, show, said):
    with pytest.raises(InputError, match=said):
        verb.opened(asked(tmp_path, show=show))


def test_calibration_items_of_another_size_are_refused(tmp_path):
    run = galaxies.survey(tmp_path / "run", galaxies.table(4), galaxies.stamps(np.zeros(4), SIDE))
    alike = verb.pictures_of(asked(tmp_path, calibration_images=run))
    assert alike.problem("0010p000_1") == alike.problem("c0") == ""
    with pytest.raises(
        InputError, match="stamps of 32 pixels, and those of the candidates have 40"
    ):
        verb.pictures_of(asked(tmp_path, calibration_images=run, size=40))


def test_the_token_is_kept_secret_and_kept(tmp_path):
    token = verb.token_of(tmp_path / "out")
    assert len(token) >= 32 and verb.token_of(tmp_path / "out") == token
    assert stat.S_IMODE((tmp_path / "out" / "token").stat().st_mode) == 0o600
    assert verb.token_of(tmp_path / "other") != token


def test_a_port_that_is_taken_is_refused_by_number():
    bound = verb._bound(0)
    assert bound.getsockname()[0] == "127.0.0.1"
    assert bound.proto == socket.IPPROTO_TCP  # or every answer takes 40 ms
    bound.listen()
    with pytest.raises(InputError, match=f"port {bound.getsockname()[1]} cannot be used"):
        verb._bound(bound.getsockname()[1])
    bound.close()


def test_results_hold_grades_rates_and_a_selection_function_that_loads(tmp_path, capsys):
    of = verb.opened(asked(tmp_path))
    for number in range(1, of.count + 1):
        o = of.object(number)
        for who in ("Anna", "=Ben"):
            letter = "A" if o.truth == "lens" and o.about["theta_e"] > 1 else "D"
            grade(of, who, o.number, letter, "-note")
    of.close()
    lines = []
    for low, high in ((0, 1), (1, 2)):
        line = {"theta_e": (low + high) / 2, "theta_e_lo": low, "theta_e_hi": high}
        line |= {"threshold_name": "0.5", "threshold": 0.5, "n": 100, "k": 50}
        lines.append({**line, "completeness": 0.5, "status": "sufficient"})
    pd.DataFrame(lines).to_csv(tmp_path / "finder.csv", index=False)
    words = ["results", str(tmp_path / "out"), "--finder", str(tmp_path / "finder.csv")]
    assert verb.work([*words, "--axes", "theta_e", "0,1,2"]) == 0
    said = capsys.readouterr().out
    assert "Cohen kappa of =Ben, Anna: 1.00 (1.00 to 1.00)" in said
    assert "all graders, completeness: 6 of 12" in said
    assert "all graders, false positives: 0 of 12" in said
    out = tmp_path / "out" / "results"
    grades = pd.read_csv(out / "grades.csv")
    assert len(grades) == 60 and set(grades["grader"]) == {"Anna", "'=Ben"}
    assert set(grades["note"]) == {"'-note"}
    assert set(pd.read_parquet(out / "grades.parquet")["grader"]) == {"Anna", "=Ben"}
    each = pd.read_parquet(out / "objects.parquet")
    assert (each["graders"] == 2).all() and (each["n_A"] + each["n_D"] == 2).all()
    people = SelectionFunction.load(out / "graders.parquet", "B")
    assert people.query(theta_e=[0.5, 1.5]).value.tolist() == [0, 1]
    both = pd.read_csv(out / "product.csv")
    assert both["both_value"].tolist() == [0, 0.5]


def test_without_grades_there_are_no_results(tmp_path):
    verb.opened(asked(tmp_path)).close()
    with pytest.raises(InputError, match="holds no grades"):
        verb.work(["results", str(tmp_path / "out")])
    with pytest.raises(InputError, match="no inspection there"):
        verb.work(["results", str(tmp_path / "none")])
