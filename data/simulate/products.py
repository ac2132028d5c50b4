"""The files of a simulated survey, byte for byte the same for the same content: no dates, no machine names, fixed dither seeds."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.coadds import image_path
from data.files import replacing
from data.simulate.bricks import Brick
from data.simulate.conditions import BANDS
from data.simulate.pixels import Coadd

NOTE = "SIMULATED by lensjax: not an observation"
STAMP = "checksum of simulated data"  # in place of the date astropy would write
LENSCAT = ("name", "RA [deg]", "DEC [deg]", "zlens", "type", "grading", "ref")


def _save(hdus: Any, path: Path, compress: bool = False) -> None:
    """Writes an HDU list with checksums whose comments carry no date; whole or not at all."""
    from astropy.io import fits

    stored = io.BytesIO()
    hdus.writeto(stored)
    stored.seek(0)
    with fits.open(stored, disable_image_compression=True) as opened:
        for hdu in opened:
            hdu.add_checksum(when=STAMP)
        final = io.BytesIO()
        opened.writeto(final, output_verify="ignore")
    content = gzip.compress(final.getvalue(), 6, mtime=0) if compress else final.getvalue()
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _primary() -> Any:
    from astropy.io import fits

    hdu = fits.PrimaryHDU()
    hdu.header["SIMULATD"] = (True, NOTE)
    return hdu


def coadd_header(brick: Brick, size: int, band: str, kind: str, wcs: Any) -> Any:
    """Header of a coadd image, with the keys of the survey's own that mean something here."""
    from astropy.io import fits

    h = fits.Header()
    h["SIMULATD"] = (True, NOTE)
    h["SURVEY"] = ("SIMULATED", "modelled on DECaLS; not DECam data")
    h["DRVERSIO"] = (10000, "release whose format this follows")
    for key, value, comment in (
        *(
            ("BRICKNAM", brick.name, "LegacySurvey brick RRRr[pm]DDd"),
            ("BRICKID", brick.brickid, "LegacySurvey brick id"),
        ),
        *(
            ("RAMIN", brick.ra1, "Brick RA min"),
            ("RAMAX", brick.ra2, "Brick RA max"),
            ("DECMIN", brick.dec1, "Brick Dec min"),
        ),
        *(
            ("DECMAX", brick.dec2, "Brick Dec max"),
            ("BRICKRA", brick.ra, "Brick center"),
            ("BRICKDEC", brick.dec, "Brick center"),
        ),
        ("FILTER", band, "band"),
    ):
        h[key] = (value, comment)
    w = wcs.wcs
    for axis in (0, 1):
        h[f"CTYPE{axis + 1}"] = (w.ctype[axis], "TANgent plane")
        h[f"CRVAL{axis + 1}"] = (float(w.crval[axis]), "Reference position")
        h[f"CRPIX{axis + 1}"] = (float(w.crpix[axis]), "Reference pixel")
        for other in (0, 1):
            h[f"CD{axis + 1}_{other + 1}"] = (float(w.cd[axis, other]), "CD matrix")
    h["EQUINOX"] = 2000.0
    h["IMTYPE"] = (kind, "LegacySurvey image type")
    if kind == "image":
        h["MAGZERO"] = (22.5, "Magnitude zeropoint")
        h["BUNIT"] = ("nanomaggy", "AB mag = 22.5 - 2.5*log10(nanomaggy)")
    else:
        h["BUNIT"] = ("1/nanomaggy^2", "Ivar of ABmag=22.5-2.5*log10(nmgy)")
    h["COMMENT"] = NOTE
    h["COMMENT"] = f"Only the central {size} x {size} pixels of the brick (of 3600 x 3600) exist."
    return h


def write_coadd(root: Path, brick: Brick, coadd: Coadd, wcs: Any) -> None:
    """Image and inverse-variance files of every band with an exposure.

    Images are Rice compressed with subtractive dithering, as the survey's, in steps of a tenth of the sky noise; inverse variances, constant over
    large parts, without dithering, in steps of 1/20000. Steps are given, not measured by the compressor, because tiles without
    measurable noise would go to gzip, which writes the time of day into every tile.
    """
    from astropy.io import fits

    size = coadd.image.shape[0]
    tile = (min(100, size),) * 2
    for b, band in enumerate(BANDS):
        if not coadd.nexp[..., b].any():
            continue
        path = image_path(root, brick.name, band)
        image, invvar = (np.ascontiguousarray(a[..., b]) for a in (coadd.image, coadd.invvar))
        step, seed = float(coadd.sigma[b]) / 10, 1 + brick.brickid % 9999
        header = coadd_header(brick, size, band, "image", wcs)
        hdu = fits.CompImageHDU(
            image,
            header,
            compression_type="RICE_1",
            tile_shape=tile,
            quantize_level=-step,
            quantize_method=2,
            dither_seed=seed,
        )
        _save(fits.HDUList([_primary(), hdu]), path)
        header = coadd_header(brick, size, band, "invvar", wcs)
        step = float(invvar.max()) / 20000
        hdu = fits.CompImageHDU(
            invvar,
            header,
            compression_type="RICE_1",
            tile_shape=tile,
            quantize_level=-step,
            quantize_method=-1,
        )
        _save(fits.HDUList([_primary(), hdu]), path.with_name(path.name.replace("image", "invvar")))


def write_table(path: Path, rows: np.ndarray, *, name: str = "", compress: bool = False) -> None:
    """A FITS binary table of a structured array."""
    from astropy.io import fits

    hdu = fits.BinTableHDU(rows, name=name or None)
    hdu.header["SIMULATD"] = (True, NOTE)
    _save(fits.HDUList([_primary(), hdu]), path, compress)


def brick_table(bricks: list[Brick]) -> np.ndarray:
    """Rows of survey-bricks.fits: the geometry of the bricks that the survey has."""
    dtype = [
        ("BRICKNAME", "S8"),
        ("BRICKID", ">i4"),
        *((c, ">f8") for c in ("RA", "DEC", "RA1", "RA2", "DEC1", "DEC2")),
    ]
    rows = [
        (b.name, b.brickid, b.ra, b.dec, b.ra1, b.ra2, b.dec1, b.dec2)
        for b in sorted(bricks, key=lambda b: b.brickid)
    ]
    return np.array(rows, dtype)


def write_lenses(path: Path, frame: pd.DataFrame) -> None:
    """The lens list in lenscat's CSV format, sorted by position."""
    frame = frame.sort_values(["ra", "dec"])
    values = [
        frame["name"],
        frame["ra"].map("{:.5f}".format),
        frame["dec"].map("{:.5f}".format),
        frame["zlens"],
        frame["type"],
        frame["grading"],
        frame["ref"],
    ]
    with replacing(path) as temporary:
        pd.DataFrame(dict(zip(LENSCAT, values))).to_csv(temporary, index=False, lineterminator="\n")


def write_truth(path: Path, frame: pd.DataFrame) -> None:
    """Parquet of the true parameters, sorted by galaxy_id."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(
        frame.sort_values("galaxy_id"), preserve_index=False
    ).replace_schema_metadata({"note": NOTE})
    with replacing(path) as temporary:
        pq.write_table(table, temporary)
