"""Tensors of a PyTorch checkpoint (.pth, .pt) without PyTorch and without running what is in it.

A file of torch.save (since version 1.6) is a ZIP of stored members: `data.pkl` describes tensors,
and `data/<key>` holds the bytes of each storage. The unpickler here knows the few names that
tensors need, takes a few harmless ones for empty objects, and refuses every other name, so that
nothing in the file is ever called.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from lensjax.errors import InputError

STORAGES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "BoolStorage": np.bool_,
}
CURE = "save the model's state_dict() with torch.save, or convert it to .safetensors"
HARMLESS = {
    ("argparse", "Namespace"),
    ("collections", "Counter"),
    ("collections", "defaultdict"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "scalar"),
    ("pathlib", "Path"),
    ("pathlib", "PosixPath"),
    ("torch", "Size"),
    ("torch", "device"),
}
"""Names that training scripts save beside the weights; each becomes an empty object."""


class _Storage:
    """A type of storage, named in the pickle and never called."""

    def __init__(self, dtype: Any):
        self.dtype = np.dtype(dtype)


class _Empty(dict):
    """In place of an object that is not needed: takes whatever the pickle gives it, and forgets."""

    def __init__(self, *arguments: Any):
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Forgets the state."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Forgets the item."""


def _tensor(
    storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: Any
) -> np.ndarray:
    """torch._utils._rebuild_tensor_v2, with bounds checked."""
    size, stride = tuple(map(int, size)), tuple(map(int, stride))
    if len(size) != len(stride) or offset < 0 or min((*size, *stride), default=0) < 0:
        raise InputError("a tensor with an impossible shape")
    last = (
        offset + sum((n - 1) * step for n, step in zip(size, stride))
        if 0 not in size
        else offset - 1
    )
    if last >= len(storage):
        raise InputError("a tensor that reaches beyond its storage")
    steps = tuple(step * storage.itemsize for step in stride)
    return (
        np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()
        if 0 not in size
        else np.zeros(size, storage.dtype)
    )


def _parameter(data: np.ndarray, *rest: Any) -> np.ndarray:
    return data


class _Reader(pickle.Unpickler):
    """Knows tensors, dictionaries and numbers."""

    def __init__(self, archive: zipfile.ZipFile, root: str):
        super().__init__(archive.open(f"{root}/data.pkl"))
        self._archive, self._root = archive, root
        self._known: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if (module, name) in HARMLESS:
            return _Empty
        if module == "torch" and name in STORAGES:
            return _Storage(STORAGES[name])
        raise InputError(f"it holds {module}.{name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, storage, key, _, number = pid
        if kind != "storage" or not isinstance(storage, _Storage):
            raise InputError("a reference that is not a storage")
        key = str(key)
        if key not in self._known:
            member = self._archive.getinfo(f"{self._root}/data/{key}")
            if (
                member.compress_type != zipfile.ZIP_STORED
                or member.file_size != int(number) * storage.dtype.itemsize
            ):
                raise InputError(f"storage {key} is not the {number} numbers it claims to be")
            self._known[key] = np.frombuffer(self._archive.read(member), storage.dtype)
        return self._known[key]


def read(path: Path) -> Any:
    """What a file of torch.save holds: dictionaries, lists, numbers, and tensors as arrays.

    Raises InputError naming the file when it is not such a ZIP, is damaged, or holds an object
    that is neither of these nor harmless.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            roots = [
                n.removesuffix("/data.pkl") for n in archive.namelist() if n.endswith("/data.pkl")
            ]
            if len(roots) != 1:
                raise InputError("not a checkpoint of torch.save")
            with np.errstate(all="ignore"):
                found: Any = _Reader(archive, roots[0]).load()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except zipfile.BadZipFile:
        raise InputError(f"{path}: not a ZIP (damaged, or of PyTorch before 1.6); {CURE}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}; {CURE}") from None
    except Exception as error:  # whatever a hostile pickle can raise
        raise InputError(
            f"{path}: damaged or not a state dict ({type(error).__name__}); {CURE}"
        ) from None
    return found
