"""Compresses a table as fpack does, with the CFITSIO that healpy's wheel brings."""

import ctypes
from pathlib import Path

import pytest
from astropy.io import fits

READ = 0


def fpack(source: Path, target: Path, rows: int = 0, **methods: str) -> None:
    """rows: of a tile; 0 for fpack's choice. methods: such as NOBS_G="GZIP_1". Skips the test where
    there is no such library. CFITSIO writes checksums into the compressed file."""
    healpy = pytest.importorskip("healpy")
    beside = Path(healpy.__file__).parents[1] / "healpy.libs"
    found = sorted(beside.glob("libcfitsio*"))
    if not found:
        pytest.skip("healpy brings no CFITSIO on this machine")
    library, status = ctypes.CDLL(str(found[0])), ctypes.c_int(0)
    if rows or methods:
        with fits.open(source, mode="update") as hdus:
            if rows:
                hdus[1].header["FZTILELN"] = rows
            for name, method in methods.items():
                i = hdus[1].columns.names.index(name) + 1
                hdus[1].header[f"FZALG{i}"] = method
    one, other, code = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.byref(status)
    library.ffopen(ctypes.byref(one), str(source).encode(), READ, code)
    library.ffinit(ctypes.byref(other), str(target).encode(), code)
    library.ffcopy(one, other, 0, code)
    library.ffmahd(one, 2, None, code)
    library.fits_compress_table(one, other, code)
    library.ffpcks(other, code)
    for file in (one, other):
        library.ffclos(file, code)
    assert status.value == 0, f"CFITSIO says {status.value}"
