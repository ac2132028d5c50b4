"""What a grader sees is what the stamp holds."""

import io

import galaxies
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inspections import SIDE, folder, stamp
from PIL import Image

from classifiers.inspection import pictures
from classifiers.inspection.pictures import FAINT, Pictures, one_band, panels, residual, stretched
from classifiers.inspection.stamps import opened
from classifiers.report.images import MISSING, rgb
from data.survey import default, load
from lensjax.errors import InputError

SURVEY = default()


def drawn(of, panel, image=None, saliency=None):
    made = Pictures(lambda id: stamp(id) if image is None else image, SURVEY, saliency)
    return np.asarray(Image.open(io.BytesIO(made.of(of, panel))))


def test_every_picture_has_the_stamps_pixels_with_its_first_row_at_the_bottom():
    """A bright corner of the stamp is where it belongs in every picture."""
    image = stamp("g1").copy()
    image[2:5, 25:28] = 3.0
    for panel in panels(SURVEY):
        picture = drawn("g1", panel.name, image)
        assert picture.shape == (SIDE, SIDE, 3), panel.name
        corner = picture[SIDE - 5 : SIDE - 2, 25:28].astype(float).mean()
        assert corner > 2 * picture[2:8, 2:8].mean(), panel.name
    assert (drawn("g1", "colour", image) == rgb(image, SURVEY)).all()


def test_the_stretches_show_faint_light_and_bright_cores():
    image = stamp("g0").copy()
    image[2:10, 2:10] += 0.02
    patch = lambda panel: drawn("g0", panel, image)[-8:-4, 4:8].mean()
    assert patch("faint") > 1.15 * patch("colour") > 2.3 * patch("bright")
    middle = SIDE // 2
    core = lambda panel: drawn("g0", panel, image)[middle, middle].max()
    assert core("bright") < core("colour") == 255


def test_without_the_galaxy_the_ring_is_left():
    """Of a galaxy with a one-sided arc, the arc's pixels stay and the galaxy's go."""
    image = galaxies.stamps(np.array([0]), SIDE, 1)[0]
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    arc = (np.abs(np.hypot(x, y) - 7) < 1) & (x > 0) & (np.abs(y) < 4)
    image[arc] += 0.3
    left = residual(image, SURVEY)
    core = np.hypot(x, y) < 3
    assert np.abs(left[core]).mean() < 0.15 * np.abs(image[core]).mean()
    assert left[arc].mean() == pytest.approx(0.3, abs=0.06)


def test_missing_pixels_are_marked_and_spread_to_no_neighbour():
    image = stamp("g1").copy()
    image[4:6, 7:9] = np.nan
    for panel in panels(SURVEY):
        picture = drawn("g1", panel.name, image)
        marked = (picture == MISSING).all(-1)[::-1]
        assert marked[4:6, 7:9].all() and marked.sum() == 4, panel.name
    flat = pictures.smoothed(np.where(np.isnan(image), np.nan, 1.0), SURVEY)
    assert np.nanmax(np.abs(flat - 1)) < 1e-9


def test_a_band_without_noise_or_without_data_is_drawn():
    assert one_band(np.zeros((SIDE, SIDE))).shape == (SIDE, SIDE, 3)
    assert (one_band(np.full((SIDE, SIDE), np.nan)) == MISSING).all()


def test_surveys_of_one_and_of_five_bands_have_their_pictures():
    for name, n in (("euclid_vis", 1), ("hsc", 5)):
        survey = load(name)
        image = np.random.default_rng(0).normal(0, 1, (40, 40, n)).astype("f4")
        made = Pictures(lambda id, image=image: image, survey)
        assert len(made.panels) == 4 + n
        assert all(made.of("x", p.name) for p in made.panels)
    assert stretched(SURVEY, FAINT).rgb.stretch == FAINT * SURVEY.rgb.stretch


def test_stamps_of_another_shape_and_pictures_of_another_name_are_refused():
    made = Pictures(lambda id: np.zeros((9, 9, 2), np.float32), SURVEY)
    assert "stamp of shape (9, 9, 2)" in made.problem("x")
    with pytest.raises(InputError, match="no picture 'x'"):
        Pictures(stamp, SURVEY).of("g0", "x")


def test_pictures_are_made_once_and_not_kept_for_ever(monkeypatch):
    asked = []
    monkeypatch.setattr(pictures, "KEPT", 2)
    made = Pictures(lambda id: asked.append(id) or stamp(id), SURVEY)
    for id in ("a", "a", "b", "a", "c", "b", "a"):
        for panel in ("colour", "faint"):
            made.of(id, panel)
    assert asked == ["a", "b", "c", "a"]


def test_shards_and_a_folder_give_the_same_stamps(tmp_path):
    rows = galaxies.table(30)
    images = galaxies.stamps(np.array([r["label"] for r in rows]), SIDE)
    run = galaxies.survey(tmp_path / "run", rows, images)
    ids = [r["galaxy_id"] for r in rows]
    for id, image in zip(ids[:3], images):
        (tmp_path / "cutouts").mkdir(exist_ok=True)
        np.savez(tmp_path / "cutouts" / f"{id}.npz", image=image)
    of_shards = opened(run)
    of_folder = opened(tmp_path / "cutouts", size=SIDE)
    for id, image in zip(ids, images):
        assert (of_shards(id) == image).all()
    for id, image in zip(ids[:3], images):
        assert (of_folder(id) == image).all()
    with pytest.raises(InputError, match="no image of 'x' in the shards"):
        of_shards("x")


def test_a_damaged_record_and_bad_names_are_refused(tmp_path):
    rows = galaxies.table(4)
    run = galaxies.survey(tmp_path / "run", rows, galaxies.stamps(np.zeros(4), SIDE))
    found = opened(run)
    (path, *_) = sorted(run.rglob("*.tfrecord*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for source in (found, opened(run)):  # damage is found when a stamp is read, not before
        said = []
        for row in rows:
            try:
                source(row["galaxy_id"])
            except InputError as error:
                said.append(str(error))
        assert len(said) == 1 and "checksum" in said[0]
    for shard in run.rglob("*.tfrecord*"):
        shard.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        found(rows[0]["galaxy_id"])
    cutouts = opened(folder(tmp_path / "c", ["a"]), size=SIDE)
    for id in ("../run/survey", "/etc/passwd", "a/../a", "b", "", "\x00"):
        with pytest.raises(InputError):
            cutouts(id)
    with pytest.raises(InputError, match="no such folder"):
        opened(tmp_path / "none")
    with pytest.raises(InputError, match="use the fields {id} and {band} only"):
        opened(tmp_path / "c", files="{name}.npz")


@jax.tree_util.register_static
class Sum:
    """A finder that answers to one pixel, twice as much as to another, and to nothing else."""

    name, info, differentiable = "sum", {}, True

    def logits(self, stamps):
        known = jnp.nan_to_num(stamps)
        return 2 * known[:, 8, 9, 0] + known[:, 20, 20, 2]


def test_the_saliency_marks_what_a_finder_answers_to():
    from classifiers.inspection.saliency import Saliency

    of = Saliency(Sum())
    image = np.ones((SIDE, SIDE, 3), np.float32)
    image[0, 0] = np.nan
    weight = of(image)
    assert weight.max() == 1 == weight[8, 9] and weight[20, 20] == pytest.approx(0.5, abs=0.01)
    assert weight[0, 20] < 1e-6 and np.isfinite(weight).all()
    assert (of(np.zeros_like(image)) == 0).all()
    picture = drawn("x", "saliency", image, of)
    assert picture[SIDE - 1 - 8, 9, 0] > picture[SIDE - 1 - 8, 9, 2] + 100
    assert [p.name for p in panels(SURVEY, True)][-1] == "saliency"


def test_a_finder_without_derivatives_has_no_saliency(monkeypatch):
    from classifiers.inspection.saliency import Saliency

    monkeypatch.setattr(Sum, "differentiable", False)
    with pytest.raises(InputError, match="no derivatives"):
        Saliency(Sum())
