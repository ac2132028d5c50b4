"""Measured PSFs become those of the hosts: read in every form, normalised, with their own FWHM."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from auditable import image, rows, run_directory

import lensjax as lj
from classifiers.audit import hosts, kernels, psffiles, psfshape
from classifiers.audit.choosing import choose
from classifiers.audit.host_settings import HostPsf
from classifiers.audit.settings import AuditSettings
from data.config import external, validated
from data.cutouts import write_npz
from data.survey import default
from lensjax.errors import InputError

SCALE = default().pixel_scale
WIDTH = np.array([1.3, 1.1, 0.9])
GRID = lj.PixelGrid(31, SCALE)


def moffat() -> np.ndarray:
    """Kernels (3, 31, 31) whose sums are not 1."""
    stamp = np.asarray(lj.Moffat(jnp.asarray(WIDTH), 3.0).stamp(GRID))
    return np.moveaxis(stamp, -1, 0) * np.array([0.87, 1.1, 1.76])[:, None, None]


def psfex(path, kernel: np.ndarray, in_columns: bool) -> None:
    """A PsfEx model that is wider in x by a term of the polynomial; numbers in the header, or in
    columns as the Legacy Surveys have them."""
    mask = np.stack([kernel, 0.1 * kernel, 0 * kernel]).astype(np.float32)
    side = mask.shape[-1]
    known = {"POLZERO1": 100.0, "POLSCAL1": 50.0, "POLZERO2": 0.0, "POLSCAL2": 1.0}
    known |= {"PSF_SAMP": 1.0}
    name = "psf_mask" if in_columns else "PSF_MASK"
    columns = [fits.Column(name, f"{mask.size}E", dim=f"({side},{side},3)", array=mask[None])]
    if in_columns:
        columns += [fits.Column(k.lower(), "D", array=[v]) for k, v in known.items()]
    table = fits.BinTableHDU.from_columns(columns)
    if not in_columns:
        table.header.update(known)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


@pytest.fixture
def forms(tmp_path) -> dict[str, HostPsf]:
    """The same PSF in five forms."""
    kernel = moffat()
    np.savez(tmp_path / "all.npz", kernel=kernel)
    fits.PrimaryHDU(kernel).writeto(tmp_path / "all.fits")
    for band, one in zip("grz", kernel):
        fits.PrimaryHDU(one).writeto(tmp_path / f"one-{band}.fits")
        psfex(tmp_path / f"head-{band}.psf", one, False)
        psfex(tmp_path / f"cols-{band}.fits", one, True)
    named = {band: str(tmp_path / f"cols-{band}.fits") for band in "grz"}
    return {
        "npz": HostPsf(files=str(tmp_path / "all.npz")),
        "fits": HostPsf(files=str(tmp_path / "all.fits"), pixel_scale=SCALE),
        "bands": HostPsf(files=str(tmp_path / "one-{band}.fits")),
        "psfex": HostPsf(files=str(tmp_path / "head-{band}.psf"), x=100.0, y=0.0),
        "columns": HostPsf(files=named, x=150.0, y=3.0, of="another field"),
    }


def test_every_form_of_file_gives_the_same_normalised_kernels_and_their_fwhm(forms, tmp_path):
    table = pd.DataFrame(rows(12)).drop(columns=[f"psfsize_{b}" for b in "grz"])
    wanted = moffat() / moffat().sum((1, 2), keepdims=True)
    for name, psf in forms.items():
        made = psffiles.with_kernels(table, {"0010p000_*": psf}, tmp_path, default())
        found = hosts.candidates(made, None)
        assert set(found.psf_source) == {"kernel"} and len(set(found.kernels)) == 1
        kernel = kernels.of_host(found, 3, tmp_path)
        np.testing.assert_allclose(kernel, wanted, atol=2e-6, err_msg=name)
        np.testing.assert_allclose(kernel.sum((1, 2)), 1.0, rtol=1e-5)
        np.testing.assert_allclose(found.psf, np.broadcast_to(WIDTH, (len(found), 3)), rtol=0.01)
        told = psffiles.unsaid(found.columns, len(found))
        assert len(told) == (name == "columns") and all("another field" in t for t in told)


def test_patterns_apply_in_order_and_what_none_matches_is_refused(forms, tmp_path):
    out = run_directory(tmp_path / "run", 16, False)
    s = lambda psfs: AuditSettings(finder="a.onnx", trained_on="none", psf_files=psfs)
    one = {"0010p000_1*": forms["npz"]}
    with pytest.raises(InputError, match=r"audit.psf_files: \d+ hosts have no measured PSF.*_2"):
        choose(out, s(one), {}, default())
    found, _ = choose(out, s(one | {"*": forms["columns"]}), {}, default())
    first = np.array([name.startswith("0010p000_1") for name in found.ids])
    assert first.any() and not first.all()
    assert len(set(found.kernels[first])) == len(set(found.kernels[~first])) == 1
    assert set(found.columns["psf_measured_on"][~first]) == {"another field"}
    assert (out / found.kernels[0]).is_file() and found.kernels[0].startswith("audit/psf/")
    with pytest.raises(InputError, match=r"audit.psf_files.none_\*: no object"):
        choose(out, s({"none_*": forms["npz"]}), {}, default())


@pytest.mark.parametrize(
    "given, words",
    [
        ({"pixel_scale": 0.3}, 'kernels of 0.3" pixels for stamps of 0.262'),
        ({"files": "gone.npz"}, "no PSF kernels can be read"),
        ({"files": {"g": "a.fits", "r": "b.fits"}}, "no file for band z"),
        ({"files": "LENSJAX_DATA/a.npz"}, "that environment variable is not set"),
    ],
)
def test_what_is_no_psf_of_the_hosts_is_refused(forms, tmp_path, monkeypatch, given, words):
    monkeypatch.delenv("LENSJAX_DATA", raising=False)
    psf = HostPsf(**{"files": forms["npz"].files, **given})
    with pytest.raises(InputError) as error:
        psffiles.with_kernels(pd.DataFrame(rows(4)), {"*": psf}, tmp_path, default())
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"POLSCAL1": 0.0}, "POLSCAL1 is 0; fetch"),
        ({"PSF_SAMP": np.nan}, "PSF_SAMP is nan; fetch"),
        ({"PSF_SAMP": 1e6}, "with PSF_SAMP 1e\\+06 its kernel has 30000001 pixels a side, at most"),
        ({}, "kernels of shape .*give finite ones"),
    ],
)
def test_a_damaged_psfex_model_is_refused_by_name(tmp_path, change, words):
    path = tmp_path / "m.psf"
    psfex(path, moffat()[0] if change else moffat()[0] * np.nan, True)
    with fits.open(path, mode="update") as opened:
        for name, value in change.items():
            opened[1].data[name.lower()] = value
    with pytest.raises(InputError, match=rf"m\.psf: {words}") as refused:
        kernels.of_bands([path], (100.0, 0.0), "host a", "")
    assert "\n" not in str(refused.value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", ["npz", "fits"])
def test_damaged_kernels_are_refused_by_name(forms, tmp_path, ending):
    whole = (tmp_path / f"all.{ending}").read_bytes()
    for content in (b"", whole[:100], whole[:-2000], whole[:300] + whole[400:], b"PK\x05\x06 no"):
        (tmp_path / f"d.{ending}").write_bytes(content)
        with pytest.raises(InputError, match=rf"d\.{ending}: ") as refused:
            kernels.of_bands([tmp_path / f"d.{ending}"], None, "host a", "")
        assert "\n" not in str(refused.value)


def test_a_psfex_model_needs_its_place_and_settings_are_whole(forms, tmp_path):
    psf = HostPsf(files=forms["psfex"].files)
    with pytest.raises(InputError, match=r"give audit.psf_files.\*.x and .y"):
        psffiles.with_kernels(pd.DataFrame(rows(4)), {"*": psf}, tmp_path, default())
    for wrong, words in (({}, "name the PSF's file"), ({"files": "a", "x": 1.0}, "both or")):
        with pytest.raises(InputError, match=words):
            validated(HostPsf, wrong, "psf")


def test_a_path_may_begin_with_the_folder_of_survey_data(monkeypatch, tmp_path):
    monkeypatch.setenv("LENSJAX_DATA", str(tmp_path))
    for name in ("LENSJAX_DATA/psf/a.fits", "${LENSJAX_DATA}/psf/a.fits"):
        assert external(name, "key") == tmp_path / "psf" / "a.fits"
    assert external("psf/LENSJAX_DATA", "key").as_posix() == "psf/LENSJAX_DATA"
    assert external("LENSJAX_DATA", "key") == tmp_path


def test_depth_is_measured_with_the_hosts_own_psf(forms, tmp_path):
    """Sky of known scatter: the depth is sum(kernel^2) / sigma^2, not that of a Gaussian."""
    row = rows(4)[1] | {f"psfdepth_{b}": None for b in "grz"}
    sky = np.random.default_rng(0).normal(0, 0.01, image(rows(4)[1], 1).shape)
    meta = {k: row[k] for k in ("galaxy_id", "ra", "dec")}
    write_npz(tmp_path / row["cutout_path"], sky.astype(np.float32), meta)
    table = psffiles.with_kernels(pd.DataFrame([row]), {"*": forms["npz"]}, tmp_path, default())
    found, measured = hosts.with_depth(hosts.candidates(table, None), tmp_path)
    own = kernels.of_host(found, 0, tmp_path).astype(np.float64)
    assert measured.all()
    np.testing.assert_allclose(found.psfdepth[0], (own**2).sum((1, 2)) / 0.01**2, rtol=0.1)


def test_sizes_and_shapes_of_point_sources():
    for width in (0.7, 1.0, 1.6):
        for psf in (lj.Gaussian(jnp.array([width])), lj.Moffat(jnp.array([width]), 3.5)):
            stamp = np.asarray(psf.stamp(GRID))[..., 0]
            assert psfshape.fwhm(stamp) * SCALE == pytest.approx(width, rel=0.01)
            np.testing.assert_allclose(psfshape.ellipticity(stamp), 0.0, atol=1e-6)
    y, x = np.mgrid[-20:21, -20:21]
    e1, e2 = psfshape.ellipticity(np.exp(-0.5 * ((x - 0.3) ** 2 / 9 + (y + 0.4) ** 2 / 5)))
    assert e1 > 0.1 and abs(e2) < 1e-3
    e1, e2 = psfshape.ellipticity(np.exp(-0.5 * ((x + y) ** 2 / 18 + (x - y) ** 2 / 10)))
    assert e2 > 0.1 and abs(e1) < 1e-3
    with pytest.raises(ValueError, match="have light"):
        psfshape.fwhm(np.zeros((5, 5)))
