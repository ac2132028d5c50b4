"""The verb `weights`: weights of torchvision or timm come in, ours go out for others, and a small
head is trained on frozen features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from data.preprocess import Preprocess
from data.verb import Verb
from lensjax import yamlfile
from lensjax.errors import InputError


@dataclass(frozen=True)
class Import:
    """A state dict of torchvision or timm (.pth, .pt, .safetensors, .npz), or the folder of an
    export, becomes a folder with a classifier.

    Such a folder serves as `train: {initial: FOLDER}` and as a finder to evaluate or audit. An
    exported folder says itself what it is; the flags are for a file.
    """

    file: tyro.conf.Positional[Path]
    to: Path
    """folder to write"""
    model: str = "resnet18"
    """architecture: resnet18, efficientnet_v2_s or shielded_resnet"""
    architecture: str = "{}"
    """fields of the architecture that differ from its defaults, as YAML: '{blocks: [1, 1, 1, 1]}'
    """
    crop: int = 0
    """side (pixels) of the central part of stamps that it will see; 0: all of a stamp"""
    seed: int = 0
    """of the head, when the file's has another number of classes"""


@dataclass(frozen=True)
class Export:
    """A trained classifier becomes model.safetensors (torch's names and layout), config.json and a
    model card."""

    folder: tyro.conf.Positional[Path]
    to: Path
    """folder to write"""
    onnx: bool = False
    """write model.onnx as well (needs the extra `onnx`)"""


@dataclass(frozen=True)
class Head:
    """A small head is trained on the features of a frozen trunk, fitted to a run's training split
    and calibrated on its validation split; the folder serves as a finder. See docs/finders.md."""

    run: tyro.conf.Positional[Path]
    """run directory with shards"""
    to: Path
    """folder to write"""
    trunk: str = ""
    """an ONNX file, `module:function`, or a folder with a classifier, whose penultimate layer is
    used, and what has to be known about it; empty: the run's own classifier"""
    kind: Literal["logistic", "mlp"] = "logistic"
    """logistic regression, or one hidden layer of 300 units"""
    seed: int = 42


def fields(text: str) -> dict[str, Any]:
    """A YAML mapping. Raises InputError when it is none."""
    found = yamlfile.load(text, f"--architecture {text!r}")
    if not isinstance(found, dict):
        raise InputError(
            f"--architecture {text!r}: expected a mapping such as {{widths: [16, 32, 64, 128]}}"
        )
    return found


command: Verb[None] = Verb(
    name="weights",
    summary="Weights of torchvision or timm come in; ours go out as safetensors or ONNX.",
    after=("train",),
    work="classifiers.exchange:work",
)


def work(argv: list[str]) -> int:
    """Reads or writes the files that the arguments name."""
    asked: Any = tyro.extras.subcommand_cli_from_dict(
        {"import": Import, "export": Export, "head": Head}, args=argv, prog="lensjax weights"
    )
    if isinstance(asked, Head):
        from classifiers.finders import head_training

        info = head_training.train(asked.run, asked.trunk, asked.to, asked.kind, asked.seed)
        print(
            f"weights: {info['model']}, {info['features']} features; fitted to train, calibrated "
            f"on val: {info['splits']}"
        )
        return 0
    from classifiers import frozen, pretrained

    if isinstance(asked, Import):
        if asked.file.is_dir():
            found = pretrained.returned(asked.file)
        else:
            found = pretrained.imported(
                asked.file,
                asked.model,
                fields(asked.architecture),
                Preprocess(crop=asked.crop),
                asked.seed,
            )
        for path in frozen.save(asked.to, found):
            print(path)
        if how := found.info["read_as"]:
            print(f"weights: read as {', '.join(how)}")
        if replaced := found.info["new_head"]:
            print(
                f"weights: the head ({', '.join(replaced)}) has another number of classes and is "
                "freshly drawn: train before scoring"
            )
    else:
        source = frozen.load(asked.folder)
        written = pretrained.exported(source, asked.to)
        if asked.onnx:
            from classifiers import onnxfile

            written.append(onnxfile.save(asked.to / "model.onnx", source))
        for path in written:
            print(path)
    return 0
