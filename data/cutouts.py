"""A cutout on disk: an NPZ file with the array `cutout` and scalars named `meta_*`.

`cutout` is (H, W, B) float32 in nanomaggies, one channel for each band of the survey and in its
order; a pixel without data is NaN. Reading trusts nothing: sizes are checked before anything is
expanded or allocated, nothing is unpickled, and the names in the file are checked. Writing is
atomic, and equal contents are equal bytes. Members are stored without compression, because sky
noise shrinks by 6 % only and compressing costs 5 ms a file.
"""

from __future__ import annotations

import ast
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float32

from data.files import replacing
from data.names import safe_name
from data.survey import MOST_BANDS
from lensjax.errors import InputError, said

PIPELINE_VERSION = "1.2.0"
"""Version of the code that cuts stamps out, which is written into every stamp. It changes when the
pixels may. Since 1.2, stamps at the edge of a brick are completed from its neighbours."""
LARGEST_SIDE = 1024
LARGEST_ARRAY = LARGEST_SIDE**2 * MOST_BANDS * 4 + 4096
"""bytes that the array `cutout` may have"""
MOST_MEMBERS, LARGEST_SCALAR = 256, 1 << 16
DAMAGED: tuple[type[Exception], ...] = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError),
    *(RuntimeError, OSError, ValueError),
)
"""What zipfile raises on bytes that were changed or lost"""
Meta = dict[str, Any]
REQUIRED_META = ("galaxy_id", "ra", "dec")


def cutout_path(brickname: str, galaxy_id: str) -> str:
    """Where a cutout lies, relative to the run's folder.

    Raises InputError when one of the two cannot be part of a path (`data.names`).
    """
    brick = safe_name(brickname, "brick name", f"object {galaxy_id!r}")
    return f"cutouts/{brick}/{safe_name(galaxy_id, 'galaxy_id', f'brick {brick}')}.npz"


def write_npz(
    path: str | Path, image: Float32[np.ndarray, "h w b"], meta: Mapping[str, Any]
) -> str:
    """Writes a cutout and its metadata: names without `meta_`, values text, numbers or booleans.
    Returns the SHA-256 of the file.

    Raises ValueError when the image is not float32 (H, W, B) or a value is something else.
    """
    scalars: dict[str, Any] = {f"meta_{name}": np.asarray(value) for name, value in meta.items()}
    wrong = [name for name, v in scalars.items() if v.ndim or v.dtype.kind not in "Ubif"]
    if wrong or _shape_problem(image):
        what = wrong[0] if wrong else f"cutout {image.dtype} {image.shape}"
        raise ValueError(f"{path}: {what} cannot be stored")
    buffer = io.BytesIO()
    # As numpy.savez does, without its machinery for files of more than 4 GiB: half the time.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {"cutout": image, **scalars}.items():
            header = _npy_header(array.dtype.str, array.shape)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), header + array.tobytes())
    content = buffer.getbuffer()
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_npz(path: str | Path) -> tuple[Float32[np.ndarray, "h w b"], Meta]:
    """A cutout and its metadata (names without `meta_`). Infinite pixels are missing ones, NaN.

    Raises InputError, naming the file and the reason, when it is missing, is not a whole NPZ, is
    larger than a cutout can be, holds pickled objects or a member twice, lacks `cutout` or one of
    galaxy_id, ra, dec, or when `cutout` is not float32 of shape (H, W, B). The ids in it are those
    that may become names of files.
    """
    arrays = read_arrays(path)
    if "cutout" not in arrays:
        found = ", ".join(arrays) or "nothing"
        raise InputError(f"{path}: no array `cutout` (found {found}); not a cutout, remove it")
    image = arrays.pop("cutout")
    if problem := _shape_problem(image):
        raise InputError(f"{path}: {problem}; convert or remove it")
    image[np.isinf(image)] = np.nan
    meta = {
        name.removeprefix("meta_"): value.item()
        for name, value in arrays.items()
        if name.startswith("meta_") and value.ndim == 0
    }
    missing = [name for name in REQUIRED_META if name not in meta]
    if missing:
        raise InputError(
            f"{path}: no meta_{missing[0]}; every cutout names its object and position"
        )
    meta["galaxy_id"] = safe_name(meta["galaxy_id"], "galaxy_id", path)
    if meta.get("brickname"):
        meta["brickname"] = safe_name(meta["brickname"], "brick name", path)
    for name in ("ra", "dec"):
        if not isinstance(meta[name], int | float):
            raise InputError(f"{path}: meta_{name} is {meta[name]!r}, expected degrees; remove it")
    return image, meta


def read_arrays(path: str | Path, large: str | None = "cutout") -> dict[str, np.ndarray]:
    """Every array of an NPZ file by its name, in the machine's byte order.

    large: the one array that may be larger than a scalar; None: any may, and all of them together
    are no larger than one cutout. Raises InputError as `read_npz` does, except for what a cutout
    must hold.
    """
    try:
        with open(path, "rb") as handle:
            return _members(handle, path, large)
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such cutout; make the cutouts again with `lensjax survey --force`"
        ) from None


def _members(handle: BinaryIO, path: str | Path, large: str | None) -> dict[str, np.ndarray]:
    """What `read_arrays` returns, of an open file."""
    arrays: dict[str, np.ndarray] = {}
    left = LARGEST_ARRAY
    try:
        with zipfile.ZipFile(handle) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise InputError(
                    f"{path}: {len(members)} members, at most {MOST_MEMBERS} in a cutout; "
                    "not a cutout, remove it"
                )
            for info in members:
                name = info.filename.removesuffix(".npy")
                if not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", name) or name in arrays:
                    what = "is there twice" if name in arrays else "is no name of an array"
                    raise InputError(f"{path}: member {info.filename!r} {what}; remove the file")
                arrays[name] = _member(
                    archive, info, path, left if large in (None, name) else LARGEST_SCALAR
                )
                left -= arrays[name].nbytes if large is None else 0
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(
            f"{path}: not a whole NPZ file ({said(error)}); remove it and make the cutout again"
        ) from None
    return arrays


def _shape_problem(image: np.ndarray) -> str:
    """Why an array cannot be the pixels of a cutout; empty when it can."""
    shape = f"cutout is {image.dtype} {image.shape}"
    if image.dtype != np.float32 or image.ndim != 3 or 0 in image.shape:
        return f"{shape}, expected float32 (H, W, bands)"
    if max(image.shape[:2]) > LARGEST_SIDE or image.shape[2] > MOST_BANDS:
        return f"{shape}, at most {LARGEST_SIDE} pixels a side and {MOST_BANDS} bands"
    return ""


def _member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str | Path, limit: int
) -> np.ndarray:
    """One array of the archive, of at most `limit` bytes.

    The size that it announces is checked before it is expanded, and its header before an array is
    made.
    """
    if info.file_size > limit:
        raise InputError(
            f"{path}: {info.filename} expands to {info.file_size} bytes, at most {limit} allowed; "
            "not a cutout, remove it"
        )
    with archive.open(info) as handle:
        content = handle.read(limit + 1)
    again = "remove the file and make the cutout again"
    major = content[6] if content[:6] == b"\x93NUMPY" and len(content) > 10 else 0
    start = {1: 10, 2: 12, 3: 12}.get(major, 0)
    stop = start + int.from_bytes(content[8:start], "little")
    if not start or stop > len(content) or stop > 10_000:
        raise InputError(f"{path}: {info.filename} is not a numpy array; {again}")
    try:
        dtype, shape, order = _header(content[start:stop])
    except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError) as error:
        raise InputError(
            f"{path}: {info.filename} has a broken header ({error}); {again}"
        ) from None
    if dtype.kind not in "Ubif":
        kind = "pickled objects" if dtype.kind == "O" else dtype
        raise InputError(
            f"{path}: {info.filename} holds {kind}, which a cutout never does; remove the file"
        )
    wanted = dtype.itemsize
    for n in shape:
        wanted *= n
    if wanted != len(content) - stop:
        raise InputError(
            f"{path}: {info.filename} announces {wanted} bytes and holds {len(content) - stop}; "
            f"{again}"
        )
    if wanted == 0:
        return np.zeros(shape, dtype)
    array = np.frombuffer(content, dtype, offset=stop).reshape(shape, order=order)
    return array.astype(dtype.newbyteorder("="))


@lru_cache(maxsize=1024)
def _npy_header(descr: str, shape: tuple[int, ...]) -> bytes:
    """The header of an NPY file of an array in C order."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


@lru_cache(maxsize=1024)
def _header(text: bytes) -> tuple[np.dtype, tuple[int, ...], Any]:
    """dtype, shape and order that an NPY header names. The header is a Python literal; the result
    is cached, because cutouts share their headers."""
    values = ast.literal_eval(text.decode("latin1").strip())
    shape = tuple(values["shape"])
    if not all(isinstance(n, int) and n >= 0 for n in shape) or len(shape) > 4:
        raise ValueError(f"shape {shape}")
    return np.dtype(values["descr"]), shape, "F" if values["fortran_order"] else "C"
