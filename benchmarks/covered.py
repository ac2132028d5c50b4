"""How often do the audit's 95 % intervals hold the truth? `python -m benchmarks.covered --help`

Audits of a world with known truth (`benchmarks.known_world`), with several injections a host, are
drawn and handed to the functions that an audit uses. Of every interval it is counted whether it
holds what is true: 1,000 audits tell a coverage of 95 % to 0.7 points. Scenarios differ in how rare
finds are, how much hosts differ, how many there are, and in whether injections have weights. Only
intervals of the stated domain count for the verdict: ten hosts, and 8 effective finds and misses
(`classifiers.intervals`); the others are listed as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro

from benchmarks.known_world import MAGNITUDES, TYPES, Region, Truth, World, audit, score, sky
from classifiers.audit import answers, assumptions, completeness, hosteffects, realism, thresholds
from classifiers.audit.case import Treatment
from classifiers.audit.plan import Chunk
from data import record
from data.files import write_json

LOWEST, HIGHEST = 0.93, 0.97
EFFECTIVE = 8.0
"""Effective finds, and misses, from which on 95 +- 2 % is claimed."""
HALF = 0.5
TARGETS = (0.05, 0.01)
MOVED = (-0.3, 0.3, 0.3)
"""A treatment: mean change of the logit, and its scatter by injection and by host."""
SAMPLE = 400
"""Injections of the sensitivity and of the treatment."""


@dataclass(frozen=True)
class Scenario:
    """hosts: how many there are to inject into. per_host: at most so many injections into each, in
    every cell. negatives: galaxies without an arc that thresholds rest on; the hosts are among
    them. proposal: injections are drawn from one, and have weights."""

    world: World = field(default_factory=World)
    hosts: int = 320
    per_host: int = 2
    negatives: int = 2000
    proposal: bool = False

    @property
    def injections(self) -> int:
        """For every cell, few enough that every cell gets as many."""
        return int(0.75 * self.per_host * self.hosts / 4)


SCENARIOS = {
    "usual": Scenario(),
    "weighted": Scenario(proposal=True),
    "few hosts": Scenario(hosts=80, per_host=4),
    "rare finds": Scenario(World(base=-4.0, spread=(0.8, 1.6)), hosts=400),
    "most found": Scenario(World(base=1.5), hosts=400),
    "hosts decide": Scenario(World(sigma=0.5, spread=(1.2, 1.8)), hosts=320, per_host=4),
}


class Held(NamedTuple):
    """An interval and the truth. inside: whether it lies in the stated domain."""

    value: float
    low: float
    high: float
    truth: float
    inside: bool = True


@dataclass(frozen=True)
class Known:
    """What is so in a scenario, worked out once. at: logit of the true threshold for a rate."""

    truth: Truth
    at: dict[float, float]
    slopes: dict[str, dict[str, float]]
    done: dict[Any, float] = field(default_factory=dict)

    def completeness(self, at: float, region: Region) -> float:
        """Share of the injections of a region above a logit."""
        if (at, region) not in self.done:
            self.done[at, region] = self.truth.completeness(at, region)
        return self.done[at, region]

    def between_hosts(self, region: Region, same_radius: float) -> float:
        """Variance among hosts (`Truth.between_hosts`), which is linear in the share of pairs."""
        ends = []
        for share in (0.0, 1.0):
            key = region, share
            if key not in self.done:
                self.done[key] = self.truth.between_hosts(0.0, region, share)
            ends.append(self.done[key])
        return ends[0] + same_radius * (ends[1] - ends[0])

    @classmethod
    def of(cls, scenario: Scenario) -> Known:
        truth = Truth(scenario.world)
        hard = lambda region, move: truth.completeness(0.0, region, move)
        slopes = {"soft": truth.slopes(truth.soft), "hard": truth.slopes(hard)}
        return cls(truth, {f: truth.threshold(f) for f in TARGETS}, slopes)


def one(scenario: Scenario, known: Known, seed: int) -> dict[str, Held]:
    """Every interval of one audit, by name."""
    rng = np.random.default_rng(seed)
    truth, world = known.truth, scenario.world
    every = sky(world, max(scenario.negatives, scenario.hosts), rng)
    hosts = every.take(rng.permutation(len(every.name))[: scenario.hosts])
    rows = audit(
        world, hosts, truth.axes, scenario.per_host, scenario.injections, rng, scenario.proposal
    )
    negatives = every.take(np.arange(scenario.negatives))
    listed = thresholds.of_targets(
        score(negatives.logit), negatives.name, TARGETS, 10, "negatives", negatives.cell
    )
    found: dict[str, Held] = {}
    for part in (
        _completeness(rows, known, [*thresholds.given([HALF]), *listed]),
        _thresholds(listed, known),
        _slopes(rows, scenario, known, rng),
        _hosts(rows, known),
        _change(rows, known, rng),
        _stages(rows, known),
    ):
        found |= dict(part)
    return found


def _domain(line: Mapping[str, Any], truth: float) -> bool:
    enough = line["n_eff"] * min(truth, 1 - truth) >= EFFECTIVE
    return bool(enough and line["hosts"] >= 10)


def _completeness(rows: Any, known: Known, asked: list[Any]) -> Iterator[tuple[str, Held]]:
    """Of every cell and of magnitude bins in it, along every axis, and of all injections: what the
    table and the marginals say. At thresholds for rates, where truth is at the true threshold."""
    truth, ends = known.truth, ("lo95_total", "hi95_total")
    at = {"p0.5": 0.0} | {t.name: known.at[t.target] for t in asked[1:]}
    regions = truth.cells()
    cells = _cells(truth)
    table = completeness.table(rows, cells, asked, truth.axes, 1)
    number = {tuple(c): i for i, c in enumerate(cells.to_numpy().tolist())}
    names = list(cells.columns)
    whole: dict[str, list[tuple[float, float]]] = {name: [] for name in at}
    for line in table.to_dict("records"):
        i, mags = number[tuple(line[n] for n in names)], line["source_mag_bin"]
        region = regions[i]
        if mags != "all":
            low, high = (float(v) for v in mags.split("-"))
            region = replace(region, mag=(low, high))
        name = line["threshold_name"]
        value = known.completeness(at[name], region)
        if mags == "all":
            whole[name].append((line["n"], value))
        if name == "p0.5":
            label = f"cell {i}" if mags == "all" else f"cell {i} of magnitudes {mags}"
            yield label, Held(*_three(line, ends), value, _domain(line, value))
    every = completeness.marginals(rows, asked, truth.axes, 1)
    for line in every[every["axis"] == "all"].to_dict("records"):
        n, value = np.array(whole[line["threshold_name"]]).T
        mean = float((n * value).sum() / n.sum())
        label = f"completeness at {line['threshold_name']}"
        yield label, Held(*_three(line, ends), mean, _domain(line, mean))
        if line["threshold_name"] != "p0.5":
            alone = _three(line, ("lo95_hosts", "hi95_hosts"))
            yield f"{label}, threshold taken as exact", Held(*alone, mean, False)


def _three(line: Mapping[str, Any], ends: tuple[str, str]) -> tuple[float, float, float]:
    return (line["completeness"], *(line[e] for e in ends))


def _cells(truth: Truth) -> Any:
    """Every cell of the grid, in the order of `plan.cells`."""
    import pandas as pd

    lines = []
    for site in truth.axes.sites():
        for cell in truth.axes.drawn[0].cells:
            own = {a.name: a.cells[i].value for a, i in zip(site.axes, site.place)}
            lines.append({"theta_e": cell.value, **own})
    return pd.DataFrame(lines)


def _thresholds(listed: list[Any], known: Known) -> Iterator[tuple[str, Held]]:
    for t in listed:
        if t.status == thresholds.OK:
            ends = t.value, t.low, t.high, float(score(known.at[t.target]))
            yield f"threshold for {t.target:g}", Held(*ends)


def _slopes(
    rows: Any, scenario: Scenario, known: Known, rng: np.random.Generator
) -> Iterator[tuple[str, Held]]:
    """Derivatives of the mean score and of the share found, from a sample of the injections and the
    slopes of their logits."""
    own = rows.iloc[rng.permutation(len(rows))[:SAMPLE]]
    world, logit = scenario.world, own["logit"].to_numpy()
    u = (own["source_mag"].to_numpy() - MAGNITUDES[0]) / (MAGNITUDES[1] - MAGNITUDES[0])
    slopes = {
        "theta_e": own["slope_theta_e"].to_numpy(),
        "psf": np.full(len(own), world.wide),
        "mag_low": world.faint * (1 - u),
        "mag_high": world.faint * u,
    }
    weight, host = own["weight"].to_numpy(), own["galaxy_id"].to_numpy()
    for name, slope in slopes.items():
        soft = answers.soft(logit, slope, weight, host)
        hard = answers.hard(logit, slope, 0.0, weight, host)
        for kind, mean in (("soft", soft), ("hard", hard)):
            yield (
                f"{kind} derivative in {name}",
                Held(mean.value, *mean.interval(), known.slopes[kind][name]),
            )


def _hosts(rows: Any, known: Known) -> Iterator[tuple[str, Held]]:
    """Completeness by type of host, and the variance among hosts."""
    truth, edges = known.truth, known.truth.axes.drawn[0].edges
    bins = np.searchsorted(edges, rows["theta_e"].to_numpy())
    same = _same(rows["galaxy_id"].to_numpy(), bins)
    for line in hosteffects.table(rows, HALF, 1).to_dict("records"):
        types = (0, 1) if line["axis"] == "all" else (TYPES.index(line["value"]),)
        region = replace(truth.everywhere, types=types)
        value, variance = known.completeness(0.0, region), known.between_hosts(region, same)
        enough = line["hosts"] * min(value, 1 - value) >= EFFECTIVE
        label = "hosts" if line["axis"] == "all" else line["value"]
        if line["axis"] != "all":
            ends = _three(line, ("lo95_hosts", "hi95_hosts"))
            yield f"completeness of {label}", Held(*ends, value, enough)
        ends = tuple(line[n] for n in ("variance", "variance_lo95", "variance_hi95"))
        if line["variance_status"] == thresholds.OK:
            yield f"variance among {label}", Held(*ends, variance)


def _same(host: np.ndarray, bins: np.ndarray) -> float:
    """Share of pairs of injections into one host that lie in one bin, where a host counts as its
    injections do."""
    _, place, number = np.unique(host, return_inverse=True, return_counts=True)
    _, first, count = np.unique(host * 1000 + bins, return_index=True, return_counts=True)
    pairs = np.bincount(place[first], count * (count - 1.0), len(number))
    some = number > 1
    return float((pairs[some] / (number[some] - 1)).sum() / number[some].sum())


def _change(rows: Any, known: Known, rng: np.random.Generator) -> Iterator[tuple[str, Held]]:
    """The change of completeness under a treatment that moves every logit, from the sample that the
    audit takes."""
    import pandas as pd
    from scipy.stats import norm

    truth, n = known.truth, len(rows)
    keys = rng.integers(0, 2**32, (n, 2), dtype=np.uint32)
    site: Any = None
    plan = [Chunk(site, 1, 1.0, np.zeros(n, int), {}, np.zeros(n, int), keys, False)]
    logit = rows["logit"].to_numpy()
    sample = assumptions.choose(plan, logit, 0.0, SAMPLE)
    assert sample is not None
    _, host = np.unique(rows["galaxy_id"], return_inverse=True)
    by_host = rng.normal(size=host.max() + 1)[host]
    moved = logit + MOVED[0] + MOVED[1] * rng.normal(size=n) + MOVED[2] * by_host
    first = rows.iloc[sample.rows].rename(columns={"galaxy_id": "host"}).reset_index(drop=True)
    looks = {
        assumptions.FIRST: first,
        "moved": pd.DataFrame({"score": score(moved[sample.rows])}),
    }
    treatment = Treatment("moved", "assumption", "", "", None)
    weight = sample.weight * rows["weight"].to_numpy()[sample.rows]
    table = assumptions.table([treatment], looks, weight, HALF, truth.axes)
    line = assumptions.overall(table).iloc[0]
    more = float(np.hypot(MOVED[1], MOVED[2]))
    after = truth.mean(lambda m, s: norm.sf(0.0, m + MOVED[0], np.hypot(s, more)), truth.everywhere)
    change = 100 * (after - known.completeness(0.0, truth.everywhere))
    enough = line["gained"] + line["lost"] >= EFFECTIVE
    yield (
        "change under a treatment",
        Held(line["change"], line["lo95"], line["hi95"], change, bool(enough)),
    )


def _stages(rows: Any, known: Known) -> Iterator[tuple[str, Held]]:
    """Observable fraction, and recall given observable and given not."""
    truth, found = known.truth, realism.two_stages(rows, HALF, 0.0)
    exact = {
        "observable": truth.observable(),
        "recall_observable": truth.found_of_observable(0.0),
        "recall_unobservable": truth.found_of_observable(0.0, False),
    }
    for name, value in exact.items():
        line = found[name]
        enough = line["n"] * min(value, 1 - value) >= 4 * EFFECTIVE
        yield name, Held(line["value"], line["lo95"], line["hi95"], value, enough)


def _several(task: tuple[str, int, int]) -> list[dict[str, Held]]:
    name, start, stop = task
    known = Known.of(SCENARIOS[name])
    return [one(SCENARIOS[name], known, seed) for seed in range(start, stop)]


def tallied(audits: list[dict[str, Held]]) -> dict[str, dict[str, float]]:
    """By name of the interval: how often it holds the truth, how often it lies below and above, its
    mean width, the mean error of the value, and the share of audits in the stated domain."""
    lines = {}
    for name in dict.fromkeys(name for a in audits for name in a):
        held = [a[name] for a in audits if name in a and np.isfinite(a[name].low)]
        low, high, truth, value = (np.array([getattr(h, f) for h in held]) for f in _FIELDS)
        inside = np.array([h.inside for h in held])
        lines[name] = {
            "audits": len(held),
            "held": float(((low <= truth) & (truth <= high)).mean()),
            "below": float((high < truth).mean()),
            "above": float((low > truth).mean()),
            "width": float((high - low).mean()),
            "truth": float(truth.mean()),
            "bias": float((value - truth).mean()),
            "inside": float(inside.mean()),
        }
    return lines


_FIELDS = ("low", "high", "truth", "value")


@dataclass(frozen=True)
class Question:
    """What is measured."""

    audits: int = 1000
    scenarios: tuple[str, ...] = tuple(SCENARIOS)
    processes: int = 2
    out: Annotated[Path, tyro.conf.arg(help="default benchmarks/results/covered.json")] = Path("")


def main(q: Question) -> dict[str, Any]:
    """Measures everything, prints a table and writes it down."""
    found, start = {}, time.perf_counter()
    step = 25
    print("| scenario | interval | truth | held | below | above |\n|---|---|---|---|---|---|")
    with ProcessPoolExecutor(q.processes) as pool:
        for name in q.scenarios:
            tasks = [(name, i, min(i + step, q.audits)) for i in range(0, q.audits, step)]
            audits = [a for part in pool.map(_several, tasks) for a in part]
            found[name] = lines = tallied(audits)
            for label, line in summary(lines).items():
                print(
                    f"| {name} | {label} | {line['truth']:.4g} | {100 * line['held']:.1f} % | "
                    f"{100 * line['below']:.1f} % | {100 * line['above']:.1f} % |",
                    flush=True,
                )
    answer = {
        "question": __doc__.splitlines()[0] if __doc__ else "",
        "audits": q.audits,
        "claimed": [LOWEST, HIGHEST],
        "seconds": time.perf_counter() - start,
        "cores": os.cpu_count(),
        "versions": record.versions(),
        "commit": record.commit(),
        "scenarios": found,
        "outside": outside(found),
    }
    results = Path(__file__).parent / "results"
    out = q.out if q.out != Path("") else results / "covered.json"
    write_json(out, answer)
    print(out)
    return answer


def summary(lines: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The lines, with those of cells in the domain as one, which is their mean."""
    shown = {k: dict(v) for k, v in lines.items() if not k.startswith("cell ")}
    for label, bins in (("cells", False), ("cells by magnitude", True)):
        own = [
            v
            for k, v in lines.items()
            if k.startswith("cell ") and ("magnitudes" in k) == bins and v["inside"] > 0.5
        ]
        if own:
            shown[f"{len(own)} {label}"] = {
                key: float(np.mean([v[key] for v in own])) for key in own[0]
            }
    return shown


def outside(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Intervals of the stated domain that hold the truth less often, or more often, than claimed,
    by more than two standard deviations of this count."""
    wrong = []
    for name, lines in found.items():
        for label, line in lines.items():
            slack = 2 * np.sqrt(0.95 * 0.05 / line["audits"])
            if line["inside"] > 0.5 and not LOWEST - slack <= line["held"] <= HIGHEST + slack:
                wrong.append(f"{name}, {label}: {100 * line['held']:.1f} %")
    return wrong


if __name__ == "__main__":
    main(tyro.cli(Question, description=__doc__))
