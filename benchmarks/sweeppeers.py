"""The cuts of the pool on a sweep with astropy and pandas, and over a memory map that looks at six
columns first; each in one process, without neighbours, names, counters and checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sweepfile import layout
from data.selection import Selection, completed
from data.survey import default
from lensjax.units import ZERO_POINT


def with_astropy(path: Path, out: Path) -> int:
    """The cuts with astropy and pandas; returns how many rows passed."""
    import pandas as pd
    from astropy.io import fits

    s, names = completed(Selection(), default()), _columns()
    with fits.open(path) as hdus:
        data = hdus[1].data
        frame = pd.DataFrame({n: _native(data[n]) for n in names if n not in _TEXT})
        for name in _TEXT:
            frame[name] = np.asarray(data[name]).astype(str)
    kept = frame[_passes(frame, frame["TYPE"].isin(s.types or ()), s)]
    kept.to_parquet(out, compression="zstd")
    return len(kept)


def with_a_map(path: Path, out: Path) -> int:
    """The cuts over a memory map, six columns first, the others of the survivors."""
    import pandas as pd
    from astropy.io import fits

    s, names = completed(Selection(), default()), _columns()
    with fits.open(path) as hdus:
        start, rows = hdus[1].fileinfo()["datLoc"], hdus[1].header["NAXIS2"]
    data = np.memmap(path, layout(), "r", start, (rows,)).view(np.ndarray)
    flux = data["FLUX_Z"].astype(float)
    at = np.flatnonzero(flux > _faintest(s))
    at = at[np.isin(data["TYPE"][at], np.array(s.types or (), "S3"))]
    first = {n: data[n][at] for n in ("DEC", "MASKBITS", "NOBS_G", "NOBS_R", "NOBS_Z", "FLUX_Z")}
    at = at[_passes(first, np.ones(len(at), bool), s)]
    frame = pd.DataFrame(
        {n: _native(data[n][at]) for n in names if n not in _TEXT}
        | {n: data[n][at].astype(str) for n in _TEXT}
    )
    frame.to_parquet(out, compression="zstd")
    return len(frame)


def _native(column: Any) -> np.ndarray:
    """A column in this machine's byte order, as pandas wants it."""
    value = np.asarray(column)
    return value.astype(value.dtype.newbyteorder("="))


def _faintest(s: Selection) -> float:
    """Flux (nanomaggies) of the magnitude limit."""
    return float(10 ** (0.4 * (ZERO_POINT - (s.magnitude_max or 0.0))))


_TEXT = ("BRICKNAME", "TYPE")


def _columns() -> list[str]:
    """Columns of the file that the pool holds."""
    bands = default().bands
    stems = ("NOBS", "FLUX", "PSFSIZE", "PSFDEPTH", "GALDEPTH")
    plain = ("RELEASE", "BRICKNAME", "OBJID", "TYPE", "RA", "DEC", "EBV", "MASKBITS", "SERSIC")
    shape = ("SHAPE_R", "SHAPE_E1", "SHAPE_E2")
    return [*plain, *shape, *(f"{stem}_{b.upper()}" for stem in stems for b in bands)]


def _passes(c: Any, kind: Any, s: Selection) -> Any:
    """The cuts but for the one on neighbouring lenses."""
    bits = sum(1 << bit for bit in s.maskbits or ())
    enough = (c["NOBS_G"] >= s.nobs_min) & (c["NOBS_R"] >= s.nobs_min)
    return (
        kind
        & (c["DEC"] > s.dec_min)
        & (c["DEC"] < s.dec_max)
        & ((c["MASKBITS"] & bits) == 0)
        & enough
        & (c["NOBS_Z"] >= s.nobs_min)
        & (c["FLUX_Z"] > _faintest(s))
    )
