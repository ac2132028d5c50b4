"""Prior distributions of lens scenes: one registry (priors.yaml), sampled by key.

    scenes = priors("raw_notes").sample(key, 1024, theta_e=1.5)          # a Scene whose leaves have a leading axis of 1024

A `Prior` is a pytree whose leaves are the numbers of the registry, and every draw is a smooth function of them and of uniform or normal
noise, so gradients with respect to the assumptions flow through `sample`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import files
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array

from lensjax.arrays import Real
from lensjax.checks import ANY, DOMAINS, Domain, check_value
from lensjax.errors import InputError
from lensjax.light import Clumps, Sersic
from lensjax.mass import SIE, Shear
from lensjax.photometry import nanomaggies
from lensjax.scene import Scene

KINDS = {"uniform": 2, "area": 2, "normal": 2, "half_normal": 1, "fixed": 1}
SCENE = (
    *(
        "theta_e",
        "lens_q",
        "lens_phi",
        "lens_x",
        "lens_y",
        "r_mag",
        "g_r",
        "r_z",
        "beta",
        "beta_phi",
    ),
    *("r_eff", "n", "source_q", "source_phi"),
)
SHEARS = ({"gamma", "gamma_phi"}, {"gamma1", "gamma2"})
NAMES = {"lens_q": "q", "source_q": "q", "gamma": "shear", "beta": "offset"}
"""Parameters that the scene knows by another name; the domains of `lensjax.checks` go by those."""
KNOT_DOMAINS = {
    "probability": Domain(0.0, 1.0, "between 0 and 1"),
    "number": Domain(1, 16, "between 1 and 16"),
    "fraction": Domain(0.0, 1.0, "between 0 and 1"),
    "spread": Domain(0.0, 10.0, "between 0 and 10"),
    "size": Domain(0.0, 10.0, "larger than 0 and at most 10", ends="(]"),
}
CLUMPS = {"probability": 1, "number": 2, "fraction": 2, "spread": 1, "size": 2}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Distribution:
    """One parameter's distribution: its kind (see priors.yaml) and the kind's numbers."""

    numbers: tuple[Real, ...]
    kind: str = field(metadata={"static": True})

    def quantile(self, u: Array) -> Array:
        """The value below which a share u (in (0, 1)) of the draws falls, any shape."""
        a, *rest = self.numbers
        b = rest[0] if rest else 0.0
        if self.kind == "uniform":
            return a + (b - a) * u
        if self.kind == "area":
            return jnp.sqrt(a**2 + (b**2 - a**2) * u)
        if self.kind == "normal":
            return a + b * ndtri(u)
        if self.kind == "half_normal":
            return a * ndtri(0.5 + 0.5 * u)
        return a + 0.0 * u

    def log_prob(self, value: Array) -> Array:
        """Log density at `value`, any shape; -inf outside the support, 0 for a fixed parameter."""
        a, *rest = self.numbers
        b = rest[0] if rest else 0.0
        if self.kind == "uniform":
            return jnp.where((value >= a) & (value <= b), -jnp.log(b - jnp.asarray(a)), -jnp.inf)
        if self.kind == "area":
            inside = (value >= a) & (value <= b)
            return jnp.where(
                inside,
                jnp.log(2 * jnp.where(inside, value, 1.0) / (b**2 - jnp.asarray(a) ** 2)),
                -jnp.inf,
            )
        if self.kind == "normal":
            return jax.scipy.stats.norm.logpdf(value, a, b)
        if self.kind == "half_normal":
            return jnp.where(
                value >= 0, jnp.log(2.0) + jax.scipy.stats.norm.logpdf(value, 0.0, a), -jnp.inf
            )
        return jnp.zeros_like(value)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Prior:
    """A distribution of scenes. `parameters` by name; `clumps` the numbers of the clump model, or None; `knots` (static, for the shape of a
    scene depends on it) the smallest and largest number of clumps."""

    parameters: dict[str, Distribution]
    clumps: dict[str, tuple[Real, ...]] | None
    knots: tuple[int, int] = field(metadata={"static": True})
    name: str = field(metadata={"static": True})

    def draw(self, key: Array, n: int, /, **fixed: Real) -> dict[str, Array]:
        """n values (n,) of every parameter, those in `fixed` (scalar or (n,)) as given. A parameter's draws depend on the key and its
        name only: fixing one leaves the others as they were. InputError for an unknown name or a value outside the parameter's domain."""
        _check_draw(self, n, fixed)
        return _draw(self, key, n, fixed)

    def log_prob(self, parameters: dict[str, Array]) -> Array:
        """Log density (n,) of parameters as `draw` gives them (clumps not included)."""
        return sum(
            (d.log_prob(parameters[k]) for k, d in self.parameters.items()),
            jnp.zeros_like(parameters["theta_e"]),
        )

    def sample(self, key: Array, n: int, /, **fixed: Real) -> Scene:
        """n scenes as one batched Scene (leaves (n, ...)); `fixed` holds parameters at given values, e.g. theta_e=1.5."""
        _check_draw(self, n, fixed)
        return _sample(self, key, n, fixed)

    def _draw_clumps(self, key: Array, n: int) -> Clumps | None:
        """Between 0 and the largest number of knots per galaxy, absent ones with fraction 0: equal shares of the drawn fraction, placed
        uniformly within `spread` half-light ellipses."""
        if self.clumps is None:
            return None
        c = self.clumps
        low, high = self.knots
        k_any, k_number, k_fraction, k_r, k_phi, k_size = jax.random.split(key, 6)
        some = jax.random.uniform(k_any, (n,)) < c["probability"][0]
        number = jax.random.randint(k_number, (n,), low, high + 1)
        share = (
            jax.random.uniform(k_fraction, (n,)) * (c["fraction"][1] - c["fraction"][0])
            + c["fraction"][0]
        )
        present = some[:, None] & (jnp.arange(high) < number[:, None])
        r = c["spread"][0] * jnp.sqrt(jax.random.uniform(k_r, (n, high), minval=1e-6))
        phi = 2 * jnp.pi * jax.random.uniform(k_phi, (n, high))
        size = jax.random.uniform(k_size, (n, high)) * (c["size"][1] - c["size"][0]) + c["size"][0]
        return Clumps(
            jnp.where(present, (share / number)[:, None], 0.0),
            r * jnp.cos(phi),
            r * jnp.sin(phi),
            size,
        )


def _check_draw(prior: Prior, n: int, fixed: dict[str, Real]) -> None:
    unknown = set(fixed) - set(prior.parameters)
    if unknown:
        raise InputError(
            f"prior {prior.name!r} has no parameter {min(unknown)!r}; it has {', '.join(sorted(prior.parameters))}"
        )
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InputError(
            f"prior {prior.name!r}: n = {n}: give a whole number of scenes, 1 or larger"
        )
    for name, value in fixed.items():
        check_value(f"prior {prior.name!r}: {name}", value, DOMAINS.get(NAMES.get(name, name), ANY))
        if np.shape(value) not in ((), (1,), (n,)):
            raise InputError(
                f"prior {prior.name!r}: {name} has shape {np.shape(value)}: give one value or {n}"
            )


@partial(jax.jit, static_argnames="n")
def _draw(prior: Prior, key: Array, n: int, fixed: dict[str, Real]) -> dict[str, Array]:
    names = sorted(prior.parameters)
    keys = jax.random.split(key, len(names))
    uniform = dict(
        zip(
            names,
            jax.vmap(lambda k: jax.random.uniform(k, (n,), minval=1e-6, maxval=1 - 1e-6))(keys),
        )
    )
    drawn = {k: prior.parameters[k].quantile(uniform[k]) for k in names if k not in fixed}
    return drawn | {
        k: jnp.broadcast_to(jnp.asarray(v, jnp.result_type(v, jnp.float32)), (n,))
        for k, v in fixed.items()
    }


@partial(jax.jit, static_argnames="n")
def _sample(prior: Prior, key: Array, n: int, fixed: dict[str, Real]) -> Scene:
    return scene(_draw(prior, key, n, fixed), prior._draw_clumps(jax.random.fold_in(key, 1), n))


def scene(p: dict[str, Array], clumps: Clumps | None = None) -> Scene:
    """The (batched) scene of drawn parameters. The source lies beta theta_e from the lens's centre in the direction beta_phi."""
    lens = SIE(p["theta_e"], p["lens_q"], p["lens_phi"], p["lens_x"], p["lens_y"])
    if "gamma" in p:
        shear = Shear(
            p["gamma"] * jnp.cos(2 * p["gamma_phi"]), p["gamma"] * jnp.sin(2 * p["gamma_phi"])
        )
    else:
        shear = Shear(p["gamma1"], p["gamma2"])
    mags = jnp.stack([p["r_mag"] + p["g_r"], p["r_mag"], p["r_mag"] - p["r_z"]], -1)
    r = p["beta"] * p["theta_e"]
    x, y = p["lens_x"] + r * jnp.cos(p["beta_phi"]), p["lens_y"] + r * jnp.sin(p["beta_phi"])
    source = Sersic(nanomaggies(mags), p["r_eff"], p["n"], p["source_q"], p["source_phi"], x, y)
    return Scene(lens, shear, source, clumps)


def lens_like_host(key: Array, q: Real, phi: Real, scatter: float = 0.05) -> dict[str, Array]:
    """Lens ellipticity that follows its host's light: lens_q = clip(q + N(0, scatter), 0.5, 1), lens_phi = phi (radians); shapes of q.
    To be passed to `Prior.sample` as fixed parameters."""
    q = jnp.asarray(q)
    return {
        "lens_q": jnp.clip(q + scatter * jax.random.normal(key, q.shape), 0.5, 1.0),
        "lens_phi": jnp.asarray(phi),
    }


def priors(name: str) -> Prior:
    """The preset `name` of priors.yaml: raw_notes or arclike."""
    presets = _registry()
    if name not in presets:
        raise InputError(f"unknown prior {name!r}; the presets are {', '.join(presets)}")
    return presets[name]


@cache
def _registry() -> dict[str, Prior]:
    import yaml

    text = files("lensjax").joinpath("priors.yaml").read_text()
    return {name: prior_from(name, entries) for name, entries in yaml.safe_load(text).items()}


def prior_from(name: str, entries: dict) -> Prior:
    """A validated Prior from a mapping as in priors.yaml; InputError names the preset, the parameter and what is wrong."""

    def fail(parameter: str, why: str):
        raise InputError(f"prior {name!r}, parameter {parameter!r}: {why}")

    def numbers(parameter: str, value: Any, count: int, domain: Domain = ANY) -> tuple[float, ...]:
        listed = value if isinstance(value, list) else [value]
        if len(listed) != count or not all(
            isinstance(v, int | float) and not isinstance(v, bool) for v in listed
        ):
            fail(parameter, f"{value} should be {count} number(s)")
        for v in listed:
            if not domain.holds(float(v)):
                fail(parameter, f"{v} should be {domain.words}")
        return tuple(float(v) for v in listed)

    if not isinstance(entries, dict):
        raise InputError(f"prior {name!r} is {entries!r}: give a mapping of parameters")
    entries = dict(entries)
    clumps = entries.pop("clumps", None)
    shear = next((s for s in SHEARS if s <= set(entries)), None)
    if shear is None:
        raise InputError(
            f"prior {name!r}: give the shear as gamma and gamma_phi or as gamma1 and gamma2"
        )
    missing, extra = (set(SCENE) | shear) - set(entries), set(entries) - set(SCENE) - shear
    if missing or extra:
        raise InputError(f"prior {name!r}: missing {sorted(missing)}, unknown {sorted(extra)}")
    parameters = {}
    for parameter, entry in entries.items():
        if not isinstance(entry, dict) or len(entry) != 1 or next(iter(entry)) not in KINDS:
            fail(parameter, f"give one of {', '.join(KINDS)}")
        ((kind, value),) = entry.items()
        # the ends of an interval have to be possible values; a normal's tails are the user's business
        domain = (
            DOMAINS.get(NAMES.get(parameter, parameter), ANY)
            if kind in ("uniform", "area", "fixed")
            else ANY
        )
        values = numbers(parameter, value, KINDS[kind], domain)
        if kind in ("uniform", "area") and not values[0] < values[1]:
            fail(parameter, f"{value} should be [low, high] with low < high")
        if kind == "area" and values[0] < 0:
            fail(parameter, f"{value} should be radii, 0 or larger")
        if kind in ("normal", "half_normal") and values[-1] <= 0:
            fail(parameter, f"sigma {values[-1]:g} should be larger than 0")
        parameters[parameter] = Distribution(values, kind)
    if clumps is not None:
        if not isinstance(clumps, dict) or set(clumps) != set(CLUMPS):
            fail("clumps", f"give {', '.join(CLUMPS)}")
        clumps = {
            k: numbers(f"clumps.{k}", v, CLUMPS[k], KNOT_DOMAINS[k]) for k, v in clumps.items()
        }
        for k in (k for k, count in CLUMPS.items() if count == 2 and clumps[k][0] > clumps[k][1]):
            fail(f"clumps.{k}", f"{list(clumps[k])} should be [low, high]")
    low, high = clumps.pop("number") if clumps else (0, 0)
    if low != int(low) or high != int(high):
        fail("clumps.number", f"{[low, high]} should be whole numbers")
    return Prior(parameters, clumps, (int(low), int(high)), name)
