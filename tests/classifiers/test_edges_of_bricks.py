"""Scans over bricks and pages of candidates cut the pixels that the cutout files hold, also where a
stamp reaches beyond its brick."""

import numpy as np
from analytic_sky import SIDE, STAMP, SURVEY, around, header, write
from astropy.wcs import WCS

from classifiers.inspection.frombricks import Bricks as Shown
from classifiers.inspection.frombricks import Position
from classifiers.scanning.frombricks import Bricks as Scanned
from data.coadds import image_path, read_brick, slice_out
from data.edges import completed

X, Y = np.array([2.3, 150.0, SIDE - 4.0]), np.array([150.0, 150.0, SIDE - 3.0])


def seen(root, own):
    """Stamps of the scan and of the page."""
    ra, dec = WCS(header(own)).wcs_pix2world(X, Y, 0)
    rows = [{"ra": r, "dec": d, "release": 10000} for r, d in zip(ra % 360, dec)]
    scan = list(Scanned(root, SURVEY, STAMP)._brick(own.name, rows))
    where = {str(i): Position(own.name, r % 360, d) for i, (r, d) in enumerate(zip(ra, dec))}
    page = Shown(root, SURVEY, STAMP, where)
    return scan, [page(name) for name in where]


def test_both_complete_edges_as_the_cutouts_are(tmp_path):
    own, east, *_ = around(0.0, 0.125)
    write(tmp_path, [own, east])
    brick = read_brick(tmp_path, own.name, SURVEY)
    edges = completed(brick, tmp_path, SURVEY, X, Y, STAMP)
    wanted = [edges.fill(slice_out(brick.images, x, y, STAMP)).image for x, y in zip(X, Y)]
    scan, page = seen(tmp_path, own)
    for stamp, shown, image in zip(scan, page, wanted):
        np.testing.assert_array_equal(shown, image)
        if stamp.image is not None:
            np.testing.assert_array_equal(stamp.image, image)
    assert [stamp.image is None for stamp in scan] == [False, False, True]


def test_a_refused_row_says_which_neighbour_could_not_be_used(tmp_path):
    own, east, *_ = around(0.0, 0.125)
    write(tmp_path, [own, east])
    image_path(tmp_path, east.name, "r").write_bytes(b"<html>")
    scan, _ = seen(tmp_path, own)
    assert scan[0].image is None and "image-r.fits.fz" in scan[0].reason
    assert scan[1].image is not None and scan[1].reason == ""
