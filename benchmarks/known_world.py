"""A world in which every number that an audit measures is known: detectors given by formulas.

A logit is a smooth function of the Einstein radius, the source's magnitude and colour, and the
host's PSF and depth, plus an effect of the host, which all of its injections share, plus noise:

    L = arc(theta_E) + faint (m - 24.5) + red c + wide (w - 1.3) + deep (d - 23.5) + u + sigma e,

with u ~ N(offset, spread^2) by the host's type and e ~ N(0, 1). All but theta_E, m, w and d is
normal, so that the chance to be found given these is a value of the normal distribution function,
and everything else a quadrature over at most four of them (Gauss-Legendre). A galaxy without an arc
has the logit L0 = quiet + share u + v + e0, where v is common to a cell of the sky.

`audit` draws what an audit draws, as the table that it makes of its injections. `Truth` answers
what the audit's functions should find in it. Used by `benchmarks.covered` and by
tests/classifiers/test_audit_truth.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from classifiers.audit.axes import Axis, Grid

if TYPE_CHECKING:
    import pandas as pd

Range = tuple[float, float]
MAGNITUDES: Range = (23.0, 26.0)
PSF: Range = (1.0, 1.6)
DEPTH: Range = (23.0, 24.0)
COLOUR = (0.2, 0.25)
"""Mean and standard deviation of the source's colour."""
TYPES = ("REX", "SER")
STEEP = 0.6
"""How much more often faint sources are drawn where there is a proposal: its density in magnitude
is (1 + STEEP (m - 24.5) / 1.5) / 3."""
NODES = 12


@dataclass(frozen=True)
class World:
    """Numbers of the formulas in the module's docstring. offset, spread: of the effect of hosts, by
    type; share_of: of the types. lean: of the effect of a host on its logit without an arc. patch:
    standard deviation of what galaxies of one cell of the sky have in common."""

    base: float = -1.6
    arc: float = 1.5
    faint: float = -0.9
    red: float = 0.8
    wide: float = -2.0
    deep: float = 0.6
    sigma: float = 1.0
    offset: tuple[float, float] = (-0.5, 0.4)
    spread: tuple[float, float] = (0.5, 1.1)
    share_of: tuple[float, float] = (0.4, 0.6)
    quiet: float = -4.0
    lean: float = 0.8
    patch: float = 0.3
    noise: float = 0.9

    def arcs(self, theta_e: Any) -> Any:
        """What the Einstein radius adds: arcs are found best at 2.4 arcsec."""
        return self.base + self.arc * np.exp(-(((np.asarray(theta_e) - 2.4) / 0.8) ** 2))

    def steep_in_radius(self, theta_e: Any) -> Any:
        """Slope of `arcs`, per arcsec."""
        away = np.asarray(theta_e) - 2.4
        return -2 * away / 0.8**2 * (self.arcs(theta_e) - self.base)

    def smooth(self, theta_e: Any, mag: Any, psf: Any, depth: Any) -> Any:
        """The part of the logit that is not normal, at the mean colour."""
        return (
            self.arcs(theta_e)
            + self.faint * (np.asarray(mag) - 24.5)
            + self.red * COLOUR[0]
            + self.wide * (np.asarray(psf) - 1.3)
            + self.deep * (np.asarray(depth) - 23.5)
        )


def grid(
    radii: tuple[float, ...] = (1.0, 2.0, 3.0),
    psf_cells: int = 2,
    depth_cells: int = 2,
    magnitudes: tuple[float, ...] = (23.0, 24.5, 26.0),
) -> Grid:
    """Axes as an audit has them."""
    even = lambda ends, n: tuple(float(v) for v in np.linspace(*ends, n + 1))
    host = lambda name, edges: Axis(name, name, "", "host", name, edges=edges)
    measured = lambda name, edges: Axis(f"{name}_bin", name, "", "measured", name, edges=edges)
    return Grid(
        (Axis("theta_e", "Einstein radius", "arcsec", "drawn", "theta_e", points=radii),),
        (host("psf_fwhm", even(PSF, psf_cells)), host("depth_m5", even(DEPTH, depth_cells))),
        (measured("source_mag", magnitudes), measured("arc_snr", (-1e9, 0.0, 1e9))),
    )


@dataclass(frozen=True)
class Sky:
    """Galaxies (n,): names, type (0 or 1), psf, depth, effect, cell of the sky, and the logit that
    they have without an arc."""

    name: np.ndarray
    type: np.ndarray
    psf: Float[np.ndarray, " n"]
    depth: Float[np.ndarray, " n"]
    effect: Float[np.ndarray, " n"]
    cell: np.ndarray
    logit: Float[np.ndarray, " n"]

    def take(self, which: Any) -> Sky:
        """Some of them."""
        return Sky(*(getattr(self, f)[which] for f in self.__dataclass_fields__))


def sky(world: World, n: int, rng: np.random.Generator, cells: int = 40) -> Sky:
    """n galaxies in so many cells of the sky."""
    kind = (rng.random(n) < world.share_of[1]).astype(int)
    effect = np.array(world.offset)[kind] + np.array(world.spread)[kind] * rng.normal(size=n)
    cell = rng.integers(0, cells, n)
    common = world.patch * rng.normal(size=cells)[cell]
    alone = world.quiet + world.lean * effect + common + world.noise * rng.normal(size=n)
    psf, depth = rng.uniform(*PSF, n), rng.uniform(*DEPTH, n)
    return Sky(np.arange(n), kind, psf, depth, effect, cell, alone)


def audit(
    world: World,
    hosts: Sky,
    axes: Grid,
    per_host: int,
    injections: int,
    rng: np.random.Generator,
    proposal: bool = False,
) -> pd.DataFrame:
    """The table of injections of an audit, in matched mode: every cell of the grid has `injections`
    of them, into the hosts whose PSF and depth lie in it, round after round, at most `per_host`
    into each. proposal: magnitudes are drawn from it, and weights make up for it. Beside an audit's
    columns there are `effect` of the host, `slope_theta_e`, and `seen`, which is the latent
    variable of the gate (`Truth.observable`)."""
    import pandas as pd

    places = np.stack([axis.place(getattr(hosts, of)) for axis, of in zip(axes.host, HOST_FIELDS)])
    taken, cells = [], []
    for site in axes.sites():
        inside = np.flatnonzero((places == np.array(site.place)[:, None]).all(0))
        for cell in axes.drawn[0].cells:
            order = rng.permutation(inside)
            own = np.tile(order, per_host)[:injections]
            taken.append(own)
            cells += [(site.place, cell.edges, len(own))]
    host = np.concatenate(taken)
    number = [n for *_, n in cells]
    low, high = (np.repeat([edges[i] for _, edges, _ in cells], number) for i in range(2))
    n = len(host)
    theta_e = rng.uniform(low, high)
    mag, weight = rng.uniform(*MAGNITUDES, n), np.ones(n)
    if proposal:
        mag = drawn_steep(mag)
        weight = 1 / (1 + STEEP * (mag - 24.5) / 1.5)
    colour = rng.normal(*COLOUR, n)
    psf, depth, effect = hosts.psf[host], hosts.depth[host], hosts.effect[host]
    mean = world.smooth(theta_e, mag, psf, depth) + world.red * (colour - COLOUR[0])
    logit = mean + effect + world.sigma * rng.normal(size=n)
    found = {
        f"cell_{axis.name}": np.repeat(
            np.array([axis.cells[place[i]].value for place, *_ in cells], object), number
        )
        for i, axis in enumerate(axes.host)
    }
    return pd.DataFrame(
        {
            "injection_id": np.arange(n),
            "galaxy_id": hosts.name[host],
            "type": np.array(TYPES)[hosts.type[host]],
            "theta_e": theta_e,
            "source_mag": mag,
            "colour": colour,
            "weight": weight,
            "logit": logit,
            "score": score(logit),
            "score_before": score(hosts.logit[host]),
            "effect": effect,
            "slope_theta_e": world.steep_in_radius(theta_e),
            "snr": seen_mean(mag) + rng.normal(size=n),
            "arc_snr": rng.normal(size=n),
            **found,
        }
    )


HOST_FIELDS = ("psf", "depth")


def score(logit: Any) -> Any:
    """Score of a logit."""
    from scipy.special import expit

    return expit(logit)


def seen_mean(mag: Any) -> Any:
    """Mean of the latent variable that the gate looks at: bright sources are seen."""
    return 1.0 * (25.0 - np.asarray(mag))


def drawn_steep(mag: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Uniform magnitudes as draws of the proposal: its distribution function, x/2 + STEEP (x^2 - 1)
    / 4 + 1/2 in x = (m - 24.5) / 1.5, inverted."""
    u = (mag - MAGNITUDES[0]) / (MAGNITUDES[1] - MAGNITUDES[0])
    a, b, c = STEEP / 4, 0.5, 0.5 - STEEP / 4 - u
    return 24.5 + 1.5 * (-b + np.sqrt(b**2 - 4 * a * c)) / (2 * a)


@dataclass(frozen=True)
class Region:
    """Where an answer is wanted: ranges of Einstein radius, magnitude, PSF and depth, in which
    injections are uniform, and the types of hosts."""

    theta_e: Range
    mag: Range = MAGNITUDES
    psf: Range = PSF
    depth: Range = DEPTH
    types: tuple[int, ...] = (0, 1)


@dataclass(frozen=True)
class Truth:
    """What is so in a world."""

    world: World
    axes: Grid = field(default_factory=grid)

    @property
    def everywhere(self) -> Region:
        """All that the grid covers; its bins of Einstein radius are of one width, and so are those
        of PSF and depth."""
        edges = self.axes.drawn[0].edges
        return Region((edges[0], edges[-1]))

    def cells(self) -> list[Region]:
        """The cells of the grid, in the order of `audit.plan.cells`."""
        found = []
        for site, cell in product(self.axes.sites(), self.axes.drawn[0].cells):
            psf, depth = (a.cells[i].edges for a, i in zip(self.axes.host, site.place))
            found.append(replace(self.everywhere, theta_e=cell.edges, psf=psf, depth=depth))
        return found

    def _nodes(self, region: Region) -> tuple[list[np.ndarray], np.ndarray]:
        """Points (theta_E, magnitude, PSF, depth) of a quadrature over a region, and weights that
        add up to 1."""
        x, w = np.polynomial.legendre.leggauss(NODES)
        ranges = (region.theta_e, region.mag, region.psf, region.depth)
        points = [0.5 * (b - a) * x + 0.5 * (a + b) for a, b in ranges]
        weight = w[:, None, None, None] * w[:, None, None] * w[:, None] * w / 16
        return list(np.meshgrid(*points, indexing="ij")), weight

    def _types(self, region: Region) -> list[tuple[int, float]]:
        total = sum(self.world.share_of[i] for i in region.types)
        return [(i, self.world.share_of[i] / total) for i in region.types]

    def mean(self, of: Any, region: Region, move: Any = None) -> float:
        """Mean over a region of `of(mean, deviation)`, a function of the normal distribution that
        the logit has given theta_E, magnitude, PSF, depth and type. move: of the four, before."""
        points, weight = self._nodes(region)
        smooth = self.world.smooth(*(points if move is None else move(*points)))
        total, noise = 0.0, self._noise
        for kind, share in self._types(region):
            mean = smooth + self.world.offset[kind]
            deviation = np.hypot(noise, self.world.spread[kind])
            total += share * float((weight * of(mean, deviation)).sum())
        return total

    @property
    def _noise(self) -> float:
        """Standard deviation of what is normal and no host's: noise and colour."""
        return float(np.hypot(self.world.sigma, self.world.red * COLOUR[1]))

    def completeness(self, at: float, region: Region | None = None, move: Any = None) -> float:
        """Share of injections above a logit."""
        from scipy.stats import norm

        return self.mean(lambda m, s: norm.sf(at, m, s), region or self.everywhere, move)

    def soft(self, region: Region | None = None, move: Any = None) -> float:
        """Mean score, by Gauss-Hermite quadrature over what is normal."""
        x, w = np.polynomial.hermite_e.hermegauss(32)
        w = w / w.sum()
        of = lambda m, s: sum(wi * score(m + s * xi) for xi, wi in zip(x, w))
        return self.mean(of, region or self.everywhere, move)

    def false_positives(self, at: float) -> float:
        """Share of galaxies without an arc above a logit."""
        from scipy.stats import norm

        w = self.world
        return sum(
            share * float(norm.sf(at, w.quiet + w.lean * w.offset[kind], self._alone(kind)))
            for kind, share in enumerate(w.share_of)
        )

    def _alone(self, kind: int) -> float:
        w = self.world
        return float(np.sqrt((w.lean * w.spread[kind]) ** 2 + w.patch**2 + w.noise**2))

    def threshold(self, rate: float) -> float:
        """The logit that a share `rate` of galaxies without an arc has or more."""
        from scipy.optimize import brentq

        return float(brentq(lambda t: self.false_positives(t) - rate, -30.0, 30.0))

    def slopes(self, of: Any) -> dict[str, float]:
        """Derivatives of a mean, `of(region, move)` as `soft` and `completeness` are, with respect
        to shifts of Einstein radius (arcsec) and PSF (arcsec), and to the numbers of the prior: the
        ends of the uniform magnitudes. Those of the ends are (value at the end - mean) / width,
        with the sign of the end; shifts are differences of the quadrature."""
        region, step = self.everywhere, 1e-4
        shifted = lambda i: lambda *x: [v + step * (j == i) for j, v in enumerate(x)]
        back = lambda i: lambda *x: [v - step * (j == i) for j, v in enumerate(x)]
        found = {
            name: (of(region, shifted(i)) - of(region, back(i))) / (2 * step)
            for name, i in (("theta_e", 0), ("psf", 2))
        }
        width, whole = MAGNITUDES[1] - MAGNITUDES[0], of(region, None)
        at = [of(replace(region, mag=(m - 1e-6, m + 1e-6)), None) for m in MAGNITUDES]
        return found | {"mag_low": (whole - at[0]) / width, "mag_high": (at[1] - whole) / width}

    def observable(self, region: Region | None = None) -> float:
        """Share of injections that the gate lets pass: latent variable above 0."""
        from scipy.stats import norm

        points, weight = self._nodes(region or self.everywhere)
        return float((weight * norm.cdf(seen_mean(points[1]))).sum())

    def found_of_observable(self, at: float, seen: bool = True) -> float:
        """Share found of the injections that pass, or of those that do not."""
        from scipy.stats import norm

        points, _ = self._nodes(self.everywhere)
        pass_ = norm.cdf(seen_mean(points[1]))
        pass_ = pass_ if seen else 1 - pass_
        both = self.mean(lambda m, s: pass_ * norm.sf(at, m, s), self.everywhere)
        return both / self.mean(lambda m, s: pass_, self.everywhere)

    def between_hosts(
        self, at: float, region: Region | None = None, same_radius: float | None = None
    ) -> float:
        """Covariance of what becomes of two injections into one host: the variance among hosts of
        their own completeness. same_radius: share of pairs of injections whose Einstein radii lie
        in one bin; None: they are independent."""
        from scipy.stats import norm

        region = region or self.everywhere
        x, w = np.polynomial.hermite_e.hermegauss(24)
        w = w / w.sum()
        g, gw = np.polynomial.legendre.leggauss(NODES)
        middle = lambda ends: 0.5 * (ends[1] - ends[0]) * g + 0.5 * (ends[0] + ends[1])
        psf, depth = np.meshgrid(middle(region.psf), middle(region.depth), indexing="ij")
        conditions = gw[:, None] * gw / 4
        bins = [c.edges for c in self.axes.drawn[0].cells]
        radii = [b for b in bins if b[0] >= region.theta_e[0] and b[1] <= region.theta_e[1]]
        total, first = 0.0, 0.0
        for kind, share in self._types(region):
            effect = self.world.offset[kind] + self.world.spread[kind] * x
            own = np.zeros((len(radii), len(x), NODES, NODES))
            for i, ends in enumerate(radii):
                mean = self.world.smooth(
                    middle(ends)[:, None, None, None, None],
                    middle(region.mag)[:, None, None, None],
                    psf,
                    depth,
                )
                chance = norm.sf(at, mean + effect[:, None, None], self._noise)
                own[i] = np.einsum("a,b,abcde->cde", gw / 2, gw / 2, chance)
            every = own.mean(0)
            same = (own**2).mean(0)
            n = len(radii)
            other = (every**2 - same / n) * n / (n - 1) if n > 1 else same
            part = 1 / n if same_radius is None else same_radius
            pairs = part * same + (1 - part) * other
            total += share * float(np.einsum("c,de,cde->", w, conditions, pairs))
            first += share * float(np.einsum("c,de,cde->", w, conditions, every))
        return total - first**2
