"""Python, and the packages that lensjax is made with: which are there, which are missing or too
old, and what cannot be done without them. What is needed is read from the metadata of the
installation, so that it is said in one place only (pyproject.toml)."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from lensjax.doctor.finding import Finding

NEEDS = {
    "data": "surveys, simulated and real, and everything that is configured with YAML",
    "classifiers": "training, evaluation, the audit and its report",
    "spark": "`lensjax survey`, and so the chain of `lensjax run`",
    "s3": "surveys in object stores and on web servers (`data.stores`), published runs",
    "onnx": "finders in ONNX, and weights written as ONNX",
    "inspect": "`lensjax inspect`, the page on which people grade candidates",
    "neighbours": "a graph of nearest stamps (`lensjax shortcuts --search usearch`)",
    "tensorboard": "curves of training in TensorBoard (`lensjax train --tensorboard`)",
    "docs": "the site of the documentation (`make docs`)",
    "release": "a release (`scripts/release.py`)",
    "torch": "an audit of a PyTorch network by its weights, and its export to ONNX",
    "test": "`make test`",
}
"""What each extra of the installation is for; `all` is the sum of some of them."""
SHOWN = ("jax", "jaxlib", "numpy", "flax", "optax", "orbax-checkpoint", "pyarrow", "pyspark")
"""Packages whose versions are told; others are told when they are missing or too old."""
IMPORTED = {
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "orbax-checkpoint": "orbax",
    "pandas-stubs": "",
    "types-PyYAML": "",
}
"""What a package is imported as, where that is not its name."""


@dataclass(frozen=True)
class Requirement:
    """A package, bounds of its version as in "<5,>=3.5", and the extra that asks for it (empty:
    every installation does)."""

    name: str
    bounds: str
    extra: str

    def problem(self, installed: Callable[[str], str] = metadata.version) -> str:
        """Empty when a version within the bounds is installed; else what is wrong."""
        try:
            found = installed(self.name)
        except metadata.PackageNotFoundError:
            return "not installed"
        for sign, bound in re.findall(r"(>=|<)\s*([\d.]+)", self.bounds):
            if (numbers(found) >= numbers(bound)) != (sign == ">="):
                return f"{self.name} {found} is not {sign}{bound}"
        return ""


def numbers(version: str) -> tuple[int, ...]:
    """The numbers with which a version begins, without zeros at the end: 1.10.0rc1 is (1, 10)."""
    begin = re.match(r"[\d.]+", version)
    found = [int(n) for n in begin[0].split(".") if n] if begin else []
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def requirements(lines: Sequence[str] | None = None) -> list[Requirement]:
    """What the installation asks for on this kind of processor. An extra that stands for others of
    lensjax is left out, because the packages of those are listed too.

    lines: as in the metadata of a distribution; those of the installed lensjax if none. Raises
    PackageNotFoundError when lensjax is not installed.
    """
    lines = metadata.requires("lensjax") or [] if lines is None else lines
    found = []
    for line in lines:
        head, _, marker = line.partition(";")
        package = re.match(r"([\w.-]+)(\[[\w,-]+\])?(.*)", head)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        machine = re.search(r"platform_machine (==|!=) ['\"](\w+)['\"]", marker)
        if machine and (platform.machine() == machine[2]) != (machine[1] == "=="):
            continue
        if package and not package[2]:
            found.append(Requirement(package[1], package[3].strip(), extra[1] if extra else ""))
    return found


def imported_as(package: str) -> str:
    """The module that a package is imported as."""
    return IMPORTED.get(package, package.replace("-", "_"))


def absent(module: str | None) -> str:
    """What to say when a module of a package that lensjax asks for cannot be imported: the package,
    the extra that it belongs to and the cure. Empty for any other module."""
    top = (module or "").partition(".")[0]
    try:
        every = requirements()
    except metadata.PackageNotFoundError:
        return ""
    asked = [r for r in every if top and imported_as(r.name) == top]
    if not asked:
        return ""
    extra = asked[0].extra
    brings = f", which the extra `{extra}` brings," if extra else ""
    together = [r for r in every if r.extra in ("", "data", extra) and r.problem()] or asked[:1]
    return (
        f"the package {asked[0].name}{brings} is not installed: {install(together)} "
        "(`lensjax doctor` tells what else is missing)"
    )


def install(wanted: Sequence[Requirement]) -> str:
    """The command that installs some packages for this Python."""
    names = " ".join(f'"{r.name}{r.bounds}"' for r in wanted)
    return f"`{sys.executable} -m pip install {names}`"


def findings() -> Iterator[Finding]:
    """About Python, the packages of every installation, and each extra."""
    yield _python(sys.version_info[:2])
    try:
        asked = requirements()
        ours = metadata.version("lensjax")
    except metadata.PackageNotFoundError:
        yield Finding(
            "broken",
            "lensjax itself is not installed, it is only on Python's path.",
            "Run `make install` in the checkout, or install the wheel with pip.",
        )
        return
    versions = {"lensjax": ours}
    for name in SHOWN:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield Finding("ok", f"The versions are {told}.", values=versions)
    yield from extras(asked)


def _python(running: tuple[int, int]) -> Finding:
    said = f"This is Python {platform.python_version()} on {platform.platform()}."
    values = {"python": platform.python_version(), "system": platform.platform()}
    if (3, 11) <= running < (3, 13):
        return Finding("ok", said, values=values)
    cure = "Install lensjax with Python 3.11 or 3.12 (`make PYTHON=python3.12 install`)."
    return Finding("broken", f"{said} lensjax is made for 3.11 and 3.12.", cure, values)


def extras(
    asked: Sequence[Requirement], installed: Callable[[str], str] = metadata.version
) -> Iterator[Finding]:
    """About what every installation needs, and then about each extra, in the order of NEEDS.

    installed: the version of a package; raises PackageNotFoundError.
    """
    for extra in ("", *NEEDS):
        wanted = [r for r in asked if r.extra == extra]
        wrong = {r: said for r in wanted if (said := r.problem(installed))}
        absent = [r.name for r, said in wrong.items() if said == "not installed"]
        listed = [said for said in wrong.values() if said != "not installed"]
        listed += [f"not installed: {', '.join(absent)}"] if absent else []
        values = {"extra": extra, "missing": [r.name for r in wrong]}
        cure = f"Run {install(list(wrong))}."
        if wrong and not extra:
            text = f"What lensjax cannot do without is not whole ({'; '.join(listed)})."
            yield Finding("broken", text, cure, values)
        elif wrong:
            text = f"Missing without the extra `{extra}`: {NEEDS[extra]}"
            yield Finding("note", f"{text} ({'; '.join(listed)}).", cure, values)
        elif extra and wanted:
            yield Finding("ok", f"The extra `{extra}` is whole: {NEEDS[extra]}.", values=values)
