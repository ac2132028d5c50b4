"""Carries out the treatments on a sample of the audit's injections, and says how far the
completeness depends on what was assumed.

A look is what the finder says of the same injections under one treatment; the first look is that
without any. The sample is stratified by the first look: injections whose logit lies near the
threshold are those that another assumption can move across it, so most of the sample is taken from
them, and weights make up for it. With the same number of renderings the changes are several times
better known than from a plain sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from classifiers.audit.axes import ALL, Grid
from classifiers.audit.campaign import Campaign, Sample, described
from classifiers.audit.case import Case, Treatment, cases
from classifiers.audit.paired import compared, in_points
from classifiers.audit.plan import Chunk
from data import jobs

if TYPE_CHECKING:
    import pandas as pd

NEAR = 3.0
"""Logits from the threshold within which an injection counts as near."""
SHARE = 0.75
"""Share of the sample that is taken from these, as far as there are so many."""
FIRST = "as_it_is"
"""The look that the others are compared with."""
FEWEST_TREATMENTS = 2
"""Changes of an assumption from which a systematic interval is made."""
DONE = "done"


@dataclass(frozen=True)
class Chosen:
    """A sample: injections by chunk and row, their places in the table of injections (n,), and how
    many injections each stands for (n,)."""

    sample: Sample
    rows: np.ndarray
    weight: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.rows)


def choose(
    plan: Sequence[Chunk], logit: Float[np.ndarray, " n"], at: float, wanted: int
) -> Chosen | None:
    """The sample of the treatments: of the commonest stamp size, the injections with the smallest
    keys within `NEAR` of the threshold's logit `at`, and of the others. logit: of all injections in
    the order of the plan. None for an empty one."""
    if not plan or not wanted:
        return None
    order = by_key(plan)
    near = np.abs(logit - at) <= NEAR
    strata = [order[part[order]] for part in (near, ~near)]
    first = min(len(strata[0]), max(round(SHARE * wanted), wanted - len(strata[1])))
    numbers = first, min(len(strata[1]), wanted - first)
    weight, taken = np.zeros(len(logit)), []
    for own, n in zip(strata, numbers):
        if n:
            weight[own[:n]] = len(own) / n
            taken.append(own[:n])
    rows = np.sort(np.concatenate(taken))
    return Chosen(sample_of(plan, rows), rows, weight[rows])


def missed(
    plan: Sequence[Chunk], logit: Float[np.ndarray, " n"], at: float, wanted: int
) -> Chosen | None:
    """The injections with the smallest keys, all of the same weight, among those of the commonest
    stamp size that are not above the threshold's logit `at`; None where there are none."""
    if not plan or not wanted:
        return None
    order = by_key(plan)
    rows = np.sort(order[logit[order] <= at][:wanted])
    return Chosen(sample_of(plan, rows), rows, np.ones(len(rows))) if len(rows) else None


def by_key(plan: Sequence[Chunk]) -> np.ndarray:
    """Places, in a table of all injections in the order of the plan, of those of the commonest
    stamp size, by key: an order that depends on nothing else."""
    sizes = [(c.size, c.pixel_scale) for c in plan]
    number = {s: sum(len(c) for c in plan if (c.size, c.pixel_scale) == s) for s in sizes}
    common = max(number, key=lambda s: (number[s], s))
    key = np.concatenate([c.key for c in plan])
    usable = np.concatenate([np.full(len(c), s == common) for c, s in zip(plan, sizes)])
    order = np.lexsort(key.T[::-1])
    return order[usable[order]]


def sample_of(plan: Sequence[Chunk], rows: np.ndarray) -> Sample:
    """Injections at sorted places of the plan's table, by chunk and row."""
    start = np.cumsum([0, *(len(c) for c in plan)])
    chunk = np.searchsorted(start, rows, side="right") - 1
    return [(int(i), rows[chunk == i] - start[i]) for i in np.unique(chunk)]


def carry_out(
    campaign: Campaign, chosen: Chosen, listed: Sequence[Treatment], folder: Path
) -> dict[str, pd.DataFrame]:
    """Logit and score of the sample under every treatment that can be applied, by name, the first
    look as `FIRST`, with what it measured of the arcs. Looks that are in `folder` already are
    read."""
    import pandas as pd

    made = cases(campaign, chosen.sample)

    def work(change: Any, path: Path) -> dict[str, Any]:
        parts = [_look(case if change is None else change(case), change is None) for case in made]
        pd.concat(parts, ignore_index=True).to_parquet(path, index=False)
        return {}

    items: list[tuple[str, Any]] = [(FIRST, None)]
    items += [(_file(t.name), t.change) for t in listed if t.change is not None]
    jobs.run(folder, items, work, ".parquet", "treatments")
    names = {_file(t.name): t.name for t in listed} | {FIRST: FIRST}
    return {names[name]: pd.read_parquet(folder / f"{name}.parquet") for name, _ in items}


def _file(name: str) -> str:
    """A name of a treatment as one of a file."""
    return name.replace("+", "plus_").replace("-", "minus_").replace("%", "_percent")


def _look(case: Case, measured: bool) -> pd.DataFrame:
    """Logit and score of a case; where asked also all that is measured of its injections."""
    import pandas as pd

    scores = case.scores()
    columns: dict[str, Any] = {"logit": scores.logit, "score": scores.score}
    if measured:
        own = described(case.observed(), case.count, case.hosts.survey)
        columns |= {"host": case.hosts.ids[case.place[: case.count]], **own}
    return pd.DataFrame(columns)


def table(
    listed: Sequence[Treatment],
    looks: Mapping[str, pd.DataFrame],
    weight: Float[np.ndarray, " n"],
    threshold: float,
    grid: Grid,
    otherwise: str = "",
) -> pd.DataFrame:
    """One line per treatment and bin: first all injections (axis "all"), then each bin of the drawn
    and the measured axes, into which the first look sorts them. change, lo95, hi95 are percentage
    points. A treatment that was not applied has one line whose `status` is the reason; otherwise:
    the reason of those that could be."""
    import pandas as pd

    lines = []
    if looks:
        first = looks[FIRST]
        bins: list[tuple[str, str, np.ndarray]] = [(ALL, ALL, np.ones(len(first), bool))]
        for axis in (*grid.drawn, *grid.measured):
            own = axis.named(first[axis.column].to_numpy())
            bins += [(axis.name, name, own == name) for name in axis.names()]
        before = first["score"].to_numpy() > threshold
    for t in listed:
        about = {"treatment": t.name, "kind": t.kind, "group": t.group, "sentence": t.sentence}
        if t.name not in looks:
            why = t.why_not or otherwise
            lines.append({**about, "axis": ALL, "value": ALL, "n": 0, "hosts": 0, "status": why})
            continue
        after = looks[t.name]["score"].to_numpy() > threshold
        hosts = first["host"].to_numpy()
        for axis_name, value, inside in bins:
            if not inside.any():
                continue
            found = compared(before[inside], after[inside], weight[inside], hosts[inside])
            where = {"axis": axis_name, "value": value}
            lines.append({**about, **where, **in_points(found), "status": DONE})
    return pd.DataFrame(lines)


def overall(table: pd.DataFrame) -> pd.DataFrame:
    """The lines about all injections."""
    return table[table["axis"] == ALL]


def systematic(table: pd.DataFrame, completeness: float) -> dict[str, Any] | None:
    """The systematic interval: the smallest and the largest completeness that any one treatment of
    kind "assumption" gives, the audit's own among them, and which treatments these are. None where
    fewer than `FEWEST_TREATMENTS` were applied: their range would look like certainty.

    Populations, perturbations and the finder's own settings are not part of it. It is the range
    over what was tried, one change at a time, not a probability; each end is known to within the
    interval of its treatment.
    """
    done = overall(table)
    done = done[(done["status"] == DONE) & (done["kind"] == "assumption")]
    if len(done) < FEWEST_TREATMENTS:
        return None
    ends: dict[str, Any] = {}
    for end, pick, sign in (("low", np.argmin, -1), ("high", np.argmax, 1)):
        line = done.iloc[int(pick(done["change"].to_numpy()))]
        moved = sign * line["change"] > 0
        ends[end] = (
            float(np.clip(completeness + line["change"] / 100, 0, 1)) if moved else (completeness)
        )
        ends[f"{end}_treatment"] = str(line["treatment"]) if moved else ""
        ends[f"{end}_sentence"] = str(line["sentence"]) if moved else ""
        change = [float(line[c]) for c in ("change", "lo95", "hi95")]
        ends[f"{end}_change"] = change if moved else None
    return {"low": ends.pop("low"), "high": ends.pop("high"), **ends, "treatments": len(done)}
