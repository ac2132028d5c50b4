"""What a person says about a finder: in one line, or in a small YAML file.

One line is the finder and, after blanks, what has to be known about it:

    --finder "resnet.onnx output=logit layout=nchw preprocess=raw_robust bands=g,r,z"

A file holds the same keys, and its paths start from its own folder:

    finder: resnet.onnx
    output: logit
    layout: nchw
    preprocess: raw_robust
    bands: [g, r, z]
    pixel_scale: 0.2

Nothing is guessed. What an ONNX file says about itself is compared with what is said here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from data.config import settings, validated
from lensjax import yamlfile
from lensjax.errors import InputError

SCORES = "scores:"
"""A finder that begins so is a folder for stamps that go out and scores that come back."""
FUNCTION = re.compile(r"(?P<module>[^:\s][^:]*):(?P<function>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)")
OPTION = re.compile(r"^(?P<rest>.*\S)\s+(?P<key>\w+)=(?P<value>\S*)\s*$", re.DOTALL)


@settings
class Description:
    """A finder and what has to be known about it. An empty text or a 0 means: not said."""

    finder: str = ""
    """a folder with classifier.json, a file *.onnx, a Python function `module:function` (or
    `file.py:function`), or `scores:FOLDER`; empty: the run's own classifier"""
    output: Literal["", "score", "logit"] = ""
    """what it answers: `score`, from 0 to 1, or `logit`, any number; a function answers scores
    unless something else is said"""
    preprocess: str = ""
    """what happens to stamps before it sees them: one of ours by name (`raw_robust`), a Python
    function (`module:function`, arrays (b, h, w, c) to arrays (b, h, w, c)), or `none`"""
    crop: Annotated[int, Field(ge=0)] = 0
    """side (pixels) of the central part that it sees; 0: what the named preprocessing says, or all
    of the stamp"""
    layout: Literal["", "nhwc", "nchw"] = ""
    """order of axes that it takes: channels last (ours, TensorFlow) or first (PyTorch)"""
    lens: Literal["", "high", "low"] = ""
    """at which end of its answers lenses are; `low` for the score of being no lens, which is turned
    round (1 minus a score, minus a logit); high unless something else is said"""
    tensor: str = ""
    """name of the answer, for an ONNX file with several outputs"""
    bands: tuple[str, ...] = ()
    """bands it was made for, in its order of channels; compared with the survey's"""
    pixel_scale: Annotated[float, Field(ge=0)] = 0.0
    """pixel scale it was made for, arcsec; compared with the survey's"""
    trained_on: str = ""
    """table of the objects it was trained on (galaxy_id, ra, dec), which are then no hosts"""


def described(text: str) -> tuple[Description, Path]:
    """What a line or the file that it names says, and the folder that relative paths start from.

    Raises InputError when the file is missing or not such a description, or for an unknown key.
    """
    text = text.strip()
    if text.lower().endswith((".yaml", ".yml")):
        path = Path(text)
        return validated(Description, _mapping(path), f"finder {path}"), path.parent
    values: dict[str, Any] = {}
    rest = text
    while (option := OPTION.match(rest)) and not Path(rest).exists():
        key = option["key"]
        values[key] = option["value"].split(",") if key == "bands" else option["value"]
        rest = option["rest"]
    return validated(Description, {**values, "finder": rest}, f"finder {text!r}"), Path()


def function_of(text: str) -> re.Match[str] | None:
    """Module and function of `module:function`; None when the text is something else."""
    return FUNCTION.fullmatch(text)


def _mapping(path: Path) -> dict[str, Any]:
    found = yamlfile.read(path, f"finder {path}")
    if not isinstance(found, dict) or "finder" not in found:
        raise InputError(
            f"finder {path}: expected keys such as `finder: model.onnx` and `output: logit`"
        )
    return found
