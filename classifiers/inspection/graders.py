"""The selection function of the people who graded, from the grades of calibration items.

What share of known lenses and injections got a good grade is the graders' completeness; what share
of confusers did is their false-positive rate. Both have Jeffreys' intervals, or, where injections
share hosts, intervals for which hosts are independent (`classifiers.intervals`). `completeness` is
a table of the same form as that of an audit, so that

    people = selection_function(grades, Question(axes={"theta_e": (0.5, 1.0, 1.5, 2.5)}))
    whole = product(SelectionFunction.load("runs/mine"), people)
    whole.query(theta_e=1.2)

is the completeness of finder and people one after the other. The product takes them to be
independent at given values of the axes; with `found` only lenses that the finder has found are
counted, so that the people's part is conditional and nothing has to be assumed.

The graders do not know which items these are, and an item's place in the order says nothing of it,
so that those graded so far are a fair sample of all.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool

from classifiers.audit.axes import Axis, columns_of
from classifiers.inspection.agreement import MINIMUM
from classifiers.inspection.objects import LENSES, OTHERS
from classifiers.inspection.store import GRADES
from classifiers.intervals import Shares, jeffreys, weighted
from classifiers.selection.axis import KNOWN
from lensjax.errors import InputError, some

if TYPE_CHECKING:
    import pandas as pd

    from classifiers.selection import SelectionFunction

TEAM = "all graders"
Rule = Literal["majority", "any", "all"]


@dataclass(frozen=True)
class Question:
    """What counts as accepted, and by what it is broken down.

    accept: worst grade that counts as accepted. rule: of several graders' grades of one item, more
    than half, any or all have to be accepted. axes: edges by column of the calibration table; items
    outside of them are in no cell. host: column of what injections share, empty if they are
    independent. found: column and score above which the finder found an item; others do not count.
    """

    accept: str = "B"
    rule: Rule = "majority"
    axes: Mapping[str, Sequence[float]] = field(default_factory=dict)
    host: str = ""
    found: tuple[str, float] | None = None

    def __post_init__(self) -> None:
        if self.accept not in GRADES:
            raise InputError(f"accept: {self.accept!r} is not one of {', '.join(GRADES)}")
        for name, edges in self.axes.items():
            if len(edges) < 2 or not (np.diff(edges) > 0).all():
                raise InputError(f"axes.{name}: give at least two edges that increase")

    def cut(self) -> tuple[Axis, ...]:
        """The axes as an audit has them."""
        made = []
        for name, edges in self.axes.items():
            label, unit = KNOWN.get(name, (name.replace("_", " "), ""))
            made.append(Axis(name, label, unit, "drawn", name, edges=tuple(map(float, edges))))
        return tuple(made)


def accepted(grades: pd.DataFrame, accept: str, rule: Rule) -> pd.Series:
    """Whether a team accepts each item, by number. grades: number and grade, a row for each grader
    of each item."""
    good = grades["grade"].isin(list(GRADES)[: list(GRADES).index(accept) + 1])
    share = good.groupby(grades["number"]).mean()
    return {"majority": share > 0.5, "any": share > 0, "all": share == 1}[rule]


def rates(grades: pd.DataFrame, question: Question) -> pd.DataFrame:
    """Completeness and false-positive rate of every grader and of the team: for all items, for each
    truth, and along each axis.

    grades: of `Store.grades`. Columns: who, rate ("completeness" or "false positives"), along (all,
    truth or an axis), cell, n, k, value, lo68, hi68, lo95, hi95, status. Raises InputError for
    columns that are missing and for values that are no numbers.
    """
    import pandas as pd

    known = _known(grades, question)
    teams = {str(g): rows for g, rows in known.groupby("grader")}
    if len(teams) != 1:
        teams = {TEAM: known, **teams}
    lines: list[dict[str, Any]] = []
    for who, rows in teams.items():
        items = _items(rows, question, question.accept)
        for rate, truths in (("completeness", LENSES), ("false positives", OTHERS)):
            part = items[items["truth"].isin(truths)]
            chosen = [("all", "all", np.ones(len(part), bool))]
            chosen += [("truth", t, (part["truth"] == t).to_numpy()) for t in truths]
            for axis in question.cut():
                place = axis.place(_numbers(part[axis.name]))
                chosen += [(axis.name, cell, place == i) for i, cell in enumerate(axis.names())]
            for along, cell, which in chosen:
                said = {"who": who, "rate": rate, "along": along, "cell": cell}
                lines.append({**said, **_counted(part[which], question, "value")})
    return pd.DataFrame(lines)


def completeness(grades: pd.DataFrame, question: Question) -> pd.DataFrame:
    """Completeness of the team in every cell of the axes at once, for each worst grade that may be
    accepted (`threshold_name` A, B, C), in the form of an audit's completeness table. Raises
    InputError as `rates` does, and when no lens among the calibration items was graded."""
    import pandas as pd

    known = _known(grades, question)
    lines: list[dict[str, Any]] = []
    letters, axes = list(GRADES), question.cut()
    for letter in letters[:-1]:
        items = _items(known, question, letter)
        items = items[items["truth"].isin(LENSES)]
        if items.empty:
            raise InputError("no lens or injection among the calibration items has a grade")
        places = [axis.place(_numbers(items[axis.name])) for axis in axes]
        for cell in itertools.product(*(range(len(axis)) for axis in axes)):
            which = np.ones(len(items), bool)
            for place, i in zip(places, cell):
                which &= place == i
            line = columns_of(axes, [axis.cells[i] for axis, i in zip(axes, cell)])
            line |= {"threshold_name": letter, "threshold": float(-letters.index(letter))}
            lines.append({**line, **_counted(items[which], question, "completeness")})
    return pd.DataFrame(lines)


def selection_function(grades: pd.DataFrame, question: Question) -> SelectionFunction:
    """The team's completeness as something that answers queries and can be multiplied with a
    finder's; `completeness` is its table."""
    from classifiers.selection import SelectionFunction

    made = completeness(grades, question)
    return SelectionFunction.of(made, question.accept, about(question), TEAM)


def about(question: Question) -> dict[str, Any]:
    """What is said of the table of `completeness` as a whole."""
    axes = [asdict(axis) for axis in question.cut()]
    return {"axes": axes, "rule": question.rule, "grades": GRADES}


def along(
    finder: SelectionFunction, people: SelectionFunction, level: float = 0.95
) -> pd.DataFrame:
    """Finder, people and their product at the centres of the people's cells, the finder's other
    axes summed over as they were drawn. Raises InputError where they have different axes."""
    import pandas as pd

    from classifiers.selection import product

    names = [axis.name for axis in people.axes]
    shared = [axis.name for axis in finder.needed if axis.name in names]
    finder = finder.summed(*shared)
    grid = np.meshgrid(*(axis.centres for axis in people.axes), indexing="ij")
    points = {name: values.ravel() for name, values in zip(names, grid)}
    found: dict[str, Any] = dict(points)
    both = product(finder, people)
    own = {name: points[name] for name in shared}
    for who, answer in (
        ("finder", finder.query(level=level, **own)),
        ("graders", people.query(level=level, **points)),
        ("both", both.query(level=level, **points)),
    ):
        for key in ("value", "lower", "upper", "flag"):
            found[f"{who}_{key}"] = np.atleast_1d(getattr(answer, key))
    return pd.DataFrame(found)


def _known(grades: pd.DataFrame, question: Question) -> pd.DataFrame:
    """Grades of items whose truth is known, and that the finder has found where that is asked."""
    known = grades[grades["truth"] != ""]
    wanted = [*question.axes, *([question.host] if question.host else [])]
    wanted += [question.found[0]] if question.found else []
    if missing := [name for name in wanted if name not in known]:
        raise InputError(
            f"no column {missing[0]!r}; the tables have {some([str(c) for c in known], 12)}"
        )
    if question.found:
        known = known[_numbers(known[question.found[0]]) > question.found[1]]
    return known


def _items(rows: pd.DataFrame, question: Question, accept: str) -> pd.DataFrame:
    """A row for each item, with whether it was accepted."""
    items = rows.drop_duplicates("number").set_index("number")
    return items.assign(accepted=accepted(rows, accept, question.rule))


def _numbers(column: pd.Series) -> np.ndarray:
    import pandas as pd

    found = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    if (wrong := np.isnan(found) & column.notna().to_numpy()).any():
        raise InputError(f"{column.name}: {column[wrong].iloc[0]!r} is no number")
    return found


def _counted(items: pd.DataFrame, question: Question, value: str) -> dict[str, Any]:
    """n, k, their share under the name `value`, and its intervals."""
    good: Bool[np.ndarray, " n"] = items["accepted"].to_numpy(bool)
    n, k = len(good), int(good.sum())
    line: dict[str, Any] = {"n": n, "k": k, value: k / n if n else np.nan}
    share: Shares | None = None
    if question.host:
        # An item without a host (a real lens, a confuser) is a group of its own.
        host = items[question.host]
        alone = [f"item {number} without a host" for number in host.index]
        group = np.where(host.isna(), alone, host.astype(str))
        share = weighted(good, np.ones(n), group)
    for level in (68, 95):
        low, high = jeffreys(k, n, level / 100) if share is None else share.interval(level / 100)
        line[f"lo{level}"], line[f"hi{level}"] = float(low), float(high)
    if share is not None:
        line |= {"hosts": share.groups, "n_eff": share.n_eff, "freedom": share.freedom}
    return line | {"status": "sufficient" if n >= MINIMUM else "insufficient"}
