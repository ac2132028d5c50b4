"""A Python function of the user, found by the name `module:function` in their environment."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from classifiers.finders.description import function_of
from lensjax.errors import InputError
from lensjax.siblings import importable


def load(text: str, folder: Path = Path()) -> Callable[[Any], Any]:
    """The function `module:function` or `file.py:function`.

    Modules are looked for where Python looks, then in `folder` (where the description lies, or the
    working directory), so that a folder of the user can never take the place of an installed
    package. Raises InputError when the module, or the function in it, does not exist or fails.
    """
    found = function_of(text)
    if found is None:
        raise InputError(f"function {text!r}: write it as module:function or file.py:function")
    module, name = found["module"], found["function"]
    importable(folder)
    value: Any = _module(module, folder, text)
    for part in name.split("."):
        if not hasattr(value, part):
            raise InputError(f"function {text!r}: module {module} has no {name}; mend the name")
        value = getattr(value, part)
    if not callable(value):
        raise InputError(f"function {text!r}: {name} is a {type(value).__name__}, not a function")
    return value


def source(text: str, folder: Path = Path()) -> Path | None:
    """The file that a `module:function` is in; None when it has none or cannot be found."""
    found = function_of(text)
    if found is None:
        return None
    if found["module"].endswith(".py"):
        return folder / found["module"]
    importable(folder)
    try:
        spec = importlib.util.find_spec(found["module"])
    except (ImportError, ValueError):
        return None
    path = Path(spec.origin) if spec and spec.origin else None
    return path if path and path.is_file() else None


def _module(name: str, folder: Path, text: str) -> Any:
    try:
        if not name.endswith(".py"):
            return importlib.import_module(name)
        path = folder / name
        if not path.is_file():
            raise InputError(f"function {text!r}: {path}: no such file")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except InputError:
        raise
    except ModuleNotFoundError as error:
        raise InputError(
            f"function {text!r}: no module {error.name}; install it, or start where it lies"
        ) from None
    except Exception as error:
        what = " ".join(str(error).split())
        raise InputError(
            f"function {text!r}: importing {name} raised {type(error).__name__}: {what}; mend it"
        ) from error
