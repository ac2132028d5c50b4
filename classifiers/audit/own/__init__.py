"""An audit of somebody's finder on somebody's cutouts, in one command.

    lensjax audit --finder my_finder:score --cutouts FOLDER --table TABLE

- arguments: what is said on the command line
- missing: what is not said, each with the way to say it
- reading: table, files and definition, as far as they are known
- finding: the finder, tried on a few of the cutouts
- plan: the configuration of the run, and the same in words
- command: asks, or composes the steps survey, evaluate, audit and report (`classifiers.chain`)
"""

from __future__ import annotations

from collections.abc import Sequence

FLAGS = ("--cutouts", "--table")
"""Options that only this form of the verb has."""


def asked(argv: Sequence[str]) -> int | None:
    """Does what `lensjax audit --cutouts` does (`command.work`) and returns its exit code; None
    where the arguments are those of the step."""
    if not any(word.partition("=")[0] in FLAGS for word in argv):
        return None
    from classifiers.audit.own.command import work

    return work(argv)
