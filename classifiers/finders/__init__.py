"""Finders: whatever scores stamps, behind one small interface.

A finder has a `name`, an `info` (where it comes from), a flag `differentiable`, and a method
`logits(stamps)`: stamps (b, h, w, c) in nanomaggies go in, NaN where there is no data, bands in the
survey's order; logits (b,) come out. Four kinds come through the same door, `load`:

    load("", out)                              the classifier that the run `out` has trained
    load("other/training", out)                a folder with classifier.json (Flax, differentiable)
    load("resnet.onnx output=logit layout=nchw preprocess=raw_robust", out)
    load("my_finder:score", out)               a Python function: PyTorch, timm, Keras, anything
    load("scores:exchange", out)               stamps go out to a folder, a table of scores returns
    load("finder.yaml", out)                   any of these, described in a small file

`description.Description` lists what can be said about a finder. `scored` scores any number of
stamps with any of them and refuses answers that cannot be right. Where stamps cannot be scored at
once, because their scores come back in a table, `scorefile` says how they go out and come back.
"""

from __future__ import annotations

from classifiers.finders.interface import Finder
from classifiers.finders.loading import files, load
from classifiers.finders.scoring import Scores, scored

__all__ = ["Finder", "Scores", "files", "load", "scored"]
