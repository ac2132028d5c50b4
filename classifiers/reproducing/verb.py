"""The verb `reproduce`: does a run or a step again from its record, and compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from classifiers.reproducing.outcome import Outcome
from data.verb import Verb

Execute = Callable[[str, Sequence[str]], int]


@dataclass(frozen=True)
class Asked:
    """Does a finished run again in a new folder, from the settings in its records, and compares
    what it writes with the recorded SHA-256 of every output; see docs/run-directory.md.

    On the same platform with the same versions every output has to be equal, byte for byte, but for
    those that hold times. Otherwise every figure has to lie in its interval of 95 %. The exit code
    is 0 where the record holds, 1 where it does not, and 2 where it cannot be done again."""

    record: tyro.conf.Positional[Path]
    """records/STEP.json of a run directory, for this one step; or a run directory, for all of its
    steps"""
    out: Path
    """new folder; the same command again continues there"""


def work(argv: list[str]) -> int:
    """Prints what is equal and what is not, and writes it to reproduced/ of the new folder. Raises
    InputError for a record that cannot be done again, and for inputs that are missing or have
    changed, with their hashes."""
    asked = tyro.cli(Asked, args=argv, prog="lensjax reproduce", description=Asked.__doc__)
    found = reproduced(asked.record, asked.out)
    if isinstance(found, int):
        return found
    for line in found.lines():
        print(f"reproduce: {line}")
    print(f"reproduce: {asked.out / 'reproduced'}")
    return 0 if found.holds else 1


def reproduced(
    path: Path,
    out: Path,
    chain: Mapping[str, Verb] | None = None,
    execute: Execute | None = None,
) -> Outcome | int:
    """Does again what a record or run directory asks for, in the folder `out`, and compares; the
    exit code of a step where one did not finish.

    chain: the steps there are; those of `lensjax run` if not given. execute: runs one step with its
    arguments and returns the exit code; in a process of its own if not given. Raises InputError as
    `recorded.recorded`, `inputs.checked` and `inputs.place` do.
    """
    from classifiers import chain as house
    from classifiers.reproducing import inputs, outcome
    from classifiers.reproducing.recorded import recorded

    known = house.chain() if chain is None else chain
    asked = recorded(path, known)
    for line in inputs.checked(asked):
        print(f"reproduce: {line}")
    inputs.place(asked, out)
    settings: dict[str, Any] = dict(asked.settings)
    house.write_config(out / "config.yaml", house.RunSettings(steps=asked.steps), settings)
    for step in asked.steps:
        print(f"reproduce: {step}", flush=True)
        code = (execute or house.execute)(step, [str(out / "config.yaml"), "--out", str(out)])
        if code:
            print(f"reproduce: {step} stopped with exit code {code}")
            return code
    found = outcome.outcome(asked, out)
    found.write(out / outcome.FOLDER)
    return found
