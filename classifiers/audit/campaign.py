"""Carries out the injections, chunk by chunk.

Each chunk is a file that is whole or absent, so that an interrupted audit continues where it
stopped. Making stamps is apart from scoring them: every finder sees the same stamps. Where scores
come back in a table, the stamps go out first and the audit stops until the table is there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import lensjax as lj
from classifiers.audit import kernels, noisepower
from classifiers.audit.hosts import KERNEL, MEASURED_ON, Hosts, digest, read_stamp
from classifiers.audit.injection import Batch, Experiment, observe, unchanged
from classifiers.audit.plan import Chunk
from classifiers.finders import Finder, Scores, scored
from classifiers.finders.scorefile import Exchange, ScoreFile
from data import jobs
from data.photometry import depth_m5, magnitude
from data.survey import Survey, plain
from lensjax.prior import Prior

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = ".parquet"
OF_THE_HOST = ("release", "ra", "dec", "healpix_128", "type", KERNEL, MEASURED_ON, *kernels.PLACE)
"""Columns of the manifest that every injection has as well, where the manifest has them."""

MEASURED = 100
"""About so many hosts tell how the noise of neighbouring pixels is correlated."""

Sample = Sequence[tuple[int, np.ndarray]]
"""Injections by place of the chunk in the plan, and rows of it."""


@dataclass(frozen=True)
class Campaign:
    """plan: all injections. hosts: what they refer to, their stamps under `out`. finder: scores the
    stamps. prior: of scenes. gain: see `Experiment`, 0 for none. beta: of the Moffat PSF, 0 for
    a Gaussian. batch: injections made together; the last batch of a chunk is padded. extinction:
    whether dust dims arcs. stamp_files: format in which stamps go out. more: other finders that
    score the same stamps, by name. kernel_side: of PSF kernels, pixels; 0: of the largest.
    correlation: of the noise, see `noise_correlation`; None: measured. bounds: see `holds`; None:
    of this plan."""

    plan: Sequence[Chunk]
    hosts: Hosts
    out: Path
    finder: Finder
    prior: Prior
    gain: float
    beta: float
    batch: int
    extinction: bool = True
    stamp_files: Literal["npz", "fits"] = "npz"
    more: Mapping[str, Finder] = field(default_factory=dict)
    kernel_side: int = 0
    correlation: Any = None
    bounds: lj.Bounds | None = None

    @property
    def survey(self) -> Survey:
        """The survey of the hosts."""
        return self.hosts.survey

    @cached_property
    def used(self) -> np.ndarray:
        """Places of the hosts that get an injection, in order."""
        return np.unique(np.concatenate([chunk.host for chunk in self.plan]))

    def experiment(self, chunk: Chunk) -> Experiment:
        """The compiled function's fixed part for a chunk's stamp size."""
        pixels = lj.PixelGrid(chunk.size, chunk.pixel_scale)
        ring = self.survey.radii.arc
        band, gain = self.survey.place, self.gain or None
        noise = self.noise_correlation if chunk.degrade else None
        return Experiment(self.prior, pixels, band, ring, chunk.degrade, noise, gain, self.holds)

    @cached_property
    def holds(self) -> lj.Bounds:
        """What holds for all scenes and PSFs of the plan, rounded outwards, so that plans that are
        much alike share compiled functions."""
        if self.bounds is not None:
            return self.bounds
        names = [name for block in self.prior.blocks if (name := block.flat("theta_e"))]
        held = names and all(name in chunk.drawn for chunk in self.plan for name in names)
        whole = sum(max(c.drawn[n].max(initial=0) for c in self.plan) for n in names) if held else 6
        widths = [self.conditions(c, np.arange(len(c)))[0] for c in self.plan if len(c)]
        low, high = np.min([w.min() for w in widths]), np.max([w.max() for w in widths])
        known = self.hosts.kernels is None and np.isfinite([low, high]).all() and low > 0.1
        fwhm = (math.floor(10 * low) / 10, math.ceil(2 * high) / 2) if known else None
        return lj.Bounds(3.0 * max(math.ceil(whole / 3), 1), fwhm)

    @cached_property
    def exchange(self) -> Exchange | None:
        """Where stamps go out to, if scores come back in a table."""
        if not isinstance(self.finder, ScoreFile):
            return None
        folder = self.finder.folder
        return Exchange(folder, self.survey, self.identity(), "injection_id", self.stamp_files)

    def identity(self) -> str:
        """A text that changes when the stamps would, apart from the pixels of the hosts: what is
        injected, in which parts, and all that the compiled function is given."""
        hosts = self.hosts.take(self.used)
        asked = [(c.name, c.degrade, c.ids) for c in self.plan]
        options = [self.gain, self.beta, self.extinction, self.batch, plain(self.survey)]
        leaves, shape = jax.tree.flatten(self.prior)
        told = [asked, options, str(shape), hosts.ids.tolist(), hosts.paths.tolist()]
        told.append(None if hosts.kernels is None else hosts.kernels.tolist())
        digest = sha256(json.dumps(told).encode())
        for values in (*leaves, hosts.psf, hosts.psfdepth, hosts.ebv):
            digest.update(np.asarray(values, np.float64).tobytes())
        return digest.hexdigest()

    @cached_property
    def kernel_size(self) -> int:
        """Side of the largest PSF kernel of the hosts, pixels."""
        return self.kernel_side or max(
            kernels.of_host(self.hosts, int(i), self.out).shape[-1] for i in self.used
        )

    @cached_property
    def noise_correlation(self) -> Float[np.ndarray, "l l c"]:
        """Correlation of the sky's noise between neighbouring pixels, the mean over hosts of the
        commonest stamp size (`noisepower.correlation`)."""
        if self.correlation is not None:
            return np.asarray(self.correlation, np.float32)
        sides = list(zip(self.hosts.size[self.used], self.hosts.pixel_scale[self.used]))
        common = max(sorted(set(sides)), key=sides.count)
        like = self.used[[side == common for side in sides]]
        few = like[:: max(len(like) // MEASURED, 1)]
        stamps = np.stack(list(self.stamps(few).values()))
        fwhm = np.median(self.hosts.psf[few], axis=0) / common[1]
        return noisepower.correlation(stamps, fwhm).astype(np.float32)

    def stamps(self, which: np.ndarray) -> dict[int, np.ndarray]:
        """Stamps (H, W, B) of the hosts at these places."""
        return {
            int(i): read_stamp(
                Path(self.out) / self.hosts.paths[i],
                int(self.hosts.size[i]),
                len(self.survey.bands),
            )
            for i in np.unique(which)
        }

    def psf(self, chunk: Chunk, place: np.ndarray, fwhm: np.ndarray) -> Any:
        """What the arcs of these hosts are blurred with, leaves with an axis of the hosts: their
        kernels where the manifest has any, else a Gaussian or a Moffat of this FWHM (b, B)."""
        if self.hosts.kernels is None:
            width = jnp.asarray(fwhm, jnp.float32)
            if not self.beta:
                return lj.Gaussian(width)
            return lj.Moffat(width, jnp.full(len(place), self.beta, jnp.float32))
        side = min(self.kernel_size, chunk.size - 1 + chunk.size % 2)
        own = {int(i): kernels.of_host(self.hosts, int(i), self.out) for i in np.unique(place)}
        found = [kernels.fitted(own[int(i)], side) for i in place]
        return lj.PixelKernel(jnp.asarray(np.stack(found)))

    def batch_of(self, chunk: Chunk, rows: np.ndarray, stamps: dict[int, np.ndarray]) -> Batch:
        """The injections `rows` of a chunk."""
        place = chunk.host[rows]
        fwhm, psfdepth = self.hosts.psf[place], self.hosts.psfdepth[place]
        target_fwhm, target_depth = self.conditions(chunk, rows)
        as32 = lambda a: jnp.asarray(a, jnp.float32)
        ebv = np.nan_to_num(self.hosts.ebv[place]) if self.extinction else np.zeros(len(place))
        return Batch(
            jnp.asarray(chunk.key[rows]),
            {name: as32(values[rows]) for name, values in chunk.drawn.items()},
            as32(np.stack([stamps[int(i)] for i in place])),
            as32(fwhm),
            as32(psfdepth),
            as32(target_fwhm),
            as32(target_depth),
            self.psf(chunk, place, target_fwhm),
            as32(10 ** (-0.4 * np.array(self.survey.extinction) * ebv[:, None])),
        )

    def packed(self, sample: Sample) -> list[tuple[int, Batch]]:
        """A sample of injections of one stamp size in full batches: (how many of the batch count,
        batch)."""
        parts = [
            self.batch_of(self.plan[i], rows, self.stamps(self.plan[i].host[rows]))
            for i, rows in sample
        ]
        whole = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
        made = []
        for start in range(0, len(whole), self.batch):
            stop = min(start + self.batch, len(whole))
            places = padded(np.arange(start, stop), self.batch)
            made.append((stop - start, jax.tree.map(lambda leaf, p=places: leaf[p], whole)))
        return made

    def score(self, part: str, ids: Sequence[str], stamps: np.ndarray, columns: Any) -> Any:
        """Scores of stamps; None where they went out to a folder."""
        if self.exchange is None:
            return scored(self.finder, stamps, ids, self.batch)
        if not self.exchange.has(part):
            self.exchange.write(part, ids, stamps, columns)
        return None

    def sky(self, place: np.ndarray) -> dict[str, Any]:
        """What goes with stamps that are sent out: the host and its position."""
        found = {"host_id": self.hosts.ids[place]}
        for name in ("ra", "dec"):
            if name in self.hosts.columns:
                found[name] = np.asarray(self.hosts.columns[name], np.float64)[place]
        return found

    def made(self, chunk: Chunk, stamps: dict[int, np.ndarray]) -> Iterator[tuple[Any, np.ndarray]]:
        """What `observe` returns for each batch of a chunk, and the rows that count."""
        for start in range(0, len(chunk), self.batch):
            rows = np.arange(start, min(start + self.batch, len(chunk)))
            yield self.observed(chunk, rows, stamps), rows

    def observed(
        self, chunk: Chunk, rows: np.ndarray, stamps: dict[int, np.ndarray]
    ) -> dict[str, Any]:
        """What `observe` returns for one batch of a chunk; the batch is filled up with copies."""
        batch = self.batch_of(chunk, padded(rows, self.batch), stamps)
        return observe(self.experiment(chunk), batch, unchanged())

    def inject(self, chunk: Chunk) -> pd.DataFrame:
        """One row per injection of a chunk: what was drawn and measured, and, where the finder
        scores at once, logit and score of the stamp and of the host before injection."""
        import pandas as pd

        hosts, place, stamps = self.hosts, chunk.host, self.stamps(chunk.host)
        ids = np.array(chunk.ids)
        alone, back = np.unique(place, return_inverse=True)
        parts, after, before = [], [], []
        others: dict[str, list[Scores]] = {
            f"{when}_{name}": [] for when in ("", "_before") for name in self.more
        }
        for number, (found, rows) in enumerate(self.made(chunk, stamps)):
            n, sky = len(rows), self.sky(place[rows])
            parts.append(described(found, n, self.survey))
            name = f"{chunk.name}-{number:04d}"
            made = np.asarray(found["stamp"])[:n]
            after.append(self.score(name, ids[rows], made, sky))
            for other, finder in self.more.items():
                others[f"_{other}"].append(scored(finder, made, ids[rows], self.batch))
            if chunk.degrade:
                own, host = befores(ids[rows]), np.asarray(found["host"])[:n]
                before.append(self.score(f"{name}-before", own, host, sky))
                for other, finder in self.more.items():
                    others[f"_before_{other}"].append(scored(finder, host, own, self.batch))
        if not chunk.degrade:
            own = befores(hosts.ids[alone])
            pixels = np.stack([stamps[int(i)] for i in alone])
            one = self.score(f"{chunk.name}-before", own, pixels, self.sky(alone))
            before = [one if one is None else one.take(back)]
            for other, finder in self.more.items():
                mine = scored(finder, pixels, own, self.batch)
                others[f"_before_{other}"] = [mine.take(back)]
        pixels_of = {place: digest(stamp) for place, stamp in stamps.items()}
        columns = self.known(chunk)
        columns["host_sha256"] = [pixels_of[int(i)] for i in place]
        measured = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        columns |= {name: values for name, values in measured.items() if name not in columns}
        for suffix, scores in {"_before": before, "": after, **others}.items():
            if scores[0] is not None:
                columns[f"logit{suffix}"] = np.concatenate([s.logit for s in scores])
                columns[f"score{suffix}"] = np.concatenate([s.score for s in scores])
        return pd.DataFrame(columns)

    def known(self, chunk: Chunk) -> dict[str, Any]:
        """Columns of a chunk's injections that are known before anything is rendered: names, the
        host, and the conditions, its own and those used."""
        hosts, place, ids = self.hosts, chunk.host, chunk.ids
        band = self.survey.place
        target_fwhm, target_depth = self.conditions(chunk, np.arange(len(chunk)))
        columns: dict[str, Any] = {
            "injection_id": ids,
            "galaxy_id": hosts.ids[place],
            "split": hosts.split[place],
            **chunk.drawn,
            **cells_of(chunk),
            "index": chunk.index,
            "host_psf_fwhm": hosts.psf[place, band],
            "host_depth_m5": depth_m5(hosts.psfdepth[place, band]),
            "host_ebv": hosts.ebv[place],
            "psf_source": hosts.psf_source[place],
            "key": ids,
            "part": chunk.name,
            "cutout_path": hosts.paths[place],
            "stamp_size": hosts.size[place],
            "pixel_scale": hosts.pixel_scale[place],
        }
        for i, name in enumerate(self.survey.bands):
            columns |= {
                f"host_psf_fwhm_{name}": hosts.psf[place, i],
                f"host_psfdepth_{name}": hosts.psfdepth[place, i],
                f"psf_fwhm_{name}": target_fwhm[:, i],
                f"psfdepth_{name}": target_depth[:, i],
            }
        for name in (n for n in OF_THE_HOST if n in hosts.columns):
            columns.setdefault(name, _whole(hosts.columns[name][place]))
        return columns

    def conditions(self, chunk: Chunk, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """FWHM (arcsec) and psfdepth (nanomaggy^-2) in every band (b, B) that the stamps of a
        chunk's rows have: the hosts' own, or those that they are degraded to. The reference band
        reaches the centre of the cell; the other bands keep the host's own ratios to it."""
        place, band = chunk.host[rows], self.survey.place
        fwhm, psfdepth = self.hosts.psf[place], self.hosts.psfdepth[place]
        if not chunk.degrade:
            return fwhm, psfdepth
        width, depth = chunk.site.centre("psf_fwhm"), chunk.site.centre("depth_m5")
        if width is not None:
            fwhm = fwhm * np.maximum(width / fwhm[:, band, None], 1.0)
        if depth is not None:
            own = depth_m5(psfdepth[:, band, None])
            psfdepth = psfdepth * np.minimum(10 ** (0.8 * (depth - own)), 1.0)
        return fwhm, psfdepth

    def carry_out(self, parts: Path) -> pd.DataFrame:
        """All injections of the plan, in its order. Chunks that are in `parts` already are read,
        the others are made and written there."""
        import pandas as pd

        def work(chunk: Chunk, path: Path) -> dict[str, Any]:
            self.inject(chunk).to_parquet(path, index=False, compression="zstd")
            return {"injections": len(chunk)}

        items = [(chunk.name, chunk) for chunk in self.plan]
        jobs.run(parts, items, work, SUFFIX, "batches of injections")
        tables = [pd.read_parquet(parts / f"{chunk.name}{SUFFIX}") for chunk in self.plan]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def with_scores(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The injections with the scores that came back in a table. Raises InputError, saying what
        to do, while they are not there, and for ids that are missing, doubled or foreign."""
        if self.exchange is None:
            return rows
        self.exchange.complete()
        ids = rows["injection_id"].tolist()
        degraded = any(chunk.degrade for chunk in self.plan)
        owners = befores(rows["injection_id" if degraded else "galaxy_id"])
        alone = list(dict.fromkeys(owners))
        found = self.exchange.scores([*ids, *alone])
        number = {name: len(ids) + i for i, name in enumerate(alone)}
        back = np.array([number[name] for name in owners])
        n = len(ids)
        return rows.assign(
            logit_before=found.logit[back],
            score_before=found.score[back],
            logit=found.logit[:n],
            score=found.score[:n],
        )


def befores(names: Any) -> list[str]:
    """Ids of hosts before injection, as stamps that are sent out have them."""
    return [f"{name}-before" for name in names]


def cells_of(chunk: Chunk) -> dict[str, Any]:
    """Columns that name the cell of a chunk along every host axis."""
    site = chunk.site
    return {
        f"cell_{axis.name}": axis.cells[place].value for axis, place in zip(site.axes, site.place)
    }


def _whole(values: np.ndarray) -> np.ndarray:
    """Numbers that are all whole as integers; anything else as it is."""
    whole = values.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all()
    return values.astype(np.int64) if whole else values


def padded(rows: np.ndarray, size: int) -> np.ndarray:
    """rows and as many copies of the first as make `size`: one compiled shape for every batch."""
    return np.concatenate([rows, np.full(size - len(rows), rows[0], rows.dtype)])


def described(found: dict[str, Any], n: int, survey: Survey) -> dict[str, np.ndarray]:
    """Columns of the first n injections of what `observe` returns.

    Every drawn parameter has a column of its name. Measured are, in the survey's reference band,
    source_mag (unlensed, before extinction), arc_mag (as seen in the stamp) and magnification (flux
    of the arc as seen in the stamp, dimmed by dust, over the unlensed flux); in every band
    source_mag_g, arc_mag_g and snr_g (matched filter) and so on; and the unlensed colours of
    neighbouring bands, for example source_g_r. Flags say what may make an injection mean less:
    `flag_invalid` (a parameter outside its domain was replaced), `flag_missing` (the host lacks
    pixels in the ring of arcs) and `flag_edge` (more than 1 % of the arc's light within 2 pixels of
    the stamp's edge).
    """
    band, bands = survey.place, survey.bands
    arc, unlensed, edge = (
        np.asarray(found[name], np.float64) for name in ("arc_flux", "flux", "edge_flux")
    )
    columns: dict[str, Any] = dict(found["drawn"])
    columns["source_mag"] = magnitude(unlensed[:, band])
    for i, (blue, red) in enumerate(pairwise(bands)):
        colour = magnitude(unlensed[:, i]) - magnitude(unlensed[:, i + 1])
        columns[f"source_{blue}_{red}"] = colour
    columns["arc_mag"] = magnitude(np.maximum(arc[:, band], 0.0))
    columns["magnification"] = arc[:, band] / unlensed[:, band]
    columns |= {name: found[name] for name in ("arc_snr", "snr")}
    for i, name in enumerate(bands):
        columns[f"source_mag_{name}"] = magnitude(unlensed[:, i])
        columns[f"arc_mag_{name}"] = magnitude(np.maximum(arc[:, i], 0.0))
        columns[f"snr_{name}"] = found["band_snr"][:, i]
    flags = {
        "flag_invalid": ~np.asarray(found["valid"]),
        "flag_missing": np.asarray(found["missing"]),
        "flag_edge": edge.sum(1) > 0.01 * arc.sum(1),
    }
    measured = {name: np.asarray(value, np.float64)[:n] for name, value in columns.items()}
    return measured | {name: value[:n] for name, value in flags.items()}
