"""One table of columns gives every stage its names, types and order, for any survey."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from data import columns, manifest
from data.survey import default, load, names

LS = default()


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        (float("nan"), "int64", None),
        (float("inf"), "int64", None),
        (2.5, "int64", None),
        (2.0, "int64", 2),
        (2**64, "int64", None),
        (np.int64(3), "int64", 3),
        ("n/a", "float64", None),
        (7, "float64", 7.0),
        (float("-inf"), "float64", None),
        (1, "string", "1"),
        (float("nan"), "string", None),
        ("", "string", None),
        (np.True_, "bool", True),
        ("yes", "bool", None),
    ],
)
def test_what_somebody_wrote_is_a_value_of_its_column_or_none(value, kind, found):
    made = columns.as_column(value, kind)
    assert made == found and type(made) is type(found)


def test_ls_dr10_keeps_the_names_and_the_order_that_its_files_have():
    assert columns.names(LS, "catalogue") == (
        *("galaxy_id", "brickname", "type", "release", "objid", "nobs_g", "nobs_r", "nobs_z"),
        *("maskbits", "ra", "dec", "flux_g", "flux_r", "flux_z", "shape_r", "shape_e1"),
        *("shape_e2", "sersic", "psfsize_g", "psfsize_r", "psfsize_z", "psfdepth_g"),
        *("psfdepth_r", "psfdepth_z", "galdepth_g", "galdepth_r", "galdepth_z", "ebv"),
    )
    assert columns.names(LS, "shard") == (
        *("galaxy_id", "label", "split", "sample_weight", "tier", "pool", "confuser_category"),
        *("type", "type_bin", "nobs_z_bin", "nobs_z", "ra", "dec", "healpix_128", "ebv"),
        *("psfsize_g", "psfsize_r", "psfsize_z", "psfdepth_g", "psfdepth_r", "psfdepth_z"),
        *("galdepth_g", "galdepth_r", "galdepth_z"),
    )
    assert columns.names(LS, "manifest") == (
        *("cutout_path", "filename", "galaxy_id", "label", "cutout_type", "ra", "dec", "size"),
        *("pixel_scale", "timestamp", "pipeline_version", "cutout_url", "layer"),
        *("bands_requested", "tier", "weight", "nobs_z", "match_type", "brickname"),
        *("nan_count_g", "nan_count_r", "nan_count_z", "nan_frac", "central_nan_frac"),
        *("has_g", "has_r", "has_z", "core_brightness_r", "core_max_r", "annulus_brightness_r"),
        *("annulus_std_r", "outer_brightness_r", "radial_gradient_r", "mad_r", "std_r"),
        *("median_r", "mean_r", "percentile_1_r", "percentile_99_r", "clip_frac_r"),
        *("quality_ok", "split", "sample_weight", "pool", "confuser_category", "nobs_z_bin"),
        *("type", "type_bin", "healpix_128", "psfsize_g", "psfsize_r", "psfsize_z"),
        *("psfdepth_g", "psfdepth_r", "psfdepth_z", "galdepth_g", "galdepth_r", "galdepth_z"),
        "ebv",
    )


@pytest.mark.parametrize("survey", names())
@pytest.mark.parametrize("stage", columns.STAGES)
def test_every_stage_of_every_survey_lists_each_column_once(survey, stage):
    survey = load(survey)
    listed = columns.names(survey, stage)
    assert len(set(listed)) == len(listed) and "galaxy_id" in listed
    marked = {c.name for c in columns.ALL if stage in c.stages}
    assert {c for c in marked if "{" not in c} <= set(listed)
    for stem in [c.removesuffix("{band}") for c in marked if c.endswith("{band}")]:
        assert {f"{stem}{band}" for band in survey.bands} <= set(listed)
    assert columns.schema(survey, stage).names == list(listed)


def test_numbers_with_a_unit_say_it_in_the_schema():
    schema = columns.schema(LS, "manifest")
    assert schema.field("psfsize_r").metadata == {b"unit": b"arcsec"}
    assert not schema.field("label").nullable and schema.field("ra").nullable
    assert columns.required(LS, "manifest") == ("cutout_path", "label", "split", "sample_weight")


def test_units_are_in_the_file(tmp_path):
    from test_manifest import rows

    manifest.write(tmp_path / "m.parquet", rows())
    schema = pq.read_schema(tmp_path / "m.parquet")
    unit = {name: (schema.field(name).metadata or {}).get(b"unit") for name in schema.names}
    assert unit["psfsize_r"] == b"arcsec" and unit["psfdepth_g"] == b"nanomaggy-2"
    assert unit["label"] is None and schema.metadata[b"survey"] == b"ls_dr10"
