"""A small survey like DR10, invented: sweep files, coadds, a list of lenses, and the truth behind them.

The verb `lensjax simulate` writes `survey/` below the run directory, in the survey's own formats. Every file says that it is simulated. The bricks lie on
the real brick grid, scattered over the footprint -18 < dec < 32 (`bricks`); seeing, depth, extinction and exposures vary from brick to brick as in DR10
(`conditions`); galaxies, look-alikes of lenses and stars come from `population` and `shapes`, arcs from lensjax (`strong`), and what the catalogue says of
them from `measured`. `mock` makes one brick of all that from its name and the seed alone, so an interrupted simulation goes on with the bricks it lacks and
ends with the same bytes.

A survey of twelve bricks or more has one without g, one with two exposures, one with a strip that z never saw and one with a star cluster
(`mock.ROLES`); half of all bricks have a few NaN pixels.

What is not in it: correlated noise, PSFs that vary within a brick or are not round, i band and WISE, errors of deblending, groups and clusters of galaxies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from data.config import Invocation, settings
from data.files import replacing
from data.simulate.bricks import OUTSIDE, Brick, brick_containing, footprint, wcs
from data.verb import Done, Verb


@settings
class SimulateSettings:
    """The simulated survey: how much of it, and the seed."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 2026
    """everything follows from it"""
    bricks: Annotated[int, Field(ge=1, le=300)] = 48
    """how many bricks, each in a HEALPix cell of its own"""
    brick_pixels: Annotated[int, Field(ge=160, le=3600)] = 1200
    """side of the simulated central part of a brick, pixels of 0.262 arcsec"""
    galaxies: Annotated[int, Field(ge=1)] = 5500
    """galaxies of z < 20.05 in all bricks together; about seven in ten pass the cuts of the negative pool"""
    lenses: Annotated[int, Field(ge=0)] = 360
    """strong lenses with a visible arc in all bricks together"""


command = Verb(
    name="simulate",
    summary="Invents a small survey in DR10's formats: catalogues, images, lens list.",
    settings=SimulateSettings,
    owns=("survey",),
    work="data.simulate:work",
    description=__doc__,
)


def work(call: Invocation[SimulateSettings]) -> Done:
    """The step `simulate`: the survey below the run directory."""
    s, root = call.settings, call.out / "survey"
    print(
        f"simulate: {s.bricks} bricks of {s.brick_pixels} x {s.brick_pixels} pixels, "
        f"{s.lenses} lenses, seed {s.seed} -> {root}"
    )
    outputs, counts = simulate(root, s)
    return Done(
        [p.relative_to(call.out) for p in outputs],
        counts,
        [", ".join(f"{v} {k}" for k, v in counts.items())],
    )


def simulate(root: Path, s: SimulateSettings) -> tuple[list[Path], dict[str, int]]:
    """Writes the survey below `root`; returns its files and how many of what there are. Bricks that are there already are kept."""
    from rich.console import Console
    from rich.progress import track

    places = footprint(s.bricks, s.brick_pixels, np.random.default_rng([s.seed, 0]))
    parts = root / "parts"
    console = Console(stderr=True)
    for i in track(
        range(len(places)), "simulating bricks", console=console, disable=not console.is_terminal
    ):
        if not (parts / f"{places[i].name}.npy").is_file():
            _one_brick(root, parts, places, i, s)
    return _assemble(root, parts, places, s)


def _share(total: int, n: int, i: int) -> int:
    """The i-th of n shares of a total, as equal as whole numbers allow."""
    return total * (i + 1) // n - total * i // n


def _one_brick(root: Path, parts: Path, places: list[Brick], i: int, s: SimulateSettings) -> None:
    """Images of brick i, then its rows and truth; the rows' file comes last and says that the brick is whole."""
    from data.simulate.mock import ROLES, mock_brick
    from data.simulate.products import write_coadd, write_truth

    n, brick = len(places), places[i]
    role = ROLES[i] if n >= 3 * len(ROLES) and i < len(ROLES) else ""
    mock = mock_brick(
        brick, s.brick_pixels, _share(s.galaxies, n, i), _share(s.lenses, n, i), s.seed, role
    )
    write_coadd(root, brick, mock.coadd, wcs(brick, s.brick_pixels))
    write_truth(parts / f"{brick.name}.parquet", mock.truth)
    _lenses_to(parts / f"{brick.name}.csv", mock.lenses)
    with replacing(parts / f"{brick.name}.npy") as temporary, open(temporary, "wb") as handle:
        np.save(handle, mock.rows, allow_pickle=False)


def _lenses_to(path: Path, frame: pd.DataFrame) -> None:
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False)


def _assemble(
    root: Path, parts: Path, places: list[Brick], s: SimulateSettings
) -> tuple[list[Path], dict[str, int]]:
    """Sweep files, brick table, lens list and truth from the bricks' parts, which are then removed."""
    import shutil

    from data.simulate.bricks import sweep_name
    from data.simulate.mock import mock_brick, unmatched_entries
    from data.simulate.products import brick_table, write_lenses, write_table, write_truth

    outside = [brick_containing(*position) for position in OUTSIDE]
    rows = {b.name: np.load(parts / f"{b.name}.npy", allow_pickle=False) for b in places}
    truth = [pd.read_parquet(parts / f"{b.name}.parquet") for b in places]
    lenses = [
        pd.read_csv(parts / f"{b.name}.csv", dtype={"zlens": str, "grading": str}) for b in places
    ]
    for brick in outside:
        mock = mock_brick(brick, 300, 12, 0, s.seed)
        mock.rows["RA"][:2] = np.nan  # rows whose position was lost
        mock.rows["DEC"][1:3] = np.nan
        rows[brick.name] = mock.rows
        truth.append(mock.truth)
    lenses.append(unmatched_entries(places, s.lenses, s.seed))
    tiles: dict[str, list[np.ndarray]] = {}
    for brick in sorted([*places, *outside], key=lambda b: b.brickid):
        tiles.setdefault(sweep_name(brick.ra, brick.dec), []).append(rows[brick.name])
    for name, tables in tiles.items():
        write_table(root / "sweep" / name, np.concatenate(tables), name="SWEEP")
    write_table(root / "survey-bricks.fits.gz", brick_table([*places, *outside]), compress=True)
    listed = pd.concat([frame for frame in lenses if len(frame)], ignore_index=True)
    write_lenses(root / "lenses.csv", listed)
    everything = pd.concat(truth, ignore_index=True)
    write_truth(root / "truth.parquet", everything)
    shutil.rmtree(parts)
    for left in root.rglob(".*.partial"):  # of a run that was killed
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
