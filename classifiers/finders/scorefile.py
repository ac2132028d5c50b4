"""Scores by post: stamps go out to a folder, and a table of scores comes back.

This is for finders that cannot run here: on another machine, in another language, or people who
look. A folder of an exchange holds

    stamps-NAME.npz     parts: `id` (n,) text, `stamps` (n, h, w, c) float32 in nanomaggies, NaN
                        where there is no data. With format "fits": stamps-NAME.fits, one image
                        extension for each stamp, named by its id, axes (c, h, w), with its WCS.
    stamps.csv          a row for every stamp: its id, its part (`file`) and place in it (`row`,
                        from 0), and what else is known, for example host_id, ra, dec
    stamps.json         bands in order, pixel scale, unit, and the WCS that all stamps share
    scores.csv          comes back (or scores.parquet): columns `id` and `score` (0 to 1), or `id`
                        and `logit`; any order of rows, other columns are not read

Whoever sends stamps calls, part by part, and may stop and go on at any time:

    exchange = Exchange(folder, survey, identity, id_name="injection_id")
    for part in parts:
        if not exchange.has(part.name):
            exchange.write(part.name, ids, stamps, {"host_id": hosts, "ra": ra, "dec": dec})
    exchange.complete()
    scores = exchange.scores(ids)              # says what to do while they are not there yet

`identity` is any text that changes when the stamps would: a folder with stamps of another identity
is refused, so that scores of one experiment are never taken for those of another.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from classifiers.finders.interface import Output, Scores
from data.files import replacing, write_json
from data.names import safe_name
from data.survey import Survey
from lensjax.errors import InputError, some

TABLE, DESCRIPTION = "stamps.csv", "stamps.json"
ANSWERS = ("scores.csv", "scores.parquet")


@dataclass(frozen=True)
class ScoreFile:
    """The finder whose scores come back in a table. It cannot score stamps at once: whoever uses it
    makes an `Exchange` in (a part of) its folder."""

    folder: Path
    stated: Mapping[str, Any]
    differentiable = False

    @property
    def name(self) -> str:
        """The name that reports use: the folder of scores."""
        return f"scores:{self.folder}"

    @property
    def info(self) -> dict[str, Any]:
        """What is recorded of the finder: its name, its kind, and what the folder states."""
        return {"model": self.name, "kind": "scores", **self.stated}

    def logits(self, stamps: Any) -> Any:
        """Raises InputError: here stamps go out and scores come back later."""
        raise InputError(
            f"finder {self.name}: scores come back in a table, and this step needs them at once; "
            "use a finder that runs here"
        )


@dataclass(frozen=True)
class Exchange:
    """Stamps in a folder that wait for scores; see the module's docstring.

    survey: whose bands, pixel scale and unit the stamps have. identity: of the experiment.
    id_name: heading of the column of ids.
    """

    folder: Path
    survey: Survey
    identity: str
    id_name: str = "id"
    format: Literal["npz", "fits"] = "npz"

    def has(self, name: str) -> bool:
        """Whether a part is there. Raises InputError when the folder holds another experiment."""
        self._claim()
        return self._part(name).is_file() and self._rows(name).is_file()

    def write(
        self,
        name: str,
        ids: Sequence[str] | np.ndarray,
        stamps: Float[np.ndarray, "n h w c"],
        columns: Mapping[str, Any],
    ) -> Path:
        """Writes a part, whole or not at all, and returns its path.

        ids: one for each stamp, each once in all parts. stamps: nanomaggies, bands in the survey's
        order, NaN where there is no data. columns: what else is known of them, by name; `ra` and
        `dec` (degrees) are the position of the stamp's centre and make its WCS.
        """
        self._claim()
        stamps = np.asarray(stamps, np.float32)
        if stamps.ndim != 4 or stamps.shape[3] != len(self.survey.bands) or len(stamps) != len(ids):
            raise ValueError(f"{len(ids)} ids for stamps of shape {stamps.shape}")
        path = self._part(name)
        with replacing(path) as temporary:
            if self.format == "npz":
                with open(temporary, "wb") as handle:
                    np.savez(handle, id=np.asarray(ids, str), stamps=stamps)
            else:
                _fits(ids, stamps, columns, self.survey).writeto(temporary, overwrite=True)
        with replacing(self._rows(name)) as temporary, open(temporary, "w", newline="") as handle:
            rows = csv.writer(handle)
            rows.writerow([self.id_name, "file", "row", *columns])
            for i, (own, *rest) in enumerate(zip(ids, *columns.values(), strict=True)):
                rows.writerow([own, path.name, i, *rest])
        return path

    def complete(self) -> Path:
        """Writes the table of all parts, and returns its path. Raises InputError for an id that is
        in two rows."""
        parts = sorted(self.folder.glob(".rows-*.csv"))
        seen: dict[str, str] = {}
        table = self.folder / TABLE
        with replacing(table) as temporary, open(temporary, "w", newline="") as handle:
            for number, part in enumerate(parts):
                header, *lines = part.read_text().splitlines(keepends=True)
                handle.writelines([header, *lines] if number == 0 else lines)
                for own in (row[0] for row in csv.reader(lines)):
                    if own in seen:
                        raise InputError(
                            f"{self.folder}: id {own} is in {seen[own]} and {part.name}"
                        )
                    seen[own] = part.name
        return table

    def answer(self) -> Path | None:
        """The table of scores, if it has come back. Raises InputError when there are two."""
        found = [self.folder / name for name in ANSWERS if (self.folder / name).is_file()]
        if len(found) > 1:
            raise InputError(f"{self.folder}: has {' and '.join(ANSWERS)}; keep one of them")
        return found[0] if found else None

    def scores(self, ids: Sequence[str]) -> Scores:
        """Scores of the stamps `ids`, in this order. Raises InputError, saying what a person has to
        do, while they are not there, and as `read` does."""
        path = self.answer()
        if path is None:
            raise InputError(self.waiting())
        return read(path, ids, self.id_name)

    def waiting(self) -> str:
        """What a person has to do now, in one sentence."""
        return (
            f"{self.folder} holds the stamps ({TABLE} lists them, {DESCRIPTION} describes them): "
            f"write {ANSWERS[0]} with the columns id and score beside them, and run this again"
        )

    def _part(self, name: str) -> Path:
        return self.folder / f"stamps-{safe_name(name, 'part', self.folder)}.{self.format}"

    def _rows(self, name: str) -> Path:
        return self.folder / f".rows-{name}.csv"

    def _claim(self) -> None:
        path = self.folder / DESCRIPTION
        own = {
            "identity": self.identity,
            "id": self.id_name,
            "format": self.format,
            "survey": self.survey.name,
            "bands": list(self.survey.bands),
            "pixel_scale_arcsec": self.survey.pixel_scale,
            "unit": "nanomaggy",
            "ab_magnitude_of_one_unit": 22.5,
            "no_data": "NaN",
            "wcs": "TAN; north up, east to the left; ra, dec of a row lie at the stamp's centre",
        }
        if not path.is_file():
            write_json(path, own)
            return
        try:
            there = json.loads(path.read_text()).get("identity")
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
            there = None
        if there != self.identity:
            raise InputError(
                f"{path}: the folder holds stamps of another experiment; give a new folder, or "
                "empty this one"
            )


def read(path: Path, ids: Sequence[str], id_name: str = "id") -> Scores:
    """Scores of the stamps `ids`, in this order, from a table that came back.

    path: CSV, or Parquet by its ending. The column of ids is called `id` or `id_name`.
    Raises InputError, with the line (of a Parquet file: the row) and the id, for ids that are
    doubled, foreign or missing, and for scores that are no numbers, NaN, or outside 0 to 1.
    """
    rows = list(_parquet(path, id_name) if path.suffix == ".parquet" else _csv(path, id_name))
    if not rows:
        raise InputError(f"{path}: holds no scores; write one row for each of {len(ids)} stamps")
    output = rows[0].output
    known, found, first = set(ids), dict[str, float](), dict[str, str]()
    problems: dict[str, list[str]] = {}
    for row in rows:
        value, where = _number(row.text), f"{row.where} ({row.id})"
        if row.id not in known:
            problems.setdefault("ids that were not sent out", []).append(where)
        elif row.id in found:
            again = f"{where}, first {first[row.id]}"
            problems.setdefault("ids that are there already", []).append(again)
        elif value is None:
            problems.setdefault(f"{output}s that are no numbers", []).append(
                f"{where}: {row.text!r}"
            )
        elif output == "score" and not 0 <= value <= 1:
            problems.setdefault("scores outside 0 to 1", []).append(f"{where}: {row.text}")
        if row.id in known and row.id not in found:
            found[row.id], first[row.id] = np.nan if value is None else value, row.where
    if missing := [i for i in ids if i not in found]:
        problems["ids without a score"] = missing
    if problems:
        said = "; ".join(f"{what}: {some(where)}" for what, where in problems.items())
        raise InputError(f"{path}: {said}; give every id of {TABLE} one {output}")
    return Scores.of(np.array([found[i] for i in ids], np.float64), output)


@dataclass(frozen=True)
class _Row:
    """One row of a table of scores. where: line or row, for messages."""

    where: str
    id: str
    text: str
    output: Output


def _csv(path: Path, id_name: str) -> Iterator[_Row]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            lines = csv.reader(handle)
            header = next(lines, [])
            own, place, output = _headings(path, header, id_name)
            for cells in lines:
                if not cells:
                    continue
                where = f"line {lines.line_num}"
                if len(cells) != len(header):
                    raise InputError(
                        f"{path}: {where} has {len(cells)} values, the heading {len(header)}"
                    )
                yield _Row(where, cells[own].strip(), cells[place].strip(), output)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV file ({error})") from None


def _parquet(path: Path, id_name: str) -> Iterator[_Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, pa.ArrowException) as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: not a readable Parquet file ({said})") from None
    own, place, output = _headings(path, table.column_names, id_name)
    ids, values = table.column(own).to_pylist(), table.column(place).to_pylist()
    for number, (i, value) in enumerate(zip(ids, values), start=1):
        text = "" if value is None else repr(value) if isinstance(value, float) else str(value)
        yield _Row(f"row {number}", "" if i is None else str(i), text, output)


def _headings(path: Path, header: Sequence[str], id_name: str) -> tuple[int, int, Output]:
    names = [str(name).strip().lower() for name in header]
    doubled = [n for n in names if n in ("id", id_name, "score", "logit") and names.count(n) > 1]
    own = next((n for n in (id_name, "id") if n in names), None)
    if own is None or doubled or not {"score", "logit"} & set(names):
        raise InputError(
            f"{path}: has the columns {', '.join(names) or '(none)'}; expected id and score, or id "
            "and logit, each once"
        )
    output: Output = "score" if "score" in names else "logit"
    return names.index(own), names.index(output), output


def _number(text: str) -> float | None:
    """The number, or None where there is none (NaN is none)."""
    try:
        value = float(text) if "_" not in text else np.nan
    except ValueError:
        return None
    return None if np.isnan(value) else value


def _fits(
    ids: Sequence[str] | np.ndarray, stamps: np.ndarray, columns: Mapping[str, Any], survey: Survey
) -> Any:
    """One image extension for each stamp, axes (c, h, w), with the WCS of its sky axes."""
    from astropy.io import fits

    height, width = stamps.shape[1:3]
    made: list[Any] = [fits.PrimaryHDU()]
    for i, (own, stamp) in enumerate(zip(ids, stamps)):
        header = fits.Header()
        header["ID"], header["BUNIT"] = str(own), "nanomaggy"
        header["BANDS"] = ",".join(survey.bands)
        header["MAGZERO"] = 22.5
        if "ra" in columns and "dec" in columns:
            degrees = survey.pixel_scale / 3600
            header["WCSAXES"] = 2
            header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
            header["CUNIT1"], header["CUNIT2"] = "deg", "deg"
            header["CRVAL1"], header["CRVAL2"] = float(columns["ra"][i]), float(columns["dec"][i])
            header["CRPIX1"], header["CRPIX2"] = (width + 1) / 2, (height + 1) / 2
            header["CD1_1"], header["CD1_2"] = -degrees, 0.0
            header["CD2_1"], header["CD2_2"] = 0.0, degrees
        made.append(fits.ImageHDU(np.moveaxis(stamp, -1, 0), header, name=str(own)))
    return fits.HDUList(made)
