"""The table of candidates: what is known of every listed object, column by column.

It is an Arrow table whose fields have a unit and a description. Text in it is one line without
control characters; otherwise names are as they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from classifiers.scanning.probability import RANKED, Maps, ranked_logit
from classifiers.scanning.ranking import Ranked
from classifiers.scanning.settings import MEAN
from classifiers.selection import Answer
from data import lenses
from data.photometry import depth_m5, magnitude
from data.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = ("galaxy_id", "ra", "dec", "known_lens", "completeness")
"""Columns that stay in the list even where they have no value."""
CONTROL = r"[\x00-\x1f\x7f]+"
Column = tuple[Any, str, str]
"""(values, unit, description)"""


def table(
    rows: pa.Table,
    survey: Survey,
    ranked: Ranked,
    maps: Maps,
    prevalence: float | None,
    known: lenses.Lenses,
    radius: float,
    completeness: Answer | None,
    splits: Mapping[str, str],
) -> pa.Table:
    """The list. rows: what `ranking.best` returned. known: lenses; an object within `radius`
    (arcsec) of one is taken for it. completeness: expected under the conditions of every row.
    splits: name of an object to its split in the training of the run's finder."""
    number = lambda name: np.asarray(rows[name].to_numpy(), np.float64)
    r = survey.reference
    found: dict[str, Column] = {
        "rank": (rows["rank"], "", "place in the list, 1 for the best"),
        "galaxy_id": (rows["galaxy_id"], "", "name of the object"),
        "ra": (number("ra"), "deg", "right ascension (ICRS)"),
        "dec": (number("dec"), "deg", "declination (ICRS)"),
        **_scores(rows, ranked, maps, prevalence),
        **_known(number("ra"), number("dec"), known, radius),
        **_expected(completeness),
    }
    for band in survey.bands:
        mag = magnitude(number(f"flux_{band}"))
        mag = np.where(np.isfinite(mag), mag, np.nan)
        found[f"mag_{band}"] = (mag, "mag", f"AB magnitude in {band}, as seen through dust")
    m5 = depth_m5(number(f"psfdepth_{r}"))
    psf = number(f"psfsize_{r}")
    found[f"psf_fwhm_{r}"] = (psf, "arcsec", f"FWHM of the PSF in {r}")
    found[f"m5_{r}"] = (np.where(np.isfinite(m5), m5, np.nan), "mag", f"5-sigma depth in {r}")
    found["ebv"] = (number("ebv"), "mag", "E(B-V)")
    found["type"] = (rows["type"], "", "morphological type in the catalogue")
    found["brickname"] = (rows["brickname"], "", "brick of the object")
    found["split"] = (
        _split(rows, splits),
        "",
        "part that the object has in the training of the run's finder",
    )
    found["label"] = (rows["label"], "", "1 for a lens in that training's labels, 0 for others")
    found["viewer"] = (links(survey, number("ra"), number("dec")), "", "where to look at it")
    found["source"] = (rows["source"], "", "file that the row came from")
    found["row"] = (rows["row"], "", "its row or record in that file")
    return _arrow(found)


def _split(rows: pa.Table, splits: Mapping[str, str]) -> Any:
    """The split of every row: its own, else that of its name."""
    if not splits:
        return rows["split"]
    own, names = rows["split"].to_pylist(), rows["galaxy_id"].to_pylist()
    return [split or splits.get(name) for split, name in zip(own, names)]


def _scores(
    rows: pa.Table, ranked: Ranked, maps: Maps, prevalence: float | None
) -> dict[str, Column]:
    """Scores, probabilities, and how sure they are.

    The entropy of the probability says how little is known of an object. The part of it by which
    finders disagree is the Jensen-Shannon divergence (Lin 1991, IEEE Trans. Inf. Theory 37, 145,
    equation 5.1): the entropy of their mean probability minus the mean of their entropies.
    """
    names = [*ranked.finders]
    logits = {name: np.asarray(rows[f"logit_{name}"], np.float64) for name in names}
    what = "mean score of the finders" if ranked.by == MEAN else f"score of {ranked.by}"
    found: dict[str, Column] = {"score": (rows["score"], "", f"{what}, which ranks")}
    if RANKED in maps.maps:
        p = maps.probability(RANKED, ranked_logit([logits[name] for name in ranked.used]))
        found["probability"] = (p, "", "calibrated probability of a lens, as in the validation")
        if prevalence is not None:
            text = f"the same where a share of {prevalence:g} are lenses"
            found["probability_in_survey"] = (maps.in_survey(p, prevalence), "", text)
    sure = found.get("probability", found["score"])[0]
    found["entropy"] = (entropy(np.asarray(sure, np.float64)), "bit", "of that probability")
    if len(names) > 1:
        scores = np.stack([np.asarray(rows[f"score_{name}"], np.float64) for name in names])
        found["spread"] = (scores.std(0), "", "standard deviation of the finders' scores")
        known = [name for name in names if name in maps.maps]
        if len(known) == len(names):
            scores = np.stack([maps.probability(name, logits[name]) for name in names])
        text = "Jensen-Shannon divergence of the finders' probabilities"
        found["disagreement"] = (divergence(scores), "bit", text)
    for name in names if len(names) > 1 or ranked.by == MEAN else ():
        found[f"score_{name}"] = (rows[f"score_{name}"], "", f"score of {name}")
        if name in maps.maps:
            p = maps.probability(name, logits[name])
            found[f"probability_{name}"] = (p, "", f"calibrated probability of {name}")
    return found


def entropy(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Entropy (bit) of a lens with probability p: 1 at 0.5, 0 at 0 and 1."""
    from scipy.special import entr

    return (entr(p) + entr(1 - p)) / np.log(2)


def divergence(p: Float[np.ndarray, "k n"]) -> Float[np.ndarray, " n"]:
    """Jensen-Shannon divergence (bit) of k probabilities of a lens, equally weighted."""
    return np.maximum(entropy(p.mean(0)) - entropy(p).mean(0), 0.0)


def _known(
    ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"], known: lenses.Lenses, radius: float
) -> dict[str, Column]:
    if not len(known):
        return {}
    import pyarrow as pa

    index, apart = lenses.nearest_within(known, ra, dec, radius)
    within = index >= 0
    at = pa.array(index, mask=~within)
    name, grading = (
        pa.array(values.astype(object)).take(at) for values in (_named(known), known.grading)
    )
    text = f"within {radius:g} arcsec"
    return {
        "known_lens": (name, "", f"known lens {text}"),
        "known_grading": (grading, "", "its grading in the list"),
        "known_separation": (np.where(within, apart, np.nan), "arcsec", "its distance"),
    }


def _named(known: lenses.Lenses) -> np.ndarray:
    """Names of lenses; those without one are still lenses."""
    return np.where(known.name == "", "unnamed", known.name)


def _expected(answer: Answer | None) -> dict[str, Column]:
    if answer is None:
        return {}
    text = "completeness of the audit under the object's conditions"
    return {
        "completeness": (answer.value, "", text),
        "completeness_lo95": (answer.lower, "", "lower end of its 95 % interval"),
        "completeness_hi95": (answer.upper, "", "upper end of its 95 % interval"),
        "completeness_flag": (answer.flag, "", "what it rests on"),
    }


def links(
    survey: Survey, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
) -> Sequence[str | None]:
    """Addresses of the survey's viewer; None without one, or without a position."""
    if not survey.viewer:
        return [None] * len(ra)
    start, rest = survey.viewer.split("{ra}")
    middle, end = rest.split("{dec}")
    good = (np.isfinite(ra) & np.isfinite(dec)).tolist()
    return [
        f"{start}{a:.6f}{middle}{d:.6f}{end}" if ok else None
        for a, d, ok in zip(ra.tolist(), dec.tolist(), good)
    ]


def _arrow(found: Mapping[str, Column]) -> pa.Table:
    """The table; NaN and empty texts are null, and columns without any value are left out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays, fields = [], []
    for name, (values, unit, description) in found.items():
        if isinstance(values, np.ndarray) and values.dtype.kind == "U":
            values = values.astype(object)
        if not isinstance(values, pa.ChunkedArray | pa.Array):
            numbers = isinstance(values, np.ndarray) and values.dtype.kind == "f"
            kind = pa.float64() if numbers else pa.string()
            values = pa.array(values, kind, from_pandas=True)
        if pa.types.is_string(values.type):
            values = pc.utf8_trim_whitespace(pc.replace_substring_regex(values, CONTROL, " "))
            values = pc.if_else(pc.equal(values, ""), None, values)
        if values.null_count == len(values) and name not in KEPT:
            continue
        arrays.append(values)
        about = {"unit": unit, "description": description}
        fields.append(pa.field(name, values.type, metadata={k: v for k, v in about.items() if v}))
    return pa.table(arrays, schema=pa.schema(fields))
