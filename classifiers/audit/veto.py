"""No host near a known lens: an arc that is there already would be counted as an injected one, and
a finder that found it would be right for another reason.

The lenses are those of the run's own list (`data.lenses.OF_A_RUN`, whatever their grade), of the
lists that the audit names besides, and the labelled lenses of the manifest. Hosts within the radius
are left out and listed; what cannot be checked, because there is no list or a host has no position,
is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.hosts import Hosts
from data import lenses
from data.lenses import Lenses
from data.names import as_text
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

LABELLED = "labelled lenses of the run"
"""What the lenses of the manifest are called as a list."""
OWN = "lens list of the survey"
COLUMNS = ("galaxy_id", "ra", "dec", "lens", "grading", "list", "separation_arcsec")


@dataclass(frozen=True)
class Known:
    """Lenses of several lists. source: the list that each is from (n,). lists: number of lenses by
    list; without the labelled ones it is empty where nobody gave a list."""

    lenses: Lenses
    source: np.ndarray
    lists: dict[str, int]

    @property
    def listed(self) -> int:
        """Lenses of real lists, those of the manifest left out."""
        return sum(n for name, n in self.lists.items() if name != LABELLED)


@dataclass(frozen=True)
class Veto:
    """What came of it. radius: arcsec. considered: hosts before. left_out: a line for each host
    that was left out, with its nearest lens (`COLUMNS`). unplaced: kept hosts without a
    position."""

    radius: float
    known: Known
    considered: int
    left_out: pd.DataFrame
    unplaced: int

    def figures(self) -> dict[str, Any]:
        """For the summary."""
        return {
            "radius_arcsec": self.radius,
            "lists": self.known.lists,
            "hosts_considered": self.considered,
            "hosts_left_out": len(self.left_out),
            "hosts_without_position": self.unplaced,
        }

    def finding(self) -> list[str]:
        """What is said of the hosts that were compared; nothing where none was."""
        n, compared = len(self.left_out), self.considered - self.unplaced
        if not compared or not self.radius or not (n or self.known.listed):
            return []
        names = "; ".join(f"{name}: {k:,}" for name, k in self.known.lists.items())
        which = f'within {self.radius:g}" of a known lens of any grade ({names})'
        if not n:
            return [f"None of {compared} possible hosts with a position lies {which}."]
        first = self.left_out.iloc[0]
        rest = f" and {n - 1} more" if n > 1 else ""
        return [
            f"{n} of {compared} possible hosts with a position lie {which}, and are left out: "
            f'{first["galaxy_id"]} ({first["separation_arcsec"]:.2f}" from '
            f"{first['lens'] or 'a nameless lens'}){rest}."
        ]

    def unsaid(self) -> list[str]:
        """What could not be checked."""
        words = []
        if not self.radius:
            words.append(
                "Hosts were not compared with known lenses (audit.lens_radius is 0): some may "
                "have an arc of their own."
            )
        elif not self.known.listed:
            words.append(
                "There is no list of known lenses, so hosts were compared with the labelled lenses "
                "of the run at most: some may have an arc of their own."
            )
        if self.unplaced:
            words.append(
                f"{self.unplaced} of {self.considered - len(self.left_out)} hosts have no "
                "position, so it is not known whether they lie near a known lens."
            )
        return words


def known_lenses(out: Path, lists: Sequence[str], manifest: pd.DataFrame) -> Known:
    """The lenses of a run and of further lists (files as `data.lenses.read` takes them). Raises
    InputError for a list that cannot be read and for a row of it without a position."""
    found: dict[str, Lenses] = {}
    if (out / lenses.OF_A_RUN).is_file():
        found[OWN] = lenses.read(out / lenses.OF_A_RUN)[0]
    for name in lists:
        path = Path(name)
        one, bad = lenses.read(path)
        if bad:
            line, reason = bad[0]
            raise InputError(f"audit.lens_lists: {path}, line {line}: {reason}; mend or remove it")
        title = path.name if path.name not in found else str(path)
        found[title] = one
    own = _labelled(manifest)
    if len(own):
        found[LABELLED] = own
    number = {name: len(one) for name, one in found.items()}
    source = np.repeat(np.array(list(number), dtype=object), list(number.values()))
    return Known(lenses.joined(list(found.values())), source, number)


def _labelled(manifest: pd.DataFrame) -> Lenses:
    """The lenses of a manifest that have a position."""
    rows = manifest[(manifest["label"] == 1).fillna(False)]
    if not {"ra", "dec"} <= set(rows):
        rows = rows.iloc[:0].assign(ra=[], dec=[])
    ra, dec = (rows[c].to_numpy(np.float64, na_value=np.nan) for c in ("ra", "dec"))
    placed = np.isfinite(ra) & np.isfinite(dec)
    name = rows["galaxy_id"].astype(str).to_numpy(str)
    tier = rows["tier"].fillna("").astype(str) if "tier" in rows else np.full(len(rows), "")
    return Lenses(name, ra, dec, np.asarray(tier, str)).where(placed)


def apart(hosts: Hosts, known: Known, radius: float) -> tuple[Hosts, Veto]:
    """The hosts farther than a radius (arcsec) from every lens, and what came of it; a host at
    exactly the radius is left out. Radius 0 leaves none out. Raises InputError when none is
    left."""
    import pandas as pd

    nowhere = np.full(len(hosts), np.nan)
    ra, dec = (np.asarray(hosts.columns.get(c, nowhere), np.float64) for c in ("ra", "dec"))
    index, separation = lenses.nearest_within(known.lenses, ra, dec, radius)
    near = (index >= 0) & (radius > 0)
    lens = index[near]
    values = (
        hosts.ids[near],
        ra[near],
        dec[near],
        np.array([as_text(str(name)) for name in known.lenses.name[lens]], object),
        known.lenses.grading[lens],
        known.source[lens],
        np.round(separation[near], 6),
    )
    left_out = pd.DataFrame(dict(zip(COLUMNS, values)))
    left_out = left_out.sort_values(["separation_arcsec", "galaxy_id"], ignore_index=True)
    unplaced = int((~np.isfinite(ra) | ~np.isfinite(dec)).sum())
    veto = Veto(radius, known, len(hosts), left_out, unplaced)
    if len(hosts) and near.all():
        raise InputError(
            f'every one of the {len(hosts)} possible hosts lies within {radius:g}" of a known '
            f"lens, for example {left_out['galaxy_id'].iloc[0]}; give other hosts"
        )
    return hosts.take(~near), veto
