"""The one exception that a user sees as a single line, and the words of its message: what another
exception says, lists that are kept short, and the answer to a name that was mistyped."""

import difflib
from collections.abc import Iterable, Sequence


class InputError(ValueError):
    """Something the user gave cannot be used. The message names the file, row or value and what to
    do about it."""


def said(error: BaseException, longest: int = 200) -> str:
    """What an exception says, on one line of at most so many characters; the name of its class when
    it says nothing."""
    return " ".join(str(error).split())[:longest] or type(error).__name__


def some(names: Sequence[str], shown: int = 3) -> str:
    """The first few of a list, as a message names them, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def nearest(name: str, known: Iterable[str]) -> str:
    """The question whether the known name most like this one was meant, with a blank behind it;
    empty when none is like it. Capitals, and - for _, make no difference."""
    plain = {other.lower().replace("-", "_"): other for other in known}
    near = difflib.get_close_matches(name.lower().replace("-", "_"), plain, n=1)
    return f"did you mean {plain[near[0]]!r}? " if near else ""


def meant(name: str, known: Iterable[str]) -> str:
    """What to say about a name that is unknown: the nearest known one, and all of them."""
    known = list(known)
    return f"{nearest(name, known)}known: {', '.join(known)}"
