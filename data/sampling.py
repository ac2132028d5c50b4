"""How many negatives to take from which stratum, and which ones.

Negatives are matched to the positives stratum by stratum (exposures in the selection band, and
morphological type), so that neither tells the classes apart. A stratum that cannot supply its share
is a shortfall: it is reported, and borrowed from named strata, nearest first, or left unfilled.
Which rows are taken depends on nothing but their names and the seed (`data.splits.order_key`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.selection import NOBS_BINS, TYPE_BINS
from data.splits import order_key
from data.survey import default

if TYPE_CHECKING:
    import pandas as pd

POOLS = ("N1", "N2")
Stratum = tuple[str, str, str]
"""(bin of exposures, bin of types, pool)"""


@dataclass(frozen=True)
class Share:
    """What one stratum of one pool was asked for and gave.

    positives: in the stratum. wanted: negatives for them. available: rows of the pool here. got: of
    the wanted, found here. borrowed: of the wanted, found elsewhere; borrowed_from says where, as
    "nobs_bin/type_bin:count;...". unfilled: found nowhere. sampled: rows taken from here, for this
    stratum and others.
    """

    nobs_bin: str
    type_bin: str
    pool: str
    positives: int
    wanted: int
    available: int
    got: int
    shortfall: int
    borrowed: int
    borrowed_from: str
    unfilled: int
    sampled: int


def allocate(
    positives: Mapping[tuple[str, str], int],
    available: Mapping[Stratum, int],
    ratio: float,
    n2_fraction: float,
    borrow: bool = True,
) -> list[Share]:
    """Shares of every stratum and pool that has positives or rows.

    positives: (bin of exposures, bin of types) to count. available: rows of the pools by stratum.
    ratio: negatives wanted for each positive in every stratum. n2_fraction: of N2 among all
    negatives, a global target; rounding is spread by largest remainder, so that the sums are exact.
    """
    strata = sorted({*positives, *((n, t) for n, t, _ in available)}, key=_place)
    wanted: dict[Stratum, int] = {}
    totals = [round(ratio * positives.get(s, 0)) for s in strata]
    second = _spread([n2_fraction * n for n in totals], round(n2_fraction * sum(totals)))
    for s, total, n2 in zip(strata, totals, second, strict=True):
        wanted[*s, "N1"], wanted[*s, "N2"] = total - n2, n2
    got = {key: min(n, available.get(key, 0)) for key, n in wanted.items()}
    left = {key: available.get(key, 0) - got[key] for key in wanted}
    loans: dict[Stratum, list[tuple[Stratum, int]]] = {key: [] for key in wanted}
    for key in wanted if borrow else ():
        missing = wanted[key] - got[key]
        for lender in sorted(
            (k for k in wanted if k[2] == key[2] and k != key), key=lambda k: _distance(key, k)
        ):
            take = min(missing, left[lender])
            if take:
                loans[key].append((lender, take))
                left[lender] -= take
                missing -= take
    return [
        Share(
            *key,
            positives=positives.get(key[:2], 0),
            wanted=wanted[key],
            available=available.get(key, 0),
            got=got[key],
            shortfall=wanted[key] - got[key],
            borrowed=sum(n for _, n in loans[key]),
            borrowed_from=";".join(f"{lender[0]}/{lender[1]}:{n}" for lender, n in loans[key]),
            unfilled=wanted[key] - got[key] - sum(n for _, n in loans[key]),
            sampled=available.get(key, 0) - left[key],
        )
        for key in wanted
    ]


def take(
    pool: pd.DataFrame,
    shares: list[Share],
    seed: int,
    stratum: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The sampled rows of a pool that fits in memory, sorted by galaxy_id: in each stratum the
    first `sampled` by (order_key, galaxy_id).

    stratum: the three columns that name it; those of the default survey if none. `spark.sampling`
    does the same with a window function; both give the same rows however the pool is partitioned.
    """
    stratum = stratum or (f"nobs_{default().selection_band}_bin", "type_bin", "pool")
    quota = {(s.nobs_bin, s.type_bin, s.pool): s.sampled for s in shares}
    keyed = pool.assign(_key=order_key(pool["galaxy_id"], seed)).sort_values(["_key", "galaxy_id"])
    rank = keyed.groupby(list(stratum), sort=False).cumcount()
    limit = [quota.get(key, 0) for key in zip(*(keyed[name] for name in stratum), strict=True)]
    return (
        keyed[rank.to_numpy() < np.asarray(limit, int)]
        .drop(columns="_key")
        .sort_values("galaxy_id")
        .reset_index(drop=True)
    )


def _place(stratum: tuple[str, str]) -> tuple[int, int]:
    """Order of strata: by exposures, then by type; `other` last."""
    n, t = stratum
    return (
        NOBS_BINS.index(n) if n in NOBS_BINS else len(NOBS_BINS),
        TYPE_BINS.index(t) if t in TYPE_BINS else len(TYPE_BINS),
    )


def _distance(borrower: Stratum, lender: Stratum) -> tuple[int, bool, tuple[int, int]]:
    """Nearest first: the same exposures before neighbouring ones, then the same type, then the
    order of strata."""
    a, b = _place(borrower[:2]), _place(lender[:2])
    return abs(a[0] - b[0]), a[1] != b[1], b


def _spread(shares: list[float], total: int) -> list[int]:
    """Whole numbers near the shares that add up to the total: the floors, and one more for each of
    the largest remainders, in order."""
    floors = [int(np.floor(x)) for x in shares]
    order = sorted(range(len(shares)), key=lambda i: (floors[i] - shares[i], i))
    for i in order[: total - sum(floors)]:
        floors[i] += 1
    return floors
