"""Features of stamps from any encoder: an ONNX file, a Python function, or a network of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from classifiers import frozen
from classifiers.finders import function
from classifiers.finders.description import Description
from classifiers.finders.loading import kind_of, layout_of, stated
from classifiers.finders.onnx_session import self_contained, session
from classifiers.finders.outside import SAME, Arrays, answered, arranged, preparation
from data.files import sha256
from data.survey import Survey
from lensjax.errors import InputError, some


@dataclass(frozen=True)
class Trunk:
    """run: stamps (b, h, w, c) in nanomaggies to features (b, f). network: where it is ours.
    info: what is known of it, with the SHA-256 of its file."""

    name: str
    run: Arrays
    info: dict[str, Any]
    network: frozen.Frozen | None = None

    def features(
        self,
        stamps: Float[np.ndarray, "n h w c"],
        ids: Sequence[Any] | np.ndarray,
        batch: int = 256,
    ) -> Float[np.ndarray, "n f"]:
        """Features of any number of stamps, float64.

        Raises InputError, naming stamps, when the trunk fails, answers with another shape than
        (b, f), with numbers that are not finite, or with other features when it is asked again.
        """
        names = [str(i) for i in ids]
        parts: list[np.ndarray] = []
        for start in range(0, len(stamps), batch):
            part = stamps[start : start + batch]
            found = self.answer(part, names[start : start + batch])
            if not parts and len(part):
                again = self.answer(part[::-1], names[: len(part)][::-1])
                self._same(found, again[::-1], names)
            elif parts and found.shape[1] != parts[0].shape[1]:
                raise InputError(
                    f"trunk {self.name}: {found.shape[1]} features after {parts[0].shape[1]}; "
                    "return the same number for every batch"
                )
            parts.append(found)
        if not parts:
            raise InputError(f"trunk {self.name}: there are no stamps")
        return np.concatenate(parts)

    def answer(self, stamps: np.ndarray, names: list[str]) -> Float[np.ndarray, "b f"]:
        """Features of one batch, float64. Raises InputError as `features` does, but for answers
        that change."""
        found = np.asarray(answered(self.run, stamps, names, f"trunk {self.name}"), np.float64)
        if found.ndim != 2 or len(found) != len(names) or not found.shape[1]:
            raise InputError(
                f"trunk {self.name}: answers with shape {found.shape} for {len(names)} stamps; "
                f"return features ({len(names)}, f)"
            )
        if (wrong := ~np.isfinite(found).all(axis=1)).any():
            raise InputError(
                f"trunk {self.name}: features that are not finite for "
                f"{some([names[i] for i in np.flatnonzero(wrong)])}; pixels without data are NaN: "
                "replace them, or set preprocess=raw_robust"
            )
        return found

    def _same(self, found: np.ndarray, again: np.ndarray, names: list[str]) -> None:
        agree = found.shape == again.shape
        apart = np.abs(again - found).max(axis=1) > SAME * np.abs(found).max() if agree else [True]
        if np.any(apart):
            raise InputError(
                f"trunk {self.name}: other features for the same stamps when it is asked again in "
                f"reversed order (first: {names[int(np.argmax(apart))]}); switch training mode and "
                "randomness off"
            )


def load(what: Description, folder: Path, out: Path, survey: Survey) -> Trunk:
    """The trunk that a description names; see `classifiers.finders.description`.

    Raises InputError as `finders.load` does, for `scores:FOLDER`, and for an `output`, which a
    trunk does not have.
    """
    if what.output:
        raise InputError(f"trunk {what.finder}: leave out output={what.output}; it gives features")
    kind = kind_of(what, folder)
    if kind == "scores":
        raise InputError(f"trunk {what.finder}: a table of scores has no features")
    if kind == "folder":
        return _network(folder / what.finder if what.finder else out / "training", survey)
    prepare, prepared = preparation(what.preprocess, what.crop, folder)
    info = {"trunk": what.finder, "kind": kind, **prepared, **stated(what, folder)}
    if kind == "onnx":
        path = folder / what.finder
        self_contained(path)
        opened = session(path, what.tensor)
        layout = layout_of(path, opened.shape, len(survey.bands), what.layout)
        return Trunk(
            path.name,
            arranged(opened.run, prepare, layout),
            {**info, "layout": layout, "sha256": sha256(path)},
        )
    source = function.source(what.finder, folder)
    digest = {} if source is None else {"sha256": sha256(source)}
    run = function.load(what.finder, folder)
    layout = what.layout or "nhwc"
    return Trunk(what.finder, arranged(run, prepare, layout), {**info, "layout": layout, **digest})


def _network(folder: Path, survey: Survey) -> Trunk:
    network = frozen.load(folder)
    if network.bands != len(survey.bands):
        raise InputError(
            f"trunk {folder}: takes {network.bands} bands, and survey {survey.name} has "
            f"{len(survey.bands)}"
        )
    digest = sha256(folder / frozen.NUMBERS)
    compiled: Callable[[Any], Any] = jax.jit(network.features)
    info = {"trunk": str(network.name), "kind": "network", "sha256": digest}
    if "manifest_sha256" in network.info:
        info["manifest_sha256"] = network.info["manifest_sha256"]
    return Trunk(network.name, compiled, info, network)
