"""Priors from YAML and from mappings, validated: every mistake is one line that names the prior,
the component and the parameter."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lensjax.component import ANY, Component, Domain, named
from lensjax.errors import InputError, nearest
from lensjax.photometry import colour_bands
from lensjax.prior.distribution import KINDS, Distribution
from lensjax.prior.drawing import BASES, Block, Prior

CARRIES_BLOCK = ("q", "phi", "x", "y")
"""Fields that lenses and sources share, so that their flat names carry the block."""

OFFSET: dict[str, Domain] = {"beta": ANY, "beta_phi": ANY}


def priors(name: str) -> Prior:
    """The preset of that name (raw_notes, arclike), or the prior in a YAML file. Raises InputError
    when there is neither, and as `prior_from` does."""
    presets = _presets()
    return presets[name] if name in presets else prior_from(name, prior_entries(name))


def prior_entries(name: str) -> Mapping[str, Any]:
    """What a preset or a YAML file says, as `prior_from` takes it. Raises InputError when there is
    neither, and for what is no YAML."""
    from lensjax import yamlfile

    presets = _preset_entries()
    if name in presets:
        return presets[name]
    if not name.endswith((".yaml", ".yml")):
        raise InputError(
            f"unknown prior {name!r}; {nearest(name, presets)}the presets are "
            f"{', '.join(presets)}, and a path ending in .yaml is a prior of your own"
        )
    return yamlfile.read(Path(name), f"prior {name}")


@cache
def _preset_entries() -> dict[str, Mapping[str, Any]]:
    import yaml

    return yaml.safe_load(files("lensjax").joinpath("prior/presets.yaml").read_text())


@cache
def _presets() -> dict[str, Prior]:
    return {name: prior_from(name, entries) for name, entries in _preset_entries().items()}


def prior_from(name: str, entries: Mapping[str, Any]) -> Prior:
    """A prior from a mapping as in presets.yaml, see the package's docstring.

    Raises InputError, naming prior, component and parameter, for a block, component, parameter or
    kind of distribution that does not exist, for one that is missing, and for numbers that cannot
    be.
    """
    if not isinstance(entries, Mapping) or not entries:
        raise InputError(f"prior {name!r} is {entries!r}: give a mapping of {', '.join(BASES)}")
    if unknown := [str(role) for role in entries if role not in BASES]:
        raise InputError(
            f"prior {name!r}: unknown block {unknown[0]!r}; there are {', '.join(BASES)}"
        )
    parameters: dict[str, Distribution] = {}
    blocks: list[Block] = []
    extras: list[Any] = []
    for role in BASES:
        for component, block in _components(name, role, entries.get(role) or {}):
            read = _Reader(name, role, component, block, blocks)
            blocks.append(read.block(parameters))
            extras.append(read.extra())
    if not any(block.role != "lens" for block in blocks):
        raise InputError(f"prior {name!r}: no source; give one under `source`")
    return Prior(parameters, tuple(extras), tuple(blocks), (), None, name)


def _components(name: str, role: str, given: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Components of a block in order: a mapping by name, or a list of such mappings where one name
    stands twice."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for part in given if isinstance(given, list) else [given]:
        if not isinstance(part, Mapping):
            raise InputError(f"prior {name!r}, {role}: {part!r} should be a mapping of components")
        for component, block in part.items():
            if not isinstance(block, Mapping):
                raise InputError(
                    f"prior {name!r}, {role}, {component}: {block!r} should be a mapping of "
                    "parameters"
                )
            if odd := [key for key in block if not isinstance(key, str)]:
                raise InputError(
                    f"prior {name!r}, {role} {component}: parameter {odd[0]!r} is no name"
                )
            found.append((str(component), block))
    return found


class _Reader:
    """Reads one component of a prior."""

    def __init__(self, prior: str, role: str, component: str, block: Mapping, before: list[Block]):
        self.prior, self.role, self.component, self.given = prior, role, component, dict(block)
        try:
            self.cls: type[Component] = named(BASES[role], component)
        except InputError as error:
            raise InputError(f"prior {prior!r}, {role}: {error}") from None
        self.before = before
        self.taken = {flat for b in before for _, flat in b.names}

    def fail(self, parameter: str, why: str) -> InputError:
        return InputError(
            f"prior {self.prior!r}, {self.role} {self.component}, parameter {parameter!r}: {why}"
        )

    def block(self, parameters: dict[str, Distribution]) -> Block:
        constants = {k: self.given.pop(k) for k in self.cls.constants() & set(self.given)}
        entries = {k: v for k, v in self.given.items() if k != self.cls.extra}
        domains = self._wanted(entries)
        names = []
        for parameter, entry in entries.items():
            flat = self._flat(parameter)
            domain = self.cls.narrowed(parameter, domains[parameter], constants)
            parameters[flat] = self._distribution(parameter, entry, domain)
            names.append((parameter, flat))
        implied = self.cls.implied({k: parameters[flat].ends for k, flat in names})
        found = (tuple(sorted(values.items())) for values in (constants, implied))
        return Block(self.role, self.component, tuple(names), *found)

    def extra(self) -> Any:
        key = self.cls.extra
        if not key or key not in self.given:
            if self.cls.needs_extra:
                raise self.fail(key, f"is missing; {self.component} needs it")
            return None
        try:
            return self.cls.read_extra(self.given[key])
        except ValueError as error:
            said = str(error)
            at = said.split(":", 1)[0]
            if ":" in said and at.isidentifier():
                raise self.fail(f"{key}.{at}", said.split(": ", 1)[1]) from None
            raise self.fail(key, said) from None

    def _wanted(self, entries: Mapping[str, Any]) -> dict[str, Domain]:
        """The domain of every entry, checked that what is needed is there and nothing else."""
        photometric: dict[str, Domain] = {}
        if self.role != "lens":
            photometric = {k: ANY for k in entries if colour_bands(k)}
        rest = set(entries) - set(photometric)
        best: tuple[list[str], list[str]] | None = None
        for choice in self.cls.choices():
            optional = self.cls.optional()
            allowed = dict(choice)
            if self.role != "lens" and {"x", "y"} <= set(choice):
                allowed |= OFFSET
            missing = sorted(set(choice) - optional - rest)
            extra = sorted(rest - set(allowed))
            if not missing and not extra:
                self._check_offset(rest)
                self._check_photometry(list(photometric))
                return {**photometric, **{k: allowed[k] for k in rest}}
            if best is None or len(missing) + len(extra) < len(best[0]) + len(best[1]):
                best = missing, extra
        missing, extra = best or ([], [])
        known = sorted({k for choice in self.cls.choices() for k in choice})
        raise InputError(
            f"prior {self.prior!r}, {self.role} {self.component}: missing {missing}, unknown "
            f"{extra}; its parameters are {', '.join(known)}"
        )

    def _check_offset(self, rest: set[str]) -> None:
        offset, place = rest & set(OFFSET), rest & {"x", "y"}
        if len(offset) == 1 or (offset and place):
            raise self.fail("beta", "give beta and beta_phi, or x and y")

    def _check_photometry(self, names: list[str]) -> None:
        if self.role == "lens":
            return
        if sum(name.endswith("_mag") for name in names) != 1:
            raise self.fail(
                "r_mag", "give one magnitude, for example r_mag, and colours such as g_r"
            )

    def _flat(self, parameter: str) -> str:
        role = {"lens": "lens", "source": "source", "lens_light": "light"}[self.role]
        carries = parameter in CARRIES_BLOCK or self.role == "lens_light"
        flat = f"{role}_{parameter}" if carries else parameter
        number = 1 + sum(b.role == self.role for b in self.before)
        return f"{role}{number}_{parameter}" if flat in self.taken else flat

    def _distribution(self, parameter: str, entry: Any, domain: Domain) -> Distribution:
        try:
            return read_distribution(entry, domain)
        except ValueError as error:
            raise self.fail(parameter, str(error)) from None


def read_distribution(entry: Any, domain: Domain = ANY) -> Distribution:
    """The distribution that an entry such as `{uniform: [0.5, 3.0]}` stands for. domain: where the
    parameter may lie. Raises ValueError, saying what is wrong."""
    if not isinstance(entry, Mapping) or len(entry) != 1 or next(iter(entry)) not in KINDS:
        raise ValueError(f"give one of {', '.join(KINDS)}")
    ((kind, value),) = entry.items()
    # The ends of an interval have to be possible values; a normal's tails are the user's business.
    bounded = kind in ("uniform", "area", "fixed")
    values = _numbers(value, KINDS[kind], domain if bounded else ANY)
    if kind in ("uniform", "area") and not values[0] < values[1]:
        raise ValueError(f"{value} should be [low, high] with low < high")
    if kind == "area" and values[0] < 0:
        raise ValueError(f"{value} should be radii, 0 or larger")
    if kind in ("normal", "half_normal") and values[-1] <= 0:
        raise ValueError(f"sigma {values[-1]:g} should be larger than 0")
    return Distribution(values, kind)


def _numbers(value: Any, count: int, domain: Domain) -> tuple[float, ...]:
    given = value if isinstance(value, list | tuple) else [value]
    plain = all(isinstance(v, int | float) and not isinstance(v, bool) for v in given)
    if len(given) != count or not plain:
        raise ValueError(f"{value} should be {count} number(s)")
    try:
        numbers = tuple(float(v) for v in given)
    except OverflowError:
        raise ValueError(f"{str(value)[:12]}... is beyond any number that can be used") from None
    for v in numbers:
        if not domain.holds(v):
            raise ValueError(f"{v} should be {domain.words}")
    return numbers
