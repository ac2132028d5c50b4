"""The same network through every door gives the same completeness, and a bad finder is refused."""

import csv
import dataclasses
import json
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from auditable import completeness, run_directory

import lensjax as lj
from classifiers import frozen, onnxfile
from classifiers.audit import command, kernels
from classifiers.audit.campaign import Campaign
from classifiers.audit.choosing import choose
from classifiers.audit.hosts import Hosts
from classifiers.audit.plan import chunks
from classifiers.audit.settings import AuditSettings
from classifiers.finders.scorefile import read
from classifiers.selection import tablefile
from data import manifest
from data.survey import default
from lensjax.cli import main
from lensjax.errors import InputError

pytestmark = pytest.mark.usefixtures("hardly_optimised")

FLAGS = (
    "--injections 6 --theta-e 1.0 --batch 16 --sufficient 4 --sensitivity-sample 0 "
    "--treatment-sample 0 --counterfactuals 0 --psf-edges 1.0 1.3 1.6"
).split()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_directory(tmp_path_factory.mktemp("doors") / "run", 60)


@pytest.fixture(scope="module")
def network(run):
    return frozen.load(run / "training")


@pytest.fixture(scope="module")
def ours(run, tmp_path_factory):
    """The run's own classifier, which is differentiable."""
    return audited(run, tmp_path_factory.mktemp("ours"), [])


def audited(run, folder, flags):
    shutil.copytree(run, folder, dirs_exist_ok=True)
    assert command(["--out", str(folder), *FLAGS, *flags]) == 0
    return folder / "audit"


def same(a, b):
    """The tables of two audits agree in every byte, and so does what they say of their origin but
    for the finder and its scores."""
    assert completeness(a) == completeness(b)
    origin, others = (tablefile.read(folder / "completeness.parquet")[1] for folder in (a, b))
    own = {"finders", "injections_sha256", "settings"}
    assert {k: v for k, v in origin.items() if k not in own} == {
        k: v for k, v in others.items() if k not in own
    }
    columns = ["injection_id", "galaxy_id", "snr", "arc_snr", "source_mag"]
    pd.testing.assert_frame_equal(
        pd.read_parquet(a / "injections.parquet")[columns],
        pd.read_parquet(b / "injections.parquet")[columns],
    )


def test_an_onnx_file_gives_the_same_completeness(run, network, ours, tmp_path):
    onnxfile.save(tmp_path / "network.onnx", network)
    flags = ["--finder", str(tmp_path / "network.onnx"), "--trained-on", "train"]
    flags += ["--sensitivity-sample", "8"]
    found = audited(run, tmp_path / "run", flags)
    same(found, ours)
    gradients = pd.read_csv(found / "sensitivity.csv")
    assert gradients["gradient"].isna().all() and (gradients["injections"] == 8).all()
    assert (gradients["finite_difference"] != 0).all()
    assert (gradients["finite_difference_error"] > 0).all()
    words = json.loads((found / "summary.json").read_text())["words"]
    assert any("no gradients" in w and "common random numbers" in w for w in words)


def test_a_score_file_gives_the_same_completeness(run, network, ours, tmp_path, capsys):
    """Stamps go out, the audit says what to do and stops; with the scores beside them it ends."""
    out, folder = tmp_path / "run", tmp_path / "exchange"
    shutil.copytree(run, out)
    ask = ["audit", "--out", str(out), *FLAGS, "--finder", f"scores:{folder}"]
    ask += ["--trained-on", "train"]
    assert main(ask) == 2
    said = capsys.readouterr().err
    assert "scores.csv" in said and str(folder) in said and said.count("\n") == 1
    sent = list(csv.DictReader((folder / "stamps.csv").open()))
    assert {"injection_id", "host_id", "ra", "dec", "file", "row"} <= set(sent[0])
    score = jax.jit(network.logits)
    with (folder / "scores.csv").open("w") as answer:
        answer.write("id,logit\n")
        for row in sent[::-1]:
            stamps = np.load(folder / row["file"])["stamps"]
            padded = np.zeros((16, *stamps.shape[1:]), np.float32)
            padded[: len(stamps)] = stamps
            logit = np.asarray(score(jnp.asarray(padded)))[int(row["row"])]
            answer.write(f"{row['injection_id']},{float(logit)!r}\n")
    assert main(ask) == 0
    same(out / "audit", ours)
    assert read(folder / "scores.csv", [r["injection_id"] for r in sent]).score.min() > 0
    assert not (out / "audit" / "sensitivity.csv").exists()


def test_stamps_of_another_prior_are_another_experiment(run):
    """The scores of one prior must not be taken for those of another that has the same name."""
    hosts = Hosts(
        *(np.array(["a", "b"]), np.array(["test"] * 2), np.zeros(2, int), np.array(["x", "y"])),
        *(np.full((2, 3), 1.2), np.full((2, 3), 300.0), np.array(["catalogue"] * 2)),
        *(np.full(2, 101), np.full(2, default().pixel_scale)),
    )
    grid = AuditSettings().axes(hosts.psf[:, 1], hosts.depth)
    plan = chunks(hosts, grid, 2, 1, False, 1)
    mine = {
        "lens": {"NFW": {"theta_e": {"fixed": 1.0}, "r_s": {"fixed": 5.0}}},
        "source": {"Sersic": {"r_mag": {"fixed": 24.0}, "r_eff": {"fixed": 0.2}}},
    }
    mine["source"]["Sersic"] |= {"n": {"fixed": 1.0}, "q": {"fixed": 1.0}, "phi": {"fixed": 0.0}}
    other = json.loads(json.dumps(mine))
    other["source"]["Sersic"]["r_eff"] = {"fixed": 0.3}
    first = Campaign(plan, hosts, run, None, lj.prior_from("mine", mine), 0.0, 0.0, 4)
    same_again = dataclasses.replace(first, prior=lj.prior_from("mine", mine))
    assert first.identity() == same_again.identity()
    brighter = dataclasses.replace(hosts, psfdepth=hosts.psfdepth * 2)
    for change in (
        {"prior": lj.prior_from("mine", other)},
        {"beta": 3.5},
        {"batch": 8},
        {"extinction": False},
        {"hosts": brighter},
    ):
        assert dataclasses.replace(first, **change).identity() != first.identity(), change


CALLABLE = """
import numpy as np
from classifiers import frozen
import jax
network = frozen.load({training!r})
score = jax.jit(network.logits)
calls = []

def run(stamps):
    calls.append(len(stamps))
    full = np.zeros((16, *stamps.shape[1:]), np.float32)
    full[: len(stamps)] = stamps
    return np.asarray(score(full))[: len(stamps)]

def breaks(stamps):
    if len(calls) >= 3:
        raise RuntimeError("out of patience")
    return run(stamps)

def silent(stamps):
    return np.full(len(stamps), np.nan)

def short(stamps):
    return np.zeros(len(stamps) - 1)
"""


def test_a_python_function_gives_the_same_completeness_and_may_break_in_between(
    run, ours, tmp_path, monkeypatch, capsys
):
    (tmp_path / "theirs_for_audit.py").write_text(CALLABLE.format(training=str(run / "training")))
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "run"
    shutil.copytree(run, out)
    ask = ["audit", "--out", str(out), *FLAGS, "--trained-on", "train", "--finder"]
    assert main([*ask, "theirs_for_audit:breaks output=logit"]) == 2
    said = capsys.readouterr().err
    assert "out of patience" in said and said.count("\n") == 1
    ids = set(pd.read_parquet(ours / "injections.parquet")["injection_id"])
    assert any(i in said for i in ids) or "0010p000_" in said
    assert list((out / "audit" / "parts").glob("*.parquet"))
    for name, words in (("silent", "NaN"), ("short", "one number for each")):
        assert main([*ask, f"theirs_for_audit:{name} output=logit", "--force"]) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1, said
    sys.modules["theirs_for_audit"].calls.clear()
    assert main([*ask, "theirs_for_audit:run output=logit"]) == 0
    same(out / "audit", ours)


def test_what_a_finder_from_outside_was_trained_on_has_to_be_said(run, network, tmp_path):
    onnxfile.save(tmp_path / "network.onnx", network)
    ask = ["--out", str(run), *FLAGS, "--finder", str(tmp_path / "network.onnx")]
    with pytest.raises(InputError, match=r"nothing says what it was trained on.*trained_on"):
        command(ask)
    (tmp_path / "bad.csv").write_text("galaxy_id\nx\n")
    with pytest.raises(InputError, match="no column 'ra'"):
        command([*ask, "--trained-on", str(tmp_path / "bad.csv")])
    name = manifest.read(run / "manifest.parquet").to_pylist()[1]["galaxy_id"]
    (tmp_path / "seen.csv").write_text(f"galaxy_id,ra,dec\n{name},10.02,0\n")
    with pytest.raises(InputError, match=f"{name} was in the classifier's training split"):
        command([*ask, "--trained-on", str(tmp_path / "seen.csv")])


def test_unlabelled_galaxies_are_hosts_of_a_finder_that_saw_none_of_them(run, network, tmp_path):
    """A folder of somebody's cutouts without labels, with PSF kernels of their own."""
    onnxfile.save(tmp_path / "network.onnx", network)
    out = tmp_path / "run"
    shutil.copytree(run, out)
    table = manifest.read(out / "manifest.parquet").to_pandas()
    table = table.assign(cutout_type="unlabelled", label=0, split="test")
    kernel = np.zeros((3, 5, 5), np.float32)
    kernel[:, 1:4, 1:4] = 1 / 9
    (out / "psf").mkdir()
    np.savez(out / "psf" / "one.npz", kernel=kernel)
    table["psf_path"] = "psf/one.npz"
    table.to_parquet(out / "manifest.parquet")
    with pytest.raises(InputError, match="no negative in split"):
        choose(out, AuditSettings(), {}, default())
    s = AuditSettings(finder=str(tmp_path / "network.onnx"), trained_on="none")
    hosts, _ = choose(out, s, {}, default())
    assert len(hosts) == len(table) and list(hosts.kernels) == ["psf/one.npz"] * len(table)
    chunk = chunks(hosts, s.axes(hosts.fwhm, hosts.depth), 4, 4, False, 1)[0]
    campaign = Campaign([chunk], hosts, out, network, None, 0.0, 0.0, 4)
    psf = campaign.psf(chunk, chunk.host[:4], hosts.psf[chunk.host[:4]])
    np.testing.assert_array_equal(psf.kernel, np.stack([kernel] * 4))


@pytest.mark.parametrize(
    "kernel, words",
    [
        (np.ones((3, 4, 4)), "K odd"),
        (np.ones((2, 5, 5)), "(3, K, K)"),
        (np.full((3, 5, 5), np.nan), "finite"),
        (np.zeros((3, 5, 5)), "not positive"),
    ],
)
def test_a_kernel_that_is_no_psf_is_refused_by_file(kernel, words, tmp_path):
    np.savez(tmp_path / "k.npz", kernel=kernel)
    with pytest.raises(InputError) as error:
        kernels.read(tmp_path / "k.npz", 3)
    assert "k.npz" in str(error.value) and words in str(error.value)


def test_a_damaged_file_of_kernels_is_refused_by_file(tmp_path):
    np.savez(tmp_path / "whole.npz", kernel=np.ones((3, 25, 25), np.float32))
    content = (tmp_path / "whole.npz").read_bytes()
    flipped = content[:400] + bytes([content[400] ^ 255]) + content[401:]
    for name, damaged in (("cut", content[:4000]), ("empty", b""), ("flipped", flipped)):
        (tmp_path / f"{name}.npz").write_bytes(damaged)
        with pytest.raises(InputError, match=rf"{name}\.npz: no PSF kernels can be read"):
            kernels.read(tmp_path / f"{name}.npz", 3)


def test_kernels_are_read_from_fits_and_padded_to_one_size(tmp_path):
    from astropy.io import fits

    kernel = np.random.default_rng(0).random((3, 5, 5)).astype(np.float32)
    fits.PrimaryHDU(kernel).writeto(tmp_path / "k.fits")
    found = kernels.read(tmp_path / "k.fits", 3)
    np.testing.assert_array_equal(found, kernel)
    wide = kernels.fitted(found, 9)
    assert wide.shape == (3, 9, 9)
    np.testing.assert_array_equal(kernels.fitted(wide, 5), kernel)


def test_a_psfex_model_is_placed_at_the_host(tmp_path):
    """A model that is a Gaussian whose width grows with x, two samples a pixel."""
    from astropy.io import fits

    y, x = np.mgrid[-12:13, -12:13] / 2
    narrow, change = np.exp(-(x**2 + y**2) / 4), np.exp(-(x**2 + y**2) / 9)
    masks = np.stack([narrow / narrow.sum(), change / change.sum(), 0 * narrow])
    for band in "grz":
        column = fits.Column("PSF_MASK", f"{masks.size}E", dim="(25,25,3)", array=masks[None])
        table = fits.BinTableHDU.from_columns([column])
        for key, value in (("POLZERO1", 100.0), ("POLSCAL1", 50.0), ("PSF_SAMP", 0.5)):
            table.header[key] = value
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / f"m-{band}.psf")
    text = np.array(["a", "b"])
    columns = {"psf_path": np.array(["m-{band}.psf"] * 2, object), "psf_y": np.zeros(2)}
    plain = Hosts(text, text, np.zeros(2), text, np.ones((2, 3)), np.ones((2, 3)), text, 0, 0)
    with pytest.raises(InputError, match="host a.*psf_x and psf_y"):
        kernels.of_host(dataclasses.replace(plain, columns=columns), 0, tmp_path)
    outside = {"psf_path": np.array(["../m.npz"] * 2, object)}
    with pytest.raises(InputError, match="does not lie below"):
        kernels.of_host(dataclasses.replace(plain, columns=outside), 0, tmp_path)
    placed = dataclasses.replace(plain, columns={**columns, "psf_x": np.array([100.0, 200.0])})
    centre, edge = (kernels.of_host(placed, i, tmp_path) for i in range(2))
    assert centre.shape == edge.shape == (3, 13, 13)
    y, x = np.mgrid[-6:7, -6:7]
    second = lambda k: float((k * (x**2 + y**2)).sum() / k.sum())
    wanted = masks[0] + 2 * masks[1]  # u = (200 - 100) / 50
    coarse = wanted[::2, ::2]
    assert second(centre[0]) == pytest.approx(second(masks[0][::2, ::2]), rel=0.02)
    assert second(edge[1]) == pytest.approx(second(coarse), rel=0.02)
