"""The floor of benchmarks/audit.py: what one injection cannot do without, and what this machine can
do; and the benchmark's figures set against it and against the targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

import lensjax as lj
from benchmarks.audit_card import AROUND
from classifiers import weights
from lensjax.plans import Bounds, fields, plan

if TYPE_CHECKING:
    from classifiers.audit.campaign import Campaign
    from classifiers.frozen import Frozen

CELLS, IN_A_CELL, MINUTES, SHARE, SLOPES = 385, 200, 10.0, 0.25, 4.0
"""The audit that is asked for, and its targets: minutes for all injections, share of all that is
not the network, and cost of all derivatives in forward passes."""

KERNELS, STEPS = 60, 8
"""On a card: kernels around the network, and steps of a loop, so that launches do not bound it."""

LAUNCH_MS = 3e-3
"""Milliseconds that the launch of a kernel takes, about."""

STAGES = {
    "input": "host stamps and conditions to arrays",
    "draw": "parameters drawn (part of the next)",
    "render": "draw, render, PSF, noise, injection, SNRs",
    "preprocess": "preprocessing",
    "network": "network",
    "table": "columns of the table",
    "degrade": "hosts degraded (where they are)",
}
APART = ("draw", "degrade")
"""Stages that are part of another, or that hosts as they are do not have."""

RAY, PSF_ROWS = 110 + 40, 1.6e6
"""Operations of a ray through SIE, shear and Sersic, and of a PSF's two rows of weights, counted
as in benchmarks/render.py."""


def network_needs(finder: Frozen, side: int, batch: int) -> dict[str, float]:
    """Operations and bytes that ResNet-18's forward pass takes for one stamp.

    Operations: two for each product of the convolutions. Bytes: what every convolution makes,
    written and read once, and all numbers of the network read once a batch, in float32. Stem, pool
    and every stage after the first halve the side (He et al. 2016, arXiv 1512.03385, table 1)."""
    sides = {"conv1": -(-side // 2)}
    last = sides["conv1"]
    for stage in range(1, 5):
        last = -(-last // 2)
        sides[f"layer{stage}"] = last
    numbers = weights.flatten(finder.model)
    kernels = [(v.shape, sides[n.split(".")[0]] ** 2) for n, v in numbers.items() if v.ndim == 4]
    made = sum(shape[-1] * pixels for shape, pixels in kernels)
    kept = ("mean", "var")
    return {
        "parameters": sum(v.size for n, v in numbers.items() if n.split(".")[-1] not in kept),
        "operations": float(sum(2 * np.prod(shape) * pixels for shape, pixels in kernels)),
        "bytes": 4.0 * (2 * made + sum(v.size for v in numbers.values()) / batch),
    }


def floor(finder: Frozen, c: Campaign, side: int) -> dict[str, float]:
    """What one injection cannot do without. Beside the network: rays and PSFs, and the host read,
    the stamp written and read."""
    bands, bounds = len(c.survey.bands), Bounds(fwhm=(1.0, 1.5))
    needs = network_needs(finder, side, c.batch)
    (field,) = fields(lj.Gaussian(1.2), lj.PixelGrid(side), bounds)
    rays = plan(1e-3, field, bounds, cusped=False).seen(field)
    return {
        "network_parameters": needs["parameters"],
        "network_operations": needs["operations"],
        "ray_operations": float(rays * RAY + bands * PSF_ROWS),
        "network_bytes": needs["bytes"],
        "stamp_bytes": 4.0 * 3 * side**2 * bands,
    }


def machine_runs() -> tuple[dict[str, Callable[[], Any]], dict[str, float]]:
    """A product of matrices and a copy, and how many operations and bytes each is."""
    n = 2048 if jax.default_backend() == "cpu" else 16384
    square, long = jnp.ones((n, n)), jnp.ones(2**26)
    multiply, copy = jax.jit(lambda a: a @ a), jax.jit(lambda a: a + 1)
    runs = {"matrix product": lambda: multiply(square), "copy": lambda: copy(long)}
    return runs, {"matrix product": 2.0 * n**3, "copy": 8.0 * 2**26}


def answers(found: dict[str, Any]) -> dict[str, Any]:
    """The floor's rate and the targets, from what was measured."""
    need, m = found["floor"], found["machine"]
    operations = need["network_operations"] + need["ray_operations"]
    bound = {
        "operations": operations / m["operations_per_s"],
        "bytes": (need["network_bytes"] + need["stamp_bytes"]) / m["bytes_per_s"],
    }
    parts = found["stage_s_per_injection"]
    each = {k: v for k, v in parts.items() if k not in APART}
    twice = {k: 2 * each[k] for k in ("preprocess", "network")}  # a host of each injection's own
    by_mode = {"matched": each, "degraded": {**parts, "draw": 0.0, **twice}}
    rates = {e["mode"]: e["per_s"] for e in found["end_to_end"]}  # of the largest campaign
    rate, derived = rates["matched"], found["derivatives"]
    compiling = sum(found["compile_s"].values())
    said = {
        "floor_s_per_injection": bound,
        "floor_per_s": 1 / max(bound.values()),
        "stages_per_s": 1 / sum(each.values()),
        "rate_over_floor": rate * max(bound.values()),
        "whole_audit_minutes": {
            mode: (CELLS * IN_A_CELL / each_s + compiling) / 60 for mode, each_s in rates.items()
        },
        "share_before_network": (each["render"] + each["preprocess"]) / sum(each.values()),
        "slowest_stage": {mode: max(of, key=of.__getitem__) for mode, of in by_mode.items()},
    }
    if derived:
        said["derivatives_over_forward"] = derived["ratio"]
    if "per_s" in found["peer"]:
        said["times_the_peer"] = rate / found["peer"]["per_s"]
    return said


def on_a_card(card: dict[str, Any]) -> str:
    """The programs around the network as they are compiled for a card."""
    programs = ", ".join(
        f"{name} {n['kernels']} kernels, longest loop {n['longest_loop']}, "
        f"{n['roofline_ms']:.2f} ms by roofline, {n['kernels'] * LAUNCH_MS:.2f} ms of launches"
        for name, n in card["programs"].items()
    )
    return f"Card, {card['batch']:,} injections at once (render is part of observe): {programs}."


def table(found: dict[str, Any]) -> list[str]:
    """What was found, for people."""
    need, m, said, p, card = (found[k] for k in ("floor", "machine", "answers", "peer", "card"))
    each = found["stage_s_per_injection"]
    total = sum(v for k, v in each.items() if k not in APART)
    share = {k: "" if k in APART else f"{100 * v / total:.1f} %" for k, v in each.items()}
    bound = said["floor_s_per_injection"]
    lines = [
        f"Floor, one injection: network {need['network_operations'] / 1e9:.2f} billion operations "
        f"({need['network_parameters']:,} parameters), rays and PSFs "
        f"{need['ray_operations'] / 1e6:.0f} million; {need['network_bytes'] / 1e6:.1f} MB of the "
        f"network, {need['stamp_bytes'] / 1e6:.1f} MB of stamps.",
        f"Machine: {m['operations_per_s'] / 1e9:.0f} billion operations/s in a product of "
        f"matrices, {m['bytes_per_s'] / 1e9:.1f} GB/s in a copy: {1e3 * bound['operations']:.2f} "
        f"and {1e3 * bound['bytes']:.2f} ms, so at most {said['floor_per_s']:.0f} injections/s.",
        "",
        "| stage | ms an injection | share |",
        "|---|---|---|",
        *(f"| {STAGES[k]} | {1e3 * v:.3f} | {share[k]} |" for k, v in each.items()),
        f"| all stages: {1 / total:.1f} injections/s | {1e3 * total:.3f} | |",
        "",
        *(
            f"End to end, {e['mode']}, {e['injections']} injections (and {e['hosts_scored']} hosts "
            "scored before injection): "
            f"{e['per_s']:.1f}/s, {e['cores']:.1f} cores busy with it, load {e['load']:.1f}"
            for e in found["end_to_end"]
        ),
        f"The rate is {100 * said['rate_over_floor']:.0f} % of the floor's. Compiled in "
        + ", ".join(f"{v:.1f} s ({k})" for k, v in found["compile_s"].items()),
    ]
    if "stamps_per_s" in p:
        lines.append(
            f"Peer: lenstronomy on two processes {p['stamps_per_s']:.1f} stamps/s (its worst pixel "
            f"{100 * p['median_worst_pixel_of_peak']:.1f} % of the peak from ours, median)"
        )
    if "per_s" in p:
        t = p["pytorch"]
        lines.append(
            f"Peer: PyTorch {t['torch']} {t['fed_per_s']:.1f} stamps/s from files, network alone "
            f"{t['network_alone_per_s']:.1f}/s; both, one after the other: {p['per_s']:.1f}/s. "
            f"Ours: {said['times_the_peer']:.1f} times that."
        )
    lines += [f"Peer left out: {', '.join(p['left_out'])}"] if p["left_out"] else []
    lines.append(on_a_card(card) if "programs" in card else f"Left out: {card['left_out']}")
    lines += ["", "| target | measured | wanted | met |", "|---|---|---|---|"]
    whole, minutes = f"{CELLS} x {IN_A_CELL} injections", said["whole_audit_minutes"]
    slowest = said["slowest_stage"]
    targets = [
        *((f"{whole}, {m}, minutes", v, MINUTES, slowest[m]) for m, v in minutes.items()),
        (
            "render, PSF and preprocessing of all stages",
            said["share_before_network"],
            SHARE,
            "render" if each["render"] > each["preprocess"] else "preprocess",
        ),
    ]
    if "derivatives_over_forward" in said:
        ratio = said["derivatives_over_forward"]
        targets.append(("all derivatives over the forward pass", ratio, SLOPES, "derivatives"))
    if "programs" in card:
        of = lambda what: max(AROUND, key=lambda name: card["programs"][name][what])
        targets += [
            ("card: kernels around the network", card["kernels"], KERNELS, of("kernels")),
            ("card: steps of the longest loop", card["longest_loop"], STEPS, of("longest_loop")),
        ]
    for words, value, most, blamed in targets:
        met = "yes" if value <= most else f"no; slowest: {blamed}"
        lines.append(f"| {words} | {value:.2f} | at most {most:g} | {met} |")
    lines.append("Re-weighting: benchmarks/populations.py.")
    return lines
