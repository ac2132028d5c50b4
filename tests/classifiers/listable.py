"""Finished scans of made-up rows, to make lists of candidates of, and texts that mean harm."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scannable import SMALL
from scipy.special import expit

from classifiers.scanning import CandidateSettings, stamps
from data import jobs, record
from data import survey as surveys
from data.files import write_json

N = 240
HOSTILE = (
    *('=cmd|"/c calc"!A1', "+1", "-2+3", "@SUM(A1)", "\t=1+1", " \n=1", "a\nb", "a\x00b", "x,y"),
    *('say "no"', "<b>&amp;</b>", "]]>", "{x}", "é µ 星", "007", "1e5", "nan", "'quoted", "ends\r"),
)


def scanned(out, rows: pa.Table, names=("a", "b"), by="mean"):
    """A run with a finished scan of these rows, in two parts."""
    surveys.write(out / surveys.OF_A_RUN, SMALL)
    half = len(rows) // 2
    items = [("p0", rows.slice(0, half)), ("p1", rows.slice(half))]
    write = lambda table, path: pq.write_table(table, path) or {}
    jobs.run(out / "scan" / "parts", items, write, ".parquet", "scan")
    info = {n: {"name": n, "info": {"model": n, "sha256": n * 4}} for n in names}
    known = {"scored": len(rows), "ranked_by": by, "finders": info}
    write_json(out / "scan" / "summary.json", known)
    with record.Step(out, "scan", CandidateSettings()) as step:
        step.finish(["scan/summary.json"])
    return out


def rows(n=N, names=("a", "b"), seed=0, **columns):
    """Rows of a scan: a lens in eight, with scores by two finders that know it."""
    rng = np.random.default_rng(seed)
    label = (np.arange(n) % 8 == 0).astype(int)
    own = {
        "source": ["sweep-a.fits"] * n,
        "row": np.arange(1, n + 1),
        "galaxy_id": [f"1500p100_{i}" for i in range(n)],
        "ra": rng.uniform(0, 360, n),
        "dec": rng.uniform(-18, 32, n),
        "type": ["SER"] * n,
        **{f"flux_{b}": rng.uniform(-0.2, 9, n) for b in SMALL.bands},
        "psfsize_r": rng.uniform(0.85, 1.55, n),
        "psfdepth_r": 25 * 10 ** (0.8 * (rng.uniform(22.9, 24.3, n) - 22.5)),
        "ebv": rng.uniform(0, 0.1, n),
        "split": np.where(np.arange(n) % 3 == 0, "val", "test").tolist(),
        "label": label,
    }
    for name in names:
        own[f"logit_{name}"] = rng.normal(-2, 1.2, n) + 3 * label
        own[f"score_{name}"] = expit(own[f"logit_{name}"])
    own |= columns
    schema = stamps.schema(SMALL, names)
    make = lambda f: pa.array(own[f.name], f.type) if f.name in own else pa.nulls(n, f.type)
    return pa.table([make(f) for f in schema], schema=schema)
