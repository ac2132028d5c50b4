"""The audit on the page: completeness maps and marginals, the two-stage reading, sensitivity."""

from __future__ import annotations

from typing import Any

import pandas as pd

from classifiers.audit import completeness as cells
from classifiers.report import maps
from classifiers.report.collect import Run
from classifiers.report.page import Figures, Table, Tile, Words
from classifiers.selection import plots

ABSENT = "No audit in this run (`lensjax audit`)."


def _name(run: Run) -> str:
    """The threshold of the words and maps."""
    audit = run.audit or {}
    return min(
        audit["thresholds"], key=lambda n: abs(audit["thresholds"][n] - audit["threshold_of_words"])
    )


def tiles(run: Run) -> list[Tile]:
    """Completeness, and completeness of what is observable."""
    if not run.audit:
        return []
    t = run.audit["completeness"][_name(run)]
    known = (n for n in ("total", "hosts") if t.get(f"lo95_{n}") is not None)
    which = next((f"95_{n}" for n in known), "95")
    low, high = t[f"lo{which}"], t[f"hi{which}"]
    detail = f"95 %: {100 * low:.1f} to {100 * high:.1f} % of {t['n']:,}"
    statistical = run.audit.get("headline", {}).get("statistical", {})
    if statistical.get("status") == "insufficient":
        detail = f"no interval: {statistical['hosts']} hosts are too few"
    if systematic := run.audit.get("systematic"):
        ends = 100 * systematic["low"], 100 * systematic["high"]
        detail += f" · systematic: {ends[0]:.1f} to {ends[1]:.1f} %"
    found = [
        Tile(
            f"{100 * t['completeness']:.1f} %",
            f"injected arcs found above {t['threshold']:g}",
            detail,
        )
    ]
    r = run.audit["two_stages"]["recall_observable"]
    if r["n"]:
        detail = f"95 %: {100 * r['lo95']:.1f} to {100 * r['hi95']:.1f} % of {r['n']:,}"
        found.append(
            Tile(
                f"{100 * r['value']:.1f} %",
                f"of arcs with SNR ≥ {run.audit['two_stages']['gate_snr']:g} found",
                detail,
            )
        )
    return found


GATE = ("name", "status", "value", "lo95", "hi95", "limit", "n_lenses", "n_injections", "words")
"""The columns of a realism gate, the first ones first."""


def completeness(run: Run) -> list[Any]:
    """Maps per depth, marginals per axis, the two-stage reading; tables."""
    audit, table, marginals = run.audit, run.table("completeness"), run.table("marginals")
    if not audit or table is None:
        return [Words([ABSENT])]
    name = _name(run)
    whole = cells.whole(table, name)
    blocks: list[Any] = [Words([_what(audit)]), Figures(_maps(audit, whole))]
    if marginals is not None:
        names = maps.names(marginals["threshold_name"])
        shown = []
        for axis in audit["axes"]:
            own = marginals[marginals["axis"] == axis["name"]]
            if own["value"].nunique() > 1:
                title = plots.title(axis)
                drawn = maps.marginal(marginals, axis["name"], title, names)
                caption = f"By {axis['label']}. 95 % by hosts and threshold; hollow: insufficient."
                shown.append((f"Completeness against {title}", drawn, caption))
        blocks.append(Figures(shown))
    at = run.table("audit_thresholds")
    if at is not None:
        caption = (
            "Completeness at every threshold. Intervals: of the threshold itself, of the "
            "completeness given the threshold (hosts), and with both (total)"
        )
        blocks.append(Table("audit_thresholds", caption, at))
    blocks.append(
        Table(
            "two_stages",
            f"Not in the data, or in the data and missed (above {audit['threshold_of_words']:g})",
            stages(audit["two_stages"]),
        )
    )
    effects = run.table("host_effects")
    if effects is not None:
        caption = (
            "Kinds of hosts, and how far hosts are apart: the variance among hosts of their own "
            "completeness, and the correlation of two injections into one host"
        )
        blocks.append(Table("host_effects", caption, effects))
    blocks += realism(audit)
    if audit.get("beside_lenses"):
        b = audit["beside_lenses"]
        rows = [
            {
                "sample": k,
                **{c: b[k][c] for c in ("n", "k", "value", "lo95", "hi95")},
                "median_score": b[f"median_score_{k}"],
            }
            for k in ("lenses", "injections")
        ]
        blocks.append(
            Table(
                "beside_lenses",
                f"Labelled lenses of the test split beside injections (above {b['threshold']:g})",
                pd.DataFrame(rows),
            )
        )
    if marginals is not None:
        columns = [
            "axis",
            "value",
            "threshold_name",
            "n",
            "k",
            "completeness",
            "lo95",
            "hi95",
            "lo95_hosts",
            "hi95_hosts",
            "lo95_total",
            "hi95_total",
            "k_before",
            "status",
        ]
        blocks.append(
            Table(
                "marginals",
                "Marginals, all axes and thresholds",
                marginals,
                shown=[c for c in columns if c in marginals],
                folded=True,
            )
        )
    columns = [
        *(axis["name"] for axis in audit["axes"] if axis["kind"] != "measured"),
        "n",
        "k",
        "completeness",
        "lo68",
        "hi68",
        "lo95",
        "hi95",
        "snr_p50",
        "status",
    ]
    blocks.append(
        Table(
            "completeness_at_threshold",
            f"Every cell above {audit['threshold_of_words']:g}, all magnitudes",
            whole,
            shown=columns,
            folded=True,
        )
    )
    merged = run.table("merged", ["members", "rule"])
    if merged is not None:
        caption = (
            f"Cells joined where injections are few, by the rule {merged['rule'].iloc[0]}; members "
            "are the cells that a line is made of"
        )
        blocks.append(Table("merged", caption, merged, folded=True))
    blocks.append(
        Table(
            "completeness",
            "The selection function: every cell, threshold and magnitude bin",
            table,
            on_page=False,
        )
    )
    injections = run.table("injections")
    if injections is not None:
        blocks.append(Table("injections", "Every injection", injections, on_page=False))
    return blocks


def realism(audit: dict[str, Any]) -> list[Any]:
    """The realism verdict with its gates, and the two stages of the gate that needs no truth."""
    found, gate = audit.get("realism"), audit.get("gate")
    if not found:
        return []
    lenses = f" Lenses: {found['lenses']}." if found.get("lenses") else ""
    said = f"Are the injections like real lenses? Verdict: {found['verdict']}; {found['reason']}."
    blocks: list[Any] = [Words([said + lenses, *(_sentence(w) for w in found.get("words", []))])]
    if found["gates"]:
        table = pd.DataFrame(found["gates"])
        named = [c for c in GATE if c in table]
        table = table[[*named, *(c for c in table if c not in named)]]
        blocks.append(Table("realism_gates", "Realism gates", table))
    if found.get("frechet"):
        table = pd.DataFrame(found["frechet"])
        caption = "Frechet distance of matched lenses and injections, beside injections themselves"
        blocks.append(Table("frechet", caption, table, folded=True))
    if gate:
        stages = ("completeness", "observable", "found_observable", "found_unobservable", "bound")
        flat = lambda line: {
            f"{stage}_{c}" if c != "value" else stage: line[stage][c]
            for stage in stages
            for c in ("value", "lo95", "hi95", "n")
        }
        every = [{"axis": "all", "value": "all", **gate["all"]}, *gate["bins"]]
        rows = [{"axis": r["axis"], "bin": plots.short(r["value"]), **flat(r)} for r in every]
        passed = gate["calibration"]["lenses"], gate["calibration"]["random"]
        caption = (
            "Observable by a gate that needs no truth, and found of the observable; it passes "
            f"{passed[0]['k']} of {passed[0]['n']} lenses and {passed[1]['k']} of "
            f"{passed[1]['n']} random galaxies. Bound: matched-filter SNR at least "
            f"{gate['bound_snr']:g}"
        )
        columns = ["axis", "bin", "completeness_n", *stages]
        blocks.append(Table("gate", caption, pd.DataFrame(rows), shown=columns))
    return blocks


def _sentence(words: str) -> str:
    """A remark of the audit as a sentence of its own."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."


def _what(audit: dict[str, Any]) -> str:
    """What was injected into what, in one sentence or two."""
    cells, magnitudes = audit["cells"], audit["source_magnitude"]
    drawn = f" (unlensed magnitudes {magnitudes[0]:g} to {magnitudes[1]:g})" if magnitudes else ""
    splits = ", ".join(f"{n} {k}" for k, n in audit["host_splits"].items())
    return (
        f"{audit['injections']:,} arcs of the prior “{audit['prior']}”{drawn} were rendered "
        f"into {audit['hosts']:,} held-out galaxies ({splits}), host mode {audit['mode']}, "
        f"and scored by the frozen finder. {cells['sufficient']} of {cells['total']} cells are "
        "sufficient."
    )


def _maps(audit: dict[str, Any], whole: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Maps of completeness (`plots.panels`): (alternative text, svg, caption)."""
    layout = plots.panels(whole, audit["axes"])
    if layout is None:
        return []
    made = []
    for i, (label, part) in enumerate(layout.maps):
        good = part[part["status"] == "sufficient"]["completeness"]
        alt = f"Completeness map at {label}" + (
            f": {100 * good.min():.0f} to {100 * good.max():.0f} percent"
            if len(good)
            else ": no sufficient cell"
        )
        caption = (
            f"Completeness in percent above {audit['threshold_of_words']:g}, {label}; colours span "
            f"0 to {100 * layout.top:.0f} %. Hatched: fewer injections than needed, no value given."
        )
        made.append((alt, maps.heat_map(part, f"map{i}", label, layout), caption))
    return made


def stages(found: dict[str, Any]) -> pd.DataFrame:
    """The two-stage reading as a table."""
    names = {
        "observable": f"observable: arc SNR at least {found['gate_snr']:g}",
        "recall_observable": "found, of the observable",
        "recall_unobservable": "found, of the others",
    }
    return pd.DataFrame(
        [
            {"stage": words, **{c: found[k][c] for c in ("k", "n", "value", "lo95", "hi95")}}
            for k, words in names.items()
        ]
    )


def _no_sensitivity(run: Run) -> str:
    """Why there is no table."""
    if not run.audit:
        return ABSENT
    if run.audit["classifier"].get("kind") == "scores":
        return (
            "The finder's scores came back in a table, so there is no sensitivity: it needs scores "
            "of changed stamps."
        )
    return "The audit was asked for no sensitivity."


def sensitivity(run: Run) -> list[Any]:
    """Gradient beside finite difference."""
    table = run.table("sensitivity", ["parameter", "gradient", "finite_difference"])
    if table is None:
        return [Words([_no_sensitivity(run)])]
    n = int(table["injections"].iloc[0]) if "injections" in table else 0
    derived = bool(table["gradient"].notna().any())
    if derived:
        words = [
            f"How the mean detection probability of {n} injections answers to the assumptions "
            "behind them: the derivative through ray tracing, PSF, preprocessing and classifier, "
            "beside a central finite difference of the same function. Whiskers: standard error "
            "over the sample."
        ]
    else:
        words = [
            f"How the mean detection probability of {n} injections answers to the assumptions "
            "behind them: central finite differences with common random numbers, which means the "
            "same hosts, scenes and noise on both sides. The finder has no gradients, so there is "
            "no derivative beside them."
        ]
    if run.audit and run.audit.get("agreement"):
        words.append(
            f"They agree {run.audit['agreement']}: median and clipping of the preprocessing make "
            "every single score a function with kinks, which average out over the sample."
        )
    drawn = (
        "Bars: gradient and finite difference per parameter",
        maps.sensitivity(table),
        "Change of the mean detection probability per unit of each assumption.",
    )
    blocks = [
        Words(words),
        Figures([drawn]),
        Table("sensitivity", "Gradient and finite difference", table),
    ]
    of_prior = run.table("sensitivity_prior", ["parameter", "number", "gradient"])
    if of_prior is not None:
        caption = "Gradient per number of the prior, for a tenth of the distribution's width"
        blocks.append(Table("sensitivity_prior", caption, of_prior, folded=True))
    return blocks
