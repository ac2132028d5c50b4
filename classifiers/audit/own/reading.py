"""Table, files and definition of somebody's cutouts, as far as they are known, and what is missing
of them."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from classifiers.audit.own.arguments import Arguments
from classifiers.audit.own.missing import Missing
from data import ownsurvey, survey, tables
from data.filefacts import Facts, by_band, facts
from data.folder import GUESSES, Folder, as_number, files_of
from data.survey import Survey
from lensjax.errors import InputError, some

TABLES = ("parquet", "csv", "ecsv", "fits")
SMALLEST = 32
"""Side of a cutout, pixels, that a survey may have."""
MEANT = {
    "id": ("galaxy", "object", "objid", "name", "source", "id"),
    "label": ("lens", "label", "class", "target", "truth"),
    "psfsize": ("seeing", "fwhm", "psf", "iq"),
}
"""Words in the names of columns that may be the one that is missed."""
LOOKED_AT = 8
"""Objects whose files are looked for before it is said that there are none."""


@dataclass(frozen=True)
class Reading:
    """What is known of the cutouts. columns: of the table by name, in its own names. names: column
    of ours to column of the table. said: who said what, for the plan."""

    folder: Path
    settings: Folder = Folder()
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    facts: Facts | None = None
    survey: Survey | None = None
    said: Mapping[str, str] = field(default_factory=dict)

    def values(self, name: str) -> Sequence[Any]:
        """A column of ours; empty where the table has none."""
        return self.columns[self.names[name]] if name in self.names else ()


def read(a: Arguments) -> tuple[Reading, list[Missing]]:
    """Everything that can be known without the pixels, and all that is missing for that."""
    found, missing = _table(a)
    if found.columns:
        one, more = _files(a, found)
        found, missing = one, [*missing, *more]
    definition, said, more = _definition(a, found.facts)
    found = replace(found, survey=definition, said=said)
    missing = [*missing, *more]
    if found.columns:
        missing += [*_psf(a, found), *_labels(a, found)]
    return found, missing


def near_to(wanted: str, columns: Sequence[str]) -> list[str]:
    """Columns of the table whose names sound like the wanted one."""
    return [c for c in columns if any(word in c.lower() for word in MEANT.get(wanted, ()))]


def like(wanted: str, columns: Sequence[str]) -> str:
    """A sentence that names columns which may be the wanted one, or some of all."""
    if near := near_to(wanted, columns):
        return f"Perhaps it is {' or '.join(near[:3])}."
    return f"The table has {some(list(columns), 8)}."


def _table(a: Arguments) -> tuple[Reading, list[Missing]]:
    folder = Path(a.cutouts)
    nothing = Reading(folder)
    if not (a.cutouts and folder.is_dir()):
        why = f"{folder} is no folder." if a.cutouts else "nothing says where the cutouts are."
        return nothing, [Missing("cutouts", why, "--cutouts FOLDER", ("--cutouts", "<FOLDER>"))]
    here = [p for p in sorted(folder.iterdir()) if p.suffix[1:].lower() in TABLES]
    if not a.table:
        why = "a table says which objects there are, by a column id."
        beside = f" The folder has {some([p.name for p in here])}." if 0 < len(here) < 20 else ""
        return nothing, [
            Missing("table", why + beside, "--table FILE (.parquet, .csv, .ecsv, .fits)", _TABLE)
        ]
    path = next((p for p in (Path(a.table), folder / a.table) if p.is_file()), None)
    if path is None:
        why = f"{a.table} is neither here nor in {folder}."
        return nothing, [Missing("table", why, "--table FILE")]
    try:
        columns, renamed = tables.read(path), a.renamed
    except InputError as error:
        return nothing, [Missing("table", f"{error}.", "--table FILE, --columns OURS=THEIRS")]
    lower = {name.lower(): name for name in reversed(list(columns))}
    absent = [theirs for theirs in renamed.values() if theirs not in columns]
    missing = [
        Missing("column", f"{path} has no column {one}. {like('', list(columns))}", "--columns")
        for one in absent
    ]
    names = lower | {ours: theirs for ours, theirs in renamed.items() if theirs in columns}
    settings = Folder(str(path.absolute()), renamed, files=a.files, array=a.array)
    found = Reading(folder, settings, columns, names)
    if "id" not in names:
        near = near_to("id", list(columns))
        flag = ("--columns", f"id=<{near[0] if near else 'NAME'}>")
        why = f"no column id in {path}: it names the objects and, usually, their files. "
        cure = "--columns id=NAME"
        missing.append(Missing("ids", why + like("id", list(columns)), cure, flag))
    return found, missing


_TABLE = ("--table", "<FILE>")


def _files(a: Arguments, found: Reading) -> tuple[Reading, list[Missing]]:
    """The reading with what the files of the first objects say."""
    ids = [str(value) for value in found.values("id")[:LOOKED_AT]]
    given = list(found.values("file")) or [None] * len(ids)
    try:
        known = a.band_names or (survey.load(a.survey).bands if a.survey else ())
    except InputError:
        known = ()
    lookalike, seen, wrong = _stand_in(known), [], ""
    for name, file in zip(ids, given):
        own = {} if known or a.files or file else by_band(found.folder, name)
        try:
            paths = list(own.values()) or [
                found.folder / file
                for file in files_of(found.folder, name, file, found.settings, lookalike)
            ]
        except InputError:
            continue
        try:
            seen.append(facts(paths, a.array, tuple(own) or known))
        except InputError as error:
            wrong = wrong or str(error)
    if seen:
        shapes = [(one.side, one.channels) for one in seen]
        said = seen[shapes.index(max(shapes, key=shapes.count))]
        missing = []
        if said.arrays:
            why = f"{said.name} has several images ({', '.join(said.arrays)})."
            missing = [Missing("image", why, "--array NAME", ("--array", "<NAME>"))]
        return replace(found, facts=said), missing
    if wrong:
        return found, [Missing("files", f"{wrong}.", "mend the file, or name the image (--array)")]
    found = replace(found, facts=_of_any(found.folder, a))
    if not ids:
        if "id" not in found.names and found.facts:
            return found, []
        what = f"no row in {a.table}" if "id" in found.names else f"no cutout in {found.folder}"
        return found, [Missing("objects", f"there is {what}.", "--table FILE, --cutouts FOLDER")]
    there = sorted(p.name for p in found.folder.iterdir() if not p.name.startswith("."))
    tried = ", ".join(GUESSES if not a.files else (a.files,))
    why = (
        f"no file of the object {ids[0]} in {found.folder}, nor of the {len(ids)} first ones "
        f"(tried {tried}). The folder has {some(there)}."
    )
    cure = "--files NAME with {id} and perhaps {band} in it, or a column file in the table"
    return found, [Missing("files", why, cure, ("--files", "<{id}.npz>"))]


def _of_any(folder: Path, a: Arguments) -> Facts | None:
    """What the first file says that is one of a cutout, where it is not known whose it is."""
    for path in sorted(folder.iterdir())[:LOOKED_AT]:
        if path.suffix == ".npz" or (path.suffix == ".fits" and path.name != a.table):
            try:
                return facts([path], a.array)
            except InputError:
                continue
    return None


def _stand_in(bands: Sequence[str]) -> Any:
    """A stand-in for a survey of which only the bands are known, for names of files."""
    return _Bands(tuple(bands) or ("",))


@dataclass(frozen=True)
class _Bands:
    bands: tuple[str, ...]


def _definition(
    a: Arguments, f: Facts | None
) -> tuple[Survey | None, dict[str, str], list[Missing]]:
    """The survey's definition if enough is known, who said what, and what is missing."""
    seen, f, missing, said = f is not None, f or Facts("the files"), [], {}
    where = f.name
    silent = f"{where} does not say" if seen else "nothing says"
    base: Survey | None = None
    if a.survey:
        try:
            base = survey.load(a.survey)
        except InputError as error:
            missing.append(Missing("survey", f"{error}.", "--survey NAME or FILE"))
    bands = a.band_names or f.bands or (base.bands if base else ())
    said["bands"] = "--bands" if a.bands else f"said by {where}" if f.bands else f"of {a.survey}"
    if base and not a.bands and set(f.bands) == set(base.bands):
        bands = base.bands
    if not bands and not missing:
        many = f"the {f.channels} channels" if f.channels > 1 else "the channels"
        why = f"{many} of {where} have no names. Say which band each is, in their order."
        cure = f"--bands g,r,z, or --survey with one of {', '.join(survey.names())} or a YAML file"
        missing.append(Missing("bands", why, cure, ("--bands", f"<{_letters(f.channels)}>")))
    if bands and f.channels and len(bands) != f.channels:
        why = f"{where} has {f.channels} channels, and {', '.join(bands)} are {len(bands)} bands."
        missing.append(Missing("bands", why, "--bands, one name for each channel, in their order"))
    scale = a.pixel_scale or (f.pixel_scale if math.isfinite(f.pixel_scale) else 0.0)
    said["pixel scale"] = "--pixel-scale" if a.pixel_scale else f"said by {where}"
    if not scale and base:
        scale, said["pixel scale"] = base.pixel_scale, f"of {a.survey}"
    if not scale and not (a.survey and missing):
        why = f"{silent} how large a pixel is on the sky."
        cure = "--pixel-scale ARCSEC, or --survey"
        missing.append(Missing("pixel scale", why, cure, ("--pixel-scale", "<ARCSEC>")))
    point = a.zero_point if a.zero_point is not None else f.zero_point
    said["zero point"] = "--zero-point" if a.zero_point is not None else f"said by {where}"
    if not math.isfinite(point) and base:
        point, said["zero point"] = base.zero_point, f"of {a.survey}"
    if not math.isfinite(point) and not (a.survey and base is None):
        why = f"{silent} in which unit its pixels are, and arcs have magnitudes."
        cure = (
            "--zero-point, the AB magnitude of one unit: 22.5 for nanomaggies, 31.4 for nanojansky,"
            " 23.9 for microjansky; or --survey"
        )
        missing.append(Missing("zero point", why, cure, ("--zero-point", "<MAGNITUDE>")))
    if seen and not f.arrays and f.side < SMALLEST:
        why = (
            f"the cutouts are {f.side} pixels wide, and {SMALLEST} are the least."
            if f.side
            else f"the image in {where} is not square."
        )
        missing.append(Missing("shape", why, "make square cutouts of one size, 32 pixels or more"))
    if missing or not f.side:
        return None, said, missing
    try:
        if base is None:
            made = ownsurvey.own_survey(
                bands,
                scale,
                point,
                f.side,
                reference=a.reference,
                wavelengths=a.wavelengths,
                title=f"Cutouts of {Path(a.cutouts).resolve().name}",
            )
        else:
            made = ownsurvey.with_bands(base, bands)
            made = replace(made, pixel_scale=scale, zero_point=point, stamp=f.side)
    except InputError as error:
        cure = "--bands, --reference, --wavelengths, or --survey with a YAML file"
        return None, said, [Missing("bands", f"{error}.", cure)]
    return made, said, []


def _letters(channels: int) -> str:
    return ",".join(f"BAND{i + 1}" for i in range(channels or 3))


def _psf(a: Arguments, found: Reading) -> list[Missing]:
    """What is missing of the width of the PSF."""
    bands = found.survey.bands if found.survey else a.band_names
    if a.psf_files:
        names = [a.psf_files.replace("{band}", band) for band in bands or ("",)]
        absent = [name for name in names if bands and not Path(name).is_file()]
        what = f"there is no file {some(absent)}."
        return [Missing("PSF size", what, "--psf-files")] if absent else []
    if a.psf_fwhm:
        if bands and len(a.psf_fwhm) != len(bands):
            why = f"--psf-fwhm has {len(a.psf_fwhm)} values for the bands {', '.join(bands)}."
            return [Missing("PSF size", why, f"--psf-fwhm with {len(bands)} values, arcsec")]
        return []
    own = [f"psfsize_{band}" for band in bands] or [n for n in found.names if "psfsize_" in n]
    named = [n for n in found.names if n.lower() in {o.lower() for o in own}]
    size = len(found.values("id")) or len(next(iter(found.columns.values())))
    rows = zip(*(found.values(name) for name in named)) if named else [()] * size
    without = [i for i, row in enumerate(rows, 1) if all(value is None for value in row)]
    if not without:
        return _wide(found, named)
    why = (
        f"{len(without)} of {size} objects have no FWHM of the PSF in any band, and arcs are "
        "blurred with it. "
    )
    if len(without) < size:
        where = f"The first is row {without[0]} of the table"
        cure = (
            f"fill {' or '.join(found.names[n] for n in named)} there, or leave such rows out, or "
            "--psf-fwhm with a value a band, for those without"
        )
        return [Missing("PSF size", f"{why}{where}.", cure)]
    why += like("psfsize", list(found.columns))
    band = found.survey.reference if found.survey else bands[0] if bands else "BAND"
    cure = (
        f"--columns psfsize_{band}=NAME (FWHM in arcsec, one column a band, or one for one band), "
        "or for all of them --psf-fwhm with a value a band, or --psf-files with the PSF itself"
    )
    if near := near_to("psfsize", list(found.columns)):
        band = band if bands else "<BAND>"
        return [Missing("PSF size", why, cure, ("--columns", f"psfsize_{band}=<{near[0]}>"))]
    values = [f"<FWHM_{band}>" for band in bands] or ["<FWHM_BAND>"]
    return [Missing("PSF size", why, cure, ("--psf-fwhm", *values))]


def _wide(found: Reading, named: Sequence[str]) -> list[Missing]:
    """What is said of a PSF that is wider than half of the cutouts."""
    widths = [number_of(v) for name in named for v in found.values(name)]
    middle = statistics.median([w for w in widths if w is not None] or [0.0])
    if found.survey is None or middle <= 0.5 * found.survey.stamp * found.survey.pixel_scale:
        return []
    why = (
        f"the median FWHM is {middle:g} arcsec, more than half of a cutout: "
        f"{some([found.names[name] for name in named])} may be in another unit."
    )
    return [Missing("PSF size", why, "a column with the FWHM in arcsec, or --psf-fwhm")]


def number_of(value: Any) -> float | None:
    """A value of the table as a number; None for what is none."""
    try:
        return as_number(value, "")
    except InputError:
        return None


def _labels(a: Arguments, found: Reading) -> list[Missing]:
    """What is missing of the labels."""
    there = any(value is not None for value in found.values("label"))
    if there and not a.labels:
        why = f"the table has a column {found.names['label']}, and --no-labels is said."
        return [Missing("labels", why, "leave out --no-labels, or the column")]
    if there:
        return _odd_labels(found)
    if not a.labels:
        return []
    why = (
        "the table does not say which objects are lenses (1) and which are not (0). Arcs are put "
        "into galaxies that are none, and what is labelled is evaluated too. "
        f"{like('label', list(found.columns))}"
    )
    cure = "--columns label=NAME, or --no-labels if all of them count as galaxies without a lens"
    near = near_to("label", list(found.columns))
    words = ("--columns", f"label=<{near[0]}>") if near else ("--no-labels",)
    return [Missing("labels", why, cure, words)]


def _odd_labels(found: Reading) -> list[Missing]:
    """What is said where none of the labels is 1 or 0. Single odd ones are rows that are left
    out."""
    labels = [value for value in found.values("label") if value is not None]
    odd = Counter(str(value) for value in labels if number_of(value) not in (0.0, 1.0))
    if len(labels) > sum(odd.values()):
        return []
    counts = some([f"{text!r} ({number})" for text, number in odd.most_common()], 3)
    why = f"column {found.names['label']} holds {counts}, and a label is 1 or 0."
    return [Missing("labels", why, "write 1 for a lens and 0 for another galaxy")]
