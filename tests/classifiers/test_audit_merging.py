"""Joining of insufficient cells: by hand, whatever the order, and never without a word."""

import numpy as np
import pandas as pd
import pytest

from classifiers.audit import completeness, merging
from classifiers.audit.axes import Axis, Grid
from lensjax.errors import InputError

RADII = Axis("theta_e", "", "arcsec", "drawn", "theta_e", points=(1.0, 2.0))
PSF = Axis("psf_fwhm", "", "arcsec", "host", "psf_fwhm", edges=(1.0, 1.2, 1.4, 1.6))
DEPTH = Axis("depth_m5", "", "mag", "host", "depth_m5", edges=(22.0, 23.0, 24.0))
KIND = Axis("type", "", "", "host", "type", words=("REX", "SER"))


def numbers(*n: int) -> dict[merging.Place, tuple[float, float]]:
    """A grid of one axis with so many injections of weight 1."""
    return {(i,): (float(k), float(k)) for i, k in enumerate(n)}


@pytest.mark.parametrize(
    "cells, joined",
    [
        ((9, 9, 9), [[0], [1], [2]]),
        ((9, 1, 4), [[0], [1, 2]]),  # 1 goes to 4, the smaller neighbour, and is then sufficient
        ((5, 1, 9), [[0, 1], [2]]),
        ((9, 3, 9), [[0, 1], [2]]),  # a tie goes to the first
        ((0, 0, 0), [[0, 1, 2]]),  # nobody is left to be joined with
        ((1, 9, 1), [[0, 1, 2]]),
        ((2, 2, 9, 2, 2), [[0, 1, 2, 3, 4]]),  # 2 + 2 are still too few, and 9 takes both pairs
    ],
)
def test_the_fewest_go_to_their_smaller_neighbour(cells, joined):
    found = merging.groups(numbers(*cells), [0], 5)
    assert found == [[(i,) for i in own] for own in joined]


def test_the_second_axis_counts_where_the_first_has_no_neighbour():
    """Depth first: cell (0, 0) goes to (0, 1), though (1, 0) has fewer. With depth alone in a grid
    of one depth, the PSF is what is left."""
    table = {(0, 0): (1.0, 1.0), (0, 1): (8.0, 8.0), (1, 0): (6.0, 6.0), (1, 1): (9.0, 9.0)}
    assert merging.groups(table, [1, 0], 5) == [[(0, 0), (0, 1)], [(1, 0)], [(1, 1)]]
    assert merging.groups(table, [0, 1], 5) == [[(0, 0), (1, 0)], [(0, 1)], [(1, 1)]]
    assert merging.groups({(0, 0): (1.0, 1.0), (1, 0): (9.0, 9.0)}, [1, 0], 5) == [[(0, 0), (1, 0)]]


def test_uneven_weights_count_for_as_few_as_they_are_worth():
    even, uneven = (10.0, 10.0), (10.0, 50.0)  # 10 and 2 injections
    assert len(merging.groups({(0,): even, (1,): even}, [0], 5)) == 2
    assert len(merging.groups({(0,): even, (1,): uneven}, [0], 5)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_a_connected_partition_whatever_the_order(seed):
    rng = np.random.default_rng(seed)
    cells = {p: (float(n := rng.integers(0, 12)), float(n)) for p in np.ndindex(4, 5)}
    found = merging.groups(cells, [1, 0], 10)
    assert sorted(p for own in found for p in own) == sorted(cells)
    order = [list(cells)[i] for i in rng.permutation(len(cells))]
    assert merging.groups({p: cells[p] for p in order}, [1, 0], 10) == found
    for own in found:
        assert sum(cells[p][0] for p in own) >= 10 or len(found) == 1
        reached, left = {own[0]}, set(own[1:])
        while near := {p for p in left if any(abs(np.subtract(p, q)).sum() == 1 for q in reached)}:
            reached, left = reached | near, left - near
        assert not left


def rows(n: int = 900) -> tuple[pd.DataFrame, Grid]:
    """Injections that are rare at wide PSFs and small depths."""
    rng = np.random.default_rng(3)
    psf = rng.choice([1.1, 1.3, 1.5], n, p=[0.7, 0.25, 0.05])
    depth = rng.choice([22.5, 23.5], n, p=[0.35, 0.65])
    table = pd.DataFrame(
        {
            "galaxy_id": rng.integers(0, 60, n),
            "theta_e": rng.choice([1.0, 2.0], n),
            "cell_psf_fwhm": psf,
            "cell_depth_m5": depth,
            "cell_type": rng.choice(["REX", "SER"], n),
            "source_mag": 24.0,
            "arc_snr": rng.uniform(0, 30, n),
            "score": rng.random(n),
            "score_before": 0.0,
            "weight": rng.uniform(0.5, 1.5, n),
        }
    )
    return table, Grid((RADII,), (PSF, DEPTH, KIND))


def merged(table, grid):
    return merging.table(table, {"p0.5": 0.5, "p0.7": 0.7}, grid, 30, ["depth_m5", "psf_fwhm"])


def test_a_line_says_what_it_is_made_of_and_is_what_its_cells_hold():
    table, grid = rows()
    found = merged(table, grid).query("threshold_name == 'p0.5'")
    members = [m for line in found["members"] for m in line.split("; ")]
    assert len(members) == len(set(members)) == grid.cells() and found["n"].sum() == len(table)
    assert (found["cells"] > 1).any() and (found["cells"] == 1).any()
    assert found["rule"].unique().tolist() == ["smaller_neighbour along depth_m5, psf_fwhm"]
    name = lambda r: (
        f"theta_e={r['theta_e']:g} psf_fwhm={r['cell_psf_fwhm']:g} "
        f"depth_m5={r['cell_depth_m5']:g} type={r['cell_type']}"
    )
    own = table.assign(member=[name(r) for r in table.to_dict("records")])
    for line in found.to_dict("records"):
        chosen = own[own["member"].isin(line["members"].split("; "))]
        assert line["n"] == len(chosen) and line["k"] == (chosen["score"] > 0.5).sum()
        share = chosen["weight"][chosen["score"] > 0.5].sum() / chosen["weight"].sum()
        assert line["completeness"] == pytest.approx(share)
        assert chosen["cell_type"].unique().tolist() == [line["type"]]
        assert line["psf_lo"] < chosen["cell_psf_fwhm"].min()
        assert chosen["cell_psf_fwhm"].max() < line["psf_hi"]
        enough = completeness.enough(chosen["weight"].to_numpy())
        assert line["status"] == ("sufficient" if enough >= 30 else "insufficient")


def test_the_order_of_injections_does_not_matter_and_neither_does_what_was_found():
    table, grid = rows()
    found = merged(table, grid)
    shuffled = merged(table.sample(frac=1, random_state=1), grid)
    exact = ["members", "n", "k", "status", "cells"]
    pd.testing.assert_frame_equal(shuffled[exact], found[exact])
    np.testing.assert_allclose(shuffled["completeness"], found["completeness"], rtol=1e-12)
    other = merged(table.assign(score=table["score"].to_numpy()[::-1]), grid)
    assert other["members"].tolist() == found["members"].tolist()
    assert (found.groupby("group")["members"].nunique() == 1).all()  # the same at both thresholds


def test_axes_that_have_no_neighbours_are_refused():
    _, grid = rows()
    with pytest.raises(InputError, match="no axis 'ebv' in the grid; there are theta_e, psf_fwhm"):
        merging.places(grid, ["ebv"])
    with pytest.raises(InputError, match="'type' is made of words"):
        merging.places(grid, ["depth_m5", "type"])


def test_it_is_said_what_was_joined():
    table, grid = rows()
    found = merging.summary(merged(table, grid), ["depth_m5", "psf_fwhm"])
    assert found["cells"] == 24 and found["joined_groups"] >= 1
    assert found["groups"] == 24 - found["joined_cells"] + found["joined_groups"]
    assert "rule smaller_neighbour along depth_m5, psf_fwhm" in merging.in_words(found)
