"""The emulator in a world whose completeness is a formula: value, gradient, calibration on hosts
that it never saw, flags, and the same bits from its files."""

import json
import re
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import selection_worlds as worlds
from astropy import units

from classifiers.audit.injectionset import InjectionSet
from classifiers.selection import SelectionFunction, Share, product
from classifiers.selection.calibration import calibrated
from classifiers.selection.emulate_verb import command
from classifiers.selection.emulator import Emulator
from classifiers.selection.fit_settings import FitSettings
from classifiers.selection.fitting import fit, held_out, told_apart
from lensjax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
QUICK = FitSettings(steps=600, decay=(0.2,), members=6)
INPUTS = ("theta_e", "psf_fwhm", "depth_m5", "source_mag")


def injection_set(seed: int = 0, each: int = 300, **columns) -> InjectionSet:
    rows = worlds.injections(worlds.smooth, np.random.default_rng(seed), each, per_host=3)
    about = {
        "total_generated": len(rows),
        "density_over": ["theta_e"],
        "proposal": {},
        "thresholds": worlds.THRESHOLDS,
        "axes": [vars(a) for a in worlds.GRID.axes],
    }
    about["axes"] = [
        {k: a[k] for k in ("name", "label", "unit", "kind", "column", "points", "edges", "words")}
        for a in about["axes"]
    ]
    return InjectionSet(rows.assign(ln_p_draw=0.0, **columns), about)


@pytest.fixture(scope="module")
def injections():
    return injection_set()


@pytest.fixture(scope="module")
def fitted(injections):
    return fit(injections, s=QUICK)


def places(n: int = 1500, seed: int = 4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    ranges = ((0.35, 2.65), (0.93, 1.47), (23.05, 24.15), (23.1, 25.9))
    return {name: rng.uniform(*ends, n) for name, ends in zip(INPUTS, ranges)}


def test_it_is_nearer_to_the_truth_than_the_binned_table(fitted, injections):
    emulator, _ = fitted
    assert [a.name for a in emulator.axes] == list(INPUTS)
    at = places()
    true = worlds.smooth(*at.values())
    found = emulator.query(**at)
    table = SelectionFunction.of(worlds.table(injections.table)).query(**at)
    rms = lambda value: float(np.sqrt(np.mean((value - true) ** 2)))
    assert rms(found.value) < 0.8 * rms(table.value) and rms(found.value) < 0.04
    inside = (found.lower <= true) & (true <= found.upper)
    assert inside.mean() > 0.85 and (found.flag == "interpolated").all()
    assert np.mean(found.upper - found.lower) < np.mean(table.upper - table.lower)


def test_its_gradient_is_that_of_its_values_and_near_the_truth_s(fitted):
    emulator, _ = fitted
    at = {name: jnp.asarray(v[:200]) for name, v in places().items()}
    alike = {}
    for name in INPUTS:

        def total(x, name=name):
            return emulator.completeness({**at, name: x}).sum()

        slope = np.asarray(jax.jit(jax.grad(total))(at[name]))
        step = 0.02 * float(jnp.std(at[name]))
        up, down = (emulator.completeness({**at, name: at[name] + s}) for s in (step, -step))
        np.testing.assert_allclose(slope, (up - down) / (2 * step), atol=0.02 * abs(slope).max())
        high, low = (
            worlds.smooth(*(np.asarray(v) + (s if k == name else 0) for k, v in at.items()))
            for s in (step, -step)
        )
        true = (high - low) / (2 * step)
        assert slope.mean() == pytest.approx(true.mean(), rel=0.3)
        alike[name] = np.corrcoef(slope, true)[0, 1]
    assert min(alike["theta_e"], alike["source_mag"]) > 0.8, alike
    assert np.isfinite(emulator.completeness({**at, "theta_e": jnp.asarray(1e6)})).all()


def test_it_is_calibrated_on_hosts_that_it_never_saw(fitted, injections):
    emulator, data = fitted
    hosts = injections.table["galaxy_id"].to_numpy()
    assert not set(hosts[data.held]) & set(hosts[~data.held])
    assert 0.2 < data.held.mean() < 0.3
    found = calibrated(injections, emulator, data)
    one, table = found.figures["emulator"], found.figures["table"]
    true = worlds.smooth(*(data.inputs[data.held, i] for i in range(4)))
    least = np.mean(true * (1 - true))  # the score of who knows the probability
    assert table["brier"] > one["brier"] < least + 0.01
    assert one["ece"] < 2 * one["ece_of_chance"]
    rows = found.bins[found.bins["prediction"] == "emulator"]
    held = (rows["lo95"] <= rows["predicted"]) & (rows["predicted"] <= rows["hi95"])
    assert len(rows) == 10 and held.sum() >= 8 and rows["n"].sum() == data.held.sum()
    assert f"emulator Brier {one['brier']:.4f}" in str(found)


def test_a_prediction_that_is_off_is_seen_to_be(fitted, injections):
    emulator, data = fitted
    wrong = data._replace(found=np.random.default_rng(0).random(len(data.found)) < 0.5)
    off = calibrated(injections, emulator, wrong).figures["emulator"]
    assert off["ece"] > 5 * off["ece_of_chance"]


def test_what_it_was_not_fitted_to_is_outside(fitted):
    emulator, _ = fitted
    point = {"theta_e": [1.0, 5.0, np.inf], "psf": 1.2, "depth": 23.6, "source_mag": 24.5}
    found = emulator.query(**point)
    assert found.flag.tolist() == ["interpolated", "outside", "outside"]
    assert np.isnan(found.value[1:]).all() and found.upper[1:].tolist() == [1.0, 1.0]
    at = {"theta_e": jnp.asarray([1.0, 5.0]), "psf_fwhm": 1.2, "depth_m5": 23.6, "source_mag": 24.5}
    assert emulator.inside(at).tolist() == [True, False]
    whole = product(Share(9, 10), emulator).query(**point)
    np.testing.assert_allclose(whole.value[0], 0.9 * found.value[0])
    assert whole.flag.tolist() == found.flag.tolist()


def test_the_files_give_the_same_bits_back(fitted, injections, tmp_path):
    emulator, _ = fitted
    emulator.save(tmp_path)
    read = Emulator.load(tmp_path)
    for one, other in zip(jax.tree.leaves(emulator.state), jax.tree.leaves(read.state)):
        np.testing.assert_array_equal(one, other)
    at = places(300)
    for one, other in zip(emulator.query(**at)[:3], read.query(**at)[:3]):
        np.testing.assert_array_equal(one, other)
    again, _ = fit(injections, s=QUICK)
    again.save(tmp_path / "again")
    for name in ("emulator.json", "emulator.safetensors"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    numbers = tmp_path / "emulator.safetensors"
    numbers.write_bytes(numbers.read_bytes()[:-4] + b"\x00\x00\x00\x01")
    with pytest.raises(InputError, match="SHA-256 differs"):
        Emulator.load(tmp_path)
    (tmp_path / "emulator.json").write_text("{}")
    with pytest.raises(InputError, match="not an emulator's description"):
        Emulator.load(tmp_path)


def test_the_code_of_the_page_runs(fitted, tmp_path):
    page = (ROOT / "docs" / "selection-function.md").read_text()
    assert FitSettings().held_out == 0.25 and "A quarter of the hosts is held out" in page
    code = re.findall(r"```python\n(.*?)```", page, re.S)[1]
    assert '"runs/mine/audit/emulator"' in code
    fitted[0].save(tmp_path)
    names: dict = {}
    exec(code.replace("runs/mine/audit/emulator", str(tmp_path)), names)
    assert names["found"].flag == "interpolated" and float(names["slope"]) > 0


def test_weights_count(injections):
    """Injections of weight 0 might as well not be there, and the weighted share is learned."""
    bright = injections.table["source_mag"] < 24
    table = injections.table.assign(weight=np.where(bright, 1.0, 0.0))
    emulator, data = fit(InjectionSet(table, injections.about), ("theta_e",), s=QUICK)
    magnitude, rest = np.linspace(23, 24, 50), np.linspace(0, 1, 20)
    psf, depth = 0.9 + 0.6 * rest[:, None], 23 + 1.2 * rest[:, None, None]
    true = float(worlds.smooth(1.5, psf, depth, magnitude).mean())
    assert float(emulator.query(theta_e=1.5).value) == pytest.approx(true, abs=0.05)
    assert emulator.about["averaged_over"] == [] and data.weight.mean() == pytest.approx(1.0)


def test_the_threshold_that_is_noted_is_that_of_the_finder():
    """Also where the first finder has none of that name."""
    one = injection_set(each=20)
    several = {"finders": {"": {"name": "a"}, "b": {"name": "b"}}}
    named = {"finder_thresholds": {"b": {"hosts_fpr0.05": 0.3}}}
    both = InjectionSet(one.table.assign(score_b=one.table["score"]), one.about | several | named)
    short = FitSettings(steps=2, decay=(0.2,), members=2)
    emulator, _ = fit(both, ("theta_e",), "hosts_fpr0.05", "b", s=short)
    assert emulator.about["threshold"] == 0.3 and emulator.about["finder"]["name"] == "b"


def test_hosts_are_held_out_by_their_names():
    names = np.repeat([f"g{i}" for i in range(400)], 3)
    held = held_out(names, 0.25, 0)
    assert 0.2 < held.mean() < 0.3 and (held.reshape(-1, 3).std(1) == 0).all()
    assert (held_out(names[::-1], 0.25, 0) == held[::-1]).all()
    assert (held_out(names, 0.25, 1) != held).any()


def test_decays_that_cannot_be_told_apart_are_kept():
    base = np.linspace(0.3, 0.4, 8)
    wiggle = np.array([1, -1] * 4) * 0.01
    assert told_apart(np.stack([base, base + 0.02, base + wiggle + 0.001])) == [0, 2]


def test_units_and_names_are_those_of_the_selection_function(fitted):
    emulator, _ = fitted
    plain = emulator.query(theta_e=1.2, psf=1.2, depth=23.6, source_mag=24.0)
    asked = emulator.query(
        theta_e=0.02 * units.arcmin, psf_fwhm=1.2, depth_m5=23.6 * units.mag, source_mag=24.0
    )
    assert float(asked.value) == pytest.approx(float(plain.value), abs=1e-6)
    for values, words in (
        ({"theta_e": 1.0}, "no value for psf_fwhm, depth_m5, source_mag"),
        ({"r_eff": 1.0}, "no input 'r_eff'"),
        ({**dict.fromkeys(INPUTS, 1.0), "theta_e": np.nan}, "theta_e is NaN"),
        ({**dict.fromkeys(INPUTS, 1.0), "level": 2}, "level is 2"),
    ):
        with pytest.raises(InputError, match=words):
            emulator.query(**values)


@pytest.mark.parametrize(
    "inputs, change, words",
    [
        (("colour",), {}, "input 'colour': no such column"),
        (("galaxy_id",), {}, "input 'galaxy_id' holds words"),
        (("flat",), {"flat": 1.0}, "input 'flat' does not vary"),
        (("theta_e",), {"score": 0.1}, "0 injections that were found fitted, at least 20 needed"),
    ],
)
def test_what_cannot_be_fitted_is_refused(inputs, change, words):
    with pytest.raises(InputError, match=words):
        fit(injection_set(each=20, **change), inputs, s=QUICK)


def test_the_command_writes_an_emulator_with_its_calibration(injections, tmp_path, capsys):
    path = tmp_path / "injections.parquet"
    injections.save(path)
    fit_ = ["--fit.steps", "300", "--fit.members", "3", "--fit.decay", "0.2"]
    assert command(["--from", str(path), "--threshold", "p0.3", *fit_]) == 0
    printed = capsys.readouterr().out
    assert "completeness above 0.3 as a function of theta_e, psf_fwhm, depth_m5" in printed
    assert "hosts that were held out: emulator Brier" in printed and "by chance" in printed
    folder = tmp_path / "emulator"
    emulator = Emulator.load(folder)
    assert emulator.about["threshold"] == 0.3
    said = json.loads((folder / "emulator.json").read_text())
    bins = pd.read_csv(folder / "calibration.csv")
    assert set(bins["prediction"]) == {"emulator", "table"}
    assert said["calibration"]["emulator"]["ece"] < 0.1
    for ending in ("pdf", "png"):
        assert (folder / f"calibration.{ending}").stat().st_size > 5000
    verbs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert verbs["lensjax.verbs"][command.name] == "classifiers.selection.emulate_verb:command"
