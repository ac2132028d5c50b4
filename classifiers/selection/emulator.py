"""An emulator of a selection function: a few small networks that give the probability of being
found, as a function in JAX.

    emulator = Emulator.load("runs/mine/audit/emulator")
    emulator.query(theta_e=1.5, psf=1.2, depth=24.0, source_mag=24.3)     # value, interval, flag
    jax.grad(lambda t: emulator.completeness({"theta_e": t, ...}))(1.5)   # differentiable

The networks (`network.Member`) were fitted to injections that were found or not (`fitting`), each
to another resampling of the hosts. The completeness is the mean of their probabilities. Its
interval is that mean, on the scale of log odds, plus and minus Student's quantile times the scatter
of the members: statistical only, as a bootstrap of hosts is (Efron & Tibshirani 1993, chapter 13).
Nothing forces the completeness to rise or fall along any input.

A folder holds an emulator: `emulator.json` says what it was made from and how well it is
calibrated, `emulator.safetensors` has its numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from classifiers import weights
from classifiers.selection import network
from classifiers.selection.answer import Answer, words
from classifiers.selection.axis import as_numbers, by_name
from data.files import sha256, write_json
from lensjax.errors import InputError

DESCRIPTION, NUMBERS = "emulator.json", "emulator.safetensors"


@dataclass(frozen=True)
class Input:
    """An input of the networks. low, high: range of the injections that they were fitted to. mean,
    deviation: by which values are brought to order 1."""

    name: str
    label: str
    unit: str
    low: float
    high: float
    mean: float
    deviation: float


@dataclass(frozen=True)
class Emulator:
    """axes: the inputs, in the order of the networks. state: parameters of the members, with a
    leading axis. about: hidden (sizes of the layers), threshold, finder, what it was made from."""

    axes: tuple[Input, ...]
    state: Any
    about: Mapping[str, Any]
    name: str = "emulator"
    maps: ClassVar[None] = None

    @property
    def hidden(self) -> tuple[int, ...]:
        """Sizes of the hidden layers."""
        return tuple(self.about["hidden"])

    def members(self, parameters: Mapping[str, Any]) -> Float[Array, "m *n"]:
        """Log odds of being found by each member. parameters: the inputs by name, shapes that
        broadcast. A pure function in JAX."""
        columns = jnp.broadcast_arrays(
            *((jnp.asarray(parameters[a.name]) - a.mean) / a.deviation for a in self.axes)
        )
        return network.apply(self.state, self.hidden, jnp.stack(columns, axis=-1))

    def completeness(self, parameters: Mapping[str, Any]) -> Float[Array, "*n"]:
        """Probability of being found; pure, under jit, grad and vmap. Inside of a compiled function
        nothing can be refused: `inside` says where it may be believed."""
        return jax.nn.sigmoid(self.members(parameters)).mean(0)

    def inside(self, parameters: Mapping[str, Any]) -> Bool[Array, "*n"]:
        """Whether every input lies in the range of the injections that were fitted."""
        held = [
            (jnp.asarray(parameters[a.name]) >= a.low) & (jnp.asarray(parameters[a.name]) <= a.high)
            for a in self.axes
        ]
        return jnp.stack(jnp.broadcast_arrays(*held)).all(0)

    @cached_property
    def _compiled(self) -> Any:
        return jax.jit(self.members)

    def query(self, *, level: float = 0.95, **values: Any) -> Answer:
        """Value, interval and flag: `interpolated` within the ranges that were fitted, otherwise
        `outside` with NaN and (0, 1). Names, units and errors as `SelectionFunction.query`; every
        input has to be given."""
        from scipy.special import expit, logit
        from scipy.stats import t

        if not 0 < level < 1:
            raise InputError(f"level is {level}: it should lie between 0 and 1")
        given = self._named(values)
        try:
            found = np.broadcast_arrays(*given.values())
        except ValueError:
            shapes = ", ".join(f"{name} {v.shape}" for name, v in given.items())
            raise InputError(f"shapes do not broadcast: {shapes}") from None
        within = np.all([(v >= a.low) & (v <= a.high) for a, v in zip(self.axes, found)], axis=0)
        # Infinities would meet zeros in the networks; what lies outside has no value anyway.
        held = {a.name: np.where(within, v, a.mean) for a, v in zip(self.axes, found)}
        odds = np.asarray(self._compiled(held), np.float64)
        value = expit(odds).mean(0)
        middle = logit(value)
        half = t.ppf(0.5 + level / 2, len(odds) - 1) * odds.std(0, ddof=1)
        return Answer(
            np.where(within, value, np.nan),
            np.where(within, expit(middle - half), 0.0),
            np.where(within, expit(middle + half), 1.0),
            words(np.where(within, 1, 3)),
        )

    def _named(self, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The values of a query by the names of the inputs, in their order."""
        listed = [a.name for a in self.axes]
        given = by_name(values, listed, "input", self.name)
        if missing := [name for name in listed if name not in given]:
            raise InputError(
                f"no value for {', '.join(missing)}: the inputs are {', '.join(listed)}"
            )
        return {a.name: as_numbers(a.name, a.unit, given[a.name]) for a in self.axes}

    def save(self, folder: str | Path) -> list[Path]:
        """Writes the two files; returns their paths."""
        numbers, description = Path(folder) / NUMBERS, Path(folder) / DESCRIPTION
        weights.save(numbers, network.module(self.state, self.hidden, len(self.axes)))
        write_json(
            description,
            {
                **self.about,
                "inputs": [vars(a) for a in self.axes],
                "members": int(jax.tree.leaves(self.state)[0].shape[0]),
                "weights_sha256": sha256(numbers),
            },
        )
        return [description, numbers]

    @classmethod
    def load(cls, folder: str | Path) -> Emulator:
        """The emulator of a folder, equal to the last bit to the one that was saved. Raises
        InputError when a file is missing, damaged, or not what the description says."""
        folder = Path(folder)
        description, numbers = folder / DESCRIPTION, folder / NUMBERS
        try:
            about = json.loads(description.read_text())
            axes = tuple(Input(**entry) for entry in about.pop("inputs"))
            count, digest, hidden = (
                about.pop("members"),
                about.pop("weights_sha256"),
                about["hidden"],
            )
        except FileNotFoundError:
            raise InputError(f"{description}: no such file; run `lensjax emulate`") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{description}: not an emulator's description ({type(error).__name__}: {error})"
            ) from None
        arrays = weights.read(numbers)
        if sha256(numbers) != digest:
            raise InputError(
                f"{numbers}: not the numbers that {DESCRIPTION} describes (SHA-256 differs)"
            )
        state = network.restored(arrays, tuple(hidden), len(axes), count, str(numbers))
        return cls(axes, state, about, str(folder))
