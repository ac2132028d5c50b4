"""What is said on the command line about one's own finder and cutouts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lensjax.errors import InputError

HELP = """Audits a finder of your own on cutouts of your own: arcs are put into your galaxies, and
the report says which of them the finder finds, which it misses, and why.

What it needs to know and you have not said is listed, with the option that says it; nothing is done
before. What the headers of your files say need not be said. Then it says what it has understood,
and does the steps survey, evaluate (where there are labels), audit and report.

Examples:

    lensjax audit --finder my_finder:score --cutouts FOLDER --table TABLE

    lensjax audit --finder "net.py:logit output=logit layout=nchw bands=g,r,z" --cutouts FOLDER
    --table galaxies.csv --survey ls_dr10 --trained-on none --dry-run"""

LONGEST = 94
"""Letters in a line of a command that is shown."""


@dataclass(frozen=True)
class Arguments:
    """Flags of `lensjax audit --cutouts`. An empty text, a 0 or None means: not said."""

    cutouts: str = ""
    """folder of the cutouts: NPZ or FITS files, one an object, or one a band"""
    finder: str = ""
    """the finder and what has to be known about it, as docs/finders.md says:
    "my_finder:score output=logit layout=nchw bands=g,r,z" """
    table: str = ""
    """table of the objects (.parquet, .csv, .ecsv, .fits), from here or from the folder: an id, and
    as far as they are known ra, dec, label, psfsize_BAND, m5_BAND or psfdepth_BAND, ebv, split"""
    columns: tuple[str, ...] = ()
    """columns of the table that have other names than ours, as OURS=THEIRS: id=objid
    psfsize_r=seeing"""
    files: str = ""
    """name of an object's file, with {id} and, where there is one file a band, {band}; the usual
    names need not be said"""
    array: str = ""
    """name of the image in NPZ files with several arrays"""
    survey: str = ""
    """a survey that lensjax knows, or a YAML file that defines one: says bands, pixel scale and
    zero point"""
    bands: str = ""
    """bands of the cutouts in the order of their channels: g,r,z"""
    reference: str = ""
    """band in which PSF and depth count; r, i or vis where they are there, else the middle one"""
    wavelengths: tuple[float, ...] = ()
    """effective wavelengths of the bands (nm), where lensjax does not know them by name"""
    pixel_scale: float = 0.0
    """arcsec per pixel"""
    zero_point: float | None = None
    """AB magnitude of one unit of the cutouts: 22.5 for nanomaggies, 31.4 for nanojansky, 23.9 for
    microjansky"""
    psf_fwhm: tuple[float, ...] = ()
    """FWHM of the PSF (arcsec) in every band, for objects whose table does not say it"""
    psf_files: str = ""
    """files with the measured PSF of all these objects (FITS image, NPZ array or PsfEx model), with
    {band} in the name where there is one a band"""
    labels: bool = True
    """--no-labels: nobody has labelled these galaxies, and all of them count as galaxies without a
    lens"""
    trained_on: str = ""
    """what the finder was trained on: `none` of these galaxies, `train` (those with split = train
    in the table), or a table with galaxy_id, ra and dec"""
    lenses: str = ""
    """list of known lenses (name, RA, DEC); galaxies within 11 arcsec of one are no hosts"""
    full: bool = False
    """the whole grid and every analysis, in place of a small grid within minutes"""
    dry_run: bool = False
    """only say what would be done"""
    out: Path = Path("runs/own")
    """run directory: results go here, and are continued from here"""
    force: bool = False
    """redo every step even when it is up to date"""
    set: tuple[str, ...] = ()
    """other settings of the steps: SECTION.KEY=VALUE ..., for example audit.injections=200"""

    @property
    def band_names(self) -> tuple[str, ...]:
        """The bands that are said, in order."""
        return tuple(word for word in self.bands.replace(",", " ").split())

    @property
    def renamed(self) -> dict[str, str]:
        """Column of ours to column of the table. Raises InputError for a word without `=`."""
        found = {}
        for word in self.columns:
            ours, equals, theirs = word.partition("=")
            if not (ours and equals and theirs):
                raise InputError(f"--columns {word}: expected OURS=THEIRS, for example id=objid")
            found[ours] = theirs
        return found


def parsed(argv: Sequence[str]) -> Arguments:
    """The flags of a command line."""
    import tyro

    return tyro.cli(
        Arguments,
        args=list(argv),
        prog="lensjax audit",
        description=HELP,
        use_underscores=False,
    )


def again(argv: Sequence[str], finder: str, more: Sequence[str]) -> str:
    """The command line with a finder as it should be described and with more words, as a person
    types it, on as many lines as it needs. Words with < > are left for the person to fill in."""
    said: dict[str, list[str]] = {}
    for words, replacing in ((argv, False), (more, True)):
        for flag, *values in _groups(words):
            old = said.get(flag, [])
            said[flag] = values if replacing and flag != "--columns" else [*old, *values]
    said.pop("--finder", None)
    described = f'"{finder}"' if " " in finder else finder
    groups = ["lensjax audit", f"--finder {described}"]
    for flag, values in said.items():
        quoted = (word if "<" in word else shlex.quote(word) for word in values)
        groups.append(" ".join([flag, *quoted]))
    lines = [groups[0]]
    for group in groups[1:]:
        fits = len(lines[-1]) + len(group) < LONGEST
        lines += [f"{lines.pop()} {group}"] if fits else [f"  {group}"]
    return " \\\n".join(lines)


def _groups(words: Sequence[str]) -> list[list[str]]:
    """Flags with their values: `--flag=value` is divided."""
    found: list[list[str]] = []
    for word in words:
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            found.append([flag, value] if equals else [flag])
        elif found:
            found[-1].append(word)
    return found
