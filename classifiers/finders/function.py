"""A Python function of the user, found by the name `module:function` in their environment."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from classifiers.finders import home
from classifiers.finders.description import function_of
from lensjax.errors import InputError


def load(text: str, folder: Path = Path()) -> Callable[[Any], Any]:
    """The function `module:function` or `file.py:function`.

    Modules are looked for where Python looks, then in `folder` (where the description lies, or the
    working directory), so that a folder of the user can never take the place of an installed
    package; a file looks for them beside itself too. Two folders may have modules of one name: each
    function gets those of its own. Raises InputError when the module, or the function in it, does
    not exist or fails.
    """
    module, name = _parts(text)
    lies = _home(module, folder)
    with lies.open():
        value: Any = _module(module, folder, text)
        for part in name.split("."):
            if not hasattr(value, part):
                raise InputError(f"function {text!r}: module {module} has no {name}; mend the name")
            value = getattr(value, part)
        own = module.endswith(".py") or lies.keeps(module)
    if not callable(value):
        raise InputError(f"function {text!r}: {name} is a {type(value).__name__}, not a function")
    return lies.bound(value) if own else value


def source(text: str, folder: Path = Path()) -> Path | None:
    """The file that a `module:function` is in; None when it has none or cannot be found."""
    if function_of(text) is None:
        return None
    module, _ = _parts(text)
    if module.endswith(".py"):
        return folder / module
    try:
        with _home(module, folder).open():
            spec = importlib.util.find_spec(module)
    except (Exception, SystemExit):  # a package around the module that cannot be imported
        return None
    path = Path(spec.origin) if spec and spec.origin else None
    return path if path and path.is_file() else None


def _parts(text: str) -> tuple[str, str]:
    found = function_of(text)
    if found is None:
        raise InputError(f"function {text!r}: write it as module:function or file.py:function")
    return found["module"], found["function"]


def _home(module: str, folder: Path) -> home.Home:
    """The folder whose modules the code imports."""
    return home.of(((folder / module).parent if module.endswith(".py") else folder).resolve())


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
    except SystemExit:
        raise InputError(
            f"function {text!r}: importing {name} calls sys.exit; put what only a program does "
            'below `if __name__ == "__main__":`'
        ) from None
    except Exception as error:
        what = " ".join(str(error).split())
        raise InputError(
            f"function {text!r}: importing {name} raised {type(error).__name__}: {what}; mend it"
        ) from error
