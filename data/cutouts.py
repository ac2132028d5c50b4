"""A cutout on disk: an NPZ file with `cutout` (H, W, 3) float32 in nanomaggies, bands g, r, z, and scalars `meta_*`.

Reading trusts nothing: sizes are checked before anything is expanded or allocated, nothing is unpickled.
Writing is atomic, and equal contents are equal bytes. Members are stored, not compressed: sky noise shrinks by 6 % and costs 5 ms a file.
"""

from __future__ import annotations

import ast
import io
import zipfile
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from data.files import replacing
from lensjax.errors import InputError

SIZE = 101
PIXEL_SCALE = 0.262
BANDS = "grz"
PIPELINE_VERSION = "1.0.0"
LARGEST_SIDE = 1024
MOST_MEMBERS, LARGEST_SCALAR = 256, 1 << 16
Meta = dict[str, Any]
REQUIRED_META = ("galaxy_id", "ra", "dec")


def cutout_path(brickname: str, galaxy_id: str) -> str:
    """Where a cutout lies, relative to the run's folder."""
    return f"cutouts/{brickname}/{galaxy_id}.npz"


def write_npz(
    path: str | Path, image: Float32[np.ndarray, "h w 3"], meta: Mapping[str, Any]
) -> None:
    """Writes a cutout and its metadata (names without `meta_`; text, numbers or booleans)."""
    buffer = io.BytesIO()
    scalars: dict[str, Any] = {f"meta_{name}": np.asarray(value) for name, value in meta.items()}
    wrong = [
        name for name, value in scalars.items() if value.ndim or value.dtype.kind not in "Ubif"
    ]
    if wrong or image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.float32:
        raise ValueError(
            f"{path}: {wrong[0] if wrong else f'cutout {image.dtype} {image.shape}'} cannot be stored"
        )
    np.savez(buffer, allow_pickle=False, cutout=np.ascontiguousarray(image), **scalars)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_npz(path: str | Path) -> tuple[Float32[np.ndarray, "h w 3"], Meta]:
    """A cutout and its metadata (names without `meta_`).

    Raises InputError, naming the file and the reason, when it is missing, not a whole NPZ, larger than a cutout can be, pickled, without
    `cutout` or one of galaxy_id, ra, dec, or when `cutout` is not float32 of shape (H, W, 3).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise InputError(
                    f"{path}: {len(members)} members, at most {MOST_MEMBERS} in a cutout; not a cutout, remove it"
                )
            arrays = {
                info.filename.removesuffix(".npy"): _member(archive, info, path) for info in members
            }
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such cutout; make the cutouts again with `lensjax survey --force`"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(
            f"{path}: not a whole NPZ file ({error}); remove it and make the cutout again"
        ) from None
    if "cutout" not in arrays:
        raise InputError(
            f"{path}: no array `cutout` (found {', '.join(arrays) or 'nothing'}); not a cutout, remove it"
        )
    image = arrays.pop("cutout")
    if image.dtype != np.float32 or image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
        raise InputError(
            f"{path}: cutout is {image.dtype} {image.shape}, expected float32 (H, W, 3); convert or remove it"
        )
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
    return image, meta


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str | Path) -> np.ndarray:
    """One array of the archive; its announced size is checked before it is expanded, its header before an array is made."""
    limit = LARGEST_SIDE**2 * 3 * 8 + 4096 if info.filename == "cutout.npy" else LARGEST_SCALAR
    if info.file_size > limit:
        raise InputError(
            f"{path}: {info.filename} expands to {info.file_size} bytes, at most {limit} allowed; not a cutout, remove it"
        )
    with archive.open(info) as handle:
        content = handle.read(limit + 1)
    major = content[6] if content[:6] == b"\x93NUMPY" and len(content) > 10 else 0
    start = {1: 10, 2: 12, 3: 12}.get(major, 0)
    stop = start + int.from_bytes(content[8:start], "little")
    if not start or stop > len(content) or stop > 10_000:
        raise InputError(
            f"{path}: {info.filename} is not a numpy array; remove the file and make the cutout again"
        )
    try:
        dtype, shape, order = _header(content[start:stop])
    except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError) as error:
        raise InputError(
            f"{path}: {info.filename} has a broken header ({error}); remove the file and make the cutout again"
        ) from None
    if dtype.kind not in "Ubif":
        raise InputError(
            f"{path}: {info.filename} holds {'pickled objects' if dtype.kind == 'O' else dtype}, which a cutout never does; remove the file"
        )
    wanted = dtype.itemsize
    for n in shape:
        wanted *= n
    if wanted != len(content) - stop:
        raise InputError(
            f"{path}: {info.filename} announces {wanted} bytes and holds {len(content) - stop}; remove the file and make the cutout again"
        )
    if wanted == 0:
        return np.zeros(shape, dtype)
    return (
        np.frombuffer(content, dtype, offset=stop)
        .reshape(shape, order=order)
        .astype(dtype.newbyteorder("="))
    )


@lru_cache(maxsize=1024)
def _header(text: bytes) -> tuple[np.dtype, tuple[int, ...], Any]:
    """dtype, shape and order of an NPY header: a Python literal, cached because cutouts share theirs."""
    values = ast.literal_eval(text.decode("latin1").strip())
    shape = tuple(values["shape"])
    if not all(isinstance(n, int) and n >= 0 for n in shape) or len(shape) > 4:
        raise ValueError(f"shape {shape}")
    return np.dtype(values["descr"]), shape, "F" if values["fortran_order"] else "C"
