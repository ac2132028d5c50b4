"""Definitions of surveys: the shipped ones load, what is written is read back, mistakes are named."""

from dataclasses import replace

import pytest

from data import survey
from lensjax.errors import InputError


@pytest.mark.parametrize("name", survey.names())
def test_every_shipped_survey_loads_and_is_read_back_as_written(name, tmp_path):
    found = survey.load(name)
    assert found.name == name and found.bands[found.place] == found.reference
    survey.write(tmp_path / "copy.yaml", found)
    assert survey.load(tmp_path / "copy.yaml") == found


def test_the_shipped_surveys_are_those_promised():
    bands = {name: survey.load(name).bands for name in survey.names()}
    assert bands == {
        "ls_dr10": ("g", "r", "z"),
        "ls_dr10_griz": ("g", "r", "i", "z"),
        "hsc": ("g", "r", "i", "z", "y"),
        "euclid_vis": ("vis",),
        "lsst": ("u", "g", "r", "i", "z", "y"),
    }
    scale = {name: survey.load(name).pixel_scale for name in survey.names()}
    assert scale["hsc"] == 0.168 and scale["euclid_vis"] == 0.1 and scale["lsst"] == 0.2


def test_units_of_files_become_nanomaggies():
    assert survey.load("ls_dr10").nanomaggies_per_unit == 1.0
    # 1 nanojansky is AB 31.4; a nanomaggy is 3.631 microjansky
    assert survey.load("lsst").nanomaggies_per_unit == pytest.approx(1e-9 / 3.631e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bands": ("g", "r")}, "selection_band names band 'z'"),
        ({"reference": "i"}, "reference names band 'i'"),
        ({"extinction": (3.2, 2.2)}, "extinction has 2 values for 3 bands"),
        ({"fwhm_ratio": (1.0, 1.1, 1.0)}, "fwhm_ratio of the reference band"),
        ({"name": "../elsewhere"}, "use letters, digits"),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused_by_key(change, said):
    with pytest.raises(ValueError, match="(?s).*" + said):
        replace(survey.load("ls_dr10"), **change)


def test_files_that_define_no_survey_are_refused(tmp_path):
    with pytest.raises(InputError, match="neither a file nor one of"):
        survey.load("ls_dr99")
    (tmp_path / "a.yaml").write_text("bands: [g")
    with pytest.raises(InputError, match="not valid YAML"):
        survey.load(tmp_path / "a.yaml")
    text = (survey.resources.files("data") / "surveys" / "hsc.yaml").read_text()
    (tmp_path / "b.yaml").write_text(text.replace("pixel_scale", "pixelscale"))
    with pytest.raises(InputError, match="pixelscale"):
        survey.load(tmp_path / "b.yaml")
