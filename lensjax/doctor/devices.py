"""The devices on which JAX computes, and the switches of the environment that slow it down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lensjax.doctor.finding import GB, Finding
from lensjax.errors import said

SWITCHES = {
    "JAX_DISABLE_JIT": "nothing is compiled, and everything takes many times as long",
    "JAX_ENABLE_X64": "numbers have 64 bits where 32 are meant: half the speed, other last digits",
    "JAX_DEBUG_NANS": "every result is looked at for NaN, and steps run one after the other",
    "LENSJAX_PLAIN": "everything that is done for the sake of a processor's speed is left out",
}
"""Environment variables that are set on purpose and then forgotten, and what they do."""
OFF = ("", "0", "false", "False")
CARD = 'Install JAX for the card, `pip install "jax[cuda13]"` (cuda12 for drivers before 580)'


def findings() -> Iterator[Finding]:
    """About the devices, cards that JAX does not use, and switches."""
    yield from _devices(card())
    yield from switches(os.environ)


def card(devices: Path = Path("/dev")) -> bool:
    """Whether an NVIDIA card is in this machine, used by JAX or not."""
    return (devices / "nvidia0").exists() or shutil.which("nvidia-smi") is not None


def _devices(has_card: bool) -> Iterator[Finding]:
    try:
        import jax

        found: list[Any] = jax.devices()
        backend = jax.default_backend()
    except Exception as error:  # whatever a broken installation or driver raises
        cure = "Install jax and jaxlib of one version again; `JAX_PLATFORMS=cpu` leaves a card out."
        yield Finding("broken", f"JAX does not start: {said(error, 300)}.", cure)
        return
    kinds = sorted({device.device_kind for device in found})
    values: dict[str, Any] = {"backend": backend, "kinds": kinds, "count": len(found)}
    if backend != "cpu":
        limit = (found[0].memory_stats() or {}).get("bytes_limit", 0)
        values["bytes"] = limit
        room = f" with {limit / GB:.0f} GB each for JAX" if limit else ""
        text = f"JAX computes on {backend}: {len(found)} × {', '.join(kinds)}{room}."
        yield Finding("ok", text, values=values)
        return
    yield Finding("ok", "JAX computes on the processor.", values=values)
    if has_card:
        cause = "JAX_PLATFORMS" if os.environ.get("JAX_PLATFORMS") else ""
        text = "There is an NVIDIA card in this machine, and JAX does not use it"
        text += f": {cause} is {os.environ[cause]!r}." if cause else "."
        cure = f"Unset {cause}." if cause else f"{CARD}."
        yield Finding("slow", text, cure, values)
        return
    text = (
        "Without a graphics card rendering is some 100 times slower and training of a ResNet-18 "
        "some 500 times (docs/speed.md). The default run takes minutes all the same."
    )
    yield Finding("slow", text, f"For more, use a machine with an NVIDIA card. {CARD}.", values)


def switches(environment: Mapping[str, str]) -> Iterator[Finding]:
    """About variables of the environment that slow JAX down, and the folder of what it compiled."""
    for name, effect in SWITCHES.items():
        if environment.get(name, "") not in OFF:
            text = f"{name} is {environment[name]!r}, so that {effect}."
            yield Finding("slow", text, f"Unset it: `unset {name}`.", {name: environment[name]})
    folder = environment.get("JAX_COMPILATION_CACHE_DIR", "")
    values = {"JAX_COMPILATION_CACHE_DIR": folder}
    if folder:
        text = f"What JAX compiles is kept in {folder} and used again."
        yield Finding("ok", text, values=values)
        return
    text = (
        "JAX compiles everything anew in every process, because JAX_COMPILATION_CACHE_DIR is not "
        "set; of a short run that is most of the time."
    )
    cure = "To keep what is compiled: `export JAX_COMPILATION_CACHE_DIR=~/.cache/jax`."
    yield Finding("slow", text, cure, values)
