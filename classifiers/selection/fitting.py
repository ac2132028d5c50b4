"""Fits an emulator to an injection set: which injections were found, weighted to the population.

Hosts are either fitted or held out, never both. Every member gets another resampling of the fitted
hosts (each counts a Poisson number of times, as in a bootstrap), and its fit stops where it
describes best the hosts that it was not given. This is done with several weight decays. The members
of all decays between which these hosts cannot decide are kept, so that their scatter shows what the
injections leave open. Parameters of the injections that are no inputs are averaged over, as the
weights say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from classifiers.audit.injectionset import InjectionSet
from classifiers.audit.resampling import found, threshold_of
from classifiers.audit.settings import KNOWN
from classifiers.selection import network
from classifiers.selection.emulator import Emulator, Input
from classifiers.selection.fit_settings import FitSettings
from data.photometry import depth_m5
from lensjax.errors import InputError

CHUNK = 100
"""Steps between looks at the hosts that a member was not given."""
FEWEST = 20
"""Hosts, and injections that were found or missed, below which nothing is fitted."""


class Data(NamedTuple):
    """Injections: inputs (n, f), found (n,), weight (n,) of mean 1, and number of the host (n,).
    held: those of hosts that are held out."""

    inputs: Float[np.ndarray, "n f"]
    found: Bool[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]
    host: Int[np.ndarray, " n"]
    held: Bool[np.ndarray, " n"]


def default_inputs(injections: InjectionSet) -> tuple[str, ...]:
    """The axes of the set that are numbers, and the magnitude of the source."""
    axes = [a["name"] for a in injections.about.get("axes", ()) if not a.get("words")]
    known = [*axes, "source_mag"] if "source_mag" in injections.table else axes
    return tuple(dict.fromkeys(known or injections.density_over))


def column(injections: InjectionSet, name: str) -> Float[np.ndarray, " n"]:
    """Values of an input: the conditions of the stamps for `psf_fwhm` and `depth_m5`, else a column
    of the table, or that of the axis of this name. Raises InputError, naming it, where there is
    none, and for values that are no finite numbers."""
    table = injections.table
    band = injections.about.get("survey", {}).get("reference", "")
    axes = {a["name"]: a["column"] for a in injections.about.get("axes", ())}
    if name == "depth_m5" and f"psfdepth_{band}" in table:
        values: Any = depth_m5(table[f"psfdepth_{band}"].to_numpy(np.float64))
    else:
        tried = [f"psf_fwhm_{band}"] if name == "psf_fwhm" else []
        tried += [name, axes.get(name, name), f"cell_{name}"]
        own = next((c for c in tried if c in table), None)
        if own is None:
            raise InputError(
                f"input {name!r}: no such column of the injection set; there are "
                f"{', '.join(map(str, table.columns))}"
            )
        try:
            values = table[own].to_numpy(np.float64)
        except (TypeError, ValueError):
            raise InputError(
                f"input {name!r} holds words; leave it out, and the emulator averages over it"
            ) from None
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise InputError(f"input {name!r}: row {row} of the injection set is {values[row]}")
    return values


def held_out(hosts: np.ndarray, share: float, seed: int) -> Bool[np.ndarray, " n"]:
    """Whether each host is held out, by a stable hash of its name."""

    def place(name: Any) -> float:
        digest = hashlib.sha256(f"{name}|emulator|{seed}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48

    chosen = {name: place(name) < share for name in dict.fromkeys(hosts)}
    return np.array([chosen[name] for name in hosts], bool)


def prepared(
    injections: InjectionSet,
    inputs: Sequence[str],
    threshold: float | str,
    finder: str,
    s: FitSettings,
) -> Data:
    """The injections as the networks take them. Raises InputError for an input that is no column
    of numbers or does not vary, and where there is too little to fit or to hold out."""
    import pandas as pd

    if not inputs:
        raise InputError("an emulator needs inputs")
    x = np.stack([column(injections, name) for name in inputs], axis=1)
    if flat := [name for name, values in zip(inputs, x.T) if values.min() == values.max()]:
        raise InputError(f"input {flat[0]!r} does not vary; leave it out")
    table = injections.table
    weight = np.ones(len(table))
    if "weight" in table:
        weight = table["weight"].to_numpy(np.float64)
    names = np.arange(len(table)).astype(str)
    if "galaxy_id" in table:
        names = table["galaxy_id"].to_numpy()
    seen = found(injections, threshold, finder)
    held = held_out(names, s.held_out, s.seed)
    for part, what in ((~held, "fitted"), (held, "held out")):
        counts = {
            "hosts": len(set(names[part])),
            "injections that were found": int(seen[part].sum()),
            "injections that were missed": int((~seen[part]).sum()),
        }
        if few := [f"{n} {name}" for name, n in counts.items() if n < FEWEST]:
            raise InputError(
                f"too little to fit an emulator to: {few[0]} {what}, at least {FEWEST} needed; "
                "inject more, or choose a lower threshold"
            )
    return Data(x, seen, weight / weight.mean(), pd.factorize(names)[0], held)


def fit(
    injections: InjectionSet,
    inputs: Sequence[str] = (),
    threshold: float | str = 0.5,
    finder: str = "",
    s: FitSettings | None = None,
) -> tuple[Emulator, Data]:
    """An emulator of one finder above one threshold, and the injections that it was made from.

    inputs: names, see `column`; the axes of the set if none. threshold: a score, or the name of one
    of the set's. finder: "" for the first. The same set and settings give the same bits on the same
    platform. Raises InputError as `prepared` does.
    """
    s = s or FitSettings()
    names = tuple(inputs) or default_inputs(injections)
    data = prepared(injections, names, threshold, finder, s)
    own = data.inputs[~data.held]
    mean, deviation = own.mean(0), own.std(0)
    state, decay = _trained((own - mean) / deviation, data, s)
    labels = {a["name"]: (a["label"], a["unit"]) for a in injections.about.get("axes", ())}
    axes = tuple(
        Input(name, *labels.get(name, KNOWN.get(name, (name, ""))), *map(float, numbers))
        for name, numbers in zip(names, np.stack([own.min(0), own.max(0), mean, deviation], axis=1))
    )
    about = {
        "hidden": list(s.hidden),
        "settings": asdict(s),
        "decay": decay,
        "threshold": threshold_of(injections, threshold, finder),
        "finder": injections.about.get("finders", {}).get(finder, {"name": finder}),
        "prior": injections.about.get("prior_name", ""),
        "injections": int((~data.held).sum()),
        "hosts": len(np.unique(data.host[~data.held])),
        "averaged_over": [n for n in injections.density_over if n not in names],
        "versions": injections.about.get("versions", {}),
    }
    return Emulator(axes, state, about), data


def _trained(x: Float[np.ndarray, "n f"], data: Data, s: FitSettings) -> tuple[Any, list[float]]:
    """Parameters of the members, and the weight decays that they were fitted with."""
    own = ~data.held
    hosts = np.unique(data.host[own], return_inverse=True)[1]
    rng = np.random.default_rng(s.seed)
    times = rng.poisson(1.0, (s.members, hosts.max() + 1))[:, hosts]
    weight = data.weight[own]
    given = jnp.asarray(times * weight, jnp.float32)
    other = jnp.asarray((times == 0) * weight, jnp.float32)
    every = jnp.asarray(x, jnp.float32)
    target = jnp.asarray(data.found[own], jnp.float32)
    keys = jax.random.split(jax.random.key(s.seed), s.members + 1)
    state = network.drawn(keys[1:], x.shape[1], s.hidden)
    # A start at the mean completeness saves the steps that would only move the last bias there.
    share = float(np.average(data.found[own], weights=weight))
    last = state["line"]["bias"]
    last[...] = jnp.full_like(last[...], np.log(share / (1 - share)))
    schedule = optax.cosine_decay_schedule(s.rate, s.steps)

    def losses(state: Any, x: Array, y: Array, w: Array) -> Float[Array, " m"]:
        """Weighted mean of the negative log likelihood of each member."""
        odds = network.apply(state, s.hidden, x)
        each = optax.sigmoid_binary_cross_entropy(odds, y)
        return (w * each).sum(1) / jnp.maximum(w.sum(1), 1e-6)

    def step(update: Any, carry: Any, key: Array) -> tuple[Any, None]:
        state, memory = carry
        rows = jax.random.randint(key, (min(s.batch, len(target)),), 0, len(target))
        slope = jax.grad(lambda p: losses(p, every[rows], target[rows], given[:, rows]).sum())(
            state
        )
        change, memory = update.update(slope, memory, state)
        return (optax.apply_updates(state, change), memory), None

    def chunk(update: Any, carry: Any, key: Array) -> tuple[Any, None]:
        state, memory, best, least = carry
        own = jax.random.split(key, CHUNK)
        (state, memory), _ = jax.lax.scan(partial(step, update), (state, memory), own)
        now = losses(state, every, target, other)
        better = now < least
        pick = lambda a, b: jnp.where(better.reshape(-1, *(1,) * (a.ndim - 1)), a, b)
        return (state, memory, jax.tree.map(pick, state, best), jnp.minimum(now, least)), None

    @jax.jit
    def run(state: Any, key: Array, decay: Array) -> tuple[Any, Float[Array, " m"]]:
        update = optax.adamw(schedule, weight_decay=decay, mask=_decaying)
        start = (state, update.init(state), state, jnp.full(s.members, jnp.inf))
        chunks = jax.random.split(key, max(s.steps // CHUNK, 1))
        return jax.lax.scan(partial(chunk, update), start, chunks)[0][2:]

    made = [run(state, keys[0], jnp.float32(decay)) for decay in s.decay]
    kept = told_apart(np.stack([least for _, least in made]))
    state = jax.tree.map(lambda *a: jnp.concatenate(a), *(made[i][0] for i in kept))
    return state, [s.decay[i] for i in kept]


def told_apart(loss: Float[np.ndarray, "d m"]) -> list[int]:
    """Which of some weight decays are kept: that of the least mean loss, and those that the members
    cannot tell from it, whose paired difference is below its standard error. loss: of each decay
    and member on the hosts that the member was not given."""
    apart = loss - loss[loss.mean(1).argmin()]
    error = apart.std(1, ddof=1) / np.sqrt(loss.shape[1])
    return np.flatnonzero(apart.mean(1) <= error).tolist()


def _decaying(state: Any) -> Any:
    """Which parameters decay: the kernels of the layers, so that what is left without evidence for
    more is logistic regression."""
    names = jax.tree_util.tree_flatten_with_path(state)[0]
    marks = ["layers" in str(path) and "kernel" in str(path) for path, _ in names]
    return jax.tree.unflatten(jax.tree.structure(state), marks)
