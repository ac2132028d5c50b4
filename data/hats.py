"""Catalogues in HATS, the Hierarchical Adaptive Tiling Scheme of LSDB, as an input: a folder with
`hats.properties` (or `properties`) and one Parquet file for each pixel of HEALPix.

    if named(root, "dr10"):
        files = parts(root, "dr10", survey)  # dr10/dataset/Norder=5/Dir=0/Npix=77.parquet, ...

The parts are read as any other Parquet file is. `data.hatsexport` writes such folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from data.catalogue import file_name
from data.stores import Place, Remote
from data.survey import Survey
from data.tables import read_csv
from lensjax.errors import InputError, said

PROPERTIES = ("hats.properties", "properties")
PARTITIONS = "partition_info.csv"
KINDS = ("object", "source")
"""Of catalogues whose rows are objects on the sky; others are margins, indexes and maps"""
FILES = (".fits", ".fit", ".gz", ".fz", ".parquet", ".csv")
"""Endings of names that are no folders"""
Pixel = tuple[int, int]
"""Order and number of a pixel"""


def named(root: Place, folder: str) -> bool:
    """Whether a path relative to root is the folder of a HATS catalogue, and no pattern."""
    if any(c in folder for c in "*?") or folder.lower().endswith(FILES):
        return False
    return any((root / folder / name).is_file() for name in PROPERTIES)


def parts(root: Place, folder: str, survey: Survey) -> list[str]:
    """Files of a HATS catalogue, relative to root, by order and number of their pixels.

    Raises InputError, naming the file, where the properties are not those of a catalogue of objects
    with the survey's columns of position, and where a partition that partition_info.csv lists has
    no file, or a file is not listed.
    """
    path = root / folder
    said = properties(path)
    kind = said.get("dataproduct_type", "")
    if kind not in KINDS:
        raise InputError(
            f"{path}: HATS of the type {kind!r}, expected {' or '.join(KINDS)}; give the catalogue "
            "itself in survey.sweeps"
        )
    for name in ("ra", "dec"):
        column, expected = said.get(f"hats_col_{name}", ""), file_name(survey, name)
        if column.lower() != expected.lower():
            raise InputError(
                f"{path}: hats_col_{name} is {column!r}, and the survey {survey.name!r} reads "
                f"{expected!r}; give a survey.definition whose catalogue says {column!r}"
            )
    ending = said.get("hats_npix_suffix", ".parquet")
    pattern = "dataset/Norder=*/Dir=*/Npix=*" + ("/*.parquet" if ending == "/" else ending)
    found: dict[Pixel, list[str]] = {}
    for file in sorted(_glob(path, pattern)):
        found.setdefault(_pixel(file), []).append(f"{folder}/{file}")
    listed = _listed(path)
    for pixel in sorted(set(found) ^ listed if listed else ()):
        lacks = "has no file" if pixel in listed else "has a file and is not listed"
        raise InputError(
            f"{path / PARTITIONS}: the partition of order {pixel[0]}, pixel {pixel[1]} {lacks}; "
            "fetch the catalogue again"
        )
    if not found:
        raise InputError(f"{path}: no file {pattern}; fetch the catalogue again")
    return [file for pixel in sorted(found) for file in found[pixel]]


def short(root: Place, folders: Iterable[str], rows: Mapping[str, int]) -> list[tuple[str, str]]:
    """Catalogues whose files have another number of rows than their properties say: (folder,
    reason).

    folders: relative to root; those that are no HATS catalogue are passed over. rows: of every
    file that was read, by its path relative to root.
    """
    found = []
    for folder in folders:
        if not named(root, folder):
            continue
        own = sum(n for path, n in rows.items() if path.startswith(f"{folder}/dataset/"))
        said = properties(root / folder).get("hats_nrows", "")
        if said and said != str(own):
            reason = f"hats_nrows is {said}, and its files have {own} rows"
            found.append((folder, f"{root / folder}: {reason}; fetch the catalogue again"))
    return found


def properties(path: Place) -> dict[str, str]:
    """What hats.properties says: lines of the form `key = value`."""
    file = next(path / name for name in PROPERTIES if (path / name).is_file())
    with file.open("rb") as handle:
        lines = handle.read().decode("utf-8", "replace").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and line.lstrip()[:1] not in "#!")
    return {key.strip(): value.strip().replace("\\", "") for key, value in pairs}


def _glob(path: Place, pattern: str) -> list[str]:
    files = [str(file) for file in path.glob(pattern) if isinstance(file, Remote) or file.is_file()]
    return [file.removeprefix(f"{path}/") for file in files]


def _pixel(file: str) -> Pixel:
    """Order and number in dataset/Norder=K/Dir=D/Npix=N.parquet. Raises InputError where they are
    no numbers."""
    _, order, _, number, *_ = file.split("/")
    try:
        return int(order.partition("=")[2]), int(number.partition("=")[2].split(".")[0])
    except ValueError:
        raise InputError(f"{file}: no numbers in this path of a HATS catalogue") from None


def _listed(path: Place) -> set[Pixel]:
    """Partitions that partition_info.csv lists; none if it is not there."""
    if not (path / PARTITIONS).is_file():
        return set()
    try:
        with (path / PARTITIONS).open("rb") as handle:
            table = read_csv(handle, text=False)
    except (ValueError, OSError) as error:  # pandas' own among them
        reason = f"not a readable table ({said(error, 120)})"
        raise InputError(f"{path / PARTITIONS}: {reason}; fetch it again") from None
    if not {"Norder", "Npix"} <= set(table.columns):
        raise InputError(f"{path / PARTITIONS}: no columns Norder and Npix; fetch it again")
    numbers = [table[name] for name in ("Norder", "Npix")]
    if len(table) and any(values.dtype.kind != "i" for values in numbers):
        raise InputError(
            f"{path / PARTITIONS}: Norder or Npix is not everywhere a whole number; fetch it again"
        )
    return set(zip(*(values.tolist() for values in numbers), strict=True))
