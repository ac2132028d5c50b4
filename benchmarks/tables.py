"""The tables of docs/speed.md, the tables of coverages (docs/intervals.md), of lists
(docs/channels.md) and of scans (docs/scanning.md), from benchmarks/results: `python -m
benchmarks.tables` writes them there."""

import json
from itertools import combinations
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- speed: python -m benchmarks.tables -->\n", "<!-- /speed -->"
COVERAGE = "<!-- coverage: python -m benchmarks.tables -->\n", "<!-- /coverage -->"
CHANNELS = "<!-- channels: python -m benchmarks.tables -->\n", "<!-- /channels -->"
SEARCHES = {
    "huang2020": "Huang 2020",
    "huang2021": "Huang 2021",
    "storfer2024": "Storfer 2024",
    "stein2021": "Stein 2021",
    "Canameras2020_HOLISMOKES": "Canameras 2020",
    "Sonnenfeld2020_SuGOHI_VI": "Sonnenfeld 2020",
}
"""Lists of the table of channels, and what it calls them."""
SCANS = "<!-- scans: python -m benchmarks.tables -->\n", "<!-- /scans -->"
KINDS = {
    "completeness, all injections": ("completeness at p0.5",),
    "completeness at rates of 5 and 1 %": ("completeness at fpr0.05", "completeness at fpr0.01"),
    "of a cell": ("cell ",),
    "by kind of host": ("completeness of ",),
    "thresholds": ("threshold for ",),
    "derivatives of the mean score": ("soft ",),
    "derivatives of the share found": ("hard ",),
    "variance among hosts": ("variance among ",),
    "change under a treatment": ("change ",),
    "observable, and found of it": ("observable", "recall_"),
}
"""Rows of the table of coverages, and how the names of their intervals begin."""
RENDER = {
    "W1": "one band, 101 × 101 px",
    "W2": "three bands, a PSF each",
    "W3": "gradient of a χ² of one band in every parameter",
    "W4": "injection of three bands into hosts, preprocessed",
}


def speed(results: Path = ROOT / "benchmarks" / "results") -> str:
    """Markdown of everything measured, one table a device for rendering and one for training."""
    parts = []
    for path in sorted(results.glob("render_*.json")):
        found = json.loads(path.read_text())
        rates, machine = found["images_per_s"], found["machine"]
        peers = {k: v["best"] for k, v in rates.items() if not k.startswith("lensjax")}
        lines = [
            f"Rendering on {machine['device']}, {machine['cores']} cores, within "
            f"{found['tolerance']} of the peak for 99 % of scenes:",
            "",
        ]
        lines += ["| | images/s |", "|---|---|"]
        lines += [
            f"| {text} | {rates[f'lensjax {w}']['best']:,.0f} |" for w, text in RENDER.items()
        ]
        lines += [
            f"| {name}, one band, 4 × 4 rays a pixel | {rate:,.0f} |"
            for name, rate in sorted(peers.items(), key=lambda p: -p[1])
        ]
        if "note" in found:
            lines += ["", found["note"]]
        parts.append("\n".join(lines))
    for path in sorted(results.glob("training-*.json")):
        found = json.loads(path.read_text())
        device = found["device"]
        lines = [
            f"Training on {device['processor']}, {device['cores']} cores, cutouts of "
            f"{found['training'][0]['crop']} px:",
            "",
        ]
        lines += ["| | images/s | share of a matrix product |", "|---|---|---|"]
        for r in found["training"]:
            what = f"{r['model']}, {r['input']}, {r['precision']}, batch {r['batch']}"
            lines.append(
                f"| {what} | {r['images_per_second']:,.0f} | {100 * r['utilisation']:.0f} % |"
            )
        for p in found["pytorch"]:
            if "computing" in p:
                fed = (
                    f"{p['fed_from_npz']:,.0f} fed from NPZ files, {p['computing']:,.0f} "
                    "without input"
                )
                lines.append(
                    f"| {p['model']} in PyTorch {p['torch']}, {p['precision']}, batch "
                    f"{p['batch']} | {fed} | |"
                )
        lines.append(
            f"| reading alone | {found['loader_alone_cutouts_per_second']:,.0f} cutouts/s | |"
        )
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def coverage(results: Path = ROOT / "benchmarks" / "results") -> str:
    """Markdown: how often intervals hold the truth, by world, the least and the most where there
    are several; those of the stated domain."""
    worlds = json.loads((results / "covered.json").read_text())["scenarios"]
    lines = ["| intervals that hold the truth, % | " + " | ".join(worlds) + " |"]
    lines.append("|---" * (1 + len(worlds)) + "|")
    for words, begins in KINDS.items():
        cells = []
        for found in worlds.values():
            own = [
                100 * line["held"]
                for name, line in found.items()
                if name.startswith(begins) and "exact" not in name and line["inside"] > 0.5
            ]
            one = f"{min(own):.1f}" if own else "—"
            cells.append(one if len(own) < 2 else f"{one}–{max(own):.1f}")
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def channels(results: Path = ROOT / "benchmarks" / "results") -> str:
    """Markdown: for pairs of searches what they share, and how well their lenses are told apart."""
    found = json.loads((results / "channels.json").read_text())
    shared = {(row["first"], row["second"]): row for row in found["overlap"]}
    told = {(row["first"], row["second"]): row for row in found["apart"]}
    lines = [
        "| lists | in both | Jaccard's index, % | told apart, balanced accuracy, % |",
        "|---|---|---|---|",
    ]
    for pair in combinations(SEARCHES, 2):
        names = ", ".join(SEARCHES[name] for name in pair)
        both = shared.get(pair, {"both": 0})["both"]
        cells = [_percent(shared.get(pair)), _percent(told.get(pair))]
        lines.append(f"| {names} | {both} | {' | '.join(cells)} |")
    times, lists = found["times"], len([c for c in found["lists"] if c["channel"] != "all"])
    lines += [
        "",
        f"95 % intervals in brackets. {lists} lists have {found['objects']:,} objects, of which "
        f"{found['in_several']:,} are in several",
        f"lists and {found['doubtful']} are doubtful. Merging and overlaps took "
        f"{times['shared']['processor_seconds']:.0f} s of a core, and everything with",
        f"the trees {times['told_apart']['processor_seconds']:.0f} s.",
    ]
    return "\n".join(lines) + "\n"


def _percent(row: dict | None) -> str:
    """A share and its interval in %; a dash where there is none."""
    if row is None:
        return "—"
    value = row.get("accuracy", row.get("value"))
    return f"{100 * value:.1f} ({100 * row['lo95']:.1f}–{100 * row['hi95']:.1f})"


def scans(results: Path = ROOT / "benchmarks" / "results") -> str:
    """Markdown: how fast a scan of shards is, beside the bare network in the same run."""
    found = json.loads((results / "scan-cpu.json").read_text())
    lines = [
        "| network | bare, stamps/s | scan, stamps/s | scan to bare | by processor time |",
        "|---|---|---|---|---|",
    ]
    for row in found["models"]:
        turns = row["share_of_bare_by_turn"]
        share = (
            f"{100 * row['share_of_bare']:.0f} % ({100 * min(turns):.0f}–{100 * max(turns):.0f})"
        )
        busy = row.get("share_of_bare_by_processor_time")
        lines.append(
            f"| {row['model']} | {row['bare_per_second']:.0f} | {row['scan_per_second']:.0f} | "
            f"{share} | {'—' if busy is None else f'{100 * busy:.0f} %'} |"
        )
    lines += [
        "",
        f"{found['device']}, {found['cores']} cores, stamps of {found['models'][0]['crop']} px.",
        "In brackets are the least and the most of the turns. The load of the machine was "
        f"{found['load']:.1f}:",
        "others took part of the cores, and a share above 100 % shows how much the times scatter.",
        "The processor time is that of this process alone.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    for path, (start, end), made in (
        (ROOT / "docs" / "speed.md", (START, END), speed()),
        (ROOT / "docs" / "intervals.md", COVERAGE, coverage()),
        (ROOT / "docs" / "channels.md", CHANNELS, channels()),
        (ROOT / "docs" / "scanning.md", SCANS, scans()),
    ):
        before, rest = path.read_text().split(start, 1)
        path.write_text(before + start + made + end + rest.split(end, 1)[1])


if __name__ == "__main__":
    main()
