"""In what two records differ besides settings and inputs: the machine, the versions, the code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NAMES = {
    "processor": "kind of processor",
    "model": "processor",
    "cores": "cores",
    "library": "C library",
    "devices": "devices",
    "switches": "switches of the environment",
}
"""What of a record's machine can change bytes. The name of the system has the kernel's version in
it, which cannot."""


def unlike(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what the second record's conditions differ from the first's, a line for each; empty where
    both were made on the same platform with the same versions, so that bytes have to be equal."""
    return [*_machines(then["machine"], now["machine"]), *_versions(then, now)]


def _machines(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key, name in NAMES.items():
        if key not in then:
            yield f"{name} not recorded, now {_text(now.get(key))}"
        elif then[key] != now.get(key):
            yield f"{name} {_text(then[key])}, now {_text(now.get(key))}"


def _versions(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    first, second = then["versions"], now["versions"]
    for name in sorted({*first, *second}):
        if first.get(name) != second.get(name):
            yield f"{name} {first.get(name, 'absent')}, now {second.get(name, 'absent')}"
    one, two = then["commit"], now["commit"]
    if one != two:
        yield f"commit {_commit(one)}, now {_commit(two)}"
    elif one.endswith("+"):
        yield f"files changed since commit {_commit(one.rstrip('+'))}, then or now"


def _commit(name: str) -> str:
    return name[:10] + ("+" if name.endswith("+") else "") if name else "unknown"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{k}={v}" for k, v in value.items()]
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return str(value) if value not in (None, "") else "none"
