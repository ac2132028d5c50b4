"""The column table says the same of a column in every stage, and files carry its units."""

import pyarrow.parquet as pq
import pytest

from data import columns, manifest, shards
from data.survey import load, names


@pytest.mark.parametrize("name", names())
def test_a_column_has_one_type_and_one_unit_in_all_stages(name):
    survey = load(name)
    seen: dict[str, tuple] = {}
    for stage in columns.STAGES:
        found = columns.columns(survey, stage)
        assert len({c.name for c in found}) == len(found)
        for column in found:
            assert seen.setdefault(column.name, (column.type, column.unit)) == (
                column.type,
                column.unit,
            )
    assert f"nobs_{survey.selection_band}_bin" in seen and f"mad_{survey.reference}" in seen
    assert all(f"psfsize_{band}" in shards.fields(survey) for band in survey.bands)


def test_the_manifest_of_dr10_has_the_columns_of_the_specification_in_order():
    found = columns.names(load("ls_dr10"), "manifest")
    assert len(found) == 59 and found[:4] == ("cutout_path", "filename", "galaxy_id", "label")
    assert found[-4:] == ("galdepth_g", "galdepth_r", "galdepth_z", "ebv")
    assert {"nobs_z", "nobs_z_bin", "nan_count_g", "core_brightness_r"} <= set(found)


def test_units_are_in_the_file(tmp_path):
    from test_manifest import rows

    manifest.write(tmp_path / "m.parquet", rows())
    schema = pq.read_schema(tmp_path / "m.parquet")
    unit = {name: (schema.field(name).metadata or {}).get(b"unit") for name in schema.names}
    assert unit["psfsize_r"] == b"arcsec" and unit["psfdepth_g"] == b"nanomaggy-2"
    assert unit["label"] is None and schema.metadata[b"survey"] == b"ls_dr10"
