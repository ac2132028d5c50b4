"""From how many finds on does the interval of a share hold what it says? `python -m
benchmarks.shares --help`

Trials come in groups, as injections come in hosts. Whether one succeeds is a normal variable above
a cut, of which a part rho is the group's. For many numbers of groups, trials a group, shares and
rho it is counted how often the 95 % interval of `intervals.weighted` holds the share. Each line has
the effective number of successes (or failures, if there are fewer), by the true design effect: the
domain that `classifiers.intervals` states is measured along it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from classifiers.intervals import weighted
from data import record
from data.files import write_json

GROUPS = ((10, 4), (20, 4), (50, 4), (200, 4), (20, 20), (50, 20), (200, 20))
SHARES = (0.005, 0.02, 0.1, 0.5, 0.9)
PARTS = (0.0, 0.3, 0.7)
EDGES = (0, 2, 4, 8, 16, 1e9)


@dataclass(frozen=True)
class Question:
    """What is measured."""

    samples: int = 1000
    out: Annotated[Path, tyro.conf.arg(help="default benchmarks/results/shares.json")] = Path("")


def effective(groups: int, size: int, share: float, part: float) -> float:
    """Effective number of successes or failures: n min(C, 1 - C) over 1 + (size - 1) r, where r is
    the correlation of two trials of a group, from the bivariate normal distribution."""
    from scipy.stats import multivariate_normal, norm

    cut = norm.ppf(share)
    both = multivariate_normal.cdf([cut, cut], cov=[[1.0, part], [part, 1.0]]) if part else share**2
    r = (both - share**2) / (share * (1 - share))
    return float(groups * size * min(share, 1 - share) / (1 + (size - 1) * r))


def line(groups: int, size: int, share: float, part: float, samples: int) -> dict[str, Any]:
    """How often the interval holds the share, lies below it, and above."""
    from scipy.stats import norm

    rng = np.random.default_rng([groups, size, round(1000 * share), round(10 * part)])
    group, weight = np.repeat(np.arange(groups), size), np.ones(groups * size)
    ends = np.empty((samples, 2))
    for i in range(samples):
        common = np.sqrt(part) * rng.normal(size=groups)[group]
        found = common + np.sqrt(1 - part) * rng.normal(size=len(group)) < norm.ppf(share)
        ends[i] = weighted(found, weight, group).interval()
    below, above = float((ends[:, 1] < share).mean()), float((ends[:, 0] > share).mean())
    return {
        "groups": groups,
        "size": size,
        "share": share,
        "part": part,
        "effective": effective(groups, size, share, part),
        "held": 1 - below - above,
        "below": below,
        "above": above,
        "width": float((ends[:, 1] - ends[:, 0]).mean()),
    }


def main(q: Question) -> dict[str, Any]:
    """Measures everything, prints the range of coverages by effective number, writes all down."""
    lines = [
        line(groups, size, share, part, q.samples)
        for groups, size in GROUPS
        for share in SHARES
        for part in PARTS
    ]
    print("| effective number | cases | least | median | most |\n|---|---|---|---|---|")
    ranges = []
    for low, high in pairwise(EDGES):
        held = [v["held"] for v in lines if low <= v["effective"] < high]
        if held:
            own = [float(f(held)) for f in (np.min, np.median, np.max)]
            ranges.append({"from": low, "to": high, "cases": len(held), "held": own})
            words = " | ".join(f"{100 * v:.1f} %" for v in own)
            print(f"| {low:g} to {high:g} | {len(held)} | {words} |")
    answer = {
        "question": " ".join((__doc__ or "").split("`")[0].split()),
        "samples": q.samples,
        "versions": record.versions(),
        "commit": record.commit(),
        "ranges": ranges,
        "lines": lines,
    }
    out = q.out if q.out != Path("") else Path(__file__).parent / "results" / "shares.json"
    write_json(out, answer)
    print(out)
    return answer


if __name__ == "__main__":
    main(tyro.cli(Question, description=__doc__))
