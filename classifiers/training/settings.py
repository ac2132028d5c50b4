"""What a training run is."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal

import tyro
from pydantic import Field

from data.config import settings
from data.preprocess import Preprocess

Positive = Annotated[int, Field(ge=1)]


@settings
class TrainSettings:
    """Training of a lens finder. The defaults suit the simulated survey on two processor cores."""

    model: str = "resnet18"
    """architecture: resnet18, efficientnet_v2_s or shielded_resnet"""
    architecture: Annotated[dict[str, Any], tyro.conf.Suppress] = field(
        default_factory=lambda: {"widths": [16, 32, 64, 128]}
    )
    """fields of the architecture that differ from its defaults (in the configuration file only)"""
    preprocess: Preprocess = Preprocess(crop=64)
    mask: Literal["", "core", "annulus"] = ""
    """part of a stamp that the network sees, by the radii of the survey's definition: its core, or
    the annulus from there to where arcs end; the rest is set to 0. A finder keeps its mask"""
    epochs: Positive = 30
    batch: Positive = 64
    """stamps in one pass; cut into as few smaller ones as memory needs, and said so"""
    accumulation: Positive = 1
    """passes whose mean gradient makes one step; the effective batch is batch x accumulation"""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """cosine: to zero at the last step; step: times step_factor at each of step_epochs"""
    warmup_epochs: Annotated[float, Field(ge=0)] = 1.0
    """linear rise from zero"""
    step_epochs: tuple[Positive, ...] = ()
    step_factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    sample_weights: bool = True
    """weigh each object's loss with its sample_weight of the manifest; otherwise all by 1"""
    tier_b_target: Annotated[float, Field(gt=0.5, le=1)] = 1.0
    """label of the probable lenses (label smoothing below 1)"""
    select: str = ""
    """train and validate only on stamps for which this holds, an expression of the manifest's
    columns: "psfsize_r < 1.3 and type_bin == 'SER'\""""
    without: str = ""
    """table (CSV or Parquet) whose galaxy_ids are left out of training and validation; a path from
    the run directory"""
    balanced: bool = False
    """as many lenses as non-lenses in an epoch; lenses are repeated, and scores are then no
    probabilities of the sample"""
    augment: Literal["per_epoch", "fixed", "none"] = "per_epoch"
    """turn and mirror: drawn anew each epoch, the same each epoch, or not at all"""
    shuffle_labels: bool = False
    """control: train on labels permuted among the training stamps"""
    patience: Annotated[int, Field(ge=0)] = 0
    """stop after this many epochs without a better validation AUC; 0: never"""
    input: Literal["auto", "resident", "streaming"] = "auto"
    """resident: the training split is in memory, preprocessed once; streaming: it is read from the
    shards while training; auto: resident where it fits"""
    workers: Annotated[int, Field(ge=0)] = 0
    """processes that read ahead when streaming; 0: threads of this one"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """of the computation; parameters, statistics and loss are always float32"""
    seed: Annotated[int, Field(ge=0)] = 42
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 30.0
    """a checkpoint at least this often, besides one after every epoch"""
    keep_every: Annotated[int, Field(ge=0)] = 0
    """keep the checkpoint of every n-th epoch for good; 0: only best and last"""
    tensorboard: bool = False
    """write the epochs' figures for TensorBoard as well (needs the extra `tensorboard`)"""
    initial: str = ""
    """folder of a classifier (classifier.json) whose numbers training starts from"""
    new_head: bool = False
    """with initial: keep the head as freshly drawn"""
    freeze: tuple[str, ...] = ()
    """parameters that stay as they are, as patterns of their names, for example 'layer[12].*'"""
