"""A finder that lives outside JAX: a function from arrays to scores, and what surrounds it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float

from classifiers.finders import function
from classifiers.finders.interface import Output, Scores
from data import preprocess
from lensjax.errors import InputError, some
from lensjax.siblings import HOUSE

Arrays = Callable[[Any], Any]
SAME = 1e-3
"""How far (of the largest) answers for a stamp may differ when its batch comes in another order."""


class Outside:
    """A function that scores arrays, as a `Finder`.

    run: the function; it gets arrays (b, h, w, c), or (b, c, h, w) where `layout` is "nchw", and
    answers with b numbers.
    output: whether these are scores (0 to 1) or logits.
    prepare: from stamps in nanomaggies to what the function gets, channels last; None: nothing.
    lens: at which end of its answers lenses are; answers are turned round where it is "low".
    """

    differentiable = False

    def __init__(
        self,
        name: str,
        run: Arrays,
        output: Output,
        prepare: Arrays | None = None,
        layout: Literal["nhwc", "nchw"] = "nhwc",
        info: Mapping[str, Any] | None = None,
        lens: Literal["high", "low"] = "high",
    ):
        self.name, self.output, self.lens = name, output, lens
        self.info: dict[str, Any] = {**(info or {}), "output": output, "layout": layout}
        self._run = arranged(run, prepare, layout)
        self._order_checked = False

    def logits(self, stamps: Float[np.ndarray, "b h w c"]) -> Float[np.ndarray, " b"]:
        """Logits (b,) of stamps in nanomaggies, float64; see `scores` for what is refused."""
        return self.scores(stamps).logit

    def scores(
        self, stamps: Float[np.ndarray, "b h w c"], ids: Sequence[Any] | None = None
    ) -> Scores:
        """What the function says of these stamps.

        ids: names of the stamps, for messages. Raises InputError, naming stamps, when the function
        raises, answers with another number of values, with NaN, with a score outside 0 to 1, or
        with other values for the same stamps when these come in another order.
        """
        names = [str(i) for i in (range(len(stamps)) if ids is None else ids)]
        found = self._once(stamps, names)
        if not self._order_checked and len(stamps) > 1:
            again = self._once(stamps[::-1], names[::-1])[::-1]
            with np.errstate(invalid="ignore"):
                apart = np.abs(again - found) > SAME * np.abs(found).max()
            if np.any(apart):
                raise InputError(
                    f"finder {self.name}: other scores for the same stamps when their order is "
                    f"reversed (first: {names[int(np.argmax(apart))]}); return one score for each "
                    "stamp in the order given, and switch training mode and randomness off"
                )
            self._order_checked = True
        return Scores.of(found, self.output)

    def _once(self, stamps: np.ndarray, names: list[str]) -> Float[np.ndarray, " b"]:
        values = answered(self._run, stamps, names, f"finder {self.name}")
        found = checked(values, names, self.name, self.output)
        if self.lens == "low":
            found = 1 - found if self.output == "score" else -found
        return found


def arranged(run: Arrays, prepare: Arrays | None, layout: str) -> Arrays:
    """`run` as a function of stamps (b, h, w, c) in nanomaggies: what happens before it, and the
    order of axes that it wants."""
    if prepare is None and layout == "nhwc":
        return run

    def of_stamps(stamps: np.ndarray) -> Any:
        found = stamps if prepare is None else prepare(stamps)
        if layout == "nchw":
            found = np.ascontiguousarray(np.moveaxis(np.asarray(found), -1, 1))
        return run(found)

    return of_stamps


def answered(run: Arrays, stamps: np.ndarray, names: list[str], who: str) -> Any:
    """What a user's function says of stamps, of which it gets a copy that it may write to. Raises
    InputError, naming stamps, when it raises."""
    try:
        return run(np.array(stamps, np.float32, order="C"))
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # whatever code of a user can raise
        said = " ".join(str(error).split())[:300]
        raise Raised(
            f"{who}: raised {type(error).__name__}: {said}{_line(error)}; on {some(names)}; mend "
            "it and run again"
        ) from error


class Raised(InputError):
    """A user's function has raised; other troubles with its answers are plain InputErrors."""


def _line(error: BaseException) -> str:
    """Where in the user's own files an error came from, "" where that is not known."""
    ours = [str(HOUSE / name) for name in ("classifiers", "data", "lensjax", "spark")]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*ours, "<")) and "site-packages" not in frame.filename
    ]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def checked(values: Any, names: list[str], name: str, output: Output) -> Float[np.ndarray, " b"]:
    """A finder's answers as float64 (b,), if they can be right.

    Raises InputError when they are not one number for each of the stamps `names`, when one is NaN,
    and when one that should be a score lies outside 0 to 1.
    """
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"finder {name}: answers with {type(values).__name__}, which is no array of numbers "
            f"({' '.join(str(error).split())[:120]}); return scores as an array (b,)"
        ) from None
    if found.shape not in ((len(names),), (len(names), 1)):
        raise InputError(
            f"finder {name}: answers with shape {found.shape} for {len(names)} stamps; return one "
            f"number for each, ({len(names)},)"
        )
    found = found.reshape(len(names))
    if (wrong := np.isnan(found)).any():
        raise InputError(
            f"finder {name}: NaN for {some(_where(names, wrong))}; pixels without data are NaN: "
            "replace them, or set preprocess=raw_robust"
        )
    if output == "score" and (wrong := (found < 0) | (found > 1)).any():
        raise InputError(
            f"finder {name}: {found[wrong][0]:.6g} is not a score from 0 to 1, for "
            f"{some(_where(names, wrong))}; if these are logits, set output=logit"
        )
    return found


def _where(names: list[str], wrong: np.ndarray) -> list[str]:
    return [names[i] for i in np.flatnonzero(wrong)]


def ours(settings: preprocess.Preprocess) -> Arrays:
    """Our preprocessing as a function from numpy to numpy, compiled for the largest batch so far: a
    smaller one is filled up."""
    compiled = jax.jit(lambda stamps: preprocess.raw_robust(stamps, settings))
    largest = 0

    def run(stamps: np.ndarray) -> np.ndarray:
        nonlocal largest
        largest = max(largest, len(stamps))
        full = np.pad(stamps, [(0, largest - len(stamps))] + [(0, 0)] * 3)
        return np.asarray(compiled(full))[: len(stamps)]

    return run


def preparation(text: str, crop: int, folder: Path) -> tuple[Arrays | None, dict[str, Any]]:
    """What happens to stamps before a finder sees them, and the same as JSON values.

    text: one of ours by name, `module:function`, "none" or empty. crop: side (pixels) of the
    central part that is used, 0 for what the named preprocessing says, else for all of the stamp.
    Raises InputError for an unknown name and, when used, for stamps smaller than the crop.
    """
    if text in preprocess.PRESETS:
        p = preprocess.preset(text)
        p = replace(p, crop=crop) if crop else p
        return ours(p), {"preprocess": text, "crop": p.crop}
    central: Arrays = lambda stamps: preprocess.cropped(stamps, crop) if crop else stamps
    if text in ("", "none"):
        return central if crop else None, {"preprocess": "none", "crop": crop}
    if ":" not in text:
        known = ", ".join(preprocess.PRESETS)
        raise InputError(
            f"preprocess={text}: neither one of {known}, nor module:function, nor none"
        )
    theirs = function.load(text, folder)
    return lambda stamps: theirs(central(stamps)), {"preprocess": text, "crop": crop}
