"""Configuration: one YAML file with one section for each step.

A section is a frozen dataclass, and its defaults are the default run. The dataclasses are
pydantic's, so an unknown key, a wrong type or a value out of range is refused by name. A verb's
flags are the fields of its section (tyro): `lensjax train CONFIG --epochs 3` overrides `train:
{epochs: …}` of the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field, make_dataclass
from glob import escape
from importlib import resources
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    TypeVar,
    dataclass_transform,
    get_args,
    get_type_hints,
)

import pydantic
from pydantic.dataclasses import dataclass as pydantic_dataclass

from data.listing import below
from data.stores import Place, Remote
from lensjax import yamlfile
from lensjax.cli import names
from lensjax.errors import InputError, meant, nearest

C = TypeVar("C")
DEFAULT = "default"


@dataclass_transform(frozen_default=True)
def settings(cls: type[C]) -> type[C]:
    """Class decorator: a frozen dataclass that validates its fields and refuses unknown ones."""
    config = pydantic.ConfigDict(extra="forbid")
    return pydantic_dataclass(frozen=True, config=config)(cls)  # type: ignore[return-value]


def presets() -> list[str]:
    """Names that `read` takes in place of a file."""
    found = resources.files("data") / "presets"
    return [
        DEFAULT,
        *sorted(p.name.removesuffix(".yaml") for p in found.iterdir() if p.name.endswith(".yaml")),
    ]


def read(source: str | Path = DEFAULT) -> dict[str, dict[str, Any]]:
    """The sections of a configuration file or preset, not yet validated.

    Raises InputError when the file is missing, is not YAML, or is not a mapping of sections to
    mappings.
    """
    name = str(source)
    if name == DEFAULT:
        return {}
    if name in presets():
        path = Path(str(resources.files("data") / "presets" / f"{name}.yaml"))
    else:
        path = Path(name)
        if not path.is_file():
            around = path.parent.glob("*.y*ml") if path.parent.is_dir() else ()
            near = nearest(name, presets()) or nearest(name, map(str, around))
            raise InputError(
                f"{name}: no such configuration file, nor a preset ({near}known: "
                f"{', '.join(presets())})"
            )
    raw = yamlfile.read(path, name) or {}
    if not isinstance(raw, dict) or not all(isinstance(v, dict) for v in raw.values()):
        raise InputError(
            f"{name}: expected sections, each a mapping of keys to values "
            "(see docs/configuration.md)"
        )
    return raw


def validated(cls: type[C], values: dict[str, Any], where: str) -> C:
    """An instance of a `settings` class. InputError names the key, the value and what is
    allowed."""
    try:
        return pydantic.TypeAdapter(cls).validate_python(values)
    except pydantic.ValidationError as error:
        problems = []
        for e in error.errors():
            key = ".".join(str(part) for part in e["loc"])
            if e["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
                known = _keys(cls, e["loc"][:-1])
                problems.append(f"unknown key {key!r} ({meant(str(e['loc'][-1]), known)})")
            elif e["type"] == "missing":
                problems.append(f"{key}: missing, add it")
            else:
                said = e["msg"].removeprefix("Value error, ")
                given = "" if isinstance(e["input"], dict) else f", got {e['input']!r}"
                problems.append(f"{key}: {said}{given}" if key else said)
        raise InputError(f"{where}: " + "; ".join(problems)) from None


def _keys(cls: Any, path: Sequence[str | int]) -> list[str]:
    """The keys that a settings class has at a path: its own, or those of a class inside it. Empty
    where the path leads to no class."""
    for part in path:
        if part in getattr(cls, "__dataclass_fields__", {}):
            cls = get_type_hints(cls)[str(part)]
    inside = [cls, *get_args(cls)]
    found = next((c for c in reversed(inside) if hasattr(c, "__dataclass_fields__")), None)
    return list(found.__dataclass_fields__) if found else []


@plain_dataclass(frozen=True)
class Invocation(Generic[C]):
    """What a verb was asked: the settings of its section, the run directory, and whether to repeat
    finished work."""

    settings: C
    out: Path
    force: bool
    source: str


def data_directory() -> str:
    """Where external survey data lies: the environment variable LENSJAX_DATA, or empty."""
    return os.environ.get("LENSJAX_DATA", "")


def external(path: str, key: str) -> Path:
    """A file or folder that a setting names: LENSJAX_DATA, or ${LENSJAX_DATA}, as its first part
    stands for the folder that this environment variable names. Raises InputError, naming the key,
    when the variable is asked for and not set."""
    first, _, rest = path.partition("/")
    if first not in ("LENSJAX_DATA", "${LENSJAX_DATA}"):
        return Path(path).expanduser()
    if not data_directory():
        raise InputError(
            f"{key} is below LENSJAX_DATA, but that environment variable is not set: export "
            "LENSJAX_DATA=/path/to/survey/data"
        )
    return Path(data_directory()).expanduser() / rest


def matching(root: Place, patterns: Iterable[str], key: str) -> list[str]:
    """Files below a folder that match the patterns of a setting: their paths relative to it, each
    once, in the order of the patterns and sorted within each. A pattern that is the name of a file
    is that file, whatever characters it has. Raises InputError, naming the key, for a pattern that
    is none, for one that no file matches, and as `listing.below`."""
    found: dict[str, None] = {}
    for pattern in patterns:
        try:
            if isinstance(root, Remote):
                own = [str(p.relative_to(root)) for p in root.glob(pattern)]
            else:
                own = below(root, escape(pattern) if (root / pattern).is_file() else pattern)
        except InputError:
            raise
        except (ValueError, NotImplementedError) as error:
            raise InputError(f"{key}: pattern {pattern!r}: {error}") from None
        if not own:
            raise InputError(f"{root / pattern}: no file matches; correct {key}")
        found |= dict.fromkeys(own)
    return list(found)


def invocation(verb: str, cls: type[C], argv: Sequence[str], description: str) -> Invocation[C]:
    """Parses `[CONFIG] [--out DIR] [--force] [flags of the section]`. Raises InputError on an
    invalid value, and on a section of the file that belongs to no verb."""
    import tyro

    argv = list(argv)
    source = argv.pop(0) if argv and not argv[0].startswith("-") else DEFAULT
    sections, known = read(source), names()
    for name in sections:
        if name not in [verb, *known]:
            raise InputError(f"{source}: unknown section {name!r} ({meant(name, known)})")
    base = validated(cls, sections.get(verb, {}), f"{source}, section {verb}")
    default_out = Path("runs") / Path(source).stem
    flags: Any = Annotated[cls, tyro.conf.arg(name="")]  # type: ignore[valid-type]
    shape = make_dataclass(
        "Arguments",
        [
            ("settings", flags, field(default=base)),
            (
                "out",
                Annotated[
                    Path,
                    tyro.conf.arg(
                        help="run directory: results go here, and are continued from here"
                    ),
                ],
                field(default=default_out),
            ),
            (
                "force",
                Annotated[bool, tyro.conf.arg(help="redo this step even when it is up to date")],
                field(default=False),
            ),
        ],
        frozen=True,
    )
    try:
        parsed: Any = tyro.cli(
            shape, args=argv, prog=f"lensjax {verb} [CONFIG]", description=description
        )
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"--{'.'.join(str(p) for p in first['loc'])}: {first['msg']}, got {first['input']!r}"
        ) from None
    return Invocation(parsed.settings, parsed.out, parsed.force, source)
