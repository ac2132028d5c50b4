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
UNKNOWN = "unknown"
"""What an older record does not say."""


def unlike(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what the second record's conditions differ from the first's, a line for each; empty where
    both were made on the same platform with the same versions, so that bytes have to be equal."""
    lines = [f"{name} {first}, now {second}" for name, first, second in differences(then, now)]
    commit = then["commit"]
    if commit == now["commit"] and commit.endswith("+"):
        lines.append(f"files changed since commit {_commit(commit.rstrip('+'))}, then or now")
    return lines


def differences(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """What differs between the conditions of two records: its name, and what it is in each."""
    one, two = first["machine"], second["machine"]
    for key, name in NAMES.items():
        if one.get(key, UNKNOWN) != two.get(key, UNKNOWN):
            yield name, _text(one.get(key, UNKNOWN)), _text(two.get(key, UNKNOWN))
    one, two = first["versions"], second["versions"]
    for name in sorted({*one, *two}):
        if one.get(name) != two.get(name):
            yield name, one.get(name, "absent"), two.get(name, "absent")
    if first["commit"] != second["commit"]:
        yield "commit", _commit(first["commit"]), _commit(second["commit"])


def _commit(name: str) -> str:
    return name[:10] + ("+" if name.endswith("+") else "") if name else UNKNOWN


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{k}={v}" for k, v in value.items()]
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return str(value) if value not in (None, "") else "none"
