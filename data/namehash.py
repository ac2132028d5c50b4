"""A number for each object's name, without making the name: equal names have equal numbers.

Names of a whole catalogue are compared with each other to find one that stands at two places.
Making two million texts for that costs more than everything else that is done with their rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt64

from data.catalogue import ONE_OBJECT, OWN_RELEASE, missing
from data.sky import separation


def name_hashes(
    release: np.ndarray | None, brick: np.ndarray, number: np.ndarray
) -> UInt64[np.ndarray, " n"]:
    """One for each object of release, brick name and number, each (n,), as
    `data.catalogue.galaxy_id` takes them. brick: text, or ASCII bytes as they lie in a file."""
    mixed = _mixed(np.ma.getdata(number).astype(np.uint64))
    if release is not None:
        known = np.where(missing(release), OWN_RELEASE, np.ma.getdata(release))
        mixed = _mixed(mixed ^ known.astype(np.uint64))
    for word in _words(brick):
        mixed = _mixed(mixed ^ word)
    return mixed


def two_places(
    hashes: Sequence[np.ndarray], ra: Sequence[np.ndarray], dec: Sequence[np.ndarray]
) -> bool:
    """Whether rows of one hash, in any of several parts of a file, are more than ONE_OBJECT apart.
    Two names practically never have the same hash. If they have, it does no harm: the file is then
    read whole."""
    keys = np.concatenate(hashes)
    ordered = np.sort(keys)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return False
    rows = np.flatnonzero(np.isin(keys, twice))
    rows = rows[np.argsort(keys[rows], kind="stable")]
    x, y = np.concatenate(ra)[rows], np.concatenate(dec)[rows]
    same = keys[rows][1:] == keys[rows][:-1]
    apart = separation(x[:-1][same], y[:-1][same], x[1:][same], y[1:][same])
    return bool((apart > ONE_OBJECT).any())


def _words(text: np.ndarray) -> Iterable[np.ndarray]:
    """A text column as 64-bit numbers, (n,) each, without blanks around the text."""
    if text.dtype.kind == "O":
        text = text.astype(str)
    if not len(text):
        return ()
    code = np.ascontiguousarray(text)
    blank = code.view(np.uint8) == ord(" ")
    if blank.any():
        code = np.char.strip(code)
    letters = code.view(np.uint32 if code.dtype.kind == "U" else np.uint8).reshape(len(code), -1)
    letters = letters.astype(np.uint8)
    width = -(-letters.shape[1] // 8) * 8
    if letters.shape[1] < width:
        letters = np.pad(letters, ((0, 0), (0, width - letters.shape[1])))
    return np.ascontiguousarray(letters).view(np.uint64).T


def _mixed(x: np.ndarray) -> np.ndarray:
    """The mixing step of SplitMix64 (Steele, Lea & Flood 2014), one to one."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
