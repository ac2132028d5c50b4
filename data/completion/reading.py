"""The words of a verb, read from its help: options, their choices, and the verbs below it."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from lensjax.errors import InputError

WIDE = "400"
"""columns of the help that is read, so that no name and no list of choices is broken"""
WORD = r"[A-Za-z0-9_][\w.+-]*"
"""What may stand in a script as it is; other choices are left out."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Option:
    """names: with their dashes, for instance ("--force", "--no-force"). takes: whether a value
    follows. choices: of the value; empty: any, perhaps a file."""

    names: tuple[str, ...]
    takes: bool
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Words:
    """summary: one line. options: of the verb itself. below: its own verbs by name. config: whether
    a configuration file or preset comes first."""

    summary: str
    options: tuple[Option, ...]
    below: dict[str, Words]
    config: bool = False


def words_of(name: str, verb: Callable[[Sequence[str]], Any]) -> Words:
    """The words of a verb. If its help fails, for instance because a package is missing, only its
    name is known."""
    try:
        text = _help(verb, [])
        usage = _usage(text)
        listed = re.search(r"\] \{([\w,-]+)\}$", usage)
        names = listed[1].split(",") if listed else []
        below = {n: Words("", tuple(options(_help(verb, [n]))), {}) for n in names}
        config = "[CONFIG]" in usage
        return Words(_summary(verb), tuple(options(text)), below, config)
    except (ImportError, InputError):
        return Words(_summary(verb), (), {})


def _summary(verb: Any) -> str:
    return " ".join(str(getattr(verb, "summary", "")).split())


def options(text: str) -> Iterator[Option]:
    """The options that a help text lists, each at the beginning of a line (inside a frame or not),
    with two blanks or the end of the line behind its name and value."""
    for line in text.splitlines():
        head = re.match(r"[│\s]*(-{1,2}[A-Za-z].*?)(\s{2,}|\s*│|$)", line)
        if head is None:
            continue
        names = tuple(re.findall(r"(?<![\w-])--?[A-Za-z][\w.-]*", head[1]))
        rest = head[1]
        for name in names:
            rest = rest.replace(name, "", 1)
        rest = rest.replace(",", " ", len(names)).strip()
        listed = re.search(r"\{([^{}]+)\}", head[1])
        choices = listed[1].split(",") if listed and listed[1] != "None" else []
        kept = tuple(c for c in choices if re.fullmatch(WORD, c))
        yield Option(names, bool(rest), kept)


def _usage(text: str) -> str:
    """The usage of a help text, on one line."""
    return " ".join(text.partition("\n\n")[0].split())


def _help(verb: Callable[[Sequence[str]], Any], before: Sequence[str]) -> str:
    """What `lensjax VERB ... --help` prints, without colours."""
    printed = io.StringIO()
    with _columns(WIDE), redirect_stdout(printed), redirect_stderr(io.StringIO()):
        try:
            verb([*before, "--help"])
        except SystemExit:
            pass
    return COLOUR.sub("", printed.getvalue())


@contextmanager
def _columns(width: str) -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = width
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
