"""The hosts on the page: which galaxies arcs were put into, and which were kept out."""

from __future__ import annotations

from typing import Any

from classifiers.audit import target
from classifiers.report.collect import Run
from classifiers.report.page import Table, Words


def hosts(run: Run) -> list[Any]:
    """What hosts are weighted to, and which were left out near known lenses."""
    if not run.audit:
        return [Words(["No audit in this run (`lensjax audit`)."])]
    audit = run.audit
    blocks: list[Any] = [
        Words(
            [
                f"{audit['hosts']:,} galaxies have at least one injected arc, of "
                f"{audit['hosts_available']:,} that may be hosts."
            ]
        )
    ]
    return blocks + _target(audit.get("target")) + _near_lenses(run, audit.get("lens_veto"))


def _target(about: dict[str, Any] | None) -> list[Any]:
    import pandas as pd

    if about is None:
        return []
    caption = (
        f"Cells that hosts are weighted by: share of {about['table']} beside that of the "
        "injections, and the hosts behind it"
    )
    cells = pd.DataFrame(about["cells"])
    return [
        Words([target.finding(about)]),
        Table("target_cells", caption, cells, folded=len(cells) > 20),
    ]


def _near_lenses(run: Run, veto: dict[str, Any] | None) -> list[Any]:
    if veto is None:
        return []
    lists = "; ".join(f"{name}, {n:,} lenses" for name, n in veto["lists"].items())
    words = [
        f"Compared with {lists}: {veto['hosts_left_out']} of {veto['hosts_considered']} possible "
        f'hosts lie within {veto["radius_arcsec"]:g}" of a lens, whatever its grade, and were '
        "left out."
        if lists
        else "There is no list of known lenses to compare the hosts with."
    ]
    if veto["hosts_without_position"]:
        words.append(f"{veto['hosts_without_position']} hosts have no position to compare.")
    blocks: list[Any] = [Words(words)]
    left_out = run.table("hosts_left_out", ["galaxy_id", "lens", "separation_arcsec"])
    if left_out is not None:
        caption = "Possible hosts that were left out, with the nearest known lens"
        blocks.append(Table("hosts_left_out", caption, left_out, folded=len(left_out) > 20))
    return blocks
