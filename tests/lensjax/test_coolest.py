"""COOLEST files: what is written is read again, a file written by hand means what the standard says
it does, and bad files are refused with their name and the place in them."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensjax as lj
from lensjax.light import surface_brightness
from lensjax.mass import deflection

GRID = lj.PixelGrid(40, 0.2)
SCENE = lj.Scene(
    (
        lj.SIE(1.3, 0.7, 0.4, 0.1, -0.2),
        lj.Shear(0.03, -0.02),
        lj.EPL(0.4, 2.2, 0.8, 2.9, -0.6, 0.5),
        lj.DPIE(0.3, 0.2, 3.0, 0.6, 1.5, 0.4, 0.3),
        lj.ConvergenceSheet(0.02),
    ),
    (lj.Sersic(2.5, 0.3, 1.3, 0.6, 0.8, 0.05, 0.02), lj.Sersic(0.7, 0.1, 3.1, 1.0, 0.0)),
    lj.Sersic(12.0, 0.8, 4.0, 0.75, 1.2, 0.1, -0.2),
)
X, Y = np.random.default_rng(5).uniform(-3, 3, (2, 50))


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def _written(folder: Path, scene=SCENE, psf=lj.Gaussian(0.7), **changed) -> Path:
    path = folder / "model.json"
    lj.to_coolest(scene, GRID, psf, path, **{"z_lens": 0.5, "z_source": 2.0, **changed})
    return path


def test_what_is_written_is_read_again(tmp_path):
    cosmology = lj.Cosmology(67.0, 0.32)
    path = _written(tmp_path, cosmology=cosmology)
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]
    found = lj.from_coolest(path)
    assert (found.grid, found.z_lens, found.z_source) == (GRID, 0.5, 2.0)
    assert found.psf == lj.Gaussian(0.7) and found.cosmology == cosmology
    for role in ("lens", "source", "lens_light"):
        for ours, read in zip(getattr(SCENE, role), getattr(found.scene, role), strict=True):
            assert type(ours) is type(read)
            for name, value in vars(ours).items():
                if name == "phi":  # an ellipse is the same after half a turn
                    assert np.sin(read.phi - value) == pytest.approx(0, abs=1e-12)
                elif value is not None:
                    assert getattr(read, name) == pytest.approx(value, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(found.scene.trace(X, Y), SCENE.trace(X, Y), atol=1e-12)


BY_HAND = """{
 "standard": "COOLEST", "mode": "MOCK", "meta": {},
 "coordinates_origin": {"ra": "0h0m0.0s", "dec": "0d0m0.0s"},
 "cosmology": {"H0": 73.0, "Om0": 0.3, "astropy_name": "FlatLambdaCDM"},
 "instrument": {"name": "some", "band": "F160W", "pixel_size": 0.08, "readout_noise": 4,
  "psf": {"type": "PixelatedPSF", "description": null, "pixels": {
   "field_of_view_x": [0, 0], "field_of_view_y": [0, 0], "num_pix_x": 0, "num_pix_y": 0,
   "fits_file": {"path": "psf_kernel.fits"}}}},
 "observation": {"exposure_time": null, "mag_sky_brightness": null, "mag_zero_point": 25.0,
  "noise": {"type": "InstrumentalNoise"},
  "pixels": {"field_of_view_x": [-3.0, 5.0], "field_of_view_y": [-4.5, 3.5],
   "num_pix_x": 100, "num_pix_y": 100, "fits_file": {"path": "obs.fits"}}},
 "lensing_entities": [
  {"type": "MassField", "name": "shear", "redshift": 0.5, "mass_model": [
   {"type": "ExternalShear", "parameters": {
    "gamma_ext": {"point_estimate": {"value": 0.07}},
    "phi_ext": {"point_estimate": {"value": 25.0}, "fixed": false}}}]},
  {"type": "Galaxy", "name": "lens", "redshift": 0.5, "mass_model": [
   {"type": "PEMD", "parameters": {
    "theta_E": {"point_estimate": {"value": 1.4}}, "gamma": {"point_estimate": {"value": 2.1}},
    "q": {"point_estimate": {"value": 0.75}}, "phi": {"point_estimate": {"value": -30.0}},
    "center_x": {"point_estimate": {"value": 1.1}},
    "center_y": {"point_estimate": {"value": -0.4}}}}], "light_model": [
   {"type": "Sersic", "parameters": {
    "I_eff": {"point_estimate": {"value": 3.0}}, "theta_eff": {"point_estimate": {"value": 0.9}},
    "n": {"point_estimate": {"value": 4.0}},
    "q": {"point_estimate": {"value": 0.8}}, "phi": {"point_estimate": {"value": 60.0}},
    "center_x": {"point_estimate": {"value": 1.1}},
    "center_y": {"point_estimate": {"value": -0.4}}}}]},
  {"type": "Galaxy", "name": "source", "redshift": 2.0, "mass_model": [], "light_model": [
   {"type": "Sersic", "parameters": {
    "I_eff": {"point_estimate": {"value": 2.0}}, "theta_eff": {"point_estimate": {"value": 0.3}},
    "n": {"point_estimate": {"value": 1.5}},
    "q": {"point_estimate": {"value": 0.6}}, "phi": {"point_estimate": {"value": 90.0}},
    "center_x": {"point_estimate": {"value": 1.0}},
    "center_y": {"point_estimate": {"value": -0.3}}}}]}
 ]
}"""
"""A field whose middle is at (1, -0.5), with everything turned and off the middle."""


def test_a_file_written_by_hand_means_what_the_standard_says(tmp_path, monkeypatch):
    """lenstronomy, whose profiles and conversions of angles are the standard's with x to the left,
    gives the same brightness through the same lens: in the coordinates of the file there, about the
    middle of the field here."""
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel
    from lenstronomy.Util import coolest_read_util as conventions

    path = tmp_path / "hand.json"
    path.write_text(BY_HAND)
    found = lj.from_coolest(path)
    assert found.grid == lj.PixelGrid(100, 0.08) and found.psf is None
    assert (found.z_lens, found.z_source, float(found.cosmology.h0)) == (0.5, 2.0, 73.0)

    monkeypatch.setattr("lensjax.mass.epl.CORE", 0.0)
    given = {e["name"]: e for e in json.loads(BY_HAND)["lensing_entities"]}
    read = lambda m: {k: p["point_estimate"]["value"] for k, p in m["parameters"].items()}
    turned = lambda v: dict(
        zip(("e1", "e2"), conventions.qphi_coolest_to_e1e2_lenstronomy(v["q"], v["phi"])),
        center_x=-v["center_x"],
        center_y=v["center_y"],
    )
    shear, pemd = (read(given[name]["mass_model"][0]) for name in ("shear", "lens"))
    gamma = conventions.gamma_phi_coolest_to_g1_g2_lenstronomy(shear["gamma_ext"], shear["phi_ext"])
    lens = LensModel(["EPL", "SHEAR"])
    masses = [
        {"theta_E": pemd["theta_E"], "gamma": pemd["gamma"], **turned(pemd)},
        dict(zip(("gamma1", "gamma2"), gamma)),
    ]
    beta = lens.ray_shooting(-(X + 1.0), Y - 0.5, masses)
    unit = 10 ** (0.4 * (22.5 - 25.0))
    bent = found.scene.trace(X, Y)
    for name, role, theirs, ours in (
        ("source", "source", beta, bent),
        ("lens", "lens_light", (-(X + 1.0), Y - 0.5), (X, Y)),
    ):
        v = read(given[name]["light_model"][0])
        arguments = {"amp": v["I_eff"], "R_sersic": v["theta_eff"], "n_sersic": v["n"], **turned(v)}
        expected = LightModel(["SERSIC_ELLIPSE"]).surface_brightness(*theirs, [arguments])
        (light,) = getattr(found.scene, role)
        seen = light.flux * surface_brightness(light, *ours)
        np.testing.assert_allclose(seen, unit * expected, rtol=1e-6)


def test_a_round_sersic_profile_in_numbers(tmp_path):
    """Without anyone's code: I = I_eff at theta_eff, in units of the zero point."""
    document = json.loads(BY_HAND)
    light = document["lensing_entities"][2]["light_model"][0]["parameters"]
    light["q"]["point_estimate"]["value"] = 1.0
    path = tmp_path / "round.json"
    path.write_text(json.dumps(document))
    (source,) = lj.from_coolest(path).scene.source
    there = surface_brightness(source, source.x + 0.3 * np.cos(X), source.y + 0.3 * np.sin(X))
    np.testing.assert_allclose(source.flux * there, 2.0 * 10 ** (0.4 * -2.5), rtol=1e-9)


def test_angles_and_axes_by_hand(tmp_path):
    """A lens along +y has the angle 0, one along +x 90; a shear that stretches along y likewise."""
    scene = replace(
        SCENE, lens=(lj.SIE(1.0, 0.5, np.pi / 2), lj.SIE(1.0, 0.5, 0.0), lj.Shear(-0.1, 0.0))
    )
    entities = json.loads(_written(tmp_path, scene).read_text())["lensing_entities"]
    angles = [
        p["point_estimate"]["value"]
        for entity in entities[:3]
        for key, p in entity["mass_model"][0]["parameters"].items()
        if key.startswith("phi")
    ]
    np.testing.assert_allclose(angles, [0, 90, 0], atol=1e-12)
    assert [e["type"] for e in entities[:3]] == ["Galaxy", "Galaxy", "MassField"]


def test_a_dpie_with_its_radii_in_the_other_order_is_the_same_lens(tmp_path):
    mass = lj.DPIE(0.8, 3.0, 0.4, 0.7, 0.3)
    (read,) = lj.from_coolest(_written(tmp_path, replace(SCENE, lens=(mass,)))).scene.lens
    assert read.r_core < read.r_cut
    np.testing.assert_allclose(deflection(read, X, Y), deflection(mass, X, Y), atol=1e-12)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"scene": replace(SCENE, lens=lj.NFW(1.0, 3.0))}, "cannot hold NFW: it can hold SIE, EPL"),
        ({"scene": replace(SCENE, lens=lj.ConvergenceSheet(0.1, 0.2))}, "x, y = 0.2, 0: .*origin"),
        ({"scene": replace(SCENE, lens=lj.DPIE(1.0, 0.5, 0.5, 1.0, 0.0))}, "needs two radii"),
        ({"scene": replace(SCENE, source=lj.Sersic(jnp.ones(3), 0.3, 1.0, 1.0, 0.0))}, "one band"),
        ({"psf": lj.Moffat(0.7, 3.0)}, "cannot hold Moffat"),
        ({"psf": lj.Gaussian(0.7, pixel_integrated=True)}, "the pixel in it"),
        ({"z_lens": 2.5}, "z_source = 2: .*z_lens = 2.5"),
        ({"cosmology": lj.Cosmology(w0=-0.9)}, "w0 = -0.9"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_and_nothing_is_written(tmp_path, change, said):
    with pytest.raises(lj.InputError, match=said):
        _written(tmp_path, **change)
    assert not list(tmp_path.iterdir())


def _at(document, *place):
    for step in place:
        document = document[step]
    return document


LENS = ("lensing_entities", 1)
PEMD = (*LENS, "mass_model", 0)
BAD = {
    "a key that is missing": (lambda d: d.pop("instrument"), "the file: the key instrument is"),
    "a key that is not known": (
        lambda d: _at(d, *PEMD)["parameters"].update(s_core=1),
        r"lensing_entities\[1\].mass_model\[0\].parameters: the key 's_core' is not known",
    ),
    "a parameter that is missing": (
        lambda d: _at(d, *PEMD, "parameters").pop("q"),
        r"mass_model\[0\].parameters: the key q is missing",
    ),
    "no point estimate": (
        lambda d: _at(d, *PEMD, "parameters", "q", "point_estimate").update(value=None),
        "parameters.q.point_estimate.value: should be a number, not null",
    ),
    "a number as a string": (
        lambda d: _at(d, *PEMD, "parameters", "q", "point_estimate").update(value="0.7"),
        "q.point_estimate.value: should be a number, not a string",
    ),
    "a huge number": (
        lambda d: _at(d, *PEMD, "parameters", "phi", "point_estimate").update(value=10**400),
        "phi.point_estimate.value: should be a finite number",
    ),
    "an axis ratio out of range": (
        lambda d: _at(d, *PEMD, "parameters", "q", "point_estimate").update(value=0.01),
        r"mass_model\[0\]: PEMD: q = 0.01: it should be between 0.1 and 1",
    ),
    "a Sersic index out of range": (
        lambda d: _at(d, *LENS, "light_model", 0, "parameters", "n", "point_estimate").update(
            value=-1
        ),
        r"light_model\[0\]: Sersic: n = -1: it should be between",
    ),
    "a profile that is not known": (
        lambda d: _at(d, *PEMD).update(type="NFW"),
        r"mass_model\[0\].type: is 'NFW'; it can be SIE, PEMD",
    ),
    "another standard": (lambda d: d.update(standard="mine"), "standard: should be 'COOLEST'"),
    "entities that are no list": (
        lambda d: d.update(lensing_entities={}),
        "lensing_entities: should be a list, not an object",
    ),
    "masses at two redshifts": (
        lambda d: _at(d, *LENS).update(redshift=0.7),
        "there are masses at redshifts 0.5 and 0.7: one is read",
    ),
    "no light behind the lens": (
        lambda d: _at(d, "lensing_entities", 2).update(redshift=0.1),
        "no light is behind the masses",
    ),
    "no zero point": (
        lambda d: d["observation"].update(mag_zero_point=None),
        "mag_zero_point: should be a number, not null",
    ),
    "a zero point of another world": (
        lambda d: d["observation"].update(mag_zero_point=-1e3),
        "mag_zero_point: is -1000: it should be between -100 and 100",
    ),
    "an angle without end": (
        lambda d: _at(d, *PEMD, "parameters", "phi", "point_estimate").update(value=-1e200),
        r"phi.point_estimate.value: is -1e\+200: it should be between -1e\+30",
    ),
    "a field without extent": (
        lambda d: _at(d, "observation", "pixels").update(field_of_view_x=[0, 0]),
        "field_of_view_x: should be two numbers, the smaller one first",
    ),
    "a field of other pixels": (
        lambda d: d["instrument"].update(pixel_size=0.1),
        "field_of_view_x: is not 100 pixels of 0.1 arcsec",
    ),
    "a cosmology of nothing": (
        lambda d: d["cosmology"].update(Om0=3.0),
        "cosmology: Cosmology omega_m = 3",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_their_name_and_the_place(case, tmp_path):
    change, said = BAD[case]
    document = json.loads(BY_HAND)
    change(document)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    with pytest.raises(lj.InputError, match=said) as raised:
        lj.from_coolest(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def _places(value, place=()):
    """Every place in a JSON document, from the outermost."""
    inner = {dict: lambda: value.items(), list: lambda: enumerate(value)}.get(type(value), list)
    for key, part in inner():
        yield (*place, key)
        yield from _places(part, (*place, key))


@pytest.mark.parametrize("wrong", [None, [], -1e308, 1e29], ids=str)
def test_whatever_stands_at_any_place_is_read_as_finite_numbers_or_refused(wrong, tmp_path):
    path, refused = tmp_path / "changed.json", 0
    for *outer, last in _places(json.loads(BY_HAND)):
        document = json.loads(BY_HAND)
        _at(document, *outer)[last] = wrong
        path.write_text(json.dumps(document))
        try:
            found = lj.from_coolest(path)
        except lj.InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
        else:
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found.scene))
    assert refused > 40


HOSTILE = {
    "no JSON": (b"{", "is no JSON"),
    "NaN": (b'{"standard": NaN}', "NaN is no number of JSON"),
    "a key twice": (b'{"a": 1, "a": 2}', "'a' is there twice"),
    "nested without end": (b"[" * 200_000, "nested too deeply"),
    "no text": (b"\xff\xfe\x00", "is no JSON"),
    "a list": (b"[]", "the file: should be an object, not a list"),
    "more than is read": (b" " * (4 * 2**20 + 1), "has more than 4 MB"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_in_one_line(case, tmp_path):
    content, said = HOSTILE[case]
    path = tmp_path / "hostile.json"
    path.write_bytes(content)
    with pytest.raises(lj.InputError, match=said):
        lj.from_coolest(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(lj.InputError, match="nothing.json: No such file"):
        lj.from_coolest(tmp_path / "nothing.json")
