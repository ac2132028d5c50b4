"""`lensjax audit --cutouts`: asks for what is missing, or does the steps of the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from classifiers import chain
from classifiers.audit.own import finding, plan, reading
from classifiers.audit.own.arguments import Arguments, again, parsed
from classifiers.audit.own.missing import Missing, in_words
from classifiers.audit.own.plan import Sample
from classifiers.audit.own.reading import Reading
from data.files import replacing
from data.folder import read_table
from data.stampfile import read_pixels
from data.survey import DEFINITION, Survey, plain
from lensjax.errors import InputError
from lensjax.units import ZERO_POINT

CONFIG = "own.yaml"
"""File of the run directory with the configuration of the run."""
OF_EACH = 32
"""Lenses, and others, that are looked at before the run."""
PLAUSIBLE = (8.0, 30.0)
"""AB magnitudes that the median galaxy of somebody's cutouts may have."""


def work(argv: Sequence[str]) -> int:
    """The verb with flag --cutouts. Returns 0 when the report is there or the plan was asked for,
    2 when something is missing, which is then printed."""
    a = parsed(argv)
    found, missing = reading.read(a)
    missing += finding.asked(a, found)
    if missing or found.survey is None:
        return _ask(argv, a, missing)
    survey = found.survey
    sample, stamps, missing = looked_at(found, survey)
    if missing:
        return _ask(argv, a, missing)
    tried = None
    if not a.finder.startswith("scores:"):
        ids, labels = list(stamps), [stamps[i][1] for i in stamps]
        pixels = np.stack([stamps[i][0] for i in stamps])
        tried, missing = finding.tried(a, survey, pixels, ids, labels)
    if missing:
        return _ask(argv, a, missing)
    print(f"audit of {a.finder}\n" + plan.in_words(a, found, survey, sample, tried), flush=True)
    if a.dry_run:
        return 0
    written(a.out / DEFINITION, plain(survey))
    config = plan.configuration(a, found, sample, a.out / DEFINITION)
    written(a.out / CONFIG, config)
    more = [*(["--force"] if a.force else []), *(["--set", *a.set] if a.set else [])]
    return chain.work([str(a.out / CONFIG), "--out", str(a.out), *more])


def looked_at(
    found: Reading, survey: Survey
) -> tuple[Sample, dict[str, tuple[np.ndarray, int | None]], list[Missing]]:
    """The rows of the table, and pixels in nanomaggies and label of a few of the objects by id.

    Missing are rows and pixels where none can be used, and units that make no galaxy."""
    try:
        rows, refused = read_table(found.folder, found.settings, survey)
    except InputError as error:
        return Sample((), ()), {}, [Missing("table", f"{error}.", "--columns OURS=THEIRS")]
    if not rows:
        why = f"no row of {found.settings.table} can be used: row {refused[0][1]}: {refused[0][2]}."
        return Sample((), refused), {}, [Missing("table", why, "mend the table, or --columns")]
    stamps: dict[str, tuple[np.ndarray, int | None]] = {}
    unread = []
    chosen = [
        *few([r for r in rows if r["label"] == 1]),
        *few([r for r in rows if r["label"] != 1]),
    ]
    for row in chosen:
        try:
            pixels, *_ = read_pixels(found.folder, row, found.settings, survey, survey.stamp)
            stamps[row["galaxy_id"]] = pixels, row["label"]
        except InputError as error:
            unread.append(str(error))
    if not stamps:
        why = f"none of {len(chosen)} cutouts that were looked at can be used. {unread[0]}."
        cure = "mend the files, or what is said of them (--bands, --pixel-scale, --zero-point)"
        return Sample(rows, refused), {}, [Missing("pixels", why, cure)]
    magnitude = brightness(np.stack([pixels for pixels, _ in stamps.values()]), survey)
    sample = Sample(rows, refused, unread, magnitude, len(chosen))
    if not PLAUSIBLE[0] <= magnitude <= PLAUSIBLE[1] and np.isfinite(magnitude):
        why = (
            f"with zero point {survey.zero_point:g} the median galaxy has magnitude "
            f"{magnitude:.1f} in {survey.reference}, which is none of a galaxy."
        )
        cure = "--zero-point, the AB magnitude of one unit of the cutouts"
        return sample, {}, [Missing("zero point", why, cure, ("--zero-point", "<MAGNITUDE>"))]
    return sample, stamps, []


def few(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most `OF_EACH` of the rows, evenly spread."""
    places = np.linspace(0, len(rows) - 1, min(OF_EACH, len(rows))).round().astype(int)
    return [rows[i] for i in places]


def brightness(stamps: np.ndarray, survey: Survey) -> float:
    """Median AB magnitude in the reference band within a quarter of the side of the middle; NaN
    where more than half have no light there. stamps: nanomaggies (n, h, w, c)."""
    image, side = stamps[..., survey.place], stamps.shape[1]
    part = slice(side // 2 - side // 4, side // 2 + side // 4 + 1)
    sky = np.nanmedian(image, axis=(1, 2), keepdims=True)
    flux = float(np.median(np.nansum((image - sky)[:, part, part], axis=(1, 2))))
    return ZERO_POINT - 2.5 * float(np.log10(flux)) if flux > 0 else float("nan")


def written(path: Path, values: dict[str, Any]) -> None:
    """Writes YAML unless the file has it already, so that steps which read it stay up to date."""
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _ask(argv: Sequence[str], a: Arguments, missing: Sequence[Missing]) -> int:
    keys = [key for one in missing for key in one.keys]
    words = [word for one in missing for word in one.words]
    command = ""
    if keys or words:
        command = again(argv, " ".join([a.finder or "<my_finder:score>", *keys]), words)
    print(in_words(missing, command))
    return 2
