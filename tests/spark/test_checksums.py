"""Checksums of catalogues are compared in the pass that makes the pool: a byte that differs is
named, and the run record says what was compared."""

import gzip
from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crowded_survey import crowded, frame, made, write, write_near_lenses
from fpack import fpack
from small_survey import sweep, write_survey

from data import record
from spark import survey

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("ending", ["", ".gz", ".fz"])
def test_a_flipped_byte_is_named(tmp_path, ending, n):
    """Anywhere in the table's data, in a range of its own or not."""
    name = f"t.fits{ending}"
    table = crowded(60)
    write(tmp_path / "t.fits", table)
    write_near_lenses(tmp_path / "l.csv", table)
    sweep(2, rows=30).write(tmp_path / "good.fits")
    content = (tmp_path / "t.fits").read_bytes()
    first, last = 2880 * 4, len(content)
    if ending == ".gz":
        (tmp_path / name).write_bytes(gzip.compress(content, mtime=0))
    elif ending == ".fz":
        fpack(tmp_path / "t.fits", tmp_path / name)
        first = 2880 * 6
    whole = bytearray((tmp_path / name).read_bytes())
    for i, at in enumerate(
        RNG.integers(first if ending != ".gz" else 64, min(last, len(whole)), 4)
    ):
        changed = bytearray(whole)
        changed[at] ^= 1 << int(RNG.integers(8))
        (tmp_path / name).write_bytes(changed)
        files = [name, "good.fits"]
        found, counts = made(tmp_path, tmp_path / str(i), files, n, how="quarantine")
        assert len(found) == 1 and name in counts.loc[name, "refused"], at


def test_the_run_record_says_what_was_compared(tmp_path, monkeypatch):
    root = write_survey(tmp_path / "survey", cutouts=False)
    plain = root / "sweep" / "sweep-a.fits"
    (root / "sweep" / "sweep-c.fits.gz").write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    write(root / "sweep" / "sweep-d.fits", crowded(40))
    table = pa.Table.from_pandas(frame(sweep(4)))
    pq.write_table(table, root / "sweep" / "sweep-e.parquet")
    monkeypatch.setattr(survey, "session", lambda *a, **k: nullcontext())
    out = tmp_path / "out"
    flags = ["--root", str(root), "--out", str(out), "--steps", "pool", "--sweeps", "sweep/*"]
    assert survey.command(flags) == 0
    said = record.read(out, "survey-pool")["notes"]["checksums"]
    assert said == {"pass": "pool", "FITS": 1, "gzip": 1, "reader": 1, "none": 2}
    assert "verified" not in (out / "counts" / "pool.csv").read_text()
