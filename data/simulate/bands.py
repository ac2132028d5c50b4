"""Magnitudes in a survey's bands, from the three bands in which the mock galaxies are drawn.

The colours of galaxies and stars in `population` are those observed in the default survey's three
bands. The magnitude in any other band follows from them by linear interpolation, or extrapolation,
in the logarithm of the wavelength. In the default survey's own bands it is the drawn value itself.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Float

from data.survey import DEFAULT, Survey, load

DRAWN = ("mag_g", "mag_r", "mag_z")
"""Columns of the drawn magnitudes, one per band of the default survey."""


@lru_cache
def _drawn_wavelengths() -> tuple[float, ...]:
    return load(DEFAULT).wavelength


@lru_cache
def _weights(wavelength: tuple[float, ...]) -> Float[np.ndarray, "B 3"]:
    knots, x = np.log(_drawn_wavelengths()), np.log(wavelength)
    left = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    share = (x - knots[left]) / (knots[left + 1] - knots[left])
    weights = np.zeros((len(x), len(knots)))
    weights[np.arange(len(x)), left] = 1 - share
    weights[np.arange(len(x)), left + 1] = share
    return weights


def in_bands(survey: Survey, drawn: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... B"]:
    """Magnitudes in the survey's bands from those in the drawn bands."""
    return np.asarray(drawn) @ _weights(survey.wavelength).T


def magnitudes(survey: Survey, frame: pd.DataFrame) -> Float[np.ndarray, "k B"]:
    """Magnitudes of a table's objects in the survey's bands, from its columns DRAWN."""
    return in_bands(survey, frame[[*DRAWN]].to_numpy(float))
