"""Several finders on one injection set: what each finds, what they find together, and what only one
of them finds.

All of them saw the same stamps, so these are shares of the same injections. The scores of two
finders cannot be compared directly. So besides the fixed thresholds, which are the same number for
all, there are thresholds at which every finder lets the same share of the audit's hosts pass
without an arc (`hosts_fpr...`). At these the finders have the same rate of false positives, and
what they find can be compared.

Measures: `finder`, found by it; `unique`, found by it and by no other; `any` and `all`, the union
and the intersection of all finders; `both` and `either` of a pair; `overlap`, both of either
(Jaccard 1912, New Phytologist 11, 37); `also`, what the other finds of what it finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from classifiers.audit import completeness, thresholds
from classifiers.audit.axes import Grid
from classifiers.audit.thresholds import OK, Threshold
from classifiers.evaluation.thresholds import together
from classifiers.intervals import weighted

if TYPE_CHECKING:
    import pandas as pd

MINIMUM = 10
"""Hosts that are expected to pass a threshold for a rate, below which there is none."""


@dataclass(frozen=True)
class Look:
    """All finders at one kind of threshold. name: `p0.5`, or `hosts_fpr0.05`. at: threshold of
    every finder, by its name."""

    name: str
    at: Mapping[str, Threshold]

    @property
    def status(self) -> str:
        """ok, or the reason of the first finder that has no threshold."""
        refused = [f"{name}: {t.status}" for name, t in self.at.items() if t.status != OK]
        return refused[0] if refused else OK


def columns(name: str, more: Sequence[str]) -> dict[str, str]:
    """Endings of the columns `score...` by the name of the finder: the first, called `name` (or
    "audited" where another is called so), has none."""
    first = "audited" if name in more else name
    return {first: "", **{other: f"_{other}" for other in more}}


def of_audit(
    rows: pd.DataFrame,
    name: str,
    more: Sequence[str],
    fixed: Sequence[float],
    rates: Sequence[float],
) -> tuple[dict[str, str], list[Look]]:
    """`columns` and `looks` of an audit of several finders, of which the first is called `name`."""
    finders = columns(name, more)
    return finders, looks(rows, finders, fixed, rates)


def looks(
    rows: pd.DataFrame,
    finders: Mapping[str, str],
    fixed: Sequence[float],
    rates: Sequence[float],
) -> list[Look]:
    """The kinds of thresholds. rows: injections with score and score_before of every finder, of
    `columns`. fixed: the same for all. rates: of the hosts without an arc that are to pass, where
    every galaxy counts once (degraded hosts as often as they were degraded)."""
    found = [Look(t.name, dict.fromkeys(finders, t)) for t in thresholds.given(fixed)]
    before = [f"score_before{ending}" for ending in finders.values()]
    for rate in rates:
        at = {}
        for name, column in zip(finders, before):
            negatives = rows.drop_duplicates(["galaxy_id", column])
            (at[name],) = thresholds.of_targets(
                negatives[column].to_numpy(np.float64),
                negatives["galaxy_id"].to_numpy(),
                [rate],
                MINIMUM,
                "hosts",
                together(negatives),
            )
        found.append(Look(f"hosts_fpr{rate:g}", at))
    return found


def bins(rows: pd.DataFrame, grid: Grid) -> Iterator[tuple[str, str, Bool[np.ndarray, " n"]]]:
    """All injections, then every bin of every axis: its name, the bin's, and which lie in it."""
    for axis, values, own in completeness.along(rows, grid):
        for value in values:
            yield axis, value, (own == value).to_numpy()


def table(
    rows: pd.DataFrame,
    finders: Mapping[str, str],
    asked: Sequence[Look],
    grid: Grid,
    sufficient: int,
) -> pd.DataFrame:
    """A line per look, bin and measure: share with its 95 % interval, and how many injections and
    hosts it is of.

    Intervals are by hosts (`intervals.weighted`); of measure `finder` at a rate of the hosts they
    hold what is not known of the threshold too (`thresholds.known`), of the others they are those
    at these thresholds. A look that some finder has no threshold for has one line, whose status is
    the reason.
    """
    import pandas as pd

    weight = completeness.weights(rows)
    host, number = rows["galaxy_id"].to_numpy(), pd.factorize(rows["galaxy_id"])[0]
    lines: list[dict[str, Any]] = []
    scores = {name: rows[f"score{ending}"].to_numpy() for name, ending in finders.items()}
    cut = list(bins(rows, grid))
    for look in asked:
        if look.status != OK:
            lines.append({"look": look.name, "status": look.status})
            continue
        found = {name: scores[name] > look.at[name].value for name in finders}
        residual = {name: thresholds.residuals(host, look.at[name]) for name in finders}
        for axis, value, own in cut:
            where = {"look": look.name, "axis": axis, "value": value}
            enough = completeness.enough(weight[own]) >= sufficient
            status = "sufficient" if enough else "insufficient"
            for measure, names, hit, of in measures(found):
                which = own & of
                known = weighted(hit[which], weight[which], number[which])
                low, high = (float(end) for end in known.interval())
                if measure == "finder":
                    (name,) = names
                    low, high = thresholds.known(
                        scores[name][own],
                        weight[own],
                        number[own],
                        look.at[name],
                        residual[name][own],
                    ).interval((low, high))
                first, second = (*names, "", "")[:2]
                lines.append(
                    {
                        **where,
                        "measure": measure,
                        "finder": first,
                        "other": second,
                        "threshold": look.at[first].value if first else np.nan,
                        "n": int(which.sum()),
                        "k": int(hit[which].sum()),
                        "hosts": int(known.groups),
                        "share": known.value,
                        "lo95": low,
                        "hi95": high,
                        "status": status,
                    }
                )
    return pd.DataFrame(lines)


Flags = Bool[np.ndarray, " n"]


def measures(found: Mapping[str, Flags]) -> Iterator[tuple[str, tuple[str, ...], Flags, Flags]]:
    """Every measure of some finders: its name, whose it is, which injections have it, and of which
    ones."""
    names = list(found)
    every = np.ones(len(next(iter(found.values()))), bool)
    stack = np.stack(list(found.values()))
    for name in names:
        yield "finder", (name,), found[name], every
    number = stack.sum(0)
    for name in names:
        yield "unique", (name,), found[name] & (number == 1), every
    yield "any", (), number > 0, every
    yield "all", (), number == len(names), every
    for a, b in combinations(names, 2):
        both, either = found[a] & found[b], found[a] | found[b]
        yield "both", (a, b), both, every
        yield "either", (a, b), either, every
        yield "overlap", (a, b), both, either
    for a, b in permutations(names, 2):
        yield "also", (a, b), found[b], found[a]


def summary(table: pd.DataFrame, look: str) -> dict[str, Any]:
    """What summary.json says of several finders at one look: shares of all injections."""
    own = table[(table["look"] == look) & (table["axis"] == "all")]
    plain = ("measure", "finder", "other", "share", "lo95", "hi95", "n", "k")
    lines = [
        {k: None if v != v else v for k, v in line.items()}
        for line in own[list(plain)].to_dict("records")
    ]
    refused = table[(table["status"] != "sufficient") & (table["status"] != "insufficient")]
    return {
        "look": look,
        "measures": lines,
        "refused": dict(zip(refused["look"], refused["status"])),
    }


def in_words(found: Mapping[str, Any]) -> str:
    """The finders together, in a sentence or two."""
    percent = lambda v: f"{100 * v:.1f} %"
    own: dict[str, list[Any]] = {}
    for line in found["measures"]:
        own.setdefault(line["measure"], []).append(line)
    each = ", ".join(
        f"{f['finder']} finds {percent(f['share'])} (only it: {percent(u['share'])})"
        for f, u in zip(own["finder"], own["unique"])
    )
    (some,), (every,) = own["any"], own["all"]
    return (
        f"Finders together ({found['look']}): {each}; any of them {percent(some['share'])} (95 %: "
        f"{percent(some['lo95'])} to {percent(some['hi95'])}), all of them "
        f"{percent(every['share'])}."
    )


def of_finders(asked: Sequence[Look]) -> dict[str, dict[str, float]]:
    """Thresholds by finder and look, of those that there are, for `InjectionSet.about`."""
    found: dict[str, dict[str, float]] = {}
    for look in asked:
        for name, t in look.at.items():
            if t.status == OK:
                found.setdefault(name, {})[look.name] = t.value
    return found


def logits(shares: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Logarithm of the odds of shares between 0 and 1."""
    return np.log(shares / (1 - shares))
