"""The verb `candidates`: a scan's best objects, with everything that is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.evaluation import latex
from classifiers.scanning import conditions, formats, listing, probability, ranking, scan_verb
from classifiers.scanning.candidate_settings import CandidateSettings
from classifiers.scanning.settings import MEAN
from classifiers.selection import Answer
from classifiers.selection.tablefile import located
from data import lenses, record
from data.config import Invocation, external
from data.files import write_json
from data.survey import Survey, of_run
from data.verb import Done, Reads
from lensjax.errors import InputError

FOLDER, NAME, SUMMARY = "candidates", "candidates", "summary.json"


def reads(s: CandidateSettings, out: Path) -> Reads:
    """The scan; and the run's evaluation, audit and lens list, where there are some."""
    after = ["scan", *(n for n in ("evaluate", "audit") if record.read(out, n) is not None)]
    files = [external(path, key) for path, key in _given(s).items()]
    files += [path for path in (out / lenses.OF_A_RUN, out / "manifest.parquet") if path.is_file()]
    return Reads(after, files)


def _given(s: CandidateSettings) -> dict[str, str]:
    """Files that the settings name, with the name of the setting."""
    names = ("lenses", "validation", "completeness")
    return {getattr(s, n): f"candidates.{n}" for n in names if getattr(s, n)}


def work(call: Invocation[CandidateSettings]) -> Done:
    """The step `candidates`."""
    s, out = call.settings, call.out
    said, survey = scan_verb.summary(out), of_run(out)
    ranked = _ranked(s, said)
    rows = ranking.best(ranking.tables(out / scan_verb.FOLDER), ranked, s.number, s.minimum)
    maps = _maps(s, out, ranked, said["finders"])
    known, refused = _lenses(s, out)
    answer, about = _completeness(s, out, survey, rows)
    table = listing.table(
        rows,
        survey,
        ranked,
        maps,
        s.prevalence,
        known,
        s.radius,
        answer,
        _splits(out),
    )
    found: dict[str, Any] = {
        "survey": survey.name,
        "rows": len(table),
        "of": said["scored"],
        "ranked_by": ranked.by,
        "finders": said["finders"],
        "probability": {**_below(maps.about, out), "none": dict(maps.why)},
        "prevalence": s.prevalence,
        "expected_in_scan": _expected(s, out, ranked, maps),
        "known_lenses": {
            "listed": len(known),
            "refused_lines": [[line, why] for line, why in refused],
            "radius_arcsec": s.radius,
            "matched": len(table) - _column(table, "known_lens").null_count,
        },
        "completeness": _below(about, out),
    }
    formats.write(table, found, out / FOLDER, NAME, s.formats)
    write_json(out / FOLDER / SUMMARY, found)
    papers = latex.write({NAME: table.slice(0, latex.LONGEST).to_pandas()}, out / FOLDER)
    names = [f"{FOLDER}/{name}" for name in (SUMMARY, *(f"{NAME}.{k}" for k in s.formats))]
    names += [f"{FOLDER}/{latex.FOLDER}/{path.name}" for path in papers]
    return Done(names, {"rows": len(table)}, list(_lines(found, out)))


def _lines(found: Mapping[str, Any], out: Path) -> list[str]:
    """What is printed."""
    lens = found["known_lenses"]
    lines = [f"{found['rows']} of {found['of']} objects, ranked by {found['ranked_by']}"]
    none: dict[str, list[str]] = {}
    for name, why in found["probability"]["none"].items():
        none.setdefault(why, []).append(name or "the score that ranks")
    lines += [f"no probability of {', '.join(names)}: {why}" for why, names in none.items()]
    if (sums := found["expected_in_scan"]) is not None and _contradict(sums):
        lines.append(
            f"probability_in_survey adds up to {sums['lenses']:.3g} lenses among the "
            f"{sums['objects']} objects of the scan, where the prevalence gives "
            f"{sums['by_prevalence']:.3g}: either another share of them are lenses, or the "
            "validation objects are not like them (other magnitudes or types, say). Until it is "
            "mended (prevalence, validation), its sums are no numbers of lenses"
        )
    if lens["listed"]:
        near = f"{lens['matched']} within {lens['radius_arcsec']:g} arcsec"
        lines.append(f"{near} of {lens['listed']} known lenses")
    else:
        lines.append("no list of known lenses; set candidates.lenses")
    if bad := lens["refused_lines"]:
        lines.append(f"{len(bad)} lines of the lens list refused, line {bad[0][0]}: {bad[0][1]}")
    if "why" in found["completeness"]:
        lines.append(f"no completeness: {found['completeness']['why']}")
    return [*lines, str(out / FOLDER)]


LIKE = 2.0
"""Factor by which the number of lenses that the probabilities add up to may differ from the one
that the prevalence gives."""


def _expected(
    s: CandidateSettings, out: Path, ranked: ranking.Ranked, maps: probability.Maps
) -> dict[str, Any] | None:
    """How many lenses the probabilities in the survey add up to, beside what the prevalence says;
    None where there are no such probabilities."""
    if s.prevalence is None or probability.RANKED not in maps.maps:
        return None
    parts = ranking.tables(out / scan_verb.FOLDER)
    total, n = probability.expected(parts, ranked, maps, s.prevalence)
    return {"lenses": total, "objects": n, "by_prevalence": s.prevalence * n}


def _contradict(sums: Mapping[str, float]) -> bool:
    wanted = sums["by_prevalence"]
    return not wanted / LIKE <= sums["lenses"] <= wanted * LIKE


def _ranked(s: CandidateSettings, said: Mapping[str, Any]) -> ranking.Ranked:
    names = [*said["finders"]]
    by = s.rank or said["ranked_by"]
    if by not in (*names, MEAN):
        raise InputError(f"candidates.rank {by!r}: expected {', '.join(names)} or {MEAN}")
    return ranking.Ranked(names, by)


def _maps(
    s: CandidateSettings, out: Path, ranked: ranking.Ranked, named: Mapping[str, Any]
) -> probability.Maps:
    if not s.calibrate:
        if s.prevalence is not None:
            raise InputError("candidates.prevalence needs probabilities; set candidates.calibrate")
        return probability.Maps({}, 0.0, {}, {"method": "none"})
    if s.validation:
        path = external(s.validation, "candidates.validation")
        sample = probability.of_table(path, [*named])
    else:
        sample = probability.of_evaluation(out, named)
    return probability.fitted(sample, ranked, s.calibrate, s.fitted_to)


def _lenses(s: CandidateSettings, out: Path) -> tuple[lenses.Lenses, list[tuple[int, str]]]:
    own = out / lenses.OF_A_RUN
    if s.lenses:
        return lenses.read(external(s.lenses, "candidates.lenses"))
    return lenses.read(own) if own.is_file() else (lenses.joined([]), [])


def _completeness(
    s: CandidateSettings, out: Path, survey: Survey, rows: Any
) -> tuple[Answer | None, dict[str, Any]]:
    """What is expected of every row, and what is said of it; or why nothing is."""
    path = external(s.completeness, "candidates.completeness") if s.completeness else out
    try:
        located(path)
    except InputError:
        if s.completeness:
            raise
        return None, {"why": "the run has no audit; set candidates.completeness"}
    r = survey.reference
    names = (f"psfsize_{r}", f"psfdepth_{r}", "ebv")
    columns = {name: np.asarray(rows[name].to_numpy(), np.float64) for name in names}
    of = conditions.function(path, s.threshold)
    return conditions.expected(of, conditions.known(survey, columns))


def _below(about: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """The same with paths below the run relative to it, so that a moved run has the same bytes."""
    inside = f"{out}/"
    return {
        key: value.removeprefix(inside) if isinstance(value, str) else value
        for key, value in about.items()
    }


def _splits(out: Path) -> dict[str, str]:
    """Split of every object of the run's manifest."""
    import pyarrow.parquet as pq

    path = out / "manifest.parquet"
    if not path.is_file():
        return {}
    table = pq.read_table(path, columns=["galaxy_id", "split"], partitioning=None)
    return dict(zip(table["galaxy_id"].to_pylist(), table["split"].to_pylist()))


def _column(table: Any, name: str) -> Any:
    """A column of the list; of nulls where it has none."""
    import pyarrow as pa

    return table[name] if name in table.column_names else pa.nulls(len(table))
