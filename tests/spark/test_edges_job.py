"""Cutouts at the edges of bricks, as the job writes them: what each says of its neighbours, and the
same bytes in any order of work, with and without Spark."""

import numpy as np
import pytest
from analytic_sky import SIDE, STAMP, SURVEY, around, header, write
from astropy.wcs import WCS
from small_bricks import write_sample
from small_survey import tree

from data.coadds import image_path
from data.cutouts import read_npz
from spark.cutouts import CutoutSettings, cut, make_cutouts, objects

SETTINGS = CutoutSettings(size=STAMP)
EAST, MIDDLE, CORNER = (2.3, 150.0), (150.0, 150.0), (3.1, 312.0)


def rows(bricks):
    made = []
    for brick in bricks:
        for i, (x, y) in enumerate((EAST, MIDDLE, CORNER, (SIDE - 2.0, 4.0))):
            ra, dec = WCS(header(brick)).wcs_pix2world(x, y, 0)
            row = {"galaxy_id": f"{brick.name}_{i}", "ra": float(ra) % 360, "dec": float(dec)}
            made.append(row | {"brickname": brick.name, "label": 0, "source_cutout": None})
    return made


@pytest.fixture
def survey(tmp_path):
    """Four bricks about a corner, and four objects in each."""
    bricks = around(0.0, 0.125)
    write(tmp_path / "survey", bricks)
    write_sample(tmp_path / "run", rows(bricks))
    return tmp_path / "survey", tmp_path / "run", bricks


def test_every_object_says_how_many_pixels_are_of_neighbours(survey):
    root, out, bricks = survey
    assert make_cutouts(None, out, root, SETTINGS, survey=SURVEY) == []
    made = {row["galaxy_id"]: row for row in objects(out)}
    assert len(made) == 16
    own, east, north, both = (brick.name for brick in bricks)
    side, middle, corner = (made[f"{own}_{i}"] for i in range(3))
    assert (middle["neighbour_pixels"], middle["neighbours"]) == (0, "")
    assert side["neighbours"] == east and side["neighbour_pixels"] == 18 * STAMP
    assert corner["neighbours"] == ",".join(sorted((east, north, both)))
    image, meta = read_npz(out / corner["cutout_path"])
    assert np.isfinite(image).all() and f"pixels of brick {both}" in meta["provenance"]
    _, meta = read_npz(out / middle["cutout_path"])
    assert "pixels of brick" not in meta["provenance"]
    # No brick has what lies to the west and south of the four.
    image, _ = read_npz(out / made[f"{own}_3"]["cutout_path"])
    assert np.isnan(image).any()


def test_a_damaged_neighbour_without_objects_is_named_and_stops_nothing(survey):
    root, out, (own, east, *_) = survey
    image_path(root, east.name, "z").write_bytes(b"<html>502 Bad Gateway</html>" * 200)
    write_sample(out, rows([own]))
    ((path, galaxy, reason),) = make_cutouts(None, out, root, SETTINGS, survey=SURVEY)
    assert (path, galaxy) == (east.name, "") and str(root) not in reason
    assert f"not used for the edge of brick {own.name}: " in reason and "not a readable" in reason
    made = {row["galaxy_id"]: row for row in objects(out)}
    assert len(made) == 4 and made[f"{own.name}_0"]["neighbour_pixels"] == 0
    image, meta = read_npz(out / made[f"{own.name}_0"]["cutout_path"])
    assert np.isnan(image[:, :18]).all() and np.isfinite(image[:, 18:]).all()
    assert f"brick {east.name} not used for its edge" in meta["provenance"]


def test_the_stamps_away_from_edges_are_the_same_with_and_without_neighbours(survey):
    root, out, (own, *_) = survey
    write_sample(out, rows([own]))
    make_cutouts(None, out, root, SETTINGS, survey=SURVEY)
    lonely = root.parent / "lonely"
    write(lonely, [own])
    write_sample(lonely / "run", rows([own]))
    make_cutouts(None, lonely / "run", lonely, SETTINGS, survey=SURVEY)
    middle = f"cutouts/{own.name}/{own.name}_1.npz"
    assert (out / middle).read_bytes() == (lonely / "run" / middle).read_bytes()
    side = f"cutouts/{own.name}/{own.name}_0.npz"
    assert (out / side).read_bytes() != (lonely / "run" / side).read_bytes()


def test_the_same_bytes_in_any_order_and_with_spark(survey, spark, monkeypatch):
    root, out, bricks = survey
    make_cutouts(None, out, root, SETTINGS, survey=SURVEY)
    first = tree(out / "cutouts")
    assert len(first) > 16
    again = out.parent / "again"
    write_sample(again, rows(bricks[::-1])[::-1])
    make_cutouts(spark, again, root, SETTINGS, survey=SURVEY)
    assert tree(again / "cutouts") == first
    import spark.cutouts as job

    backwards = out.parent / "backwards"
    write_sample(backwards, rows(bricks))

    def reversed_items(_, folder, items, work, *rest):
        from data import jobs

        def mapper(items, task, advance):
            return [task(item) for item in items[::-1]][::-1]

        return jobs.run(folder, items, work, *rest[:2], mapper, *rest[2:])

    monkeypatch.setattr(job, "run_partitions", reversed_items)
    make_cutouts(None, backwards, root, SETTINGS, survey=SURVEY)
    assert tree(backwards / "cutouts") == first and cut is job.cut
