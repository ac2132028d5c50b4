"""An injection set in HDF5, laid out as the sensitivity sets that LIGO, Virgo and KAGRA release
with their fourth run (arXiv:2508.10638), so that their readers need other names only:

- `events`: one compound record per injection
- `events["lnpdraw_A_B_..."]`: natural logarithm of the joint density of the draw over A, B, ...
- root attributes `total_generated`, `density_over` (A, B, ...), `searches` (the finders)

and `about`, a JSON text with all of that and the rest of what the set says of itself. Times and
rates (`total_analysis_time`, false-alarm rates) have no like here: a finder gives scores. Their
column `weights` divides the density of the draw, ours (`weight`) does not, so that it keeps its own
name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.files import replacing
from lensjax.errors import InputError

if TYPE_CHECKING:
    import h5py
    import pandas as pd

EVENTS, ABOUT, LN_P_DRAW = "events", "about", "lnpdraw_"
LARGEST = 1000
"""How many times larger than the file a table may be; a few bytes of HDF5 can claim any size."""


def save(path: Path, table: pd.DataFrame, about: dict[str, Any]) -> None:
    """Writes a table and what is said of it. Raises InputError for a column that is neither
    numbers, truth values nor text."""
    import h5py

    over = list(about["density_over"])
    columns = {str(name): _plain(str(name), table[name]) for name in table}
    text = h5py.string_dtype()
    names = {name: LN_P_DRAW + "_".join(over) if name == "ln_p_draw" else name for name in columns}
    kinds = [
        (names[name], text if values.dtype == object else values.dtype)
        for name, values in columns.items()
    ]
    records = np.empty(len(table), kinds)
    for name, values in columns.items():
        records[names[name]] = values
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset(
            EVENTS, data=records, **({"compression": "gzip"} if len(records) else {})
        )
        file.create_dataset(ABOUT, data=json.dumps(about, sort_keys=True), dtype=text)
        file.attrs["total_generated"] = int(about["total_generated"])
        file.attrs.create("density_over", over, dtype=text)
        file.attrs.create("searches", list(about.get("finders") or {}), dtype=text)


def load(path: Path) -> tuple[pd.DataFrame, Any]:
    """The table and what is said of it, as `save` got them. Raises InputError, naming the file, for
    a file that is damaged, has another layout, points to other files, or claims to be much larger
    than it is."""
    import h5py
    import pandas as pd

    try:
        with h5py.File(path, "r") as file:
            about = json.loads(_own(file, ABOUT)[()])
            events = _own(file, EVENTS)
            names = events.dtype.names
            if not names or events.ndim != 1:
                raise ValueError(f"{EVENTS} is no list of records")
            if not isinstance(about, dict):
                raise ValueError(f"{ABOUT} is no mapping")
            said = about.get("total_generated")
            if file.attrs.get("total_generated") != said:
                raise ValueError(
                    f"total_generated is {file.attrs.get('total_generated')}, and {said} in {ABOUT}"
                )
            records = events[()]
            over = LN_P_DRAW + "_".join(map(str, about.get("density_over") or ()))
            columns = {}
            for name in names:
                values = records[name]
                if values.ndim != 1 or values.dtype.kind not in "biufO":
                    raise ValueError(f"column {name} is neither numbers nor text")
                if values.dtype == object:
                    values = np.array([_text(v) for v in values], object)
                columns["ln_p_draw" if name == over else name] = values
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError) as error:
        words = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: cannot be read as an injection set ({words})") from None
    return pd.DataFrame(columns), about


def _own(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset whose data are in this file. Raises ValueError for other things."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is missing or a link to somewhere else")
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise ValueError(f"{name} is no dataset of this file")
    if found.nbytes > LARGEST * max(Path(file.filename).stat().st_size, 1):
        raise ValueError(f"{name} claims {found.nbytes} bytes, which the file cannot hold")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, bytes | str):
        raise ValueError(f"{value!r} is no text")
    return value.decode() if isinstance(value, bytes) else value


def _plain(name: str, values: pd.Series) -> np.ndarray:
    """A column as HDF5 can hold it: numbers and truth values as they are, text as objects."""
    array = values.to_numpy()
    if array.dtype.kind in "biuf" and array.dtype != np.float16:
        return array
    held = np.asarray(values.astype(object))
    if not all(isinstance(v, str) for v in held):
        raise InputError(f"column {name!r} is neither numbers, truth values nor text")
    return held
