"""What graders miss, and how far they agree, is measured as it was put in."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from inspections import grade, store
from scipy.special import expit
from sklearn.metrics import cohen_kappa_score

from classifiers.inspection import agreement, graders
from classifiers.inspection.graders import Question
from classifiers.inspection.objects import Object
from classifiers.inspection.store import GRADES
from classifiers.selection import SelectionFunction, product
from lensjax.errors import InputError

EDGES = (0.5, 1.0, 1.5, 2.0, 2.5)
LETTERS = np.array(list(GRADES))
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


def finds(theta_e, b):
    """Probability that the finder finds a lens; b: how bright its arc is, a normal number that
    nobody has binned by."""
    return expit(2 * (theta_e - 1.2) + 1.5 * b)


def likes(theta_e, b):
    """Probability that a grader gives it A or B."""
    return expit(1.5 * (theta_e - 0.9) + 1.5 * b)


def team(p):
    """Probability that at least two of three do."""
    return p**2 * (3 - 2 * p)


def mean(of, low, high):
    """A probability's mean over a bin of theta_E, uniform, and over b, by quadrature."""
    theta_e = np.linspace(low, high, 101)[:, None]
    return float(((of(theta_e, NODES) * WEIGHTS).sum(-1) / WEIGHTS.sum()).mean())


def inspected(rng, n=400, others=200, people=3):
    """Grades of calibration items by people who are right as often as `likes`, and take 1 of 20
    confusers for a lens; with the finder's score of each."""
    theta_e, b = rng.uniform(0.5, 2.5, n + others), rng.normal(size=n + others)
    lens = np.arange(n + others) < n
    p = np.where(lens, likes(theta_e, b), 0.05)
    good = rng.random((people, n + others)) < p
    code = np.where(good, rng.integers(0, 2, good.shape), rng.integers(2, 4, good.shape))
    one = pd.DataFrame(
        {
            "number": np.arange(1, n + others + 1),
            "truth": np.where(lens, "injection", "confuser"),
            "theta_e": theta_e,
            "score": np.where(rng.random(n + others) < finds(theta_e, b), 0.9, 0.1),
        }
    )
    parts = [one.assign(grader=f"g{i}", grade=LETTERS[code[i]]) for i in range(people)]
    return pd.concat(parts, ignore_index=True)


def audited(rng, n=2000):
    """The completeness table of an audit of the finder: n injections in every bin."""
    lines = []
    for low, high in pairwise(EDGES):
        found = rng.random(n) < finds(rng.uniform(low, high, n), rng.normal(size=n))
        line = {"theta_e": (low + high) / 2, "theta_e_lo": low, "theta_e_hi": high}
        line |= {"threshold_name": "0.5", "threshold": 0.5, "n": n, "k": int(found.sum())}
        lines.append({**line, "completeness": found.mean(), "status": "sufficient"})
    return SelectionFunction.of(pd.DataFrame(lines), name="finder")


def test_a_simulated_inspection_gives_back_what_was_put_in():
    """Completeness of the team and its false-positive rate, in 40 inspections: the 95 % intervals
    hold the truth as often as they should."""
    rng = np.random.default_rng(0)
    cells = list(pairwise(EDGES))
    true = [mean(lambda t, b: team(likes(t, b)), *cell) for cell in cells]
    wrong = team(0.05)
    held, false, parts = [], [], []
    for _ in range(40):
        grades = inspected(rng)
        found = graders.rates(grades, Question(axes={"theta_e": EDGES}))
        own = found[(found["who"] == graders.TEAM)]
        lines = own[(own["along"] == "theta_e") & (own["rate"] == "completeness")]
        held.append(((lines["lo95"] < true) & (true < lines["hi95"])).to_numpy())
        parts.append(lines["value"].to_numpy())
        line = own[(own["rate"] == "false positives") & (own["along"] == "all")].iloc[0]
        assert line["n"] == 200 and line["k"] == round(200 * line["value"])
        false.append(line["lo95"] <= wrong <= line["hi95"])
    assert 0.9 <= np.mean(held) <= 0.99 and np.mean(false) >= 0.9
    assert np.abs(np.mean(parts, 0) - true).max() < 0.02


def test_finder_times_graders_is_what_both_let_through_if_graders_are_judged_on_what_was_found():
    """Bright arcs are easy for finder and people. Lenses that the finder missed tell nothing of
    what people would say of those that it finds: without them the product is right, with them it
    is too low."""
    rng = np.random.default_rng(1)
    cells = list(pairwise(EDGES))
    centres = np.array([(a + b) / 2 for a, b in cells])
    true = np.array([mean(lambda t, b: finds(t, b) * team(likes(t, b)), *c) for c in cells])
    held, values = [], {True: [], False: []}
    for _ in range(25):
        finder, grades = audited(rng), inspected(rng, n=800)
        for conditional in values:
            asked = Question(axes={"theta_e": EDGES}, found=("score", 0.5) if conditional else None)
            people = graders.selection_function(grades, asked)
            both = product(finder, people).query(theta_e=centres)
            table = graders.along(finder, people)
            assert np.allclose(table["both_value"], both.value)
            assert np.allclose(table["both_value"], table["finder_value"] * table["graders_value"])
            values[conditional].append(both.value)
            if conditional:
                held.append((both.lower < true) & (true < both.upper))
    assert np.mean(held) >= 0.93
    assert np.abs(np.mean(values[True], 0) - true).max() < 0.02
    assert (np.mean(values[False], 0) < true - 0.03).all()


def test_grades_in_the_file_are_the_selection_function(tmp_path):
    """Through the file, one item known to have been missed by one of two."""
    made = [Object(i, f"o{i}", True, "lens", {"theta_e": 1.0}) for i in range(1, 13)]
    made += [Object(i, f"o{i}", True, "confuser", {"theta_e": None}) for i in range(13, 17)]
    made += [Object(17, "candidate", False, "", {})]
    of = store(tmp_path, made)
    for number in range(1, 18):
        grade(of, "Anna", number, "A" if number in (1, 2, 3, 13) else "D")
        grade(of, "Ben", number, "B" if number in (1, 2) else "C")
    table = of.grades()
    by = lambda rule, who: (
        graders.rates(table, Question(rule=rule))
        .query("who == @who and along == 'all'")["k"]
        .tolist()
    )
    assert by("all", graders.TEAM) == by("majority", graders.TEAM) == [2, 0]
    assert by("any", graders.TEAM) == [3, 1]
    assert by("any", "Anna") == [3, 1] and by("any", "Ben") == [2, 0]
    lines = graders.completeness(table, Question())
    assert lines["k"].tolist() == [0, 2, 3] and lines["n"].tolist() == [12] * 3
    people = graders.selection_function(table, Question(axes={"theta_e": (0.5, 1.5)}))
    answer = people.query(theta_e=1.0)
    assert answer.value == pytest.approx(2 / 12) and answer.flag == "supported"
    few = graders.rates(table, Question()).query("rate == 'false positives'")
    assert (few["status"] == "insufficient").all()


def test_items_that_share_a_host_have_wider_intervals():
    rng = np.random.default_rng(2)
    host = np.repeat(np.arange(40), 10)
    same = (rng.random(40) < 0.5)[host]
    table = pd.DataFrame(
        {"number": np.arange(400), "truth": "injection", "grader": "g", "host": host}
    ).assign(grade=np.where(same, "A", "D"))
    width = lambda q: graders.rates(table, q).query("rate == 'completeness'").iloc[0]
    own, shared = width(Question()), width(Question(host="host"))
    ratio = (shared["hi95"] - shared["lo95"]) / (own["hi95"] - own["lo95"])
    assert ratio == pytest.approx(np.sqrt(10), rel=0.15)


def test_items_without_a_host_are_each_a_group_of_their_own():
    """Real lenses and confusers have no host. As one group they would be known to nobody."""
    table = pd.DataFrame({"number": np.arange(200), "truth": "confuser", "grader": "g"})
    table = table.assign(grade=np.where(table["number"] < 7, "A", "D"), host=None)
    row = lambda q: graders.rates(table, q).query("rate == 'false positives'").iloc[0]
    alone, hosts = row(Question()), row(Question(host="host"))
    assert hosts["hosts"] == 200
    for end in ("lo68", "hi68", "lo95", "hi95"):
        assert hosts[end] == pytest.approx(alone[end], rel=0.05)


def test_what_cannot_be_answered_is_refused_by_name():
    table = inspected(np.random.default_rng(0), 20, 5)
    with pytest.raises(InputError, match="no column 'mag'"):
        graders.rates(table, Question(axes={"mag": (0, 1)}))
    with pytest.raises(InputError, match="theta_e: 'wide' is no number"):
        graders.rates(table.assign(theta_e="wide"), Question(axes={"theta_e": (0, 1)}))
    with pytest.raises(InputError, match="axes.mag: give at least two edges"):
        Question(axes={"mag": (1, 1)})
    with pytest.raises(InputError, match="accept: 'E'"):
        Question(accept="E")
    with pytest.raises(InputError, match="no lens or injection"):
        graders.completeness(table[table["truth"] == "confuser"], Question())


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_cohens_kappa_is_scikit_learns(weights):
    rng = np.random.default_rng(3)
    for size in (5, 50, 500):
        a = rng.integers(0, 4, size)
        b = np.where(rng.random(size) < 0.6, a, rng.integers(0, 4, size))
        cells = np.zeros((4, 4))
        np.add.at(cells, (a, b), 1)
        wanted = cohen_kappa_score(
            a, b, labels=range(4), weights=weights.replace("none", "") or None
        )
        assert agreement.cohen(cells, weights) == pytest.approx(wanted, abs=1e-12)
    assert np.isnan(agreement.cohen(np.diag([7, 0, 0, 0])))


def test_fleiss_kappa_is_that_of_a_known_table_and_of_its_definition():
    """The worked example of Wikipedia's article, 14 graders of 10 objects: 0.210. And agreement
    counted pair by pair of graders, on random tables."""
    rows = "0 0 0 0 14, 0 2 6 4 2, 0 0 3 5 6, 0 3 9 2 0, 2 2 8 1 1, 7 7 0 0 0, 3 2 6 3 0"
    rows += ", 2 5 3 2 2, 6 5 2 1 0, 0 2 2 3 7"
    counts = np.array([[int(c) for c in row.split()] for row in rows.split(",")])
    assert agreement.fleiss(counts) == pytest.approx(0.210, abs=0.0005)
    rng = np.random.default_rng(5)
    for people in (2, 3, 5):
        grades = rng.integers(0, 3, (20, people))
        pairs = [a == b for row in grades for i, a in enumerate(row) for b in row[i + 1 :]]
        share = np.bincount(grades.ravel()) / grades.size
        wanted = (np.mean(pairs) - (share**2).sum()) / (1 - (share**2).sum())
        counts = (grades[..., None] == np.arange(3)).sum(1)
        assert agreement.fleiss(counts) == pytest.approx(wanted, abs=1e-12)
    assert np.isnan(agreement.fleiss(np.array([[3, 0], [3, 0]])))


def test_agreement_is_told_with_intervals_that_hold_it():
    """Two graders who agree on a share of objects and guess on the others have that share as
    kappa."""
    rng = np.random.default_rng(4)
    held = []
    for _ in range(50):
        a = rng.integers(0, 4, 150)
        b = np.where(rng.random(150) < 0.6, a, rng.integers(0, 4, 150))
        table = pd.concat(
            pd.DataFrame({"number": np.arange(150), "grader": g, "grade": LETTERS[v]})
            for g, v in (("Anna", a), ("Ben", b))
        )
        found = agreement.table(table).set_index("measure")
        held.append((found["lower"] < 0.6) & (0.6 < found["upper"]))
    assert 0.88 <= np.mean([h["Cohen"] for h in held]) <= 1.0
    assert 0.88 <= np.mean([h["Fleiss"] for h in held]) <= 1.0
    few = agreement.table(table[table["number"] < 5])
    assert (few["status"] == "insufficient").all() and few["kappa"].isna().all()
    assert agreement.table(table[table["grader"] == "Ben"]).empty
    assert agreement.table(table[:0]).empty
