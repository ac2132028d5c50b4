"""Units that a table says its columns are in, where they contradict those that are read."""

from __future__ import annotations

_ANGLES = ("rad", "radian", "radians", "hourangle", "hour", "hours", "h", "arcmin", "arcsec")
_JANSKY = {"jy": 8.90, "mjy": 16.40, "ujy": 23.90, "njy": 31.40}
_MAGGY = {"nanomaggy": 22.5, "nanomaggies": 22.5, "nmgy": 22.5, "maggy": 0.0, "maggies": 0.0}
SAME = 0.02
"""mag, within which two zero points are one"""


def unit_problem(column: str, unit: object, zero_point: float) -> str:
    """Why a column of a catalogue (by its name here) cannot be in the unit that its file declares;
    empty when it can, and for a unit that is not known.

    zero_point: AB magnitude of one unit of the survey's fluxes.
    """
    said = str(unit or "").strip()
    plain = said.lower().replace("µ", "u").replace("micro", "u")
    if column in ("ra", "dec"):
        return f"is in {said}, expected degrees" if plain in _ANGLES else ""
    found = {**_JANSKY, **_MAGGY}.get(plain)
    if not column.startswith("flux_") or found is None or abs(found - zero_point) < SAME:
        return ""
    return (
        f"is in {said}, of zero point {found:g}, and fluxes of the survey's catalogues have "
        f"{zero_point:g}"
    )
