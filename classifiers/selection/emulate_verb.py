"""The verb `emulate`: an emulator of the selection function, from an injection set."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from classifiers.selection.fit_settings import FitSettings
from data.verb import Verb


@dataclass(frozen=True)
class Wanted:
    """A small ensemble of networks that gives the probability of being found as a differentiable
    function, with its calibration on hosts that were held out; see docs/selection-function.md."""

    injections: Annotated[Path, tyro.conf.arg(name="from")]
    """injection set of an audit, Parquet or HDF5"""
    inputs: tuple[str, ...] = ()
    """axes or columns of the set that the completeness is a function of; empty: its axes and the
    magnitude of the source"""
    threshold: str = "0.5"
    """a score, or the name of one of the set's thresholds"""
    finder: str = ""
    """name of one of several finders; the first without"""
    out: Path | None = None
    """folder to write to; without it emulator/ beside the injection set"""
    fit: FitSettings = field(default_factory=FitSettings)


def work(argv: list[str]) -> int:
    """Fits, writes the emulator with its calibration (calibration.csv, .pdf and .png), and prints
    it. Raises InputError as `fit` does."""
    from classifiers.audit.injectionset import InjectionSet
    from classifiers.audit.population_verb import number_or_name
    from classifiers.selection.calibration import calibrated, draw
    from classifiers.selection.fitting import fit
    from data.files import sha256, write_csv

    asked = tyro.cli(Wanted, args=argv, prog="lensjax emulate", description=__doc__)
    injections = InjectionSet.load(asked.injections)
    threshold = number_or_name(asked.threshold)
    emulator, data = fit(injections, asked.inputs, threshold, asked.finder, asked.fit)
    found = calibrated(injections, emulator, data)
    said = {"calibration": found.figures, "injections_sha256": sha256(asked.injections)}
    emulator = replace(emulator, about={**emulator.about, **said})
    out = asked.out or asked.injections.parent / "emulator"
    emulator.save(out)
    write_csv(out / "calibration.csv", found.bins)
    draw(found, out / "calibration")
    names = ", ".join(axis.name for axis in emulator.axes)
    print(f"emulate: completeness above {emulator.about['threshold']:g} as a function of {names}")
    if averaged := emulator.about["averaged_over"]:
        print(f"emulate: averaged over {', '.join(averaged)}")
    print(f"emulate: {found}")
    print(f"emulate: {out}")
    return 0


command: Verb[None] = Verb(
    name="emulate",
    summary="Fits a differentiable emulator of the selection function to an injection set.",
    work="classifiers.selection.emulate_verb:work",
)
