"""One update of a finder as one compiled function: gather, turn, forward, backward, AdamW."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from classifiers import processor
from classifiers.models import Classifier
from data import augment

Arrays = dict[str, jax.Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """All that training changes. params, statistics: by dotted name. moments: those of the
    optimiser.
    step: number of updates done."""

    params: Arrays
    statistics: Arrays
    moments: Any
    step: Int[Array, ""]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Split:
    """Stamps on the device. images: (N, s, s, c), preprocessed or to be prepared. target: label
    (N,), smoothed or not. weight: of its loss (N,)."""

    images: Float[Array, "n s s c"]
    target: Float[Array, " n"]
    weight: Float[Array, " n"]


class Network:
    """A Flax model as pure functions of flat dictionaries of arrays."""

    def __init__(self, model: Classifier):
        model.train()
        self._training: Any = nnx.graphdef(model)
        model.eval()
        self._evaluation: Any = nnx.graphdef(model)
        states = (nnx.state(model, nnx.Param), nnx.state(model, nnx.BatchStat))
        self._layout = [
            {_name(path): (path, leaf) for path, leaf in nnx.to_flat_state(state)}
            for state in states
        ]
        self.params, self.statistics = (
            {k: leaf[...] for k, (_, leaf) in part.items()} for part in self._layout
        )

    def _state(self, part: int, arrays: Arrays) -> nnx.State:
        return nnx.from_flat_state(
            [(path, leaf.replace(arrays[k])) for k, (path, leaf) in self._layout[part].items()]
        )

    def model(self, params: Arrays, statistics: Arrays, training: bool = False) -> Classifier:
        """The module with these numbers in it."""
        graph = self._training if training else self._evaluation
        return nnx.merge(graph, self._state(0, params), self._state(1, statistics), copy=True)

    def train(
        self, params: Arrays, statistics: Arrays, images: Array, key: Array
    ) -> tuple[Float[Array, " b"], Arrays]:
        """Logits with batch statistics, and the running statistics after this batch."""
        model = self.model(params, statistics, training=True)
        logits = model(images, key)
        after = dict(nnx.to_flat_state(nnx.state(model, nnx.BatchStat)))
        return logits, {_name(path): leaf[...] for path, leaf in after.items()}

    def evaluate(self, params: Arrays, statistics: Arrays, images: Array) -> Float[Array, " b"]:
        """Logits with running statistics."""
        return self.model(params, statistics)(images)


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


def begin(network: Network, update: optax.GradientTransformation) -> State:
    """The state before the first update."""
    return State(
        network.params, network.statistics, update.init(network.params), jnp.zeros((), jnp.int32)
    )


def make_step(
    network: Network,
    update: optax.GradientTransformation,
    seed: int,
    held: frozenset[str] = frozenset(),
    prepare: Callable[[Array], Array] = lambda images: images,
) -> jax.stages.Wrapped:
    """The compiled update: (state, split, rows (A, B), turns (A, B)) -> (state, loss, whether loss
    and gradient are finite).

    A passes of B stamps make one update with the mean of their gradients. The loss is the mean of
    weight x binary cross-entropy over all of them. Batch statistics stay those of a pass.
    held: names of running statistics that stay as they are. prepare: what is still to be done to
    the stamps.
    """

    def loss(
        params: Arrays, statistics: Arrays, images: Array, target: Array, weight: Array, key: Array
    ) -> tuple[Array, Arrays]:
        logits, after = network.train(params, statistics, images, key)
        return jnp.mean(weight * optax.sigmoid_binary_cross_entropy(logits, target)), after

    gradient = jax.value_and_grad(loss, has_aux=True)

    def one_pass(
        params: Arrays, statistics: Arrays, split: Split, rows: Array, turns: Array, key: Array
    ) -> tuple[Array, Arrays, Arrays]:
        images = augment.apply(prepare(split.images[rows]), turns)
        (value, after), slope = gradient(
            params, statistics, images, split.target[rows], split.weight[rows], key
        )
        return value, {k: statistics[k] if k in held else v for k, v in after.items()}, slope

    def step(state: State, split: Split, rows: Array, turns: Array) -> tuple[State, Array, Array]:
        passes = rows.shape[0]
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), state.step), passes)
        if passes == 1:
            value, statistics, slope = one_pass(
                state.params, state.statistics, split, rows[0], turns[0], keys[0]
            )
        else:

            def accumulate(carry: Any, item: Any) -> tuple[Any, None]:
                total, statistics, slopes = carry
                value, statistics, slope = one_pass(state.params, statistics, split, *item)
                return (
                    total + value / passes,
                    statistics,
                    jax.tree.map(lambda a, b: a + b / passes, slopes, slope),
                ), None

            nothing = (jnp.zeros(()), state.statistics, jax.tree.map(jnp.zeros_like, state.params))
            (value, statistics, slope), _ = jax.lax.scan(accumulate, nothing, (rows, turns, keys))
        updates, moments = update.update(slope, state.moments, state.params)
        finite = jnp.isfinite(value) & jnp.isfinite(optax.global_norm(slope))
        return (
            State(optax.apply_updates(state.params, updates), statistics, moments, state.step + 1),
            value,
            finite,
        )

    return processor.jit(step, donate_argnums=0)
