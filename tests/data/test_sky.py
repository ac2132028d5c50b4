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
