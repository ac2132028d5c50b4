"""What a selection function answers: a value, its interval, and what they rest on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

FLAGS = ("supported", "interpolated", "insufficient", "outside")
"""From best to worst.

- supported: the value is that of one cell with enough injections: the point is its centre, or lies
  in the cell beyond the last centre of an axis. Along an axis of words, or of one cell, there is
  nothing between.
- interpolated: the point lies between the centres of cells, all of which have enough injections;
  the value rests on completeness being smooth between them.
- insufficient: a cell that the value is taken from has fewer injections than the audit asked for.
  Value and interval are what its own injections say; with none the value is NaN and the interval
  (0, 1).
- outside: the point lies in no cell, so that nothing is known of it: NaN and (0, 1).
"""


class Answer(NamedTuple):
    """value: completeness. lower, upper: its interval. flag: one of `FLAGS` for each value. All
    have the shape that the query broadcasts to. note: what has to be said of all of them."""

    value: Float[np.ndarray, "*n"]
    lower: Float[np.ndarray, "*n"]
    upper: Float[np.ndarray, "*n"]
    flag: Shaped[np.ndarray, "*n"]
    note: str = ""


def words(severity: Int[np.ndarray, "*n"]) -> Shaped[np.ndarray, "*n"]:
    """Flags by their place in `FLAGS`."""
    return np.asarray(np.array(FLAGS)[severity])


def worst(*flags: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "*n"]:
    """The worst of some flags, element by element; shapes broadcast."""
    place = {name: i for i, name in enumerate(FLAGS)}
    numbers = [np.vectorize(place.__getitem__, otypes=[int])(flag) for flag in flags]
    return words(np.max(np.broadcast_arrays(*numbers), axis=0))
