"""The simulated survey: real formats, consistent pixels and catalogue, one result.

However often a simulation was interrupted, it ends with the same bytes."""

import hashlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from data import catalogue, coadds, lenses
from data.brickgrid import brick_containing
from data.selection import Selection, select
from data.simulate import (
    SimulateSettings,
    command,
    conditions,
    mock,
    pixels,
    products,
    simulate,
)
from data.simulate.measured import as_file, dtype
from data.simulate.shapes import STRUCTURE, sersic, young
from data.survey import Survey, load
from lensjax.errors import InputError

DR10: Survey = load("ls_dr10")
COLUMNS = as_file(DR10, np.zeros(0, dtype(DR10))).dtype
SMALL = SimulateSettings(seed=7, bricks=12, brick_pixels=240, galaxies=260, lenses=24)


def digests(root):
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "survey"
    simulate(root, SMALL)
    return root


@pytest.fixture(scope="module")
def truth(survey):
    return pd.read_parquet(survey / "truth.parquet")


def test_interrupted_and_uninterrupted_runs_end_with_the_same_bytes(survey, tmp_path, monkeypatch):
    root, done = tmp_path / "survey", []

    def interrupted(*args):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(products_write(*args))

    products_write = products.write_coadd
    with monkeypatch.context() as patch:
        patch.setattr(products, "write_coadd", interrupted)
        with pytest.raises(KeyboardInterrupt):
            simulate(root, SMALL)
    assert len(list((root / "parts" / "_done").glob("*.json"))) == 3
    assert not list(root.rglob("*.partial"))
    simulate(root, SMALL)
    assert digests(root) == digests(survey)


def test_a_brick_does_not_depend_on_the_others():
    brick = brick_containing(150.1, 2.2)
    first, second = (mock.mock_brick(DR10, brick, 160, 3, 1, 11) for _ in range(2))
    other = mock.mock_brick(DR10, brick, 160, 3, 1, 12)
    assert np.array_equal(first.coadd.image, second.coadd.image, equal_nan=True)
    assert first.rows.tobytes() == second.rows.tobytes()
    assert not np.array_equal(first.coadd.image, other.coadd.image, equal_nan=True)


def test_sweeps_have_the_survey_s_columns_and_say_that_they_are_simulated(survey, survey_data):
    from astropy.io import fits

    real = fits.getdata(survey_data / "tractor/tractor_dr9/tractor-1054p567.fits", 1).dtype
    for path in (survey / "sweep").iterdir():
        with fits.open(path, checksum=True) as hdus:
            assert hdus[0].header["SIMULATD"] and "SIMULATED" in hdus[0].header.comments["SIMULATD"]
            rows = hdus[1].data
            assert rows.dtype.names == COLUMNS.names
            assert set(rows["TYPE"]) <= {"PSF", "REX", "EXP", "DEV", "SER", "DUP"}
            for name in COLUMNS.names:
                if name != "MASKBITS":  # 16 bits in DR9, 32 in DR10
                    assert rows.dtype[name] == real[name], name


def test_coadds_have_the_survey_s_header_and_layout(survey):
    from astropy.io import fits
    from astropy.wcs import WCS

    bricks = [p.name for p in (survey / "coadd").glob("*/*")]
    assert len(bricks) == 12
    path = coadds.image_path(survey, bricks[0], "r")
    assert path.parent.parent.name == bricks[0][:3]
    with fits.open(path, disable_image_compression=True) as stored:
        assert (
            stored[1].header["ZCMPTYPE"] == "RICE_ONE" or stored[1].header["ZCMPTYPE"] == "RICE_1"
        )
        assert stored[1].header["ZQUANTIZ"] == "SUBTRACTIVE_DITHER_2"
        assert all(hdu.verify_checksum() == 1 for hdu in stored)
        assert "20" not in stored[1].header.comments["CHECKSUM"]  # no date
    header = fits.getheader(path, 1)
    assert (header["BUNIT"], header["MAGZERO"], header["SIMULATD"]) == ("nanomaggy", 22.5, True)
    assert "central 240 x 240" in str(header["COMMENT"])
    w = WCS(header)
    brick = brick_containing(header["BRICKRA"], header["BRICKDEC"])
    assert brick.name == bricks[0]
    assert np.allclose(w.wcs_pix2world([[120.5, 120.5]], 1), [[brick.ra, brick.dec]])
    assert w.wcs.cd[0, 0] == pytest.approx(-0.262 / 3600)


def test_catalogue_positions_point_at_the_objects(survey, truth):
    """The centroid of the pixels lies where the catalogue says.

    This holds for stars and smooth galaxies without neighbours."""
    offsets = []
    for name, group in truth[
        truth.kind.isin(["star", "red", "compact"]) & truth.mag_r.between(17, 20.5)
    ].groupby("brickname"):
        if not (survey / "coadd" / name[:3] / name).is_dir():
            continue
        brick = coadds.read_brick(survey, name)
        rows = catalogue_rows(survey, group.galaxy_id)
        x, y = coadds.pixel_positions(brick, rows["ra"], rows["dec"])
        others = truth[(truth.brickname == name) & (truth.mag_r < 22.5)][["x", "y"]].to_numpy()
        for px, py in zip(x, y):
            stamp = coadds.slice_out(brick.images, px, py, 15)
            if (
                np.sum(np.hypot(*(others - [px, py]).T) < 22) == 1
                and np.isfinite(stamp.image[..., 1]).all()
            ):
                light = stamp.image[..., 1] - np.median(stamp.image[..., 1])
                yy, xx = np.mgrid[-7:8, -7:8]
                offsets.append(
                    [
                        np.sum(light * xx) / light.sum() - stamp.offset[0],
                        np.sum(light * yy) / light.sum() - stamp.offset[1],
                    ]
                )
    assert len(offsets) >= 5
    assert np.abs(np.median(offsets, axis=0)).max() < 0.15


def catalogue_rows(survey, ids):
    tables = [catalogue.read(p) for p in sorted((survey / "sweep").iterdir())]
    merged = {
        k: np.concatenate([t[k] for t in tables])
        for k in ("galaxy_id", "ra", "dec", "flux_r", "type", "nobs_z")
    }
    return catalogue.take(merged, np.isin(merged["galaxy_id"], list(ids)))


@pytest.mark.parametrize(("n", "r_eff", "q"), [(1.0, 0.45, 1.0), (4.0, 0.7, 0.6), (1.0, 1.8, 0.2)])
def test_a_galaxy_s_flux_ends_up_in_the_pixels(n, r_eff, q):
    canvas = np.zeros((301, 301, 3), np.float32)
    flux = np.array([2.0, 5.0, 9.0])
    pixels.draw_components(
        DR10,
        canvas,
        sersic(flux, r_eff, n, q, 0.4),
        np.array([150.3]),
        np.array([149.8]),
        np.array([1.4, 1.3, 1.2]),
    )
    assert np.allclose(canvas.sum((0, 1)), flux, rtol=0.05 if n > 2 else 0.01)
    yy, xx = np.mgrid[:301, :301]
    assert np.sum(canvas[..., 1] * xx) / canvas[..., 1].sum() == pytest.approx(150.3, abs=0.02)
    assert np.sum(canvas[..., 1] * yy) / canvas[..., 1].sum() == pytest.approx(149.8, abs=0.02)


@pytest.mark.parametrize("kind", STRUCTURE)
def test_structured_galaxies_conserve_flux(kind):
    rng, flux = np.random.default_rng(5), np.array([3.0, 8.0, 14.0])
    for _ in range(20):
        rows = STRUCTURE[kind](flux, 1.7, 0.6, 0.3, young(DR10), rng)
        assert np.allclose(rows[:, :3].sum(0), flux)
        assert (rows[:, :3] > 0).all() and (rows[:, 3] > 0).all()


def test_the_psf_has_its_fwhm_and_unit_flux():
    fwhm = np.array([1.5])
    y, x = np.mgrid[-60:61, -60:61].astype(float)
    assert pixels.point_source(DR10, x, y, fwhm).sum() == pytest.approx(1, abs=1e-3)
    half = pixels.point_source(DR10, np.array([0.0, 0.75 / 0.262]), np.zeros(2), fwhm)[:, 0]
    assert half[1] / half[0] == pytest.approx(0.5, abs=1e-6)


def test_blank_sky_has_the_depth_that_the_catalogue_claims():
    """Photometry of nothing with the PSF scatters by 1/sqrt(psfdepth)."""
    seen = conditions.Conditions(
        np.array([1.5, 1.4, 1.3]), np.array([24.6, 24.2, 23.2]), np.array([4, 4, 4]), 0.05
    )
    nexp = np.full((420, 420, 3), 4, np.int16)
    sky = pixels.expose(
        DR10, np.zeros((420, 420, 3), np.float32), nexp, seen, np.random.default_rng(0)
    ).image
    y, x = np.mgrid[-10:11, -10:11].astype(float)
    profile = pixels.point_source(DR10, x, y, seen.psfsize)
    blocks = sky.reshape(20, 21, 20, 21, 3).transpose(0, 2, 1, 3, 4)
    flux = np.einsum("abijc,ijc->abc", blocks, profile) / np.sum(profile**2, (0, 1))
    psfdepth = 25 / 10 ** (0.8 * (22.5 - seen.m5))
    assert np.allclose(flux.std((0, 1)) * np.sqrt(psfdepth), 1, atol=0.12)


def test_what_the_survey_contains(survey, truth):
    listed, refused = lenses.read(survey / "lenses.csv")
    assert not refused and len(listed) > len(listed.having("DESI")) >= 20
    assert set(listed.grading) == {"confident", "probable"}
    hosts = truth[truth.kind == "lens"]
    assert len(hosts) == 24 and hosts.theta_e.between(0.7, 3.0).all()
    rows = catalogue_rows(survey, hosts.galaxy_id)
    separation = listed.tree().separation(rows["ra"], rows["dec"])
    assert np.median(separation) < 0.1 and separation.max() < 0.5
    counters: Counter = Counter()
    for path in sorted((survey / "sweep").iterdir()):
        counters.update(select(catalogue.read(path), Selection(), listed.tree(), path)[1])
    for cut in (
        "not_finite_position",
        "declination",
        "type",
        "maskbits",
        "nobs_g",
        "nobs_r",
        "nobs_z",
        "z_mag",
        "near_lens",
        "kept",
    ):
        assert counters[cut] > 0, cut
    missing = [
        p.name for p in (survey / "coadd").glob("*/*") if coadds.read_brick(survey, p.name).missing
    ]
    assert len(missing) == 1
    images = [coadds.read_image(p)[0] for p in (survey / "coadd").rglob("*image-z*")]
    assert any(np.isnan(i).any() for i in images) and any((i == 0).any() for i in images)


def test_the_default_pool_is_large_and_mixed_enough(monkeypatch):
    """Catalogue rows of the default survey's first bricks, without pixels.

    There are enough negatives, and a realistic share of confusers."""
    from data.lenses import SkyTree
    from data.simulate import strong
    from data.simulate.bricks import footprint

    nothing = lambda *args: None
    blank = lambda survey, seed, galaxies, *rest: strong.Arcs(
        np.zeros((len(galaxies), 101, 101, 3), np.float32),
        pd.DataFrame({k: np.zeros(len(galaxies)) for k in strong.truth_columns(survey)}),
    )
    monkeypatch.setattr(pixels, "draw_components", nothing)
    monkeypatch.setattr(pixels, "draw_stars", nothing)
    monkeypatch.setattr(strong, "arcs", blank)
    s, counters = SimulateSettings(), Counter()
    for brick in footprint(DR10, s.bricks, 1200, np.random.default_rng([s.seed, 0]))[4:18]:
        made = mock.mock_brick(DR10, brick, 1200, s.galaxies // s.bricks, 7, s.seed)
        rows = {
            n: made.rows[n].astype(str) if made.rows[n].dtype.kind == "S" else made.rows[n]
            for n in made.rows.dtype.names
        }
        kept = select(
            catalogue.standard(rows, brick.name),
            Selection(),
            SkyTree(made.lenses.ra.to_numpy(), made.lenses.dec.to_numpy()),
        )[1]
        counters.update(kept)
    assert counters["kept"] / 14 * s.bricks > 3800
    proxies = sum(
        counters[c] for c in ("ring_proxy", "edge_on_proxy", "blue_clumpy", "large_galaxy")
    )
    assert 0.16 < proxies / counters["kept"] < 0.25
    assert all(
        counters[c] > 0
        for c in ("ring_proxy", "edge_on_proxy", "blue_clumpy", "large_galaxy", "merger_neighbour")
    )


def test_galdepth_is_that_of_the_reference_galaxy():
    """Its sum(profile^2)/sigma^2 (0.45 arcsec exponential), integrated here by brute force."""
    from data.simulate.measured import galaxy_depth_ratio

    fwhm = np.array([1.4, 1.4, 1.4])
    over = 8
    y, x = (np.mgrid[-160:160, -160:160] + 0.5) / over
    r = np.hypot(x, y) * 0.262 / 0.45
    light = np.exp(-1.67834699 * r)
    light /= light.sum()
    kernel = pixels.point_source(DR10, x, y, fwhm)[..., 0] / over**2
    image = np.fft.irfft2(np.fft.rfft2(light) * np.fft.rfft2(np.fft.ifftshift(kernel))) * over**2
    ratio = np.mean(image**2) / np.mean(pixels.point_source(DR10, x, y, fwhm)[..., 0] ** 2)
    assert galaxy_depth_ratio(DR10, fwhm)[0] == pytest.approx(ratio, rel=0.01)


def test_the_verb_refuses_nonsense_and_skips_finished_work(tmp_path, capsys):
    with pytest.raises(InputError, match="brick_pixels|brick-pixels"):
        command(["--out", str(tmp_path), "--brick-pixels", "20"])
    flags = [
        "--out",
        str(tmp_path),
        "--bricks",
        "1",
        "--brick-pixels",
        "160",
        "--galaxies",
        "2",
        "--lenses",
        "1",
    ]
    assert command(flags) == 0
    before = digests(tmp_path / "survey")
    assert command(flags) == 0
    assert "up to date" in capsys.readouterr().out
    assert digests(tmp_path / "survey") == before
