"""The one exception that a user sees as a single line, and how its lists are kept short."""

from collections.abc import Sequence


class InputError(ValueError):
    """Something the user gave cannot be used. The message names the file, row or value and what to
    do about it."""


def some(names: Sequence[str], shown: int = 3) -> str:
    """The first few of a list, as a message names them, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
