"""What every source of stamps gives: parts, and the rows of a part in their order.

A part is what becomes one file of scores. A source is a small frozen object that can be sent to
another process; it opens nothing before it is asked for the rows of a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float32, Int

from data.survey import Survey


@dataclass(frozen=True)
class Part:
    """Rows that become one file. name: of the file, unique and safe (`data.names`). rows: how many
    there are. what: what the source needs to find them."""

    name: str
    rows: int
    what: Any


class Stamp(NamedTuple):
    """One row of the input. known: its columns (`columns`), those that are known. image: (side,
    side, bands) nanomaggies, None where it cannot be scored; reason: why."""

    known: dict[str, Any]
    image: Float32[np.ndarray, "s s b"] | None
    reason: str = ""


class Source(Protocol):
    """Where stamps come from."""

    @property
    def survey(self) -> Survey:
        """Whose bands and pixel scale the stamps have."""

    @property
    def side(self) -> int:
        """Side of the stamps, pixels."""

    def stamps(self, part: Part) -> Iterator[Stamp]:
        """The rows of a part, every one of them, in their order. Raises InputError for a file that
        cannot be read, unless its rows are to be refused instead."""


class Batch(NamedTuple):
    """Consecutive rows of a part. known, reason: of every row. images: of those with a stamp;
    place: their places among the rows."""

    known: list[dict[str, Any]]
    reason: list[str]
    images: Float32[np.ndarray, "n s s b"]
    place: Int[np.ndarray, " n"]


def batches(rows: Iterator[Stamp], side: int, bands: int, size: int) -> Iterator[Batch]:
    """The rows in batches of `size` stamps each, with the refused rows between them; the last one
    may be smaller. A run of refused rows ends a batch as well, so that none grows without
    bound."""
    known: list[dict[str, Any]] = []
    reason: list[str] = []
    place: list[int] = []
    images = np.empty((size, side, side, bands), np.float32)
    for row in rows:
        if row.image is not None:
            images[len(place)] = row.image
            place.append(len(known))
        known.append(row.known)
        reason.append(row.reason)
        if len(place) == size or len(known) >= 16 * size:
            yield Batch(known, reason, images[: len(place)], np.array(place, np.int64))
            known, reason, place = [], [], []
            images = np.empty_like(images)
    if known:
        yield Batch(known, reason, images[: len(place)], np.array(place, np.int64))


def columns(survey: Survey) -> dict[str, tuple[str, str]]:
    """Type and unit of what is known of a row, beside its scores; see docs/scanning.md."""
    r = survey.reference
    return {
        "source": ("string", ""),
        "row": ("int64", ""),
        "galaxy_id": ("string", ""),
        "ra": ("float64", "deg"),
        "dec": ("float64", "deg"),
        "brickname": ("string", ""),
        "type": ("string", ""),
        **{f"flux_{band}": ("float64", "nanomaggy") for band in survey.bands},
        f"psfsize_{r}": ("float64", "arcsec"),
        f"psfdepth_{r}": ("float64", "nanomaggy-2"),
        "ebv": ("float64", "mag"),
        "split": ("string", ""),
        "label": ("int64", ""),
    }


def schema(survey: Survey, finders: Sequence[str]) -> Any:
    """Arrow schema of a file of scores: `columns`, logit and score of every finder, and `refused`,
    the reason why a row has no score (null where it has)."""
    import pyarrow as pa

    kinds = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
    fields = [
        pa.field(name, kinds[kind], metadata={"unit": unit} if unit else None)
        for name, (kind, unit) in columns(survey).items()
    ]
    fields += [
        pa.field(f"{kind}_{f}", pa.float64()) for f in finders for kind in ("logit", "score")
    ]
    fields.append(pa.field("refused", pa.string()))
    return pa.schema(fields, metadata={"survey": survey.name, "finders": ",".join(finders)})
