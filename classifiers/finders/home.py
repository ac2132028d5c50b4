"""Folders of the user that code is imported from, so that two of them may hold modules of one name.

Python keeps one module of each name. The modules of a folder are therefore in sight only while code
of that folder is imported or called, and kept apart in between.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from types import ModuleType
from typing import Any

from lensjax.siblings import HOUSE


class Home:
    """A folder of the user, and the modules that were loaded from it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.modules: dict[str, ModuleType] = {}

    @contextmanager
    def open(self) -> Iterator[None]:
        """While it lasts, modules are looked for where Python looks, then in this folder, then in
        the working directory. What the working directory or another folder has by the name of a
        module of this folder is out of sight, and back afterwards."""
        here = Path.cwd()
        places = [str(self.folder), *([] if here == self.folder else [str(here)])]
        path = list(sys.path)
        aside = {name: sys.modules.pop(name) for name in _loaded_from(here, self._names(here))}
        before = set(sys.modules)
        sys.modules.update(self.modules)
        sys.path[:] = [p for p in path if p and p not in places] + places
        try:
            yield
        finally:
            sys.path[:] = path
            if here != self.folder:
                own = {name.partition(".")[0] for name in set(sys.modules) - before}
                own = {name for name in own if _home(name) == self.folder}
                for name in [*sys.modules]:
                    if name.partition(".")[0] in own:
                        self.modules[name] = sys.modules.pop(name)
            sys.modules.update(aside)

    def keeps(self, module: str) -> bool:
        """Whether the module, when this folder is open, is one of this folder."""
        return _home(module.partition(".")[0]) == self.folder

    def bound(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with this folder open while it runs: it may import when it is called."""

        @wraps(run, updated=())
        def within(*args: Any, **kwargs: Any) -> Any:
            with self.open():
                return run(*args, **kwargs)

        return within

    def _names(self, here: Path) -> set[str]:
        if here == self.folder or not self.folder.is_dir():
            return set()
        return {p.stem for p in self.folder.iterdir() if p.suffix == ".py" or p.is_dir()}


@cache
def of(folder: Path) -> Home:
    """The one home of a folder (resolved)."""
    return Home(folder)


def _loaded_from(folder: Path, names: set[str]) -> list[str]:
    """Loaded modules of these names, and those inside of them, that are from the folder."""
    theirs = {name for name in names & set(sys.modules) if _home(name) == folder != HOUSE}
    return [name for name in sys.modules if name.partition(".")[0] in theirs] if theirs else []


def _home(name: str) -> Path | None:
    """The folder that a loaded module outside of packages lies in."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    places = [*getattr(module, "__path__", ())]
    inside = places[0] if places else file
    return Path(inside).resolve().parent if inside else None
