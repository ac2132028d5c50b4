"""Depths and magnitudes of tables, in numpy's float64.

The formulas are those of `lensjax.photometry`, which works in float32 unless it is told otherwise;
tables are cut into bins, and a value that lies on an edge must not move across it by rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from lensjax.units import ZERO_POINT


def magnitude(flux: Any) -> Float[np.ndarray, "..."]:
    """AB magnitude of a flux (nanomaggies), any shape; infinite at 0 and NaN below it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return ZERO_POINT - 2.5 * np.log10(np.asarray(flux, np.float64))


def depth_m5(psfdepth: Any) -> Float[np.ndarray, "..."]:
    """5-sigma depth of a point source (AB mag) from its inverse variance (nanomaggies^-2), any
    shape; NaN below 0 and minus infinity at 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return magnitude(5.0 / np.sqrt(np.asarray(psfdepth, np.float64)))


def psfdepth(m5: Any) -> Float[np.ndarray, "..."]:
    """Inverse variance of a point source (nanomaggies^-2) at a 5-sigma depth (AB mag), any shape:
    what `depth_m5` is the depth of."""
    return 25.0 * 10 ** (0.8 * (np.asarray(m5, np.float64) - ZERO_POINT))
