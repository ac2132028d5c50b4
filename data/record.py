"""Run records: what a step did, from what, with which settings, and whether it has to be repeated.

A step owns some paths of the run directory and comes after other steps. Its key is a hash of its
settings, of the outputs of the steps before it and of the external files that it reads. A finished
step with the same key is up to date; an unfinished one goes on with what it has left; a step whose
key has changed starts from empty paths.

    step = Step(out, "train", config, after=("survey",), owns=("training",))
    if step.current() and not force:
        return
    with step:
        ...
        step.finish(outputs=[...], epochs=12)
"""

from __future__ import annotations

import dataclasses
import datetime
import fcntl
import hashlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from data.files import read_json, sha256, write_json
from data.machine import machine
from data.stores import Place, Stat, pinned, place
from lensjax.errors import InputError

PACKAGES = (
    "lensjax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "astropy",
    "pyarrow",
    "pyspark",
    "tensorflow-datasets",
)
HASHED = 8 * 2**30
"""Bytes of external files, the smallest first, of which a record has the SHA-256. What is beyond is
known by its size and time alone, so that a survey of terabytes is not read a second time."""


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _outputs(record: dict[str, Any]) -> str:
    return _digest([[o["path"], o["sha256"]] for o in record["outputs"]])


def _fingerprint(path: Place) -> list[Any]:
    """Identity of a file without reading it."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return [str(path), "absent"]
    if isinstance(stat, Stat):
        return [str(path), stat.st_size, stat.mark]
    return [str(path), stat.st_size, stat.st_mtime_ns]


def _fingerprints(paths: Sequence[Place]) -> list[list[Any]]:
    """Identities as they are now, in the order of the paths."""
    return [_fingerprint(path) for path in pinned(paths)]


def hashes(paths: Iterable[Place], most: int = HASHED) -> dict[str, str]:
    """SHA-256 of files by their path, the smallest first, until `most` bytes are read. Folders,
    files that are not there, and those of an object store have none."""
    here = {path for path in paths if isinstance(path, Path) and path.is_file()}
    sizes = sorted((path.stat().st_size, str(path)) for path in here)
    found = {}
    for size, path in sizes:
        most -= size
        if most < 0:
            break
        found[path] = sha256(path)
    return found


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The checkout's git commit, with '+' when files differ from it; empty outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        run = lambda *words: subprocess.run(
            ["git", *words], cwd=here, capture_output=True, text=True, timeout=10
        ).stdout.strip()
        head = run("rev-parse", "HEAD")
        return head + ("+" if head and run("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.TimeoutExpired):
        return ""


def read(out: Path, name: str) -> dict[str, Any] | None:
    """The record of a finished step; None where there is none, or it is damaged."""
    return read_json(Path(out) / "records" / f"{name}.json")


class Step:
    """One step of a run; see the module's docstring.

    out: run directory. name: of the step. config: frozen dataclass of its settings. after: names of
    the steps whose outputs it reads. owns: paths under `out` that this step writes; they are
    emptied when it starts with a new key. external: files outside `out` that it reads.
    """

    def __init__(
        self,
        out: Path,
        name: str,
        config: Any,
        *,
        after: Sequence[str] = (),
        owns: Sequence[str] = (),
        external: Iterable[Place] = (),
    ):
        self.out, self.name, self.after, self.owns = Path(out), name, tuple(after), tuple(owns)
        self.config = dataclasses.asdict(config)
        self.external = [place(p) for p in external]
        self._outputs: list[dict[str, Any]] = []
        self._notes: dict[str, Any] = {}
        self._finished = False

    def key(self) -> str:
        """Hash of everything that the outputs depend on. Raises InputError when a step before this
        one has not finished."""
        before = {}
        for other in self.after:
            record = read(self.out, other)
            if record is None:
                raise InputError(
                    f"{self.out}: step {other!r} has not finished; "
                    f"run `lensjax {other} --out {self.out}` first "
                    f"(`lensjax run --out {self.out}` does all steps from simulate to report)"
                )
            before[other] = _outputs(record)
        return _digest(
            [
                self.name,
                self.config,
                before,
                _fingerprints(self.external),
                versions().get("lensjax"),
            ]
        )

    def current(self) -> bool:
        """Whether the step finished with this key and its outputs are still there, as large as they
        were."""
        record = read(self.out, self.name)
        if record is None or record["key"] != self.key():
            return False
        return all(
            (self.out / o["path"]).is_file() and (self.out / o["path"]).stat().st_size == o["bytes"]
            for o in record["outputs"]
        )

    def restart(self) -> None:
        """Forgets what this step has done, so that the next start is from nothing."""
        records = self.out / "records"
        (records / f"{self.name}.json").unlink(missing_ok=True)
        (records / f"{self.name}.started").unlink(missing_ok=True)

    def __enter__(self) -> Step:
        records = self.out / "records"
        records.mkdir(parents=True, exist_ok=True)
        self._lock = open(records / f"{self.name}.lock", "w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{self.out}: another process is running step {self.name!r} here; "
                "wait for it or choose another --out"
            ) from None
        key, marker = self.key(), records / f"{self.name}.started"
        if not marker.is_file() or marker.read_text() != key:
            for owned in self.owns:
                target = self.out / owned
                whole = target.is_dir() and not target.is_symlink()
                shutil.rmtree(target) if whole else target.unlink(missing_ok=True)
            (records / f"{self.name}.json").unlink(missing_ok=True)
            marker.write_text(key)
        self._key, self._began, self._clock = (
            key,
            datetime.datetime.now(datetime.UTC),
            time.perf_counter(),
        )
        return self

    def finish(
        self, outputs: Iterable[str | Path], *, timed: Iterable[str | Path] = (), **notes: Any
    ) -> None:
        """Names the files (absolute or relative to the run directory) that make this step whole,
        which of them hold times, and the figures that are worth keeping."""
        times = {self.out / path for path in timed}
        for path in outputs:
            absolute = self.out / path
            if not absolute.is_file():
                raise FileNotFoundError(f"step {self.name} should have written {absolute}")
            self._outputs.append(
                {
                    "path": os.path.relpath(absolute, self.out),
                    "bytes": absolute.stat().st_size,
                    "sha256": sha256(absolute),
                    **({"times": True} if absolute in times else {}),
                }
            )
        self._notes.update(notes)
        self._finished = True

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None and self._finished:
            peak = max(
                resource.getrusage(who).ru_maxrss
                for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
            )
            write_json(
                self.out / "records" / f"{self.name}.json",
                {
                    "step": self.name,
                    "key": self._key,
                    "config": self.config,
                    "after": self.after,
                    "external": _fingerprints(self.external),
                    "external_sha256": hashes(self.external),
                    "outputs": self._outputs,
                    "notes": self._notes,
                    "started": self._began.isoformat(timespec="seconds"),
                    "seconds": round(time.perf_counter() - self._clock, 2),
                    "peak_memory_mb": peak // 1024,
                    "command": sys.argv,
                    "commit": commit(),
                    "versions": versions(),
                    "machine": machine(),
                },
            )
        self._lock.close()


def made_of(out: Path, record: dict[str, Any]) -> bool:
    """Whether a step read the outputs that the steps before it have by their records now."""
    before = {}
    for other in record["after"]:
        found = read(out, other)
        if found is None:
            return False
        before[other] = _outputs(found)
    parts = [record["step"], record["config"], before, record["external"]]
    return record["key"] == _digest([*parts, record["versions"].get("lensjax")])


def up_to_date(out: Path, name: str, config: Any) -> bool:
    """Whether a step finished with these settings from what is there now. This is quick, and
    imports nothing of the step itself."""
    record = read(out, name)
    if record is None:
        return False
    step = Step(
        out,
        name,
        config,
        after=record["after"],
        external=[place(entry[0]) for entry in record["external"]],
    )
    try:
        return step.current()
    except InputError:  # a step before it has not finished
        return False
