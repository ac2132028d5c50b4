"""A small inspection for the tests: cutouts of a few galaxies, tables, a server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import galaxies
import numpy as np
from starlette.testclient import TestClient

from classifiers.inspection.app import application
from classifiers.inspection.guard import addresses
from classifiers.inspection.neighbours import Neighbours
from classifiers.inspection.objects import Object
from classifiers.inspection.pictures import Pictures
from classifiers.inspection.stamps import Stamps
from classifiers.inspection.store import FILE, Store
from data.survey import default

ROOT = Path(__file__).resolve().parents[2]
TOKEN, PORT = "a-token-of-the-tests", 4321
SIDE = 32
KEYS = (f"key {i}" for i in count())


def stamp(id: str) -> np.ndarray:
    """Some galaxy; the same for the same id."""
    seed = sum(id.encode("utf-8", "surrogatepass"))
    return galaxies.stamps(np.array([seed % 2]), SIDE, seed)[0]


def objects(n: int, names: Sequence[str] = ()) -> list[Object]:
    """Candidates without anything known of them."""
    ids = [*names, *(f"g{i}" for i in range(len(names), n))]
    return [Object(i + 1, id, False, "", {"score": i / n}) for i, id in enumerate(ids)]


def store(folder: Path, made: Sequence[Object], **session: Any) -> Store:
    return Store.create(folder / FILE, made, session)


def grade(of: Store, grader: str, number: int, letter: str, note: str = "") -> None:
    of.grade(grader, number, letter, note, next(KEYS))


def client(
    of: Store,
    show: Sequence[str] = (),
    stamp: Stamps = stamp,
    neighbours: Neighbours | None = None,
) -> TestClient:
    """Talks to the server as its page does. Its addresses begin behind the token."""
    of.session["show"] = list(show)
    app = application(of, Pictures(stamp, default()), TOKEN, addresses(PORT), neighbours)
    return TestClient(app, base_url=f"http://127.0.0.1:{PORT}/{TOKEN}/")


def folder(path: Path, ids: Sequence[str]) -> Path:
    """Cutouts as plain NPZ files."""
    path.mkdir(parents=True, exist_ok=True)
    for id in ids:
        np.savez(path / f"{id}.npz", image=stamp(id))
    return path


@contextmanager
def served(*words: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    code = "import sys; from classifiers.inspection.verb import command; command(sys.argv[1:])"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(
        [sys.executable, "-c", code, "serve", *map(str, words)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            lines = (line.split()[-1] for line in process.stdout)
            yield process, next(word for word in lines if word.startswith("http://"))
        finally:
            process.kill()
