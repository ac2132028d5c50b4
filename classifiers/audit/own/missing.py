"""What a person has not said yet, and how to say it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 96


@dataclass(frozen=True)
class Missing:
    """One thing that is missing or cannot be right.

    what: its name. why: what was found, and what it is needed for, in whole sentences. cure: the
    option, column or key that gives it. words: what would be added to the command line. keys: what
    would be added behind the finder's name.
    """

    what: str
    why: str
    cure: str
    words: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def in_words(missing: Sequence[Missing], command: str) -> str:
    """The complete list for a person, and the command that would go on. command: "" for none."""
    many = len(missing) > 1
    lines = [
        f"audit: {len(missing)} thing{'s are' if many else ' is'} missing before it can start.",
        "",
    ]
    for number, one in enumerate(missing, 1):
        lines += textwrap.wrap(
            f"{one.what}: {one.why}",
            WIDTH,
            initial_indent=f"{number:2d}. ",
            subsequent_indent="    ",
            break_on_hyphens=False,
        )
        lines += textwrap.wrap(
            one.cure,
            WIDTH,
            initial_indent="    -> ",
            subsequent_indent="       ",
            break_on_hyphens=False,
        )
    if command:
        lines += ["", "With all of these, where <...> is for you to fill in:", "", command]
    return "\n".join(lines)
