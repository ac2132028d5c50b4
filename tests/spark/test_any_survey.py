"""A catalogue of any survey goes from its own columns and units to shards in its bands."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from test_surveys_of_stamps import BRICK, write_coadd

from data import catalogue, lenses, shards, streaming
from data.columns import names
from data.loader import load_split
from data.selection import Selection, select
from data.survey import Catalogue, load
from data.survey import write as write_definition
from lensjax.errors import InputError
from lensjax.photometry import ZERO_POINT
from spark.crossmatch import CrossmatchSettings, crossmatch
from spark.cutouts import CutoutSettings, make_cutouts
from spark.jobs import outputs
from spark.manifest import write_manifest
from spark.pool import negative_pool, refused_rows
from spark.sampling import SampleSettings, sample
from spark.shards import ShardSettings, write_shards
from spark.validation import validate

SIDE, GRID = 480, 5


def survey_of(name: str):
    """A shipped survey with small stamps, and a catalogue with names and units of its own."""
    own = {"ra": "alpha", "flux_{band}": "{band}_cModelFlux", "nobs_{band}": "N_{BAND}"}
    known = Catalogue(
        columns=own, zero_point=27.0, types=("SER",), mask_bits={"BAD": 20}, magnitude_max=21.0
    )
    return replace(load(name), stamp=33, catalogue=known)


def objects(survey) -> tuple[dict, np.ndarray]:
    """Columns of the file, and magnitudes in the selection band. Objects 1 to 4 fail one cut
    each."""
    step = survey.pixel_scale * 80 / 3600
    grid = np.arange(GRID) - GRID // 2
    x, y = (a.ravel() for a in np.meshgrid(grid, grid))
    n = len(x)
    magnitude = np.where(np.arange(n) == 3, 21.5, 19.0)
    columns = {
        "alpha": 150 + step * x / np.cos(np.radians(10)),
        "DEC": 10 + step * y,
        "RELEASE": np.full(n, 10000),
        "BRICKNAME": [BRICK] * n,
        "OBJID": np.arange(n),
        "TYPE": ["EXP" if i == 1 else "SER" for i in range(n)],
        "MASKBITS": np.where(np.arange(n) == 2, 1 << 20, 1 << 1),
        "SERSIC": np.full(n, 2.0),
        **{f"SHAPE_{p}": np.full(n, 0.5) for p in ("R", "E1", "E2")},
    }
    for i, band in enumerate(survey.bands):
        red = 0.8 * max(survey.place - i, 0)
        columns[f"{band}_cModelFlux"] = 10 ** (0.4 * (27.0 - magnitude - red))
        columns[f"N_{band.upper()}"] = np.where(np.arange(n) == 4, 2, 5)
    return columns, magnitude


@pytest.mark.parametrize("name", ["euclid_vis", "hsc"])
def test_catalogue_to_shards(tmp_path, name):
    survey = survey_of(name)
    root, out, band = tmp_path / "survey", tmp_path / "out", survey.selection_band
    columns, magnitude = objects(survey)
    root.mkdir()
    Table(columns).write(root / "_cat [1], é.fits")
    read = catalogue.read(root / "_cat [1], é.fits", survey)
    np.testing.assert_allclose(ZERO_POINT - 2.5 * np.log10(read[f"flux_{band}"]), magnitude)
    _, counters = select(read, Selection(), None, "t", survey)
    removed = {key: counters[key] for key in ("type", "maskbits", f"{band}_mag", "nobs")}
    assert removed == {"type": 1, "maskbits": 1, f"{band}_mag": 1, "nobs": 1}
    lens = [f"DESI-{i},{columns['alpha'][i]},{columns['DEC'][i]},confident" for i in (7, 12)]
    (root / "lenses.csv").write_text("name,RA,DEC,grading\n" + "\n".join(lens) + "\n")
    listed, _ = lenses.read(root / "lenses.csv")

    write_coadd(root, survey, SIDE)
    files = ["_cat [1], é.fits"]
    write_definition(out / "survey.yaml", survey)
    close = Selection(lens_radius=1.0, merger=False)
    assert negative_pool(None, out, root, files, listed, close, survey=survey) == []
    assert refused_rows(out, files) == []
    pool = pq.read_table(outputs(out / "pool")[0])
    assert pool.column_names == list(names(survey, "pool")) and pool.num_rows == GRID**2 - 6
    crossmatch(None, out, root, files, [], listed, CrossmatchSettings(), survey=survey)
    wanted = SampleSettings(negatives_per_positive=4.0, n2_fraction=0.0)
    assert sample(None, out, outputs(out / "pool"), wanted, survey)["sampled"] == 8
    assert pd.read_csv(out / "counts" / "sample.csv").columns[0] == f"nobs_{band}_bin"
    assert make_cutouts(None, out, root, CutoutSettings(), survey=survey) == []
    assert validate(None, out, survey=survey) == []
    assert write_manifest(out, "70/15/15")["rows"] == 10
    figures, left_out = write_shards(None, out, survey.stamp, ShardSettings())
    assert sum(figures["records"].values()) == 10 and left_out == []

    split = next(s for s, n in figures["records"].items() if n)
    found = load_split(out, split)
    assert found["image"].shape == (10, 33, 33, len(survey.bands))
    assert set(found) == {"image", *names(survey, "shard")}
    assert found["label"].sum() == 2 and (found[f"nobs_{band}"] == 5).all()
    assert streaming.records(out, split)[0].shape == (33, 33, len(survey.bands))
    described = json.loads((shards.located(out) / "features.json").read_text())
    assert f"nobs_{band}_bin" in json.dumps(described)

    for refused in (
        lambda: load_split(out, split, survey=load("ls_dr10")),
        lambda: shards.agree(shards.index(out), load("lsst"), "finder"),
    ):
        with pytest.raises(InputError, match=f"shards of another survey .*'{name}'") as caught:
            refused()
        assert "\n" not in str(caught.value)
    write_definition(out / "survey.yaml", load("ls_dr10_griz"))
    for read_again in (load_split, streaming.records):
        with pytest.raises(InputError, match=r"shards of another survey .*'ls_dr10_griz'"):
            read_again(out, split)
