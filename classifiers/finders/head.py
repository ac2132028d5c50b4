"""A finder made of a frozen trunk and a small head: `head.json` in a folder of its own.

The head sees features minus `mean` over `scale`; it has no hidden layer (logistic regression) or
one of rectified linear units. Its logit is calibrated: slope times logit plus intercept (Platt).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from classifiers import frozen
from classifiers.finders import trunk as trunks
from classifiers.finders.description import Description
from classifiers.finders.outside import Outside
from data.config import validated
from data.files import write_json
from data.survey import Survey
from lensjax.errors import InputError

HEAD = "head.json"
ARRAYS = ("mean", "scale", "hidden", "bias", "out", "offset", "slope", "intercept")
"""hidden (f, u) and bias (u,) are absent from a logistic regression."""

Numbers = dict[str, Any]


def logit(numbers: Numbers, features: Any) -> Any:
    """Calibrated logits (b,) of features (b, f), NumPy's or JAX's."""
    x = (features - numbers["mean"]) / numbers["scale"]
    if "hidden" in numbers:
        x = (x @ numbers["hidden"] + numbers["bias"]).clip(0)
    return numbers["slope"] * (x @ numbers["out"] + numbers["offset"]) + numbers["intercept"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class OwnHead:
    """A head on a network of ours: differentiable. numbers: float32. meta: `info` as JSON."""

    trunk: frozen.Frozen
    numbers: Numbers
    meta: str = field(metadata={"static": True})

    differentiable = True

    @property
    def name(self) -> str:
        """Head and trunk."""
        return str(self.info["model"])

    @property
    def info(self) -> dict[str, Any]:
        """What was noted when it was trained."""
        return json.loads(self.meta)

    def logits(self, stamps: Float[Array, "b h w c"]) -> Float[Array, " b"]:
        """Calibrated logits of stamps in nanomaggies; pure, under jit and grad."""
        return logit(self.numbers, self.trunk.features(stamps))


def save(folder: Path, what: Description, home: str, numbers: Numbers, info: Any) -> Path:
    """Writes head.json. home: the folder that the trunk's relative path starts from."""
    from dataclasses import asdict

    said = {key: value for key, value in asdict(what).items() if value}
    listed = {key: np.asarray(value).tolist() for key, value in numbers.items()}
    write_json(folder / HEAD, {"trunk": said, "home": home, "numbers": listed, "info": dict(info)})
    return folder / HEAD


def read(folder: Path) -> tuple[Description, Path, Numbers, dict[str, Any]]:
    """Trunk, the folder its path starts from, numbers and info. Raises InputError when head.json
    is missing, damaged, or holds numbers that are not finite."""
    path = folder / HEAD
    try:
        found = json.loads(path.read_text())
        numbers = {k: np.array(v, np.float64) for k, v in found["numbers"].items()}
        home, info = folder / found["home"], dict(found["info"])
        what = validated(Description, found["trunk"], str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; train a head first") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a head ({type(error).__name__}); train it again") from None
    needed = {*ARRAYS} - ({"hidden", "bias"} - {*numbers})
    if {*numbers} != needed or not all(np.isfinite(v).all() for v in numbers.values()):
        raise InputError(f"{path}: numbers are missing or not finite; train the head again")
    return what, home, numbers, info


def load(folder: Path, out: Path, survey: Survey) -> OwnHead | Outside:
    """The finder of a folder with head.json; on a network of ours it is differentiable. Raises
    InputError when the trunk's file is not the one that the head was trained on."""
    what, home, numbers, info = read(folder)
    trunk = trunks.load(what, home, out, survey)
    if trunk.info.get("sha256") != info["trunk"].get("sha256"):
        raise InputError(
            f"{folder / HEAD}: trunk {trunk.name} is not the one that the head was trained on "
            "(SHA-256 differs); restore it or train the head again"
        )
    info["trained_on"] = str(folder / "trained_on.csv")
    info["trunk"] = dict(trunk.info)  # paths as they are seen from here
    if trunk.network is not None:
        place = home / what.finder if what.finder else out / "training"
        info["trunk"]["manifest"] = str(place.parent / "manifest.parquet")
    if trunk.network is None:

        def run(stamps: np.ndarray) -> Any:
            found = trunk.answer(stamps, [str(i) for i in range(len(stamps))])
            if found.shape[1] != len(numbers["mean"]):
                raise InputError(
                    f"trunk {trunk.name}: {found.shape[1]} features, and its head was trained on "
                    f"{len(numbers['mean'])}; train the head again"
                )
            return logit(numbers, found)

        return Outside(str(info["model"]), run, "logit", info=info)
    single = {key: jnp.asarray(value, jnp.float32) for key, value in numbers.items()}
    return OwnHead(trunk.network, single, json.dumps(info, sort_keys=True))
