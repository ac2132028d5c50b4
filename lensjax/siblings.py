"""Where modules are imported from: the packages beside lensjax, whatever else has the same name,
and modules of the user.

`data`, `classifiers` and `spark` are names that a user's own folder may have too. The packages of
this project therefore load each other from the folder in which lensjax lies, and not from the first
place on `sys.path` that has the name. docs/imports.md says what else belongs to this.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1]


def own(*names: str) -> None:
    """Makes `import name` mean the package beside lensjax from now on, for each of the names.

    Raises ImportError, which names both folders, when another package of that name is already
    imported.
    """
    for name in names:
        folder = HOUSE / name
        loaded = sys.modules.get(name)
        if loaded is not None:
            places = [Path(place).resolve() for place in getattr(loaded, "__path__", ())]
            places = places or [Path(getattr(loaded, "__file__", None) or "?").resolve()]
            if folder not in places:
                raise ImportError(
                    f"another package {name!r} is already imported from {places[0]}, so lensjax "
                    f"cannot use its own in {folder}: import lensjax's packages in a process of "
                    f"their own, or give yours another name"
                )
            continue
        spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
        if spec is None or spec.loader is None or not (folder / "__init__.py").is_file():
            raise ImportError(f"{folder}: missing, so lensjax is not whole; install it again")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise


def importable(folder: Path) -> None:
    """Makes the modules in a folder importable from now on, after everything else, so that a folder
    of the user can never take the place of an installed package."""
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.append(place)
