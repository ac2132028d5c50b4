"""The hosts on the page: which galaxies arcs were put into, and which were kept out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from classifiers.audit import target
from classifiers.report.collect import Run
from classifiers.report.drawing import FAINT, MARKERS, SERIES, drawn
from classifiers.report.page import Figures, Table, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def hosts(run: Run) -> list[Any]:
    """What hosts are weighted to, which were left out near known lenses, and whether degraded ones
    are like native ones."""
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
    blocks += _target(audit.get("target")) + _near_lenses(run, audit.get("lens_veto"))
    return blocks + _native(run, audit.get("native"))


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


def _native(run: Run, found: dict[str, Any] | None) -> list[Any]:
    if found is None:
        return []
    blocks: list[Any] = [Words([found["words"]])]
    table, noise, psf = (run.table(name) for name in ("native", "native_noise", "native_psf"))
    if table is not None:
        caption = (
            "The same arcs in native hosts and in better hosts degraded to their PSF and depth; "
            "change in percentage points, with its 95 % interval over pairs of hosts"
        )
        blocks.append(Table("native", caption, table, folded=len(table) > 20))
    if noise is not None:
        caption = "Power of the sky's noise, degraded over native hosts, by spatial frequency."
        alt = "Ratio of noise power by frequency: " + ", ".join(
            f"{r.band} {r.frequency_lo:g} to {r.frequency_hi:g}: {r.ratio:.2f}"
            for r in noise.itertuples()
        )
        blocks.append(Figures([(alt, noise_figure(noise), caption)]))
        blocks.append(Table("native_noise", "Power spectrum of the noise", noise, folded=True))
    if psf is not None:
        caption = (
            "The image of a point source in degraded over that in native hosts, if the survey's "
            "PSF is of this form"
        )
        blocks.append(Table("native_psf", caption, psf))
    return blocks


def noise_figure(noise: pd.DataFrame) -> str:
    """Ratio of the noise's power with its standard error, by frequency, a series for each band."""

    def draw(axes: Axes) -> None:
        axes.axhline(1, color=FAINT, linewidth=0.8)
        for i, (band, own) in enumerate(noise.groupby("band", sort=False)):
            middle = 0.5 * (own["frequency_lo"] + own["frequency_hi"]) + 0.006 * i
            axes.errorbar(
                middle,
                own["ratio"],
                yerr=own["error"],
                fmt=MARKERS[i % 4],
                color=SERIES[i % 4],
                elinewidth=1.2,
                label=str(band),
            )
        axes.set(xlabel="spatial frequency, cycles per pixel", ylabel="degraded / native")
        axes.legend(ncols=2)

    return drawn("native_noise", draw, width=4.2, height=2.6)
