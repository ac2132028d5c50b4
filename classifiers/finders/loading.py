"""From what a person says to a finder: one function for all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from classifiers.finders import function
from classifiers.finders.description import SCORES, Description, described, function_of
from classifiers.finders.interface import Finder, Output
from classifiers.finders.onnx_session import session
from classifiers.finders.outside import Arrays, Outside, ours, preparation
from classifiers.finders.scorefile import ScoreFile
from data.config import validated
from data.files import sha256
from data.preprocess import Preprocess
from data.survey import Survey, of_run
from lensjax.errors import InputError

TRAINING = "training"
"""Folder of a run that holds its own classifier."""
SCALES_AGREE = 0.01
"""relative difference of pixel scales that counts as none"""
KINDS = "a folder with classifier.json, a file *.onnx or *.yaml, module:function, or scores:FOLDER"


def load(text: str, out: str | Path) -> Finder:
    """The finder that a line describes, or the run's own when the line is empty.

    text: see `description`. out: the run directory, whose survey the finder has to fit.
    Raises InputError when there is no such finder, when something that must be known about it is
    not said or contradicts what its file says, and when its bands or pixel scale are not the
    survey's.
    """
    what, folder = described(text)
    survey = of_run(out)
    found = _load(what, folder, Path(out), survey)
    _compare(found.name, found.info, survey)
    return found


def files(text: str, out: str | Path) -> list[Path]:
    """Files that a finder is made of, apart from the run's own: a step that used it has to be done
    again when one of them changes."""
    what, folder = described(text)
    own = text.strip().lower().endswith((".yaml", ".yml"))
    return [*([Path(text.strip())] if own else []), *_files(what, folder)]


def _files(what: Description, folder: Path) -> list[Path]:
    from classifiers import frozen
    from classifiers.finders import head

    kind = kind_of(what, folder)
    found: list[Path | None] = []
    if kind == "folder" and what.finder:
        own = folder / what.finder
        if (own / head.HEAD).is_file():
            trunk, home, _, _ = head.read(own)
            found += [own / head.HEAD, *_files(trunk, home)]
        else:
            found += [own / name for name in (frozen.DESCRIPTION, frozen.NUMBERS)]
    elif kind == "onnx":
        found.append(folder / what.finder)
    elif kind == "function":
        found.append(function.source(what.finder, folder))
    if ":" in what.preprocess:
        found.append(function.source(what.preprocess, folder))
    if what.trained_on:
        found.append(folder / what.trained_on)
    return [path for path in found if path is not None]


def kind_of(what: Description, folder: Path) -> Literal["folder", "onnx", "function", "scores"]:
    """What a description names. Raises InputError when it is none of these."""
    text = what.finder
    if not text or (folder / text).is_dir():
        return "folder"
    if text.startswith(SCORES):
        return "scores"
    if text.lower().endswith(".onnx"):
        return "onnx"
    if function_of(text):
        return "function"
    if "/" in text or (folder / text).exists():
        return "folder"  # whose absence or damage it reports itself
    raise InputError(f"finder {text!r}: expected {KINDS}")


def _load(what: Description, folder: Path, out: Path, survey: Survey) -> Finder:
    kind = kind_of(what, folder)
    if kind in ("folder", "scores"):
        _nothing_said(
            what,
            "a folder says itself what it is"
            if kind == "folder"
            else "a score file has a column score or logit",
        )
    if kind == "folder":
        from classifiers import frozen
        from classifiers.finders import head

        if what.finder and (folder / what.finder / head.HEAD).is_file():
            return head.load(folder / what.finder, out, survey)
        found = frozen.load(folder / what.finder if what.finder else out / TRAINING)
        if found.bands != len(survey.bands):
            raise InputError(
                f"finder {what.finder or TRAINING}: takes {found.bands} bands, and survey "
                f"{survey.name} has {len(survey.bands)}; use a finder for these"
            )
        _compare(what.finder or TRAINING, stated(what, folder), survey)
        return found
    if kind == "scores":
        return ScoreFile(folder / what.finder.removeprefix(SCORES), stated(what, folder))
    return _onnx(what, folder, survey) if kind == "onnx" else _function(what, folder)


def _function(what: Description, folder: Path) -> Finder:
    run = function.load(what.finder, folder)
    prepare, prepared = preparation(what.preprocess, what.crop, folder)
    source = function.source(what.finder, folder)
    info = {"model": what.finder, "kind": "function", **prepared, **stated(what, folder)}
    if source is not None:
        info["source_sha256"] = sha256(source)
    output: Output = what.output or "score"
    info |= {"lens": what.lens} if what.lens == "low" else {}
    layout = what.layout or "nhwc"
    return Outside(what.finder, run, output, prepare, layout, info, what.lens or "high")


def _onnx(what: Description, folder: Path, survey: Survey) -> Finder:
    path = folder / what.finder
    opened = session(path, what.tensor)
    layout = layout_of(path, opened.shape, len(survey.bands), what.layout)
    if opened.described:
        _nothing_said(what, f"{path} says itself what it is")
        settings = validated(Preprocess, opened.described["preprocess"], f"finder {path}")
        output: Output = "logit"
        prepare: Arrays | None = ours(settings)
        prepared: dict[str, Any] = {"crop": settings.crop}
    else:
        for key, choices in (("output", "score or logit"), ("preprocess", "raw_robust or none")):
            if not getattr(what, key):
                raise InputError(
                    f"finder {path}: the file does not say its {key}; say {key}=..., {choices}"
                )
        output = "logit" if what.output == "logit" else "score"
        prepare, prepared = preparation(what.preprocess, what.crop, folder)
    if ":" not in what.preprocess:
        _sides(path, opened.shape, layout, int(prepared["crop"]) or survey.stamp)
    info = {**opened.described, "model": path.name, "kind": "onnx", "sha256": sha256(path)}
    info |= {**prepared, **stated(what, folder)}
    info |= {"lens": what.lens} if what.lens == "low" else {}
    return Outside(path.name, opened.run, output, prepare, layout, info, what.lens or "high")


def layout_of(
    path: Path, shape: tuple[int | None, ...], bands: int, said: str
) -> Literal["nhwc", "nchw"]:
    """The layout that the shape of the input tells, or what is said where it tells nothing."""
    fits = [name for name, axis in (("nchw", 1), ("nhwc", 3)) if shape[axis] in (None, bands)]
    shown = ", ".join("any" if n is None else str(n) for n in shape)
    if not fits:
        raise InputError(
            f"finder {path}: takes images of shape ({shown}), and the survey has {bands} bands; "
            "give a finder for these bands"
        )
    if said and said not in fits:
        raise InputError(
            f"finder {path}: layout={said} contradicts its input of shape ({shown}); leave it out"
        )
    if not said and len(fits) > 1:
        raise InputError(
            f"finder {path}: its input of shape ({shown}) does not tell the order of axes; say "
            "layout=nchw (channels first, as PyTorch) or layout=nhwc"
        )
    return "nchw" if (said or fits[0]) == "nchw" else "nhwc"


def _sides(path: Path, shape: tuple[int | None, ...], layout: str, side: int) -> None:
    takes = shape[2:] if layout == "nchw" else shape[1:3]
    if any(n not in (None, side) for n in takes):
        wanted = " x ".join("any" if n is None else str(n) for n in takes)
        raise InputError(
            f"finder {path}: takes {wanted} pixels, and stamps come with {side} x {side}; set crop "
            "to its side, or give a preprocess function that resizes"
        )


def stated(what: Description, folder: Path) -> dict[str, Any]:
    """What is said about a finder besides how it is called, as JSON values."""
    found: dict[str, Any] = {}
    if what.bands:
        found["bands"] = list(what.bands)
    if what.pixel_scale:
        found["pixel_scale"] = what.pixel_scale
    if what.trained_on:
        found["trained_on"] = str(folder / what.trained_on)
    return found


def _nothing_said(what: Description, why: str) -> None:
    for key in ("output", "preprocess", "crop", "layout", "lens", "tensor"):
        if value := getattr(what, key):
            raise InputError(f"finder {what.finder}: leave out {key}={value}; {why}")


def _compare(name: str, info: dict[str, Any], survey: Survey) -> None:
    """Refuses a finder that says other bands or another pixel scale than the survey's."""
    bands, scale = info.get("bands"), info.get("pixel_scale")
    if bands is not None and list(bands) != list(survey.bands):
        raise InputError(
            f"finder {name}: made for the bands {', '.join(bands)}, and survey {survey.name} has "
            f"{', '.join(survey.bands)}; use a finder for these, or a preprocess function that "
            "chooses bands"
        )
    if scale and abs(scale / survey.pixel_scale - 1) > SCALES_AGREE:
        raise InputError(
            f'finder {name}: made for pixels of {scale:g}", and survey {survey.name} has '
            f'{survey.pixel_scale:g}"; use a finder for these, or a preprocess function that '
            "resizes"
        )
