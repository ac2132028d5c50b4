"""Stamps at the edge of a brick are completed from the bricks around it: against one analytic sky,
with neighbours that are missing, damaged, or not of the same kind."""

from dataclasses import replace

import numpy as np
import pytest
from analytic_sky import SIDE, STAMP, STEEPEST, SURVEY, around, header, seen, write
from astropy.io import fits

from data import brickgrid, edges
from data.brickgrid import adjoining, brick_containing
from data.coadds import image_path, read_brick, slice_out
from data.edges import completed

CORNERS = {"on the equator, at RA 0": (0.0, 0.125), "staggered rows": (149.9, 29.875)}
X = np.array([2.3, 150.0, 3.1, 150.0])
Y = np.array([150.0, 313.6, 312.0, 150.0])
"""at the eastern side, the northern side and the corner of the first brick, and in its middle"""


def stamps(root, brick, x=X, y=Y, size=STAMP):
    own = read_brick(root, brick.name, SURVEY)
    found = completed(own, root, SURVEY, x, y, size)
    pieces = [slice_out(own.images, *at, size) for at in zip(x, y)]
    return found, pieces, [found.fill(piece) for piece in pieces]


def truth(brick, piece):
    (left, top), size = piece.corner, len(piece.image)
    y, x = np.mgrid[top : top + size, left : left + size]
    return seen(brick, x.ravel(), y.ravel()).reshape(size, size, 3)


def corner_of(where):
    """Bricks that meet at a corner, and the corner's own brick is the first."""
    first = brick_containing(CORNERS[where][0] - 0.01, CORNERS[where][1] - 0.01)
    return around(first.ra2 % 360, first.dec2)


@pytest.mark.parametrize("where", CORNERS)
def test_bricks_around_agree_with_the_one_sky_at_sides_and_corner(tmp_path, where):
    bricks, four = corner_of(where), where.startswith("on")
    bricks = bricks if four else [bricks[0], *adjoining(bricks[0])]
    assert len(bricks) == (4 if four else 8)
    write(tmp_path, bricks)
    found, pieces, filled = stamps(tmp_path, bricks[0])
    assert not found.unused
    for piece, made in zip(pieces, filled):
        off = np.isnan(piece.image[..., 0])
        np.testing.assert_array_equal(made.image[~off], piece.image[~off])
        assert np.isfinite(made.image).all() and made.pixels == off.sum() and made.unused == ()
        # Half a pixel in each axis, and what two tangent planes differ in over a stamp.
        error = np.abs(made.image - truth(bricks[0], piece))
        assert error.max() < STEEPEST * (np.sqrt(0.5) + 0.01)
        assert error[~off].max() < 1e-6
    assert [len(made.neighbours) for made in filled][-1] == 0 and filled[-1].note == ""
    assert len(filled[2].neighbours) == (3 if four else 2)


def test_a_value_is_that_of_the_pixel_in_which_the_place_lies(tmp_path):
    """Turned neighbours too: by 30 degrees, and mirrored."""
    own, east = corner_of("staggered rows")[:2]
    write(tmp_path, [own])
    turn = np.radians(30)
    for matrix in (
        [[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]],
        [[1.0, 0.0], [0.0, 1.0]],
    ):
        names = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
        cards = dict(zip(names, (np.array(matrix) * 3 / 3600).ravel().tolist()))
        write_as(tmp_path, east, cards)
        _, (piece, *_), (made, *_) = stamps(tmp_path, own, X[:1], Y[:1])
        off = np.isnan(piece.image[..., 0])
        error = np.abs(made.image - truth(own, piece))
        assert made.neighbours == {east.name: off.sum()}
        assert 0.02 < error[off].max() < STEEPEST * (np.sqrt(0.5) + 0.01)


def write_as(root, brick, cards):
    from analytic_sky import sky
    from astropy.wcs import WCS

    y, x = np.mgrid[:SIDE, :SIDE]
    said = header(brick, **cards)
    pixels = sky(*WCS(said).wcs_pix2world(x.ravel(), y.ravel(), 0)).reshape(SIDE, SIDE, 3)
    for b, band in enumerate("grz"):
        path = image_path(root, brick.name, band)
        path.parent.mkdir(parents=True, exist_ok=True)
        image = fits.ImageHDU(pixels[..., b].astype("f4"), said)
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, overwrite=True)


def test_two_bricks_complete_the_side_between_them_and_leave_the_rest_missing(tmp_path):
    own, east, *_ = corner_of("on the equator, at RA 0")
    write(tmp_path, [own, east])
    found, pieces, filled = stamps(tmp_path, own)
    assert np.isfinite(filled[0].image).all() and set(filled[0].neighbours) == {east.name}
    # The sky to the north is on neither image, but for what lies above the eastern one's edge.
    np.testing.assert_array_equal(filled[1].image, pieces[1].image)
    rows = np.arange(STAMP) + pieces[2].corner[1]
    assert np.isnan(filled[2].image[rows >= SIDE]).all()
    assert np.isfinite(filled[2].image[rows < SIDE]).all() and not found.unused


def test_a_diagonal_brick_is_enough_for_its_own_part(tmp_path):
    bricks = corner_of("on the equator, at RA 0")
    write(tmp_path, [bricks[0], bricks[3]])
    _, (piece,), (made,) = stamps(tmp_path, bricks[0], X[2:3], Y[2:3])
    off = np.isnan(piece.image[..., 0])
    assert 0 < made.pixels < off.sum() and set(made.neighbours) == {bricks[3].name}


def test_stamps_inside_ask_for_nothing_and_each_neighbour_is_opened_once(tmp_path, monkeypatch):
    bricks = corner_of("on the equator, at RA 0")
    write(tmp_path, bricks)
    opened = []

    def read(root, name, survey):
        opened.append(name)
        return read_brick(root, name, survey)

    monkeypatch.setattr(edges, "read_brick", read)
    own = read_brick(tmp_path, bricks[0].name, SURVEY)
    inside = np.full(5, 150.0)
    assert len(completed(own, tmp_path, SURVEY, inside, inside, STAMP).numbers) == 0
    assert opened == []
    many = np.linspace(0, SIDE - 1, 60)
    completed(own, tmp_path, SURVEY, np.r_[many * 0 + 1, many], np.r_[many, many], STAMP)
    assert sorted(opened) == sorted(brick.name for brick in bricks[1:])


def test_a_pixel_does_not_depend_on_the_other_stamps(tmp_path, monkeypatch):
    bricks = corner_of("staggered rows")
    write(tmp_path, bricks)
    image_path(tmp_path, bricks[1].name, "g").write_bytes(b"<html>")
    _, _, together = stamps(tmp_path, bricks[0])
    monkeypatch.setattr(edges, "CHUNK", 100)
    order = [2, 0, 3, 1]
    _, _, shuffled = stamps(tmp_path, bricks[0], X[order], Y[order])
    for place, i in enumerate(order):
        _, _, (alone,) = stamps(tmp_path, bricks[0], X[[i]], Y[[i]])
        for other in (alone, shuffled[place]):
            np.testing.assert_array_equal(other.image, together[i].image)
            assert other[1:] == together[i][1:]


def zeros(path):
    with fits.open(path, mode="update", checksum=True) as hdus:
        hdus[1].data[:] = 0


def says(**cards):
    def change(path):
        with fits.open(path, mode="update", checksum=True) as hdus:
            hdus[1].header.update(cards)

    return change


def of_every_band(change):
    return lambda root, name: [change(image_path(root, name, band)) for band in "grz"]


def of_one_band(change):
    return lambda root, name: change(image_path(root, name, "r"))


OUTCOMES = [
    # what, how it is made, what is said of the neighbour
    ("cut in half", of_one_band(lambda p: p.write_bytes(p.read_bytes()[:9000])), "not a readable"),
    ("another release", of_every_band(says(DRVERSIO=9010)), "release 9 by its header, 10 in brick"),
    ("simulated", of_every_band(says(SIMULATD=True)), "simulated True by its header, False in"),
    ("another unit", of_every_band(says(BUNIT="nJy")), "means zero point 31.4, expected 22.5"),
    ("without a band", of_one_band(lambda p: p.unlink()), "bands without an image: r; of brick"),
    ("another brick", of_one_band(says(BRICKNAM="0001p000")), "expected brick 3598p000"),
    ("no such brick", of_every_band(lambda p: p.unlink()), ""),
    ("no data", of_every_band(zeros), ""),
]


@pytest.mark.parametrize(("what", "harm", "said"), OUTCOMES, ids=[x[0] for x in OUTCOMES])
def test_a_neighbour_that_cannot_be_used_is_named_and_its_part_stays_missing(
    tmp_path, what, harm, said
):
    west, own, *_ = corner_of("on the equator, at RA 0")
    assert west.name == "3598p000"
    write(tmp_path, [own, west])
    harm(tmp_path, west.name)
    found, (piece,), (made,) = stamps(tmp_path, own, SIDE - X[:1], Y[:1])
    np.testing.assert_array_equal(made.image, piece.image)
    assert list(found.unused) == ([west.name] if said else []) and made.pixels == 0
    assert made.unused == tuple(found.unused)
    assert said in found.unused.get(west.name, "") and str(tmp_path) not in str(found.unused)
    assert (f"brick {west.name} not used for its edge" in made.note) == bool(said)


def test_the_own_brick_has_the_word_also_where_it_has_no_data(tmp_path):
    own, east, *_ = corner_of("on the equator, at RA 0")
    write(tmp_path, [own, east])
    brick = read_brick(tmp_path, own.name, SURVEY)
    brick.images[140:160, :9, 1] = np.nan
    piece = slice_out(brick.images, X[0], Y[0], STAMP)
    made = completed(brick, tmp_path, SURVEY, X[:1], Y[:1], STAMP).fill(piece)
    off = np.isnan(piece.image[..., 0])
    assert np.isnan(made.image[..., 1]).sum() == np.isnan(piece.image[..., 1]).sum() - off.sum() > 0


def test_a_brick_that_is_not_of_the_grid_has_no_neighbours(tmp_path):
    own, east, *_ = corner_of("on the equator, at RA 0")
    tile = replace(own, name="tile_7")
    write(tmp_path, [tile, east])
    _, (piece, *_), (made, *_) = stamps(tmp_path, tile)
    np.testing.assert_array_equal(made.image, piece.image)


@pytest.mark.parametrize("place", [(0.1, 0.0), (359.9, 31.7), (200.0, -89.9), (12.0, 89.7)])
def test_adjoining_bricks_are_those_that_touch(place):
    """Asked by looking at points just around the brick."""
    own = brick_containing(*place)
    beside = np.linspace(own.ra1, own.ra2, 300)
    touching = set()
    for dec in (own.dec1 - 1e-6, own.dec2 + 1e-6):
        if -90 <= dec <= 90:
            touching |= {brick_containing(ra, dec).name for ra in beside}
    for ra in (own.ra1 - 1e-6, own.ra2 + 1e-6):
        for dec in (own.dec1 - 1e-6, own.dec, own.dec2 + 1e-6):
            if -90 <= dec <= 90:
                touching.add(brick_containing(ra, dec).name)
    names = [cell.name for cell in adjoining(own)]
    assert touching - {own.name} <= set(names) and names == sorted(set(names))
    assert own.name not in names and len(names) <= max(12, brickgrid.columns_of_row(1))
