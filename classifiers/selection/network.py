"""The networks of an emulator: several small ones of one shape, their parameters stacked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt32

from classifiers import weights


class Member(nnx.Module):
    """Inputs of order 1 to the log odds of being found: a straight line, as in logistic regression,
    and what layers with tanh add to it. Smooth, so that its gradients are too."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], rngs: nnx.Rngs):
        sizes = (inputs, *hidden, 1)
        self.line = nnx.Linear(inputs, 1, rngs=rngs)
        self.layers = nnx.List(nnx.Linear(a, b, rngs=rngs) for a, b in pairwise(sizes))

    def __call__(self, x: Float[Array, "*n f"]) -> Float[Array, "*n"]:
        """Value for each row of features x."""
        line = self.line(x)
        for layer in self.layers[:-1]:
            x = jnp.tanh(layer(x))
        return (line + self.layers[-1](x))[..., 0]


@lru_cache(maxsize=16)
def graph(inputs: int, hidden: tuple[int, ...]) -> Any:
    """The structure of a member, without its numbers."""
    return nnx.split(nnx.eval_shape(lambda: Member(inputs, hidden, nnx.Rngs(0))))[0]


def drawn(keys: UInt32[Array, " m"], inputs: int, hidden: tuple[int, ...]) -> Any:
    """Parameters of as many members as there are keys, with a leading axis."""
    return jax.vmap(lambda key: nnx.split(Member(inputs, hidden, nnx.Rngs(key)))[1])(keys)


def apply(state: Any, hidden: tuple[int, ...], x: Float[Array, "*n f"]) -> Float[Array, "m *n"]:
    """Log odds by each member."""
    structure = graph(x.shape[-1], hidden)
    return jax.vmap(lambda own: nnx.merge(structure, own)(x))(state)


def module(state: Any, hidden: tuple[int, ...], inputs: int) -> nnx.Module:
    """The members as one module whose parameters have a leading axis, for `classifiers.weights`."""
    return nnx.merge(graph(inputs, hidden), state)


def restored(
    arrays: Mapping[str, np.ndarray], hidden: tuple[int, ...], inputs: int, count: int, where: str
) -> Any:
    """Parameters from the arrays of a file. Raises InputError where they do not fit."""
    keys = jax.random.split(jax.random.key(0), count)
    shapes = jax.eval_shape(lambda: drawn(keys, inputs, hidden))
    whole = module(shapes, hidden, inputs)
    weights.restore(whole, arrays, where)
    return nnx.split(whole)[1]
