"""The files of a simulated survey, byte for byte the same for the same content.

They hold no dates and no machine names, and the seeds of dithers are fixed.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.brickgrid import Brick
from data.coadds import image_path
from data.files import replacing
from data.simulate.pixels import Coadd
from data.stores import on_disk
from data.survey import Survey

NOTE = "SIMULATED by lensjax: not an observation"
STAMP = "checksum of simulated data"
"""What stands in the headers in place of the date that astropy would write."""
UNITS = {22.5: "nanomaggy", 23.9: "uJy", 31.4: "nJy"}
"""Names of image units by zero point; an image with another zero point is in counts."""
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


def coadd_header(survey: Survey, brick: Brick, size: int, band: str, kind: str, wcs: Any) -> Any:
    """Header of a coadd image, with the keys of the Legacy Surveys that mean something here."""
    from astropy.io import fits

    unit = UNITS.get(survey.zero_point, "count")
    h = fits.Header()
    h["SIMULATD"] = (True, NOTE)
    h["SURVEY"] = (survey.name, "the survey after which this is modelled")
    h["DRVERSIO"] = (10000, "release whose format this follows")
    h["BRICKNAM"] = (brick.name, "brick RRRr[pm]DDd")
    h["BRICKID"] = (brick.brickid, "brick id")
    h["RAMIN"], h["RAMAX"] = (brick.ra1, "Brick RA min"), (brick.ra2, "Brick RA max")
    h["DECMIN"], h["DECMAX"] = (brick.dec1, "Brick Dec min"), (brick.dec2, "Brick Dec max")
    h["BRICKRA"], h["BRICKDEC"] = (brick.ra, "Brick center"), (brick.dec, "Brick center")
    h["FILTER"] = (band, "band")
    w = wcs.wcs
    for axis in (0, 1):
        h[f"CTYPE{axis + 1}"] = (w.ctype[axis], "TANgent plane")
        h[f"CRVAL{axis + 1}"] = (float(w.crval[axis]), "Reference position")
        h[f"CRPIX{axis + 1}"] = (float(w.crpix[axis]), "Reference pixel")
        for other in (0, 1):
            h[f"CD{axis + 1}_{other + 1}"] = (float(w.cd[axis, other]), "CD matrix")
    h["EQUINOX"] = 2000.0
    h["IMTYPE"] = (kind, "image type")
    h["MAGZERO"] = (survey.zero_point, "AB magnitude of one unit of the image")
    h["BUNIT"] = unit if kind == "image" else f"1/{unit}^2"
    h["COMMENT"] = NOTE
    h["COMMENT"] = f"Only the central {size} x {size} pixels of the brick exist."
    return h


def write_coadd(survey: Survey, root: Path, brick: Brick, coadd: Coadd, wcs: Any) -> None:
    """Image and inverse-variance files of every band with an exposure, in the survey's unit.

    Images are Rice compressed with subtractive dithering, as those of the Legacy Surveys, in steps
    of a tenth of the sky noise. Inverse variances, constant over large parts, are compressed
    without dithering, in steps of 1/20000. Steps are given, not measured by the compressor, because
    tiles without measurable noise would go to gzip, which writes the time of day into every tile.
    """
    from astropy.io import fits

    size, factor = coadd.image.shape[0], survey.nanomaggies_per_unit
    tile = (min(100, size),) * 2
    for b, band in enumerate(survey.bands):
        if not coadd.nexp[..., b].any():
            continue
        image = np.ascontiguousarray(coadd.image[..., b] / np.float32(factor))
        invvar = np.ascontiguousarray(coadd.invvar[..., b] * np.float32(factor**2))
        hdu = fits.CompImageHDU(
            image,
            coadd_header(survey, brick, size, band, "image", wcs),
            compression_type="RICE_1",
            tile_shape=tile,
            quantize_level=-float(coadd.sigma[b]) / 10 / factor,
            quantize_method=2,
            dither_seed=1 + brick.brickid % 9999,
        )
        path = on_disk(image_path(root, brick.name, band, survey), "root")
        _save(fits.HDUList([_primary(), hdu]), path)
        hdu = fits.CompImageHDU(
            invvar,
            coadd_header(survey, brick, size, band, "invvar", wcs),
            compression_type="RICE_1",
            tile_shape=tile,
            quantize_level=-float(invvar.max()) / 20000,
            quantize_method=-1,
        )
        path = on_disk(image_path(root, brick.name, band, survey, kind="invvar"), "root")
        _save(fits.HDUList([_primary(), hdu]), path)


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
