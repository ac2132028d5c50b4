"""Which split an object belongs to, decided by where it lies on the sky and by nothing else.

The sky is cut into HEALPix cells (nside 128, NESTED, about 27' across). The split of a cell is a
hash of its number and the seed, so objects that share sky, and copies of one object, never end up
on two sides. A hash of its name gives every object a place in a random order that does not depend
on how the catalogue was partitioned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int, UInt64

from lensjax.errors import InputError

NSIDE = 128
SEED = 42
Scheme = Literal["70/15/15", "70/30"]
NAMES = ("train", "val", "test")
BOUNDS: dict[str, tuple[tuple[str, float], ...]] = {
    "70/15/15": (("train", 0.70), ("val", 0.85), ("test", 1.0)),
    "70/30": (("train", 0.70), ("val", 1.0)),
}
FRACTIONS: dict[str, dict[str, tuple[float, float]]] = {
    "70/15/15": {"train": (0.65, 0.75), "val": (0.12, 0.18), "test": (0.12, 0.18)},
    "70/30": {"train": (0.65, 0.75), "val": (0.25, 0.35)},
}


def healpix_128(ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """HEALPix cell (nside 128, NESTED) of positions in degrees, int64. Raises InputError on a
    position that is not one."""
    import healpy

    ra, dec = np.asarray(ra, np.float64), np.asarray(dec, np.float64)
    bad = ~(np.isfinite(ra) & np.isfinite(dec) & (np.abs(np.nan_to_num(dec)) <= 90.0))
    if bad.any():
        row = int(np.argmax(np.ravel(bad)))
        raise InputError(
            f"row {row}: RA {np.ravel(ra)[row]}, Dec {np.ravel(dec)[row]} is not a position in "
            "degrees; remove the row"
        )
    return np.asarray(healpy.ang2pix(NSIDE, ra, dec, nest=True, lonlat=True), np.int64)


def uniform(pixel: int, seed: int = SEED) -> float:
    """Number in [0, 1) of a cell: the first 4 bytes, big-endian, of SHA-256("{pixel}_{seed}"),
    divided by 2^32."""
    return int.from_bytes(hashlib.sha256(f"{pixel}_{seed}".encode()).digest()[:4], "big") / 2**32


def split(
    healpix: Int[np.ndarray, " n"], seed: int = SEED, scheme: Scheme = "70/15/15"
) -> np.ndarray:
    """Split name of each cell, (n,) str. Scheme 70/15/15: u < 0.70 is train, u < 0.85 val, the rest
    test; 70/30 merges val and test into val.

    Raises InputError on an unknown scheme.
    """
    if scheme not in BOUNDS:
        raise InputError(f"split scheme {scheme!r}: use one of {', '.join(BOUNDS)}")
    cells, back = np.unique(np.asarray(healpix, np.int64), return_inverse=True)
    names = [
        next(name for name, bound in BOUNDS[scheme] if uniform(int(c), seed) < bound) for c in cells
    ]
    return np.asarray(names, dtype="<U5")[back] if names else np.empty(0, "<U5")


def order_key(galaxy_id: Iterable[str], seed: int = SEED) -> UInt64[np.ndarray, " n"]:
    """Place of each object in a random order that depends on nothing but its name and the seed,
    uint64.

    First 8 bytes, big-endian, of SHA-256("{galaxy_id}_{seed}"). Ties are broken by galaxy_id.
    In Spark the first 16 hex digits of sha2 sort the same way (`spark.sampling`).
    """
    return np.asarray(
        [
            int.from_bytes(hashlib.sha256(f"{g}_{seed}".encode()).digest()[:8], "big")
            for g in galaxy_id
        ],
        np.uint64,
    )


def verify(
    columns: Mapping[str, Sequence[Any] | np.ndarray], scheme: Scheme = "70/15/15"
) -> dict[str, Any]:
    """Checks that no information leaks between splits; returns the figures.

    columns: galaxy_id, cutout_path, healpix_128, split and label, each (n,). Raises InputError
    naming the first galaxy_id, cutout path or cell that is in two splits, the first object that is
    both lens and non-lens, and an unknown split. Fractions outside the scheme's ranges are
    reported (`fractions_ok`), not refused, because few cells cannot meet them.
    """
    names = np.asarray(columns["split"]).astype(str)
    unknown = set(np.unique(names)) - {name for name, _ in BOUNDS[scheme]}
    if unknown:
        raise InputError(f"manifest: split {sorted(unknown)[0]!r} is not one of scheme {scheme}")
    for key in ("galaxy_id", "cutout_path", "healpix_128"):
        values = np.asarray(columns[key])
        _one_to_one(values, names, f"{key} {{}} is in splits {{}} and {{}}; rebuild the manifest")
    ids = np.asarray(columns["galaxy_id"]).astype(str)
    labels = np.asarray(columns["label"]).astype(int)
    _one_to_one(
        ids,
        labels,
        "galaxy_id {} has labels {} and {}: a positive is among the negatives; rebuild the "
        "manifest",
    )
    counts = {name: int((names == name).sum()) for name, _ in BOUNDS[scheme]}
    total = max(len(names), 1)
    fractions = {name: n / total for name, n in counts.items()}
    return {
        "scheme": scheme,
        "rows": len(names),
        "cells": len(np.unique(np.asarray(columns["healpix_128"]))),
        "counts": counts,
        "positives": {
            name: int(((names == name) & (labels == 1)).sum()) for name, _ in BOUNDS[scheme]
        },
        "fractions": fractions,
        "fractions_ok": all(
            low <= fractions[name] <= high for name, (low, high) in FRACTIONS[scheme].items()
        ),
    }


def _one_to_one(keys: np.ndarray, values: np.ndarray, message: str) -> None:
    """Raises InputError when one key has two values."""
    order = np.argsort(keys, kind="stable")
    k, v = keys[order], values[order]
    clash = np.flatnonzero((k[1:] == k[:-1]) & (v[1:] != v[:-1]))
    if clash.size:
        i = int(clash[0])
        raise InputError("manifest: " + message.format(k[i], v[i], v[i + 1]))
