"""Shares add up, shortfalls are never silent, and the same rows are taken in whatever order."""

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from data import sampling
from data.selection import NOBS_BINS, TYPE_BINS
from data.splits import order_key

BINS = st.tuples(st.sampled_from((*NOBS_BINS, "other")), st.sampled_from((*TYPE_BINS, "other")))
COUNTS = st.dictionaries(BINS, st.integers(0, 40), max_size=8)
POOL = st.dictionaries(
    st.tuples(BINS, st.sampled_from(sampling.POOLS)).map(lambda x: (*x[0], x[1])),
    st.integers(0, 400),
    max_size=16,
)


@settings(max_examples=200, deadline=None)
@given(
    COUNTS,
    POOL,
    st.sampled_from([1.0, 2.5, 10.0]),
    st.sampled_from([0.0, 0.15, 0.5, 1.0]),
    st.booleans(),
)
def test_shares_balance(positives, available, ratio, fraction, borrow):
    shares = sampling.allocate(positives, available, ratio, fraction, borrow)
    assert sum(s.wanted for s in shares) == sum(round(ratio * n) for n in positives.values())
    n2 = sum(s.wanted for s in shares if s.pool == "N2")
    assert n2 == round(fraction * sum(s.wanted for s in shares))
    for s in shares:
        assert (
            s.got == min(s.wanted, s.available)
            and s.shortfall == s.wanted - s.got == s.borrowed + s.unfilled
            and min(s.unfilled, s.borrowed) >= 0
        )
        assert (
            s.got <= s.sampled <= s.available == available.get((s.nobs_bin, s.type_bin, s.pool), 0)
        )
    for pool in sampling.POOLS:
        mine = [s for s in shares if s.pool == pool]
        assert sum(s.sampled for s in mine) == sum(s.got + s.borrowed for s in mine)
        lent: dict[str, int] = {}
        for s in mine:
            for part in filter(None, s.borrowed_from.split(";")):
                lender, n = part.rsplit(":", 1)
                lent[lender] = lent.get(lender, 0) + int(n)
        assert lent == {
            f"{s.nobs_bin}/{s.type_bin}": s.sampled - s.got for s in mine if s.sampled > s.got
        }
        if borrow and any(s.unfilled for s in mine):
            assert all(s.sampled == s.available for s in mine)
        if not borrow:
            assert all(s.borrowed == 0 for s in mine)


def test_borrows_from_the_nearest_stratum_first():
    available = {
        ("3-5", "SER", "N1"): 5,
        ("6-10", "SER", "N1"): 100,
        ("3-5", "DEV", "N1"): 3,
        ("11+", "REX", "N1"): 100,
    }
    (share,) = [s for s in sampling.allocate({("3-5", "SER"): 10}, available, 1.2, 0.0) if s.wanted]
    assert (share.wanted, share.got, share.shortfall, share.borrowed, share.unfilled) == (
        12,
        5,
        7,
        7,
        0,
    )
    assert share.borrowed_from == "3-5/DEV:3;6-10/SER:4"


def test_no_stratum_is_filled_silently():
    shares = sampling.allocate(
        {("1-2", "SER"): 3, ("3-5", "DEV"): 1}, {("3-5", "DEV", "N1"): 4}, 10.0, 0.15
    )
    by = {(s.nobs_bin, s.type_bin, s.pool): s for s in shares}
    assert (
        by["3-5", "DEV", "N1"].got == 4
        and by["1-2", "SER", "N1"].shortfall == by["1-2", "SER", "N1"].wanted > 24
    )
    assert sum(s.unfilled for s in shares) == 40 - 4


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_rows_taken_are_the_first_by_hash_whatever_the_order(random, seed):
    ids = [f"b_{i}" for i in range(60)]
    pool = pd.DataFrame(
        {
            "galaxy_id": ids,
            "nobs_z_bin": ["3-5", "6-10"] * 30,
            "type_bin": "SER",
            "pool": ["N1"] * 40 + ["N2"] * 20,
        }
    )
    shares = sampling.allocate(
        {("3-5", "SER"): 1, ("6-10", "SER"): 1},
        pool.groupby(["nobs_z_bin", "type_bin", "pool"]).size().to_dict(),
        10.0,
        0.2,
    )
    random.shuffle(ids)
    shuffled = pool.set_index("galaxy_id").loc[ids].reset_index()
    taken = sampling.take(shuffled, shares, seed)
    assert taken["galaxy_id"].is_monotonic_increasing
    for share in shares:
        names = pool.query("nobs_z_bin == @share.nobs_bin and pool == @share.pool")["galaxy_id"]
        first = sorted(names, key=lambda g: (int(order_key([g], seed)[0]), g))[: share.sampled]
        got = taken.query("nobs_z_bin == @share.nobs_bin and pool == @share.pool")["galaxy_id"]
        assert sorted(first) == sorted(got)
