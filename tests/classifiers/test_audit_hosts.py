"""Who may be a host, where its PSF and depth come from, which injections it gets."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from auditable import PIXELS, image, rows

import lensjax as lj
from classifiers.audit import hosts, plan, summary
from classifiers.audit.axes import Axis, Grid
from classifiers.audit.settings import AuditSettings
from data.cutouts import write_npz
from data.photometry import depth_m5
from lensjax.errors import InputError


def grid() -> Grid:
    theta_e = Axis("theta_e", "Einstein radius", "arcsec", "drawn", "theta_e", points=(1.0, 2.0))
    psf = Axis("psf_fwhm", "PSF FWHM", "arcsec", "host", "psf_fwhm", edges=(1.0, 1.3, 1.6))
    depth = Axis("depth_m5", "depth", "mag", "host", "depth_m5", edges=(23.0, 25.0))
    return Grid((theta_e,), (psf, depth))


def manifest(n: int = 60) -> pd.DataFrame:
    return pd.DataFrame(rows(n))


def test_candidates_are_the_negatives_of_the_chosen_splits():
    found = hosts.candidates(manifest(), ("val", "test"))
    wanted = sorted(r["galaxy_id"] for r in rows(60) if r["label"] == 0 and r["split"] != "train")
    assert list(found.ids) == wanted
    hosts.refuse(found)


def test_training_objects_and_lenses_are_refused_by_name():
    table = manifest()
    train = next(r["galaxy_id"] for r in rows(60) if r["split"] == "train" and not r["label"])
    lens = next(r["galaxy_id"] for r in rows(60) if r["split"] != "train" and r["label"])
    for name, why in ((train, "training split"), (lens, "is a lens")):
        with pytest.raises(InputError, match=f"{name} .*{why}"):
            hosts.refuse(hosts.named(table, [name]))
    with pytest.raises(InputError, match="nowhere_1 is not in the manifest"):
        hosts.named(table, ["nowhere_1"])


def test_what_another_run_trained_on_is_refused_by_name_and_by_position():
    table = manifest()
    found = hosts.candidates(table, None)
    positions = table[["galaxy_id", "ra", "dec"]]
    elsewhere = pd.DataFrame({"galaxy_id": ["x"], "ra": [200.0], "dec": [5.0]})
    hosts.refuse(found, elsewhere, positions)
    with pytest.raises(InputError, match="was in the classifier's training split"):
        hosts.refuse(found, elsewhere.assign(galaxy_id=found.ids[3]), positions)
    near = positions[positions["galaxy_id"] == found.ids[5]].assign(
        galaxy_id="other", dec=lambda t: t["dec"] + 1.5 / 3600
    )
    with pytest.raises(InputError, match=f'{found.ids[5]} lies within 2"'):
        hosts.refuse(found, near, positions)
    hosts.refuse(found, near.assign(dec=near["dec"] + 3 / 3600), positions)


def test_missing_psf_follows_the_documented_ratios_or_is_refused():
    psf = np.array([[1.1, 1.0, 0.9], [np.nan, 1.0, np.nan], [1.05, np.nan, np.nan], [np.nan] * 3])
    full, source = hosts.completed_psf(psf, (1.3, 1.2, 1.1))
    np.testing.assert_allclose(
        full, [[1.1, 1.0, 0.9], [1.05, 1.0, 0.94], [1.05, 1.0, 0.94], [1.3, 1.2, 1.1]]
    )
    assert list(source) == ["catalogue", "from r", "from other bands", "assumed"]
    blank = manifest().assign(psfsize_g=np.nan, psfsize_r=np.nan, psfsize_z=np.nan)
    with pytest.raises(InputError, match=r"audit\.psf_fwhm"):
        hosts.require_psf(hosts.candidates(blank, ("test",)))
    assert set(hosts.candidates(blank, ("test",), (1.3, 1.2, 1.1)).psf_source) == {"assumed"}


def test_depth_measured_on_a_stamp_is_that_of_its_noise():
    rng = np.random.default_rng(0)
    psf, depth, grid = (
        np.array([1.3, 1.2, 1.1]),
        np.array([1500.0, 800.0, 250.0]),
        lj.PixelGrid(101),
    )
    sigma = np.asarray(lj.pixel_sigma(jnp.asarray(depth), lj.Gaussian(jnp.asarray(psf)), grid))
    stamp = (rng.normal(size=(101, 101, 3)) * sigma).astype(np.float32)
    stamp[40:60, 40:60] += 5.0
    stamp[:4] = np.nan
    np.testing.assert_allclose(hosts.measured_depth(stamp, psf, 0.262), depth, rtol=0.1)


def plan_of(degrade: bool, per_host: int = 4) -> tuple[hosts.Hosts, list[plan.Chunk]]:
    found = hosts.candidates(manifest(), ("val", "test"))
    return found, plan.chunks(found, grid(), 30, per_host, degrade, seed=1)


def test_matched_hosts_lie_in_their_cell_and_are_used_at_most_so_often():
    found, chunks = plan_of(False)
    for chunk in chunks:
        (psf_low, psf_high), (low, high) = (
            chunk.site.cell(name).edges for name in ("psf_fwhm", "depth_m5")
        )
        psf, m5 = found.psf[chunk.host, 1], depth_m5(found.psfdepth[chunk.host, 1])
        assert ((psf >= psf_low) & (psf <= psf_high) & (m5 >= low) & (m5 <= high)).all()
        for low, high in ((0.5, 1.5), (1.5, 2.5)):
            drawn = chunk.drawn["theta_e"]
            used = chunk.host[(drawn > low) & (drawn < high)]
            assert len(used) == 30 and np.bincount(used).max() <= 4
    _, short = plan_of(False, per_host=1)
    assert all(len(c) == 2 * len(set(c.host)) < 60 for c in short)


def test_degraded_hosts_are_better_than_their_cell():
    found, chunks = plan_of(True)
    for chunk in chunks:
        assert (found.psf[chunk.host, 1] <= chunk.site.centre("psf_fwhm")).all()
        assert (depth_m5(found.psfdepth[chunk.host, 1]) >= chunk.site.centre("depth_m5")).all()


def test_keys_are_names_and_do_not_repeat():
    found, chunks = plan_of(False)
    keys = {tuple(k) for c in chunks for k in c.key}
    assert len(keys) == sum(map(len, chunks))
    shuffled = manifest().sample(frac=1, random_state=0)
    again = plan.chunks(
        hosts.candidates(shuffled, ("test", "val")),
        grid(),
        30,
        4,
        False,
        seed=1,
    )
    for a, b in zip(chunks, again):
        assert (a.key == b.key).all() and (a.host == b.host).all()
    assert found.size.tolist() == [PIXELS.size] * len(found)


def test_hosts_without_table_values_and_of_two_stamp_sizes_are_planned_apart_and_said_in_words(
    tmp_path,
):
    table = manifest(24).assign(
        **{f"{name}_{b}": np.nan for name in ("psfsize", "psfdepth") for b in "grz"}, label=0
    )
    table.loc[table.index % 2 == 0, "size"] = 40
    for i, row in enumerate(table.to_dict("records")):
        stamp = image(rows(24)[i], i)[: row["size"], : row["size"]]
        write_npz(
            tmp_path / row["cutout_path"], stamp, {k: row[k] for k in ("galaxy_id", "ra", "dec")}
        )
    s = AuditSettings(psf_fwhm=(1.12, 0.96, 0.84), theta_e=(1.0,))
    found, measured = hosts.with_depth(hosts.candidates(table, None, s.psf_fwhm), tmp_path)
    assert (
        measured.all()
        and np.isfinite(found.psfdepth).all()
        and set(found.psf_source) == {"assumed"}
    )
    axes = s.axes(found.psf[:, 1], depth_m5(found.psfdepth[:, 1]))
    chunks = plan.chunks(found, axes, s.injections, s.per_host, False, s.seed)
    assert (
        len(axes.host[0]) == 1
        and {c.size for c in chunks} == {40, 48}
        and all((found.size[c.host] == c.size).all() for c in chunks)
    )
    assert sum(map(len, chunks)) == 24 * s.per_host and len({c.name for c in chunks}) == len(chunks)
    cells = plan.cells(found, axes, False).assign(
        source_mag_bin="all", threshold_name="p0.5", n=48, status="insufficient"
    )
    words = " ".join(summary.limitations(s, found, measured, cells, None, False))
    for phrase in (
        "24 hosts have no PSF",
        '0.96"',
        "24 hosts have no depth",
        "2 of 2 cells have fewer than 200",
        "marked insufficient",
        "no labelled lenses",
    ):
        assert phrase in words, phrase


def test_the_sample_for_the_sensitivity_does_not_depend_on_the_order_of_chunks():
    _, chunks = plan_of(False)
    chosen = {tuple(chunks[i].key[r]) for i, rs in plan.sample(chunks, 25) for r in rs}
    backwards = chunks[::-1]
    assert (
        chosen == {tuple(backwards[i].key[r]) for i, rs in plan.sample(backwards, 25) for r in rs}
        and len(chosen) == 25
    )
