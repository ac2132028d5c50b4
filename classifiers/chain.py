"""The whole chain in one command. Every step has a process of its own, is skipped when it is up to
date, and goes on where it was interrupted.

Steps are found by the name of their verb, so this module imports none of them. Processes of their
own keep the memory of one step out of the next, and Spark's Java machine out of training.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
import yaml
from pydantic import TypeAdapter

from data import config, record
from data.files import replacing, write_json
from data.verb import Verb
from lensjax import yamlfile
from lensjax.cli import verbs
from lensjax.errors import InputError, meant


@config.settings
class RunSettings:
    """Which steps a run has."""

    steps: tuple[str, ...] = ()
    """names of steps, done in the order of the chain; empty for all that are not optional"""


def chain() -> dict[str, Verb]:
    """The verbs that are steps of a run, in order: each stands behind those it comes after."""
    return {name: verb for name, verb in verbs().items() if verb.settings is not None}


def resolve(source: str, overrides: Sequence[str]) -> tuple[RunSettings, dict[str, Any]]:
    """The validated settings of every step. Raises InputError for an unknown section, key or step,
    and for a value out of range."""
    raw = config.read(source)
    for item in overrides:
        name, equals, value = item.partition("=")
        section, dot, key = name.partition(".")
        if not (equals and dot):
            raise InputError(
                f"--set {item}: expected SECTION.KEY=VALUE, for example train.epochs=3"
            )
        *parents, last = key.split(".")
        target = raw.setdefault(section, {})
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = yamlfile.load(value, f"--set {item}")
    run = config.validated(RunSettings, raw.pop("run", {}), f"{source}, section run")
    known = {name: verb.settings for name, verb in chain().items() if verb.settings is not None}
    for name in run.steps:
        if name not in known:
            raise InputError(f"{source}, section run: unknown step {name!r} ({meant(name, known)})")
    sections = {"run": RunSettings, **known}
    for name in raw:
        if name not in sections:
            raise InputError(f"{source}: unknown section {name!r} ({meant(name, sections)})")
    usual = [name for name, verb in chain().items() if not verb.optional]
    chosen = {name: cls for name, cls in known.items() if name in (run.steps or usual)}
    return RunSettings(steps=tuple(chosen)), {
        name: config.validated(cls, raw.get(name, {}), f"{source}, section {name}")
        for name, cls in chosen.items()
    }


def write_config(path: Path, run: RunSettings, sections: dict[str, Any]) -> None:
    """Every setting with its value, as YAML that `lensjax` reads back."""
    plain = {"run": TypeAdapter(RunSettings).dump_python(run, mode="json")}
    plain |= {
        name: TypeAdapter(type(value)).dump_python(value, mode="json")
        for name, value in sections.items()
    }
    with replacing(path) as temporary:
        temporary.write_text(
            "# every setting of this run; lensjax run THIS_FILE repeats it\n"
            + yaml.safe_dump(plain, sort_keys=False)
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


def execute(step: str, arguments: Sequence[str]) -> int:
    """Runs one verb in a process of its own group, passes one interrupt on to it, and returns its
    exit code."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lensjax.cli", step, *arguments],
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(process.pid, signal.SIGKILL)
        raise


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Flags of `lensjax run`."""

    out: Annotated[
        Path | None, tyro.conf.arg(help="run directory (default runs/<name of CONFIG>)")
    ] = None
    force: Annotated[bool, tyro.conf.arg(help="redo every step even when it is up to date")] = False
    set: Annotated[
        tuple[str, ...], tyro.conf.arg(help="settings to override: SECTION.KEY=VALUE ...")
    ] = ()


def work(argv: list[str]) -> int:
    """Runs the steps that are not up to date, one after the other."""
    from rich.console import Console

    source = argv[0] if argv and not argv[0].startswith("-") else config.DEFAULT
    rest = argv[1:] if argv and not argv[0].startswith("-") else argv
    explained = f"{__doc__}\nCONFIG is a YAML file or a preset: {', '.join(config.presets())}."
    call = tyro.cli(Arguments, args=rest, prog="lensjax run [CONFIG]", description=explained)
    out = call.out or Path("runs") / Path(source).stem
    settings, sections = resolve(source, call.set)
    console = Console(stderr=True, highlight=False)
    resolved = out / "config.yaml"
    write_config(resolved, settings, sections)
    began, done = time.perf_counter(), []
    known = chain()
    console.print(f"[bold]lensjax run[/] {source} → {out}: " + " → ".join(settings.steps))
    for number, step in enumerate(settings.steps, 1):
        title = f"[{number}/{len(settings.steps)}] {step}"
        if not call.force and record.up_to_date(out, step, sections[step]):
            console.print(f"{title}: up to date", markup=False)
            continue
        console.print(f"[bold]{title.replace('[', chr(92) + '[', 1)}[/]: {known[step].summary}")
        code = execute(
            step, [str(resolved), "--out", str(out), *(["--force"] if call.force else [])]
        )
        if code == 130 or code == -signal.SIGINT:
            raise KeyboardInterrupt
        if code:
            console.print(
                f"step {step} stopped with exit code {code}; "
                "after the cure, the same command continues here",
                markup=False,
            )
            return code
        finished = record.read(out, step) or {}
        done.append(step)
        console.print(
            f"{title}: {finished.get('seconds', 0):.0f} s, {finished.get('peak_memory_mb', 0)} MB",
            markup=False,
        )
    seconds = time.perf_counter() - began
    if done:
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        figures = {"seconds": round(seconds, 1), "peak_memory_mb": peak}
        write_json(
            out / "records" / "run.json",
            {"source": source, "steps": done, **figures, "versions": record.versions()},
        )
    report = out / "report" / "index.html"
    console.print(
        f"done in {seconds:.0f} s" + (f"; the report is {report}" if report.is_file() else ""),
        markup=False,
    )
    return 0


run: Verb[None] = Verb(
    name="run",
    summary="Survey catalogue to audited lens finder: every step of the chain, resumable.",
    work="classifiers.chain:work",
)
