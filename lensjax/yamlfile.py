"""YAML of a user: nothing in it is dropped in silence, and every mistake is one line.

A key that stands twice in one mapping is refused (PyYAML keeps the last), and so is one that is no
text, such as `1:` or `true:`, and a number beyond what a float can hold.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from lensjax.errors import InputError, said

_TAG = "tag:yaml.org,2002:"


def read(path: Path, what: str) -> Any:
    """What a file holds. what: how messages name it. Raises InputError when it is missing, is no
    text in UTF-8, or as `load` does."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{what}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{what}: byte {error.start + 1} is no text in UTF-8; save the file as UTF-8"
        ) from None
    except OSError as error:
        raise InputError(f"{what}: cannot be read ({error.strerror})") from None
    return load(text, what)


def load(text: str, what: str) -> Any:
    """What a text holds. what: how messages name it. Raises InputError when it is not YAML, and for
    what the module refuses."""
    import yaml

    try:
        return yaml.load(text, Loader=_loader())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise InputError(f"{what}{where}: not valid YAML ({problem}); mend it") from None
    except RecursionError:
        raise InputError(f"{what}: not valid YAML (nested too deeply); mend it") from None
    except ValueError as error:  # a date that does not exist
        raise InputError(f"{what}: not valid YAML ({said(error)}); mend it") from None


@cache
def _loader() -> Any:
    """PyYAML's safe loader, with what the module refuses."""
    import yaml

    def wrong(node: Any, problem: str) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(None, None, problem, node.start_mark)

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_TAG}merge":
                    continue
                if key.tag != f"{_TAG}str":
                    cure = f'put it into quotes: "{key.value}"'
                    raise wrong(key, f"the key {key.value} is no text; {cure}")
                if key.value in seen:
                    raise wrong(key, f"the key {key.value} is there twice")
                seen.add(key.value)
            return node

        def whole(self, node: Any) -> int:
            try:
                value = self.construct_yaml_int(node)
                float(value)
            except (ValueError, OverflowError):
                raise wrong(node, f"{node.value[:12]}... is no number that can be used") from None
            return value

    Loader.add_constructor(f"{_TAG}int", Loader.whole)
    return Loader
