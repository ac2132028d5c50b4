"""The verb `population`: how much of a population of lenses is found, from an injection set."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from data.verb import Verb
from lensjax.errors import InputError


@dataclass(frozen=True)
class Question:
    """How much of a population of lenses is found; see docs/populations.md."""

    injections: Annotated[Path, tyro.conf.arg(name="from")]
    """injection set of an audit, Parquet or HDF5"""
    prior: str = ""
    """the population as a prior: a preset or a YAML file"""
    lenses: str = ""
    """the population as a table of lenses, CSV or Parquet"""
    columns: tuple[str, ...] = ()
    """columns of that table that have other names than ours: theta_e=thetaE r_mag=mag"""
    weight: str = ""
    """column of that table to weight by"""
    threshold: str = "0.5"
    """a score, or the name of one of the set's thresholds"""
    finder: str = ""
    """name of one of several finders; the first without"""
    observed: int = 0
    """number of observed lenses that the answer is for"""
    number: float = 0.0
    """number of lenses in the population, for the detections to expect"""
    out: Path | None = None
    """JSON file to write the answer to"""


def work(argv: list[str]) -> int:
    """Prints the completeness, its interval and what carries it. Raises InputError as `reweight`
    does."""
    from classifiers.audit.injectionset import InjectionSet
    from classifiers.audit.population import reweight
    from data.files import write_json

    q = tyro.cli(Question, args=argv, prog="lensjax population", description=__doc__)
    if bool(q.prior) == bool(q.lenses):
        raise InputError("give the population as --prior or as --lenses, one of them")
    if q.lenses and Path(q.lenses).suffix not in (".csv", ".parquet"):
        raise InputError(f"--lenses {q.lenses}: a table of lenses ends in .csv or .parquet")
    found = reweight(
        InjectionSet.load(q.injections),
        q.prior or q.lenses,
        number_or_name(q.threshold),
        q.finder,
        observed=q.observed,
        columns=pairs(q.columns),
        weight=q.weight,
    )
    print(f"population: {found}")
    answer = asdict(found)
    if q.number:
        expected = found.expected(q.number)
        print(
            f"population: {expected.mean:.1f} detections among {q.number:g} lenses "
            f"({100 * found.level:g} %: {expected.low:.0f}-{expected.high:.0f})"
        )
        answer["expected"] = expected._asdict()
    if q.out is not None:
        write_json(q.out, answer)
    return 0


def number_or_name(text: str) -> float | str:
    """A number where the text is one, otherwise the text."""
    try:
        return float(text)
    except ValueError:
        return text


def pairs(words: tuple[str, ...]) -> dict[str, str]:
    """ours=theirs as a mapping. Raises InputError for a word without `=`."""
    if wrong := [word for word in words if not all(word.partition("="))]:
        raise InputError(f"--columns {wrong[0]}: write ours=theirs, for example theta_e=thetaE")
    return dict(word.split("=", 1) for word in words)


command: Verb[None] = Verb(
    name="population",
    summary="Re-weights an injection set to a population of lenses: how many of it are found.",
    work="classifiers.audit.population_verb:work",
)
