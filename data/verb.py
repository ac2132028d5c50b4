"""A verb of the command `lensjax`: its name, the settings that it takes, and where its code is.

The rooms contribute their verbs as entry points of the group `lensjax.verbs`. A verb is data: help
and the order of the chain need none of its code, so the functions are given by name and are loaded
when they are used. A verb with settings is a step of a run: it has a run record, is skipped while
it is up to date, and comes after other steps.

    command = Verb(
        name="train",
        summary="Trains a lens finder on the survey's shards.",
        settings=TrainSettings,
        after=("survey",),
        owns=("training",),
        work="classifiers.training.verb:work",
    )

    def work(call: Invocation[TrainSettings]) -> Done:
        ...
        return Done(outputs=["training/classifier.safetensors"], notes={"epoch": 12})
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from data.config import Invocation, invocation
from data.record import Step

C = TypeVar("C")


@dataclass(frozen=True)
class Reads:
    """What a step reads: the earlier steps that these settings need, and files outside the run."""

    after: Sequence[str]
    external: Sequence[Path] = ()


@dataclass(frozen=True)
class Done:
    """What a finished step leaves.

    outputs: its files, absolute or relative to the run directory.
    notes: figures for the run record.
    lines: what is printed at the end, each line behind the name of the verb.
    remove: folders of intermediate results, removed once the run record is written.
    """

    outputs: Sequence[str | Path]
    notes: dict[str, Any] = field(default_factory=dict)
    lines: Sequence[str] = ()
    remove: Sequence[Path] = ()


def load(name: str) -> Callable[..., Any]:
    """The function that "module:function" names."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


@dataclass(frozen=True)
class Verb(Generic[C]):
    """One verb. Called with the arguments of the command line, it runs and returns the exit code.

    name: as typed by the user; of a step also its section of the configuration and its run record.
    summary: one line, shown by `lensjax --help`.
    work: "module:function". Of a step: takes the invocation and returns Done, or None when the step
        is not finished and goes on when it is called again. Without settings: takes the arguments
        and returns the exit code.
    settings: class of the section, made by `data.config.settings`; None: no step of a run.
    after: verbs that come before this one; the order of the chain follows from it.
    owns: paths of the run directory that only this step writes.
    reads: "module:function" that takes (settings, run directory) and returns Reads; by default the
        step reads all of `after` and nothing outside the run.
    guard: "module:function" that takes the invocation and raises InputError before a step that is
        not forced would throw work away.
    instead: "module:function" that takes the invocation and returns lines to print in place of all
        of this, or None; it leaves the run as it is.
    description: what `lensjax VERB --help` says above the flags, besides the summary.
    optional: a step that a run has only where `run.steps` names it.
    forms: flags that make it another command, each with its "module:function", which takes the
        arguments and returns the exit code.
    """

    name: str
    summary: str
    work: str
    settings: type[C] | None = None
    after: tuple[str, ...] = ()
    owns: tuple[str, ...] = ()
    reads: str = ""
    guard: str = ""
    instead: str = ""
    description: str = ""
    optional: bool = False
    forms: tuple[tuple[str, str], ...] = ()

    def step(self, settings: C, out: Path) -> Step:
        """The step's record in a run directory. Raises InputError as `reads` does."""
        reads = load(self.reads)(settings, out) if self.reads else Reads(self.after)
        return Step(
            out, self.name, settings, after=reads.after, owns=self.owns, external=reads.external
        )

    def __call__(self, argv: Sequence[str]) -> int:
        """Runs the verb. Raises InputError when arguments, settings or inputs are wrong."""
        if self.settings is None:
            return load(self.work)(list(argv)) or 0
        for flag, other in self.forms:
            if any(word == flag or word.startswith(f"{flag}=") for word in argv):
                return load(other)(list(argv)) or 0
        text = f"{self.summary}\n\n{self.description}".strip()
        call = invocation(self.name, self.settings, argv, description=text)
        return self.run(call)

    def run(self, call: Invocation[C]) -> int:
        """Runs the step unless it is up to date; an unfinished one goes on where it was stopped."""
        if self.instead and (lines := load(self.instead)(call)) is not None:
            print("\n".join(f"{self.name}: {line}" for line in lines))
            return 0
        step = self.step(call.settings, call.out)
        if step.current() and not call.force:
            print(f"{self.name}: up to date")
            return 0
        if call.force:
            step.restart()
        elif self.guard:
            load(self.guard)(call)
        with step:
            done: Done | None = load(self.work)(call)
            if done is not None:
                step.finish(done.outputs, **done.notes)
        if done is not None:
            for folder in done.remove:
                shutil.rmtree(folder, ignore_errors=True)
            for line in done.lines:
                print(f"{self.name}: {line}")
        return 0
