"""Boxes never miss a neighbour, wherever on the sky, and let most of the rest out."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.boxes import box, inside, meeting
from data.sky import SkyTree

RADIUS = 6.0
PLACES = [(150.0, 2.0), (0.0, 30.0), (359.999, -60.0), (20.0, 89.9999), (200.0, -88.99)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.sampled_from(PLACES), st.integers(1, 5))
def test_every_pair_across_two_boxes_is_found(seed, place, parts):
    rng = np.random.default_rng(seed)
    ra = (place[0] + rng.normal(0, 20 / 3600, 60) / np.cos(np.radians(min(place[1], 89)))) % 360
    dec = np.clip(place[1] + rng.normal(0, 20 / 3600, 60), -90, 90)
    part = np.sort(rng.integers(0, parts, 60))
    boxes = [box(ra[part == i], dec[part == i]) for i in range(parts)]
    near = meeting(np.array(boxes), RADIUS)
    one, other, _ = SkyTree(ra, dec).pairs(ra, dec, RADIUS)
    for i, j in zip(one, other, strict=True):
        if part[i] != part[j]:
            assert part[j] in near[part[i]] and part[i] in near[part[j]]
            assert inside(ra[[i]], dec[[i]], boxes[part[j]], RADIUS).all()


def test_what_is_far_does_not_meet():
    rows = [(10.0, 20.0, -5.0, 0.0), (20.001, 30.0, -5.0, 0.0), (190.0, 200.0, -5.0, 0.0)]
    assert [found.tolist() for found in meeting(np.array(rows), RADIUS)] == [[1], [0], []]
    nothing = box(np.empty(0), np.empty(0))
    assert [found.tolist() for found in meeting(np.array([rows[0], nothing]), RADIUS)] == [[], []]
    around = np.array([15.0, 20.001, 20.01, 375.0, 15.0]), np.array([-1.0, -1, -1, -1, 1.0])
    assert inside(*around, rows[0], RADIUS).tolist() == [True, True, False, True, False]
