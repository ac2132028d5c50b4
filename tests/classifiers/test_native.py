"""Degraded hosts are like native ones: the same completeness, noise power and point sources; and
the comparison notices when they are not."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import quick_compilation
from auditable import PIXELS, rows

import lensjax as lj
from classifiers.audit import hosts as hosts_of
from classifiers.audit import native, native_tables, noisepower, psfshape
from classifiers.audit.axes import Axis, Grid
from classifiers.audit.campaign import Campaign
from classifiers.audit.injection import Experiment, audit_prior
from classifiers.audit.plan import chunks
from classifiers.audit.settings import AuditSettings
from classifiers.audit.verb import write_table
from classifiers.report.hosts import hosts as section
from data.cutouts import write_npz
from data.survey import default

pytestmark = pytest.mark.usefixtures("hardly_optimised")

N, SIZE = 160, 16
KERNEL = np.outer([0.25, 1.0, 0.25], [0.25, 1.0, 0.25])
KERNEL /= np.sqrt((KERNEL**2).sum())
LAW = {
    "lens": {
        "SIE": {
            "theta_e": {"uniform": [0.8, 2.0]},
            "q": {"fixed": 0.8},
            "phi": {"fixed": 0.3},
            "x": {"fixed": 0.0},
            "y": {"fixed": 0.0},
        }
    },
    "source": {
        "Sersic": {
            "r_mag": {"uniform": [22.0, 24.0]},
            "g_r": {"fixed": 0.3},
            "r_z": {"fixed": 0.2},
            "beta": {"area": [0.1, 0.6]},
            "beta_phi": {"uniform": [0.0, 6.28]},
            "r_eff": {"fixed": 0.2},
            "n": {"fixed": 1.0},
            "q": {"fixed": 0.8},
            "phi": {"fixed": 0.0},
        }
    },
}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Roughness:
    """A finder that answers to arcs, to noise and to seeing: in a ring, how unlike the stamp in r
    is to itself turned by half a circle."""

    ring: jax.Array
    name = "roughness"
    differentiable = True
    info = {"trained_on": "none"}

    def logits(self, stamps):
        r = stamps[..., 1]
        rough = jnp.mean(jnp.abs(r - r[:, ::-1, ::-1]) * self.ring, axis=(1, 2))
        return 6.0 * (rough / jnp.mean(self.ring) / USUAL - 1.0)


USUAL = 0.019
"""Roughness at the finder's threshold, nanomaggies: somewhat more than that of the poorer sky."""


@pytest.fixture(scope="module", autouse=True)
def quickly():
    """Compiles in half the time."""
    made = jax.jit(Experiment.observe, compiler_options=quick_compilation.OPTIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "observe", lambda e, b, n: made(e, b, n.of(len(b))))
        yield


def sky(rng, sigma: np.ndarray, side: int) -> np.ndarray:
    """Noise of a resampled coadd: neighbours are alike."""
    white = rng.normal(size=(side + 2, side + 2, 3))
    made = sum(KERNEL[i, j] * white[i : i + side, j : j + side] for i in range(3) for j in range(3))
    return sigma * made


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Campaign:
    """Galaxies of one kind, half of them seen well, half of them badly, with exactly known PSF and
    depth; their stamps are drawn, not degraded."""
    out, rng = tmp_path_factory.mktemp("native"), np.random.default_rng(4)
    table = pd.DataFrame(rows(N)).assign(label=0, type="DEV")
    good = np.arange(N) % 2 == 0
    width = np.where(good, rng.uniform(0.89, 0.91, N), rng.uniform(1.29, 1.31, N))
    m5 = np.where(good, rng.uniform(24.28, 24.32, N), rng.uniform(23.38, 23.42, N))
    mag = rng.uniform(18.5, 20.0, N)
    for b, wider, deeper in zip("grz", (1.05, 1.0, 0.95), (0.3, 0.0, -0.5)):
        table[f"psfsize_{b}"] = width * wider
        table[f"psfdepth_{b}"] = np.asarray(lj.psfdepth_from_m5(jnp.asarray(m5 + deeper)))
    table["flux_r"] = 10 ** (0.4 * (22.5 - mag))

    @jax.jit
    def drawn(flux, r_eff, q, phi, fwhm, depth):
        colour = jnp.array([0.4, 1.0, 1.6])
        psf, scene = (
            lj.Gaussian(fwhm),
            lj.Scene(source=lj.Sersic(flux * colour, r_eff, 2.0, q, phi)),
        )
        return lj.render(scene, PIXELS, psf), lj.pixel_sigma(depth, psf, PIXELS)

    for row in table.to_dict("records"):
        fwhm, depth = ([row[f"{k}_{b}"] for b in "grz"] for k in ("psfsize", "psfdepth"))
        shape = rng.uniform([0.5, 0.6, 0.0], [1.0, 1.0, 3.0])
        light, sigma = drawn(row["flux_r"], *shape, jnp.array(fwhm), jnp.array(depth))
        stamp = np.asarray(light) + sky(rng, np.asarray(sigma), PIXELS.size)
        meta = {k: row[k] for k in ("galaxy_id", "ra", "dec")}
        write_npz(out / row["cutout_path"], stamp.astype(np.float32), meta)
    found = hosts_of.candidates(table, None)
    prior = audit_prior(LAW, (22.0, 24.0), default())
    plan = chunks(found, axes(), 16, 4, False, 1)
    ring = ((PIXELS.radius() > 5) & (PIXELS.radius() < 14)).astype(np.float32)
    return Campaign(plan, found, out, Roughness(jnp.asarray(ring)), prior, 0.0, 0.0, SIZE)


def axes() -> Grid:
    theta = Axis("theta_e", "Einstein radius", "arcsec", "drawn", "theta_e", (1.0, 1.4, 1.8))
    psf = Axis("psf_fwhm", "PSF FWHM", "arcsec", "host", "psf_fwhm", edges=(0.8, 1.1, 1.4))
    return Grid((theta,), (psf,))


def asked(world: Campaign, folder) -> tuple[dict, dict[str, pd.DataFrame]]:
    s = AuditSettings(native_sample=160, trained_on="none")
    return native_tables.ask(world, axes(), s, world.prior, 0.5, folder)


@pytest.fixture(scope="module")
def done(world, tmp_path_factory):
    return asked(world, tmp_path_factory.mktemp("looks"))


def test_the_finder_finds_as_many_in_degraded_hosts_as_in_native_ones(done):
    found, tables = done
    line = tables["native"].iloc[0]
    assert found["agree"] and found["pairs"] == 40 and line["injections"] == 160
    assert 0.15 < line["completeness_native"] < 0.8
    assert line["lo95"] <= 0 <= line["hi95"] and line["hi95"] - line["lo95"] < 20
    assert line["gained"] + line["lost"] > 0 and 1.3 < line["blur"] < 1.6
    assert line["noise"] == pytest.approx(0.9, abs=0.1)
    cells = tables["native"].iloc[1:]
    assert cells["psf_fwhm"].tolist() == ["1.25"] and cells["pairs"].sum() == 40
    assert cells["status"].tolist() == ["sufficient"]


def test_the_noise_has_the_same_power_spectrum(done):
    noise = done[1]["native_noise"]
    assert len(noise) == 3 * (len(noisepower.EDGES) - 1) and (noise["pairs"] == 40).all()
    assert (noise["error"] < 0.08).all()
    # The correlation of the noise is itself measured, to some per cent.
    assert (np.abs(noise["ratio"] - 1) < np.maximum(3.5 * noise["error"], 0.07)).all()
    power = noise[noise["band"] == "r"]["power_native"].to_numpy()
    assert power[0] > 3 * power[-1]  # the noise is not white


def test_point_sources_have_the_same_size_if_the_psf_is_a_gaussian_and_nearly_so_if_not(done):
    psf = done[1]["native_psf"].set_index(["psf", "band"])
    gauss = psf.loc["Gaussian"]
    np.testing.assert_allclose(gauss[["fwhm_ratio", "fwhm_ratio_most"]], 1.0, atol=0.01)
    np.testing.assert_allclose(gauss["peak_ratio"], 1.0, atol=0.01)
    moffat = psf.loc[f"Moffat, beta {default().conditions.moffat_beta:g}"]
    np.testing.assert_allclose(moffat["fwhm_ratio"], 1.0, atol=0.08)
    assert (np.abs(moffat["peak_ratio"] - 1) > np.abs(gauss["peak_ratio"] - 1)).all()


def test_degraded_images_of_stars_have_the_size_and_shape_of_native_ones(world):
    """Stars with noise in place of galaxies: the mean of many."""
    rng, n = np.random.default_rng(8), 64
    sharp, wide = np.array([0.95, 0.9, 0.85]), np.array([1.4, 1.3, 1.2])
    depth = [np.asarray(lj.psfdepth_from_m5(jnp.full(3, m))) for m in (24.5, 23.5)]
    many = lambda v: jnp.broadcast_to(jnp.asarray(v, jnp.float32), (n, 3))
    made = []
    for fwhm, deep in zip((sharp, wide), depth):
        psf = lj.Gaussian(jnp.asarray(fwhm))
        star = 20 * np.asarray(psf.stamp(PIXELS))
        sigma = np.asarray(lj.pixel_sigma(deep, psf, PIXELS))
        made.append(np.stack([star + sky(rng, sigma, PIXELS.size) for _ in range(n)]))
    plan = world.plan[0]
    batch = world.batch_of(plan, np.zeros(n, int), world.stamps(plan.host[:1]))
    batch = dataclasses.replace(
        batch,
        key=jnp.arange(2 * n, dtype=jnp.uint32).reshape(n, 2),
        host=jnp.asarray(made[0], jnp.float32),
        fwhm=many(sharp),
        psfdepth=many(depth[0]),
        target_fwhm=many(wide),
        target_psfdepth=many(depth[1]),
    )
    experiment = dataclasses.replace(
        world.experiment(plan), degrade=True, correlation=jnp.asarray(world.noise_correlation)
    )
    degraded = np.asarray(jax.jit(Experiment.hosts)(experiment, batch), np.float64)
    before, native_mean, after = (v.mean(0) for v in (made[0], made[1], degraded))
    for b in range(3):
        size = [psfshape.fwhm(v[..., b]) for v in (before, native_mean, after)]
        assert size[2] == pytest.approx(size[1], rel=0.01) and size[0] < 0.8 * size[1]
        shapes = [psfshape.ellipticity(v[..., b]) for v in (native_mean, after)]
        np.testing.assert_allclose(shapes[1], shapes[0], atol=0.01)
        assert after[..., b].max() == pytest.approx(native_mean[..., b].max(), rel=0.01)
    value, error = noisepower.ratio(noisepower.power(made[1]), noisepower.power(degraded))
    assert (np.abs(value - 1) < np.maximum(3.5 * error, 0.07)).all() and (error < 0.06).all()


@pytest.mark.parametrize("alike", [0.0, 0.25])
def test_the_correlation_of_noise_is_measured_under_faint_sources(alike):
    """White noise, and that of a coadd, with sources that no mask finds: their autocorrelation is
    that of the PSF and would be taken for the noise's."""
    rng, n, side = np.random.default_rng(6), 40, 81
    row = np.array([alike, 1.0, alike])
    kernel = np.outer(row, row) / (row**2).sum()
    white = rng.normal(size=(n, side + 2, side + 2))
    noise = sum(
        kernel[i, j] * white[:, i : i + side, j : j + side] for i in range(3) for j in range(3)
    )
    sigma = 1.9
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    points = rng.poisson(0.02, (n, side, side)) * rng.exponential(1.0, (n, side, side)) * 15.0
    seen = np.fft.rfft2(points) * np.exp(-2 * (np.pi * sigma * frequency) ** 2)
    stamps = (noise + np.fft.irfft2(seen, (side, side)))[..., None]
    line = np.convolve(row, row) / (row**2).sum()
    wanted = np.outer(line, line)
    found = noisepower.correlation(stamps, np.array([sigma * 2.3548]))[..., 0]
    naive = np.mean(jax.jit(jax.vmap(lj.sky_correlation))(jnp.asarray(stamps)), 0)[..., 0]
    np.testing.assert_allclose(found, wanted, atol=0.03)
    assert np.abs(naive - wanted).max() > 0.09
    assert np.array_equal(found, found[::-1, ::-1]) and found[2, 2] == 1


def test_it_is_noticed_when_hosts_are_not_degraded_or_with_noise_of_another_kind(
    world, done, tmp_path, monkeypatch
):
    other = dataclasses.replace(
        world, correlation=np.eye(5)[2][:, None, None] * np.eye(5)[2][None, :, None] * np.ones(3)
    )
    _, tables = asked(other, tmp_path / "white")
    noise = tables["native_noise"]
    assert (np.abs(noise["ratio"] - 1) > 5 * noise["error"]).sum() >= 6
    whole = native.degraded

    def nothing(batch, hosts, better, stamps):
        made = whole(batch, hosts, better, stamps)
        return dataclasses.replace(made, fwhm=made.target_fwhm, psfdepth=made.target_psfdepth)

    monkeypatch.setattr(native, "degraded", nothing)
    found, tables = asked(world, tmp_path / "nothing")
    assert not found["agree"] and found["limits"] and "disagrees" in found["words"]
    assert (tables["native_noise"]["ratio"] < 0.8).all()


def test_pairs_use_a_host_once_and_are_alike_and_the_better_one_is_better_everywhere(world):
    hosts = world.hosts
    found = native.pairs(hosts, np.ones(N, bool), 1000)
    used = np.concatenate([found.native, found.better])
    assert (
        len(set(used)) == len(used) and len(found) >= 38 and found.matched == ("type", "magnitude")
    )
    assert (hosts.psf[found.better] <= hosts.psf[found.native]).all()
    assert (hosts.psfdepth[found.better] >= hosts.psfdepth[found.native]).all()
    mag = 22.5 - 2.5 * np.log10(np.asarray(hosts.columns["flux_r"], float))
    assert np.abs(mag[found.native] - mag[found.better]).mean() < 0.1
    fewer = native.pairs(hosts, np.ones(N, bool), 7)
    assert len(fewer) == 7 and set(fewer.native) < set(found.native)
    alike = hosts.take(np.zeros(6, int))
    assert len(native.pairs(alike, np.ones(6, bool), 9)) == 0


def test_what_cannot_be_compared_is_said(world, done, tmp_path):
    few = dataclasses.replace(world, hosts=world.hosts.take(np.arange(12)))
    found, tables = asked(few, tmp_path)
    assert tables == {} and found["agree"] is None and "only 2 pairs" in found["words"]
    columns = {**world.hosts.columns, "psf_path": np.array(["k.npz"] * N, object)}
    measured = dataclasses.replace(world, hosts=dataclasses.replace(world.hosts, columns=columns))
    assert "have no FWHM to be degraded to" in asked(measured, tmp_path)[0]["words"]
    s = AuditSettings(trained_on="none")
    assert native_tables.ask(world, axes(), s, world.prior, 0.5, tmp_path) == (None, {})


def test_the_comparison_is_written_and_on_the_page(done, tmp_path):
    found, tables = done
    for name, table in tables.items():
        write_table(table, tmp_path, name)
        assert len(pd.read_parquet(tmp_path / f"{name}.parquet")) == len(table)
    audit = {"hosts": 3, "hosts_available": 4, "native": found}
    run = SimpleNamespace(audit=audit, table=lambda name, needs=(): tables.get(name))
    blocks = section(run)
    assert found["words"] in blocks[1].lines and "which agrees" in found["words"]
    assert [b.name for b in blocks if b.kind == "table"] == ["native", "native_noise", "native_psf"]
    (figure,) = next(b for b in blocks if b.kind == "figures").figures
    assert figure[1].startswith("<svg") and "r 0.05 to 0.15" in figure[0]
