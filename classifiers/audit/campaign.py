"""Carries out the injections: chunk by chunk, each a file that is whole or absent, so that an interrupted audit continues where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

import lensjax as lj
from classifiers.audit.hosts import Hosts, read_stamp
from classifiers.audit.injection import Batch, Experiment, logits, observe, unchanged
from classifiers.audit.plan import Chunk
from classifiers.photometry import depth_m5
from data.files import replacing
from lensjax.prior import Prior

if TYPE_CHECKING:
    import pandas as pd

Sample = Sequence[tuple[int, np.ndarray]]
"""Injections by place of the chunk in the plan, and rows of it."""


@dataclass(frozen=True)
class Campaign:
    """plan: all injections · hosts: what they refer to, their stamps under `out` · classifier, prior, gain, beta: see `Experiment`, 0 for none ·
    batch: injections made together; the last of a chunk is padded."""

    plan: Sequence[Chunk]
    hosts: Hosts
    out: Path
    classifier: Any
    prior: Prior
    gain: float
    beta: float
    batch: int

    def experiment(self, chunk: Chunk) -> Experiment:
        """The compiled function's fixed part for a chunk's stamp size."""
        return Experiment(
            self.classifier,
            self.prior,
            lj.PixelGrid(chunk.size, chunk.pixel_scale),
            chunk.degrade,
            self.gain or None,
            self.beta or None,
        )

    def stamps(self, which: np.ndarray) -> dict[int, np.ndarray]:
        """Stamps (H, W, 3) of the hosts at these places."""
        return {
            int(i): read_stamp(Path(self.out) / self.hosts.paths[i], int(self.hosts.size[i]))
            for i in np.unique(which)
        }

    def batch_of(self, chunk: Chunk, rows: np.ndarray, stamps: dict[int, np.ndarray]) -> Batch:
        """The injections `rows` of a chunk."""
        place = chunk.host[rows]
        psf, psfdepth = self.hosts.psf[place], self.hosts.psfdepth[place]
        target_psf, target_depth = psf, psfdepth
        if (
            chunk.degrade
        ):  # the site's centre in r; g and z keep the host's own ratios to r in FWHM and in depth
            target_psf = psf * np.maximum(chunk.site.psf_fwhm / psf[:, 1:2], 1.0)
            target_depth = psfdepth * np.minimum(
                10 ** (0.8 * (chunk.site.depth_m5 - depth_m5(psfdepth[:, 1:2]))), 1.0
            )
        as32 = lambda a: jnp.asarray(a, jnp.float32)
        host = np.stack([stamps[int(i)] for i in place])
        return Batch(
            jnp.asarray(chunk.key[rows]),
            *map(as32, (chunk.theta_e[rows], host, psf, psfdepth, target_psf, target_depth)),
        )

    def packed(self, sample: Sample) -> list[tuple[int, Batch]]:
        """A sample of injections of one stamp size in full batches: (how many of the batch count, batch)."""
        parts = [
            self.batch_of(self.plan[i], rows, self.stamps(self.plan[i].host[rows]))
            for i, rows in sample
        ]
        whole = Batch(
            *(jnp.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Batch))
        )
        starts = range(0, len(whole), self.batch)
        places = [padded(np.arange(s, min(s + self.batch, len(whole))), self.batch) for s in starts]
        return [
            (
                min(self.batch, len(whole) - s),
                Batch(*(getattr(whole, f.name)[p] for f in fields(Batch))),
            )
            for s, p in zip(starts, places)
        ]

    def hosts_alone(self, stamps: dict[int, np.ndarray]) -> dict[int, float]:
        """Logit of every host as it is, without an arc."""
        places, found = sorted(stamps), dict[int, float]()
        for start in range(0, len(places), self.batch):
            part = np.array(places[start : start + self.batch])
            full = np.stack([stamps[int(i)] for i in padded(part, self.batch)])
            found |= dict(
                zip(part.tolist(), np.asarray(logits(self.classifier, jnp.asarray(full))).tolist())
            )
        return found

    def inject(self, chunk: Chunk, tick: Callable[[int], None]) -> pd.DataFrame:
        """One row per injection of a chunk."""
        import pandas as pd

        hosts, place, experiment, stamps = (
            self.hosts,
            chunk.host,
            self.experiment(chunk),
            self.stamps(chunk.host),
        )
        parts = []
        for start in range(0, len(chunk), self.batch):
            rows = np.arange(start, min(start + self.batch, len(chunk)))
            found = observe(
                experiment, self.batch_of(chunk, padded(rows, self.batch), stamps), unchanged()
            )
            parts.append(described(found, len(rows)))
            tick(len(rows))
        columns: dict[str, Any] = {
            "galaxy_id": hosts.ids[place],
            "split": hosts.split[place],
            "theta_e": chunk.theta_e,
            "cell_psf_fwhm": chunk.site.psf_fwhm,
            "cell_depth_m5": chunk.site.depth_m5,
            "index": chunk.index,
            "host_psf_fwhm": hosts.psf[place, 1],
            "host_depth_m5": depth_m5(hosts.psfdepth[place, 1]),
            "psf_source": hosts.psf_source[place],
            "key": ["".join(f"{word:08x}" for word in key) for key in chunk.key],
            **{name: np.concatenate([p[name] for p in parts]) for name in parts[0]},
        }
        if not chunk.degrade:
            before = self.hosts_alone(stamps)
            columns["logit_before"] = np.array([before[int(i)] for i in place])
        table = pd.DataFrame(columns)
        return table.assign(
            score_before=sigmoid(table["logit_before"].to_numpy()),
            score=sigmoid(table["logit"].to_numpy()),
        )

    def carry_out(self, parts: Path) -> pd.DataFrame:
        """All injections of the plan, in its order. Chunks already in `parts` are read, the others made and written there."""
        import pandas as pd
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        bar = Progress(
            TextColumn("injections"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        tables = []
        with bar:
            task = bar.add_task("", total=sum(len(c) for c in self.plan))
            for chunk in self.plan:
                path = parts / f"{chunk.name}.parquet"
                if path.is_file():
                    tables.append(pd.read_parquet(path))
                    bar.advance(task, len(chunk))
                    continue
                table = self.inject(chunk, lambda n: bar.advance(task, n))
                with replacing(path) as temporary:
                    table.to_parquet(temporary, index=False, compression="zstd")
                tables.append(table)
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def padded(rows: np.ndarray, size: int) -> np.ndarray:
    """rows and as many copies of the first as make `size`: one compiled shape for every batch."""
    return np.concatenate([rows, np.full(size - len(rows), rows[0], rows.dtype)])


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """Score of a logit."""
    return 1.0 / (1.0 + np.exp(-np.asarray(logit, np.float64)))


def described(found: dict[str, Any], n: int) -> dict[str, np.ndarray]:
    """Columns of the first n injections of what `observe` returns: what was drawn, what came out. Magnitudes AB, r_eff arcsec, beta in units of
    theta_e, source_g_r and source_r_z unlensed colours, magnification lensed over unlensed r flux in the stamp."""
    lens, source = found["scenes"].lens[0], found["scenes"].source[0]
    arc = np.asarray(found["arc"], np.float64).sum((1, 2))
    unlensed = np.asarray(source.flux, np.float64)
    with np.errstate(divide="ignore"):
        columns: dict[str, Any] = {
            "source_mag": 22.5 - 2.5 * np.log10(unlensed[:, 1]),
            "source_g_r": -2.5 * np.log10(unlensed[:, 0] / unlensed[:, 1]),
            "source_r_z": -2.5 * np.log10(unlensed[:, 1] / unlensed[:, 2]),
            "arc_mag": 22.5 - 2.5 * np.log10(np.maximum(arc[:, 1], 0.0)),
            "magnification": arc[:, 1] / unlensed[:, 1],
        }
    columns |= {"r_eff": source.r_eff, "sersic_n": source.n, "source_q": source.q, "lens_q": lens.q}
    columns["beta"] = np.hypot(
        np.asarray(source.x) - np.asarray(lens.x), np.asarray(source.y) - np.asarray(lens.y)
    ) / np.asarray(lens.theta_e)
    columns |= {
        name: found[name] for name in ("arc_snr", "snr", "logit", "logit_before") if name in found
    }
    return {name: np.asarray(value, np.float64)[:n] for name, value in columns.items()}
