"""Angles on the sky agree with astropy's everywhere, at RA 0 and at the poles too."""

import numpy as np
from astropy.coordinates import SkyCoord

from data import sky
from data.splits import healpix_128

RA = np.array([0.0, 359.9999, 10.0, 190.0, 123.0, 0.0])
DEC = np.array([0.0, 0.0, 90.0, 89.9999, -90.0, -89.9998])


def test_separations_and_nearest_agree_with_astropy():
    coordinates = SkyCoord(RA, DEC, unit="deg")
    for i in range(len(RA)):
        wanted = coordinates[i].separation(coordinates).arcsec
        found = sky.separation(np.full(len(RA), RA[i]), np.full(len(RA), DEC[i]), RA, DEC)
        np.testing.assert_allclose(found, wanted, atol=1e-9, rtol=1e-9)
    tree = sky.SkyTree(RA[1:], DEC[1:])
    index, apart = tree.nearest(RA[:1], DEC[:1])
    assert index.tolist() == [0] and abs(apart[0] - 0.36) < 1e-6
    assert sky.SkyTree(RA[:0], DEC[:0]).nearest(RA, DEC)[0].tolist() == [-1] * len(RA)


def test_every_position_has_a_cell_and_ra_360_is_ra_0():
    assert healpix_128(np.array([360.0]), np.array([5.0])) == healpix_128([0.0], [5.0])
    assert len(set(healpix_128(np.array([0.0, 360.0]), np.array([90.0, 90.0])).tolist())) == 1


def test_a_sieve_lets_every_neighbour_through():
    """All over the sky, at the poles and at RA 0 too; and it stops most of the others."""
    rng = np.random.default_rng(1)
    dec = np.concatenate([np.degrees(np.arcsin(rng.uniform(-1, 1, 3000))), [90, -90, 89.9999]])
    ra = np.concatenate([rng.uniform(0, 360, 3000), [0.0, 0.0, 180.0]])
    ra[:50] = rng.uniform(-2, 2, 50) / 3600
    near_dec = np.clip(dec + rng.uniform(-5, 5, len(dec)) / 3600, -90, 90)
    near_ra = ra + rng.uniform(-5, 5, len(dec)) / 3600
    sieve = sky.Sieve(sky.unit_vectors(ra, dec), 6.0)
    tree = sky.SkyTree(ra, dec)
    inside = tree.within(near_ra, near_dec, 6.0)
    np.testing.assert_array_equal(inside, tree.separation(near_ra, near_dec) <= 6.0)
    assert inside.sum() > 2000 and sieve.passes(near_ra, near_dec)[inside].all()
    far = sieve.passes(rng.uniform(0, 360, 10_000), rng.uniform(-80, 80, 10_000))
    assert far.mean() < 0.3
