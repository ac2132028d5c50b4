"""Model cards: what goes into a classifier, what comes out, where it was trained, what it is not
for. One is written beside every checkpoint and every head, and by `weights export`."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.files import replacing

if TYPE_CHECKING:
    from classifiers.frozen import Frozen
    from data.preprocess import Preprocess
    from data.survey import Survey

FILE = "README.md"
OWN, TORCH = "own", "torch"
"""Whose names and layout the weights beside a card have."""
WEIGHTS = {
    OWN: "`classifier.safetensors`, described by `classifier.json`; `classifiers.frozen.load` "
    "reads\n  both, and `lensjax weights export` writes torch's names and layout",
    TORCH: "`model.safetensors`, names and layout of torch (torchvision's for resnet18 and\n  "
    "efficientnet_v2_s)",
}
FRONT = """---
license: mit
library_name: lensjax
tags: [astronomy, strong-lensing, image-classification]
---

"""


def about(survey: Survey) -> dict[str, Any]:
    """What a classifier notes of the survey that it was trained on, as JSON values."""
    return {
        "name": survey.name,
        "title": survey.title,
        "bands": list(survey.bands),
        "pixel_scale": survey.pixel_scale,
    }


def write(folder: Path, text: str) -> Path:
    """Writes a card into a folder."""
    with replacing(Path(folder) / FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(folder) / FILE


def of_network(source: Frozen, weights: str = OWN) -> str:
    """The card of a network of ours. weights: OWN or TORCH."""
    info, p = source.info, source.preprocess
    side = p.said["crop"] or "side"
    auc = info.get("val_auc")
    return f"""{FRONT}# {info["model"]}: strong gravitational lenses in {_images(info)}

- **Survey**: {_survey(info, source.bands)}.
- **Input**: (B, {source.bands}, {side}, {side}) float32 after `raw_robust`
  ({json.dumps(p.said)}): per band, minus the median and divided by the
  median absolute deviation of an annulus, clipped.{_masked(p)}
- **Output**: one logit; its sigmoid is the score.
- **Weights**: {WEIGHTS[weights]}.
- **Training**: {_training(info)}, epoch {_or_none(info.get("epoch"))}, validation AUC
  {"none" if auc is None else f"{auc:.4f}"}.{_shuffled(info)}
{_not_for(info)}"""


def of_head(info: Mapping[str, Any]) -> str:
    """The card of a head on a frozen trunk. info: what the head notes."""
    trunk, kind = info["trunk"], {"logistic": "logistic regression", "mlp": "one hidden layer"}
    digest = trunk.get("sha256")
    return f"""{FRONT}# {_text(info["model"])}: strong gravitational lenses in {_images(info)}

- **Survey**: {_survey(info, None)}.
- **Trunk**: {_text(trunk["trunk"])}, SHA-256 {_or_none(digest)}; it is not changed by the training.
- **Input**: {info["features"]} features of the trunk, minus their mean and divided by their
  scatter.
- **Output**: one logit ({kind[info["head"]]}), calibrated (Platt) on the validation split.
- **Weights**: `head.json`; `trained_on.csv` lists the objects of the fit.
- **Training**: {_training(info)}.
{_not_for(info)}  Objects that the trunk was trained on cannot judge the head either.
"""


def _images(info: Mapping[str, Any]) -> str:
    title = info.get("survey", {}).get("title")
    return f"images of {_text(title)}" if title else "images of a survey that is not recorded"


def _survey(info: Mapping[str, Any], bands: int | None) -> str:
    survey = info.get("survey")
    if not survey:
        return "not recorded" + (f"; {bands} bands" if bands else "")
    return (
        f"{_text(survey['title'])} (`{survey['name']}`), bands {', '.join(survey['bands'])} at "
        f"{survey['pixel_scale']:g} arcsec a pixel"
    )


def _training(info: Mapping[str, Any]) -> str:
    splits = "; ".join(
        f"{name}: {n['lenses']} lenses, {n['others']} others"
        for name, n in (info.get("splits") or {}).items()
    )
    counted = f"{splits}; " if splits else ""
    return (
        f"{counted}manifest SHA-256\n  {_or_none(info.get('manifest_sha256'))}, seed "
        f"{_or_none(info.get('seed'))}"
    )


def _shuffled(info: Mapping[str, Any]) -> str:
    if not info.get("shuffled_labels"):
        return ""
    return "\n  **The labels were shuffled: this is a control, and finds nothing.**"


def _not_for(info: Mapping[str, Any]) -> str:
    title = info.get("survey", {}).get("title")
    others = f"images other than those of {_text(title)}" if title else "images of other surveys"
    return (
        "- **Not for**: scores as probabilities on a sample with another share of lenses;\n  "
        f"{others}, or of another pixel scale. A classifier that was\n  trained on a simulated "
        "survey says nothing about the real sky.\n"
    )


def _masked(p: Preprocess) -> str:
    if not p.keep:
        return ""
    return (
        f"\n  Then every pixel outside the ring {p.keep[0]:.2f} <= r < {p.keep[1]:.2f} (pixels "
        "from the middle)\n  is set to 0: weights without this mask give other scores."
    )


def _text(value: Any) -> str:
    """A name as one line of text: no tags, and nothing that Markdown reads as code or a link."""
    line = html.escape(" ".join(str(value).split()), quote=False)
    return "".join(f"\\{c}" if c in "`[]*\\" else c for c in line)


def _or_none(value: Any) -> str:
    return "none" if value is None else str(value)
