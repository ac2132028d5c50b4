"""Definitions of surveys: shipped ones load, what is written is read back, mistakes are told."""

import subprocess
import sys
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
        ({"bands": ("g", "r", "R")}, "each once in any case"),
        ({"zero_point": float("nan")}, "zero_point .* finite"),
        ({"extinction": (3.2, float("inf"), 1.2)}, "extinction .* finite"),
        ({"images": survey.Images(image="{brick}.fits")}, "images.image is one file for all bands"),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused_by_key(change, said):
    with pytest.raises(ValueError, match="(?s).*" + said):
        replace(survey.load("ls_dr10"), **change)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ({"image": "../{brick}-{band}.fits"}, "below the survey's folder"),
        ({"invvar": "/{brick}-{band}.fits"}, "below the survey's folder"),
        ({"folder": "a/../../{brick}"}, "below the survey's folder"),
        ({"image": "{brick.__class__}-{band}.fits"}, "has field 'brick.__class__'"),
        ({"image": "{brick!r}-{band}.fits"}, "has field 'brick'"),
        ({"image": "{tract}-{band}.fits"}, "has field 'tract'; use brick, brick3, band"),
        ({"folder": "{band}"}, "has field 'band'; use brick, brick3"),
        ({"image": "{brick-{band}.fits"}, "images.image"),
        ({"image": "all-{band}.fits"}, "add {brick}"),
    ],
)
def test_names_of_image_files_stay_below_the_surveys_folder(images, said):
    with pytest.raises(ValueError, match="(?s).*" + said):
        survey.Images(**images)


def test_a_definition_without_a_band_is_one_line_with_file_key_and_cure(tmp_path):
    text = (survey.resources.files("data") / "surveys" / "hsc.yaml").read_text()
    for old, new, said in (
        (
            "bands: [g, r, i, z, y]",
            "bands: [g, r, i, z]",
            "fwhm_ratio has 5 values for 4 bands; give",
        ),
        (
            "bands: [g, r, i, z, y]",
            "bands: [g, r, z, y]",
            "reference names band 'i'; bands are g, r",
        ),
        ("bands: [g, r, i, z, y]", "", "bands: missing, add it"),
        ("sky: [22.1, ", "sky: [", "conditions.sky has 4 values for 5 bands; give one for each of"),
    ):
        path = tmp_path / "mine.yaml"
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(InputError) as error:
            survey.load(path)
        assert str(error.value).startswith(f"survey {path}: {said}")
        assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_the_survey_of_a_folder_is_the_one_asked_for_then_its_own_then_the_default(tmp_path):
    assert survey.chosen("", tmp_path) == survey.default() == survey.load("ls_dr10")
    survey.write(tmp_path / survey.DEFINITION, survey.load("lsst"))
    assert survey.chosen("", tmp_path).name == "lsst"
    assert survey.chosen("hsc", tmp_path).name == "hsc"


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


def test_definitions_and_stamps_are_read_without_jax():
    """Spark's workers read both, and loading jax would cost each of them seconds."""
    code = (
        "import sys, data.survey, data.stampfile, spark.validation; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
