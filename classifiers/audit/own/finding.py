"""The finder: what has to be known about it, and how it does on a few of the cutouts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from classifiers import finders
from classifiers.audit.choosing import NOTHING, TRAIN
from classifiers.audit.own.arguments import Arguments
from classifiers.audit.own.missing import Missing
from classifiers.audit.own.reading import Reading, number_of
from classifiers.finders import function
from classifiers.finders.description import Description, described
from classifiers.finders.loading import kind_of
from classifiers.finders.onnx_session import session
from classifiers.finders.outside import Raised
from data.survey import OF_A_RUN, Survey, write
from lensjax.errors import InputError
from lensjax.units import ZERO_POINT

FEWEST = 3
"""Lenses, and others, from which on it is asked whether lenses score higher."""
SURELY = 3.0
"""standard errors"""
ORDERS = {"nhwc": "nchw", "nchw": "nhwc", "": "nchw"}


@dataclass(frozen=True)
class Tried:
    """How the finder did. seconds: per stamp. auc: NaN where there are too few labels."""

    name: str
    seconds: float
    low: float
    high: float
    auc: float = float("nan")
    lenses: int = 0


def description_of(a: Arguments) -> tuple[Description | None, str, list[Missing]]:
    """What is said about the finder, its kind, and what of it cannot be used."""
    cure = "--finder my_finder:score, a file *.onnx, a folder of ours; docs/finders.md has them all"
    if not a.finder:
        why = "nothing says which finder is audited."
        return None, "", [Missing("finder", why, cure)]
    try:
        what, folder = described(a.finder)
        kind = kind_of(what, folder)
        if kind == "function":
            function.load(what.finder, folder)
    except InputError as error:
        return None, "", [Missing("finder", f"{error}.", cure)]
    return what, kind, []


def asked(a: Arguments, found: Reading) -> list[Missing]:
    """What has to be known about the finder and is not said."""
    what, kind, missing = description_of(a)
    if what is None:
        return [*missing, *_trained(a, Description(), "function", found)]
    if kind == "onnx":
        try:
            if session(described(a.finder)[1] / what.finder, what.tensor).described:
                return _trained(a, what, kind, found)
        except InputError as error:
            return [Missing("finder", f"{error}.", "another file"), *_trained(a, what, kind, found)]
    if kind in ("function", "onnx"):
        missing += _keys(what, kind, found)
    return [*missing, *_trained(a, what, kind, found)]


def _keys(what: Description, kind: str, found: Reading) -> list[Missing]:
    missing = []
    bands = found.survey.bands if found.survey else ()
    behind = "behind the finder's name"
    if not what.output:
        why = "a finder answers scores from 0 to 1, or logits, which are any numbers."
        cure = f"output=score or output=logit, {behind}"
        missing.append(Missing("scores or logits", why, cure, keys=("output=<score|logit>",)))
    if not what.layout and kind == "function":
        why = "the order of axes that it takes is not said."
        cure = (
            "layout=nhwc for (number, height, width, bands), as numpy and TensorFlow have it, or "
            f"layout=nchw for (number, bands, height, width), as PyTorch has it, {behind}"
        )
        missing.append(Missing("axes", why, cure, keys=("layout=<nhwc|nchw>",)))
    if not what.bands:
        own = ",".join(bands) or "g,r,z"
        why = "the bands that it was made for, in the order of its channels, are not said"
        why += f"; the cutouts come as {own}." if bands else "."
        cure = f"bands={own}, {behind}; a preprocess function can choose and reorder bands"
        missing.append(Missing("channels of the finder", why, cure, keys=(f"bands=<{own}>",)))
    point = found.survey.zero_point if found.survey else ZERO_POINT
    other = abs(point - ZERO_POINT) > 0.01
    if not what.preprocess and (other or kind == "onnx"):
        why = "it will get nanomaggies (zero point 22.5), with NaN where there is no data"
        why += f", and the files have zero point {point:g}." if other else "."
        cure = (
            "preprocess=none if that is what it wants, preprocess=module:function for a function "
            f"that makes of it what it wants, or one of ours (raw_robust), {behind}"
        )
        missing.append(
            Missing("units of the finder", why, cure, keys=("preprocess=<none|module:function>",))
        )
    labelled = [value for value in found.values("label") if value is not None]
    if not what.lens and sum(number_of(value) == 1.0 for value in labelled) < FEWEST:
        why = "there are too few labelled lenses to see whether lenses score high."
        cure = f"lens=high, or lens=low if its answer is that of being no lens, {behind}"
        missing.append(Missing("direction of the score", why, cure, keys=("lens=<high|low>",)))
    return missing


def _trained(a: Arguments, what: Description, kind: str, found: Reading) -> list[Missing]:
    said = a.trained_on or what.trained_on
    if said == TRAIN and found.columns and "split" not in found.names:
        why = "--trained-on train needs a column split in the table, and there is none."
        return [Missing("training", why, "--columns split=NAME, or --trained-on TABLE")]
    if said not in ("", TRAIN, NOTHING) and not Path(said).is_file():
        return [Missing("training", f"{said} is no file.", "--trained-on TABLE")]
    own = kind == "folder" and (Path(what.finder).parent / "manifest.parquet").is_file()
    if said or own:
        return []
    why = "nothing says what it was trained on. Such galaxies cannot be hosts."
    cure = (
        "--trained-on none (of these galaxies), --trained-on train (those with split = train in "
        "the table), or --trained-on TABLE with galaxy_id, ra and dec"
    )
    words = ("--trained-on", "<none|train|TABLE>")
    return [Missing("training", why, cure, words)]


def tried(
    a: Arguments,
    survey: Survey,
    stamps: Float[np.ndarray, "n h w c"],
    ids: Sequence[str],
    labels: Sequence[int | None],
) -> tuple[Tried | None, list[Missing]]:
    """The finder's answers for a few stamps in nanomaggies. labels: 1, 0 or None."""
    try:
        finder, score, seconds = _scores(a.finder, survey, stamps, ids)
    except InputError as error:
        cure = "mend the finder, or what is said of it behind its name (docs/finders.md)"
        if isinstance(error, Raised):
            cure = _hint(a.finder, survey, stamps, ids) or cure
        return None, [Missing("finder", f"{error}.", cure)]
    known = np.array([-1 if label is None else label for label in labels])
    auc, sigma, lenses = _auc(score[known == 1], score[known == 0])
    found = Tried(finder, seconds, float(score.min()), float(score.max()), auc, lenses)
    if not described(a.finder)[0].lens and (0.5 - auc) > SURELY * sigma:
        why = (
            f"{lenses} lenses score lower than {int((known == 0).sum())} other galaxies (area "
            f"under the ROC curve {auc:.2f}). Its answer may be that of being no lens."
        )
        cure = "lens=low to turn it round, or lens=high if it is as it should be, behind its name"
        return found, [Missing("direction of the score", why, cure, keys=("lens=<low|high>",))]
    return found, []


def _scores(
    text: str, survey: Survey, stamps: np.ndarray, ids: Sequence[str]
) -> tuple[str, np.ndarray, float]:
    """Name of the finder, its scores, and seconds per stamp, those of the first call apart."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / OF_A_RUN, survey)
        finder = finders.load(text, folder)
        finders.scored(finder, stamps, ids, batch=len(stamps))
        began = time.perf_counter()
        found = finders.scored(finder, stamps, ids, batch=len(stamps))
        return finder.name, found.score, (time.perf_counter() - began) / len(stamps)


def _hint(text: str, survey: Survey, stamps: np.ndarray, ids: Sequence[str]) -> str:
    """What to do about a finder that raises: the other order of axes if it answers with that."""
    what = described(text)[0]
    plain = text.replace(f" layout={what.layout}", "") if what.layout else text
    try:
        _scores(f"{plain} layout={ORDERS[what.layout]}", survey, stamps, ids)
    except InputError:
        return ""
    return f"layout={ORDERS[what.layout]}: with this order of axes it answers"


def _auc(lenses: np.ndarray, others: np.ndarray) -> tuple[float, float, int]:
    """Area under the ROC curve, its standard error for a finder that knows nothing (Mann & Whitney
    1947), and the number of lenses; NaN where there are too few."""
    n, m = len(lenses), len(others)
    if min(n, m) < FEWEST:
        return float("nan"), float("nan"), n
    above = (lenses[:, None] > others[None, :]).mean()
    same = (lenses[:, None] == others[None, :]).mean()
    return float(above + same / 2), float(np.sqrt((n + m + 1) / (12 * n * m))), n
