"""How long does it take to re-weight a million injections to another population?
`python -m benchmarks.populations --help`

Five parameters and a population with three hyper-parameters; every tenth injection is found, and
all of them. Measured: `reweight` (in double precision, with hosts, intervals and checks), the sums
for inference (`ln_mu`, compiled, single precision), and their gradient. Times are the least of
several repeats. With --figure the figure of docs/populations.md is drawn instead.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.training import processor
from classifiers.audit.injectionset import InjectionSet
from classifiers.audit.population import reweight
from classifiers.audit.resampling import detection
from data import record
from data.files import write_json
from lensjax.cli import prepared

DOCS = Path(__file__).resolve().parents[1] / "docs"
RANGES = {
    "theta_e": [0.5, 3.0],
    "r_mag": [23.0, 26.0],
    "r_eff": [0.05, 0.5],
    "n": [0.5, 2.5],
    "lens_q": [0.5, 1.0],
}


@dataclass(frozen=True)
class Question:
    """What is measured."""

    injections: int = 1_000_000
    per_host: int = 5
    repeats: int = 3
    figure: bool = False
    """draw the figure of docs/populations.md"""
    out: Annotated[
        Path, tyro.conf.arg(help="JSON file; default benchmarks/results/populations-<device>.json")
    ] = Path("")


def drawn(n: int, per_host: int, share: float) -> InjectionSet:
    """n injections of which a share is found."""
    import pandas as pd

    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: rng.uniform(*ends, n) for name, ends in RANGES.items()})
    table["ln_p_draw"] = -sum(np.log(high - low) for low, high in RANGES.values())
    table["galaxy_id"] = np.arange(n) // per_host
    table["score"] = np.where(rng.random(n) < share, 0.9, 0.1)
    proposal = {name: {"uniform": ends} for name, ends in RANGES.items()}
    return InjectionSet(
        table, {"total_generated": n, "density_over": list(RANGES), "proposal": proposal}
    )


def population(hyper: Any) -> Callable[[Any], Any]:
    """Log density: exponential in theta_e and in magnitude, a truncated normal in size."""

    def ln_p(p: Any) -> Any:
        theta_e, r_mag, r_eff = p["theta_e"], p["r_mag"], p["r_eff"]
        scale, rise, mean = hyper
        cdf = jax.scipy.stats.norm.cdf
        inside = cdf(0.5, mean, 0.1) - cdf(0.05, mean, 0.1)
        return (
            -theta_e / scale
            - jnp.log(scale * (jnp.exp(-0.5 / scale) - jnp.exp(-3 / scale)))
            + rise * (r_mag - 23)
            - jnp.log((jnp.exp(3 * rise) - 1) / rise)
            + jax.scipy.stats.norm.logpdf(r_eff, mean, 0.1)
            - jnp.log(inside)
            - jnp.log(2.0 * 0.5)  # n and lens_q are uniform
            + 0 * (p["n"] + p["lens_q"])
        )

    return ln_p


def least(call: Callable[[], Any], repeats: int) -> float:
    """Seconds of the quickest of several calls, after one that compiles."""
    times = []
    jax.block_until_ready(call())
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return min(times)


def case(q: Question, share: float) -> dict[str, Any]:
    """Seconds of each, where a share of the injections is found."""
    injections = drawn(q.injections, q.per_host, share)
    at = jnp.array([0.8, 0.3, 0.2])
    selected = detection(injections, 0.5)
    sums = jax.jit(lambda a: selected.ln_mu(population(a)))
    slope = jax.jit(jax.value_and_grad(lambda a: selected.ln_mu(population(a)).ln_mu))
    start = time.perf_counter()
    jax.block_until_ready(slope(at))
    first = time.perf_counter() - start
    exact = reweight(injections, population([0.8, 0.3, 0.2]))
    ln_mu = float(sums(at).ln_mu)
    return {
        "found": len(selected.ln_p_draw),
        "reweight_s": least(lambda: [reweight(injections, population(at)).mu], q.repeats),
        "ln_mu_s": least(lambda: sums(at), q.repeats),
        "gradient_first_s": first,
        "gradient_s": least(lambda: slope(at), q.repeats),
        "single_precision_error_of_mu": abs(float(np.exp(ln_mu)) / exact.mu - 1),
        "n_eff": exact.n_eff,
    }


def main(q: Question) -> dict[str, Any]:
    """Measures everything, prints a table and writes it down."""
    if q.figure:
        figure(DOCS / "populations.png")
        return {}
    kind = jax.devices()[0].device_kind.replace(" ", "-").lower()
    print(
        f"{q.injections:,} injections\n\n| found | reweight | ln_mu | with gradient | compiled | "
        "error of mu in single precision |\n|---|---|---|---|---|---|"
    )
    cases = []
    for share in (0.1, 1.0):
        cases.append(c := case(q, share))
        print(
            f"| {c['found']:,} | {c['reweight_s']:.3f} s | {c['ln_mu_s']:.4f} s | "
            f"{c['gradient_s']:.4f} s | {c['gradient_first_s']:.2f} s | "
            f"{c['single_precision_error_of_mu']:.1e} |",
            flush=True,
        )
    answer = {
        "question": __doc__.splitlines()[0] if __doc__ else "",
        "device": {"kind": kind, "processor": processor(kind), "cores": os.cpu_count()},
        "versions": record.versions(),
        "commit": record.commit(),
        "injections": q.injections,
        "per_host": q.per_host,
        "cases": cases,
    }
    results = Path(__file__).parent / "results"
    out = q.out if q.out != Path("") else results / f"populations-{kind}.json"
    write_json(out, answer)
    print(out)
    return answer


def blocks() -> str:
    """The Python of docs/populations.md as one program."""
    text = (DOCS / "populations.md").read_text()
    return "\n".join(re.findall(r"```\{code-cell\} python\n(.*?)```", text, re.S))


def figure(path: Path) -> None:
    """Runs the document's example and draws what was inferred."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    run: dict[str, Any] = {}
    exec(blocks(), run)
    drawing, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    bins = np.linspace(run["LOW"], run["HIGH"], 26)
    left.hist(run["every"], bins, color="0.8", label="lenses that exist")
    left.hist(np.asarray(run["observed"]), bins, color="C0", label="found")
    left.set(xlabel="Einstein radius, arcsec", ylabel="lenses")
    left.legend(frameon=False)
    edges = np.geomspace(0.35, 5.0, 60)
    for selection, words in ((True, "with the selection function"), (False, "without")):
        colour = "C0" if selection else "C3"
        right.hist(
            run["samples"][selection], edges, density=True, color=colour, alpha=0.6, label=words
        )
    right.axvline(run["SCALE"], color="k", lw=1, ls="--", label="truth")
    right.set(xscale="log", xlabel="scale of the population, arcsec", ylabel="posterior density")
    right.legend(frameon=False)
    drawing.savefig(path, dpi=110, metadata={"Software": None})
    print(path)


if __name__ == "__main__":
    prepared()  # as the command lensjax
    main(tyro.cli(Question, description=__doc__))
