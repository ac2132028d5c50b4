"""A small survey, invented: sweep files, coadds, a list of lenses, and the truth behind them.

The verb `lensjax simulate` writes `survey/` below the run directory, in the formats of the survey
that its setting `survey` names, with that survey's bands, pixels, seeing and depth, and its
definition as `survey/definition.yaml`. Every file says that it is simulated.

The bricks lie on the real brick grid of the Legacy Surveys, scattered over the survey's
declinations (`bricks`). Seeing, depth, extinction and exposures vary from brick to brick as the
survey's do (`conditions`). Galaxies, look-alikes of lenses and stars come from `population` and
`shapes`, their magnitudes in the survey's bands from `bands`, arcs from lensjax (`strong`), and
what the catalogue says of them from `measured`. `mock` makes one brick of all that from its name
and the seed alone. An interrupted simulation therefore goes on with the bricks it lacks, and ends
with the same bytes.

A survey of twelve bricks or more has one without its first band (unless that is the only one), one
with two exposures, one with a strip that the last band never saw and one with a star cluster
(`mock.roles`), and one, never a training brick, that is sharper than all others, whose galaxies an
audit can degrade to any condition. Half of all bricks have a few NaN pixels.

What is not in it: correlated noise, PSFs that vary within a brick or are not round, infrared
photometry, errors of deblending, groups and clusters of galaxies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from data.brickgrid import Brick
from data.config import Invocation, settings
from data.files import PARTIAL
from data.simulate.bricks import footprint, outside, wcs
from data.survey import DEFAULT, DEFINITION, Survey, load, names, write
from data.verb import Done, Reads, Verb
from lensjax.errors import InputError

SIDE = 314.4
"""Side of the simulated part of a brick unless another is asked for, arcsec."""


@settings
class SimulateSettings:
    """The simulated survey: how much of it, and the seed."""

    survey: str = DEFAULT
    """the survey that is simulated: a shipped one's name, or a YAML file that defines one"""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 2026
    """everything follows from it"""
    bricks: Annotated[int, Field(ge=1, le=300)] = 48
    """how many bricks, each in a HEALPix cell of its own"""
    brick_pixels: Annotated[int, Field(ge=160, le=10000)] | None = None
    """side of the simulated central part of a brick, in the survey's pixels; none: 314.4 arcsec"""
    galaxies: Annotated[int, Field(ge=1)] = 5500
    """galaxies of z < 20.05 in all bricks together; about seven in ten pass the cuts of the pool"""
    lenses: Annotated[int, Field(ge=0)] = 360
    """strong lenses with a visible arc in all bricks together"""


command = Verb(
    name="simulate",
    summary="Invents a small survey in a real one's formats: catalogues, images, lens list.",
    settings=SimulateSettings,
    owns=("survey",),
    work="data.simulate:work",
    reads="data.simulate:reads",
    description=__doc__,
)


def reads(s: SimulateSettings, out: Path) -> Reads:
    """What the step reads: the survey's definition, when it is a file of the user's.

    Raises InputError for a survey that is not defined, and for bricks that are too small for it.
    """
    _size(load(s.survey), s)
    return Reads((), [] if s.survey in names() else [Path(s.survey)])


def work(call: Invocation[SimulateSettings]) -> Done:
    """The step `simulate`: the survey below the run directory."""
    s, root = call.settings, call.out / "survey"
    survey = load(s.survey)
    size = _size(survey, s)
    print(
        f"simulate: {survey.name}, {s.bricks} bricks of {size} x {size} pixels, "
        f"{s.lenses} lenses, seed {s.seed} -> {root}"
    )
    outputs, counts = simulate(root, s)
    return Done(
        [p.relative_to(call.out) for p in outputs],
        counts,
        [", ".join(f"{v} {k}" for k, v in counts.items())],
    )


def _size(survey: Survey, s: SimulateSettings) -> int:
    """Side of the simulated part of a brick, pixels."""
    size = s.brick_pixels or round(survey.pixels(SIDE))
    if size < survey.stamp:
        raise InputError(
            f"brick_pixels {size}: smaller than a stamp of {survey.name}; at least {survey.stamp}"
        )
    return size


def simulate(root: Path, s: SimulateSettings) -> tuple[list[Path], dict[str, int]]:
    """Writes the survey below `root`; returns its files and how many of what there are.

    Bricks that are there already are kept. Raises InputError for an unknown survey and for bricks
    that do not fit.
    """
    from data import jobs

    survey = load(s.survey)
    size = _size(survey, s)
    places = footprint(survey, s.bricks, size, np.random.default_rng([s.seed, 0]))

    def work(i: int, folder: Path) -> dict[str, Any]:
        return _one_brick(survey, root, places, i, s, folder)

    items = [(brick.name, i) for i, brick in enumerate(places)]
    jobs.run(root / "parts", items, work, "", "simulating bricks")
    return _assemble(survey, root, places, s)


def _share(total: int, n: int, i: int) -> int:
    """The i-th of n shares of a total, as equal as whole numbers allow."""
    return total * (i + 1) // n - total * i // n


def _one_brick(
    survey: Survey, root: Path, places: list[Brick], i: int, s: SimulateSettings, folder: Path
) -> dict[str, Any]:
    """Writes the images of brick i, and a folder with its rows, truth and lenses."""
    from data.simulate.mock import mock_brick, roles
    from data.simulate.products import write_coadd, write_truth

    n, brick, size = len(places), places[i], _size(survey, s)
    special = roles(survey)
    role = special[i] if n >= 12 and i < len(special) else ""
    role = "sharp" if n >= 12 and i == n - 1 else role
    galaxies, lenses = _share(s.galaxies, n, i), _share(s.lenses, n, i)
    mock = mock_brick(survey, brick, size, galaxies, lenses, s.seed, role)
    write_coadd(survey, root, brick, mock.coadd, wcs(survey, brick, size))
    folder.mkdir()
    write_truth(folder / "truth.parquet", mock.truth)
    mock.lenses.to_csv(folder / "lenses.csv", index=False)
    np.save(folder / "rows.npy", mock.rows, allow_pickle=False)
    return {"objects": len(mock.rows)}


def _assemble(
    survey: Survey, root: Path, places: list[Brick], s: SimulateSettings
) -> tuple[list[Path], dict[str, int]]:
    """Sweep files, brick table, lens list, truth and definition.

    They are made from the parts of the bricks, which are then removed.
    """
    import shutil

    from data.simulate.measured import as_file
    from data.simulate.mock import mock_brick, unmatched_entries
    from data.simulate.products import brick_table, write_lenses, write_table, write_truth

    beyond = outside(survey)
    parts = [root / "parts" / brick.name for brick in places]
    rows = [np.load(part / "rows.npy", allow_pickle=False) for part in parts]
    truth = [pd.read_parquet(part / "truth.parquet") for part in parts]
    text = {"zlens": str, "grading": str}
    lenses = [pd.read_csv(part / "lenses.csv", dtype=text) for part in parts]
    for brick in beyond:
        mock = mock_brick(survey, brick, round(survey.pixels(78.6)), 12, 0, s.seed)
        mock.rows["ra"][:2] = np.nan  # rows whose position was lost
        mock.rows["dec"][1:3] = np.nan
        rows.append(mock.rows)
        truth.append(mock.truth)
    lenses.append(unmatched_entries(survey, places, s.lenses, s.seed))
    tiles: dict[str, list[np.ndarray]] = {}
    for brick, table in sorted(zip([*places, *beyond], rows), key=lambda item: item[0].brickid):
        tiles.setdefault(brick.sweep, []).append(table)
    for name, tables in tiles.items():
        table = as_file(survey, np.concatenate(tables))
        write_table(root / "sweep" / name, table, name="SWEEP")
    write_table(root / "survey-bricks.fits.gz", brick_table([*places, *beyond]), compress=True)
    listed = pd.concat([frame for frame in lenses if len(frame)], ignore_index=True)
    write_lenses(root / "lenses.csv", listed)
    everything = pd.concat(truth, ignore_index=True)
    write_truth(root / "truth.parquet", everything)
    write(root / DEFINITION, survey)
    shutil.rmtree(root / "parts")
    for left in root.rglob(f".*.{PARTIAL}"):  # of a run that was killed
        left.unlink()
    files = sorted(p for p in root.rglob("*") if p.is_file())
    made = int((everything["kind"] == "lens").sum())
    counts = {
        "bricks": len(places),
        "sweeps": len(tiles),
        "objects": len(everything),
        "lenses": made,
        "listed": len(listed),
    }
    return files, counts
