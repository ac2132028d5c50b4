"""A trained classifier that no longer changes: raw stamps in nanomaggies go in, logits come out.

A folder holds it: `classifier.json` has the architecture, the preprocessing and where it comes
from; `classifier.safetensors` has its numbers, and the JSON has their SHA-256. `load` gives a
Frozen, which is a differentiable finder (`classifiers.finders`) and a pytree: close over it, or
pass it to a jitted function as an argument.

    frozen = load(out / "training")
    score = jax.jit(lambda frozen, stamps: jax.nn.sigmoid(frozen.logits(stamps)))
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from classifiers import models, weights
from data.config import validated
from data.files import sha256, write_json
from data.preprocess import Preprocess, raw_robust
from lensjax.errors import InputError

DESCRIPTION, NUMBERS = "classifier.json", "classifier.safetensors"


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Frozen:
    """state: parameters and running statistics. graph: the architecture in evaluation mode.
    preprocess: settings. meta: `info` as JSON text."""

    state: Any
    graph: Any = dataclasses.field(metadata={"static": True})
    preprocess: Preprocess = dataclasses.field(metadata={"static": True})
    meta: str = dataclasses.field(metadata={"static": True})

    @property
    def name(self) -> str:
        """The architecture."""
        return str(self.info["model"])

    @property
    def differentiable(self) -> bool:
        """True: `logits` is a pure function of JAX arrays."""
        return True

    @property
    def info(self) -> dict[str, Any]:
        """Where it comes from: model, config, and what training noted, such as manifest_sha256,
        seed, epoch and val_auc."""
        return json.loads(self.meta)

    @property
    def bands(self) -> int:
        """Number of bands of its stamps. A classifier that does not say it has three."""
        return int(self.info.get("config", {}).get("bands", 3))

    @property
    def model(self) -> models.Classifier:
        """The Flax module, in evaluation mode; it takes preprocessed stamps."""
        return nnx.merge(self.graph, self.state, copy=True)

    def logits(self, raw_stamps: Float[Array, "b h w c"]) -> Float[Array, " b"]:
        """Logits (B,) of stamps in nanomaggies; pure, under jit and grad. Their sigmoid is the
        score."""
        return self.model(raw_robust(raw_stamps, self.preprocess))

    def features(self, raw_stamps: Float[Array, "b h w c"]) -> Float[Array, "b f"]:
        """Penultimate features (B, F) of stamps in nanomaggies."""
        return self.model.features(raw_robust(raw_stamps, self.preprocess))

    def maps(self, raw_stamps: Float[Array, "b h w c"]) -> dict[str, Float[Array, "b x y f"]]:
        """Feature maps after the stem and every block, by name."""
        return self.model.maps(raw_robust(raw_stamps, self.preprocess))


def freeze(model: models.Classifier, preprocess: Preprocess, info: Mapping[str, Any]) -> Frozen:
    """A Frozen of a model as it is now. info: at least `model` (name) and `config`, JSON values."""
    model.eval()
    graph, state = nnx.split(model)
    return Frozen(state, graph, preprocess, json.dumps(dict(info), sort_keys=True))


def untrained(
    model: str = "shielded_resnet",
    config: Mapping[str, Any] | None = None,
    crop: int = 64,
    seed: int = 0,
) -> Frozen:
    """A small randomly initialised finder: for tests and timings."""
    if config is None:
        config = (
            {
                "stem_width": 8,
                "stem_stride": 4,
                "middles": (8, 8),
                "widths": (8, 8),
                "blocks": (1, 1),
            }
            if model == "shielded_resnet"
            else {}
        )
    made = models.create(model, config, nnx.Rngs(seed))
    return freeze(
        made,
        Preprocess(crop=crop),
        {"model": model, "config": models.complete(model, config), "seed": seed, "trained": False},
    )


def save(folder: Path, frozen: Frozen) -> list[Path]:
    """Writes the two files; returns their paths."""
    numbers, description = Path(folder) / NUMBERS, Path(folder) / DESCRIPTION
    weights.save(numbers, frozen.model)
    write_json(
        description,
        {
            **frozen.info,
            "preprocess": frozen.preprocess.said,
            "weights": NUMBERS,
            "weights_sha256": sha256(numbers),
        },
    )
    return [description, numbers]


def load(folder: Path) -> Frozen:
    """The classifier of a folder. Raises InputError when a file is missing, damaged, or not what
    the description says."""
    folder = Path(folder)
    description = folder / DESCRIPTION
    try:
        info = json.loads(description.read_text())
        name, config, file, digest = (
            info[key] for key in ("model", "config", "weights", "weights_sha256")
        )
        preprocess = validated(Preprocess, info.pop("preprocess"), str(description))
    except FileNotFoundError:
        raise InputError(
            f"{description}: no such file; train first (`lensjax train`), or give a folder "
            f"that holds {DESCRIPTION}"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{description}: not a classifier's description ({type(error).__name__}: {error}); "
            "restore the file or train again"
        ) from None
    numbers = folder / Path(file).name
    arrays = weights.read(numbers)
    if sha256(numbers) != digest:
        raise InputError(
            f"{numbers}: not the weights that {DESCRIPTION} describes (SHA-256 differs); restore "
            "both files or train again"
        )
    model = nnx.eval_shape(lambda: models.create(name, config, nnx.Rngs(0)))
    weights.restore(model, arrays, str(numbers))
    return freeze(model, preprocess, info)
