"""How long do ten thousand bootstrap resamples of an evaluation take? `python -m
benchmarks.evaluation --help`

AUC, recall at a false-positive rate of 1e-3 and expected calibration error of a table of 135,581
objects, by `classifiers.evaluation.bootstrap`, and the same by a loop over scikit-learn's functions
for a few resamples, in the same run on the same counts. The values of those resamples are compared.
Both use one core; the time of a core is what counts on a machine that does other things as well.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from classifiers.evaluation import bootstrap, figures, metrics
from data import record
from data.files import write_json

NAMES = ("roc_auc", "recall_at_fpr_1e-3", "ece")


@dataclass(frozen=True)
class Question:
    """What is measured."""

    objects: int = 135_581
    lenses: int = 1_432
    resamples: int = 10_000
    loop: int = 20
    """resamples of the loop over scikit-learn"""
    cells: bool = False
    """draw cells of ten objects whole"""
    out: Annotated[Path, tyro.conf.arg(help="default benchmarks/results/evaluation-cpu.json")] = (
        Path("")
    )


def peer(sample: metrics.Sample, counts: np.ndarray) -> dict[str, float]:
    """The three metrics of one resample by scikit-learn, its objects repeated as often as drawn."""
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import roc_auc_score, roc_curve

    times = counts.astype(int)
    y, p = np.repeat(sample.label, times), np.repeat(sample.score, times)
    false, true, _ = roc_curve(y, p)
    observed, promised = calibration_curve(y, p, n_bins=15, strategy="quantile")
    return {
        "roc_auc": float(roc_auc_score(y, p)),
        "recall_at_fpr_1e-3": float(true[false <= 1e-3].max()),
        "ece": float(np.abs(observed - promised).mean()),
    }


def main(q: Question) -> dict[str, Any]:
    """Measures both, prints seconds and their ratio, writes all down."""
    rng = np.random.default_rng(0)
    label = (np.arange(q.objects) < q.lenses).astype(int)
    score = 1 / (1 + np.exp(3 - 3 * label - rng.normal(size=q.objects)))
    blocks = np.arange(q.objects) // 10 if q.cells else None
    peer(metrics.Sample.of(label[::50], score[::50]), np.ones(len(label[::50])))  # imports
    began, busy = time.perf_counter(), time.process_time()
    sample = metrics.Sample.of(label, score)
    functions = {k: f for k, f in figures.ranking(sample).items() if k in NAMES}
    found = bootstrap.replicates(functions, sample, q.resamples, 1, blocks)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    ends = {k: bootstrap.interval(v) for k, v in found.items()}
    looped, theirs, their_busy = [], 0.0, 0.0
    cell = None if blocks is None else blocks[sample.order]
    for chunk in bootstrap.resamples(q.objects, q.resamples, 1, cell):
        for counts in chunk[: q.loop - len(looped)]:
            began, start = time.perf_counter(), time.process_time()
            looped.append(peer(sample, counts))
            theirs += time.perf_counter() - began
            their_busy += time.process_time() - start
        if len(looped) >= q.loop:
            break
    # The bins of a calibration curve move with each resample, so that errors differ a little.
    apart = {k: max(abs(v[k] - found[k][i]) for i, v in enumerate(looped)) for k in NAMES}
    ratio = theirs / len(looped) / (seconds / q.resamples)
    answer = {
        "question": " ".join((__doc__ or "").split("`")[0].split()),
        "objects": q.objects,
        "lenses": q.lenses,
        "resamples": q.resamples,
        "drawn": "cells of ten" if q.cells else "objects",
        "seconds": seconds,
        "processor_seconds": busy,
        "scikit_learn_seconds_a_resample": theirs / len(looped),
        "times_faster": ratio,
        "times_less_processor_time": their_busy / len(looped) / (busy / q.resamples),
        "largest_difference": apart,
        "intervals": ends,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "versions": record.versions(),
        "commit": record.commit(),
    }
    print(
        f"{q.resamples} resamples of {q.objects} objects: {seconds:.1f} s, {busy:.1f} s of a core"
    )
    print(
        f"scikit-learn: {1e3 * theirs / len(looped):.0f} ms a resample, {ratio:.0f} times slower, "
        f"{answer['times_less_processor_time']:.0f} times by processor time"
    )
    print("largest differences: " + ", ".join(f"{k} {v:.1e}" for k, v in apart.items()))
    out = q.out if q.out != Path("") else Path(__file__).parent / "results" / "evaluation-cpu.json"
    write_json(out, answer)
    print(out)
    return answer


if __name__ == "__main__":
    main(tyro.cli(Question, description=__doc__))
