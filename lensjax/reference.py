"""A converged image to measure the renderer against: slow, float64, NumPy, adaptive, and sharing no
code with it.

Every pixel is split into four until a 4 x 4 Gauss-Legendre rule over it agrees with the sum of the
four; the points that are left carry their flux to the image through the PSF at their exact places.
`brightness` is any function of x, y (arcsec); `lensed_sersic` is the closed form of Kormann,
Schneider & Bartelmann 1994 for the usual scene.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import gamma

import numpy as np
from jaxtyping import Float

from lensjax.grid import PixelGrid

Array = np.ndarray
Function = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Points:
    """Light as points: place (arcsec) and flux."""

    x: Float[Array, " P"]
    y: Float[Array, " P"]
    flux: Float[Array, " P"]

    def binned(self, grid: PixelGrid) -> Float[Array, "N N"]:
        """Flux per pixel, before any PSF."""
        edges = np.append(grid.axis(), grid.axis()[-1] + grid.scale) - grid.scale / 2
        return np.histogram2d(self.y, self.x, bins=(edges, edges), weights=self.flux)[0]

    def convolved(self, grid: PixelGrid, fwhm: float, chunk: int = 20_000) -> Float[Array, "N N"]:
        """Image through an effective Gaussian PSF (fwhm in arcsec): sampled at pixel centres, times
        the pixel's area."""
        sigma = fwhm / np.sqrt(8 * np.log(2))
        image = np.zeros((grid.size, grid.size))
        seen = np.flatnonzero(
            np.abs(self.flux) > 1e-13 * np.abs(self.flux).sum()
        )  # most points are empty sky
        for i in range(0, seen.size, chunk):
            part = seen[i : i + chunk]
            # the floor keeps products out of the denormal numbers, which are a hundred times slower
            ky, kx = (
                np.exp(
                    np.maximum(-0.5 * ((grid.axis()[:, None] - c[None, part]) / sigma) ** 2, -80)
                )
                for c in (self.y, self.x)
            )
            image += (ky * self.flux[None, part]) @ kx.T
        return image * grid.pixel_area / (2 * np.pi * sigma**2)


def converged_points(
    brightness: Function, grid: PixelGrid, margin: int = 24, accuracy: float = 1e-7, depth: int = 14
) -> Points:
    """Adaptive quadrature of `brightness` over the stamp and `margin` pixels around it. `accuracy`:
    largest change, as a fraction of the total flux, that splitting a cell may still make."""
    node, weight = np.polynomial.legendre.leggauss(4)
    ox, oy = (o.ravel() / 2 for o in np.meshgrid(node, node))
    w = np.outer(weight, weight).ravel() / 4
    axis = (np.arange(grid.size + 2 * margin) - (grid.size + 2 * margin - 1) / 2) * grid.scale
    x, y = (c.ravel() for c in np.meshgrid(axis, axis))
    side = grid.scale

    def evaluate(x, y, side):
        px, py = x[:, None] + ox * side, y[:, None] + oy * side
        return px, py, brightness(px, py) * (w * side**2)

    value = evaluate(x, y, side)[2].sum(1)
    limit = accuracy * np.abs(value).sum()
    found = []
    for level in range(depth):
        cx = (x[:, None] + np.array([-1, 1, -1, 1]) * side / 4).ravel()
        cy = (y[:, None] + np.array([-1, -1, 1, 1]) * side / 4).ravel()
        side /= 2
        px, py, flux = evaluate(cx, cy, side)
        child = flux.sum(1)
        keep = np.abs(child.reshape(-1, 4).sum(1) - value) <= limit
        if level == depth - 1:
            keep[:] = True
        done = np.repeat(keep, 4)
        found.append([a[done].ravel() for a in (px, py, flux)])
        x, y, value = cx[~done], cy[~done], child[~done]
        if not x.size:
            break
    return Points(*(np.concatenate(part) for part in zip(*found)))


def sie_deflection(x: Array, y: Array, theta_e: float, q: float, phi: float) -> tuple[Array, Array]:
    """Deflection (arcsec) of a singular isothermal ellipsoid at the origin, q < 1, in closed form;
    lenstronomy's theta_e."""
    c, s = np.cos(phi), np.sin(phi)
    u, v = c * x + s * y, c * y - s * x
    q = min(q, 1 - 1e-7)
    f = np.sqrt(1 - q * q)
    psi = np.sqrt(q * q * u * u + v * v) + 1e-300
    au, av = (
        np.arctan(f * u / psi) * theta_e * np.sqrt(q) / f,
        np.arctanh(f * v / psi) * theta_e * np.sqrt(q) / f,
    )
    return c * au - s * av, s * au + c * av


def epl_deflection(
    theta_e: float, slope: float, q: float, phi: float
) -> Callable[[Array, Array], tuple[Array, Array]]:
    """Deflection (arcsec) of an elliptical power law at the origin as a function of x, y (arcsec);
    lenstronomy's theta_e, slope gamma. The angular part (Tessore & Metcalf 2015, equation 23) is
    summed at 8,192 angles, with quintic splines in between: right to 1e-12."""
    from scipy.interpolate import make_interp_spline

    t, f = slope - 1, (1 - q) / (1 + q)
    angle = np.linspace(-np.pi, np.pi, 8193)
    term = np.exp(1j * angle)
    total = term.copy()
    for k in range(1, 2000):
        term = -f * term * np.exp(2j * angle) * (2 * k - (2 - t)) / (2 * k + (2 - t))
        total += term
        if np.abs(term).max() < 1e-14:
            break
    total[-1] = total[0]
    parts = np.stack([total.real, total.imag], -1)
    angular = make_interp_spline(angle, parts, k=5, bc_type="periodic")
    b, c, s = theta_e * np.sqrt(q), np.cos(phi), np.sin(phi)

    def deflection(x: Array, y: Array) -> tuple[Array, Array]:
        u, v = q * (c * x + s * y), c * y - s * x
        au, av = np.moveaxis(angular(np.arctan2(v, u)), -1, 0)
        size = 2 * b / (1 + q) * (b / (np.hypot(u, v) + 1e-300)) ** (t - 1)
        return size * (c * au - s * av), size * (s * au + c * av)

    return deflection


def sersic(x: Array, y: Array, r_eff: float, n: float, q: float, phi: float) -> Array:
    """Sersic profile of unit flux at the origin, semi-major r_eff (arcsec); Graham & Driver
    2005."""
    c, s = np.cos(phi), np.sin(phi)
    r = np.hypot(c * x + s * y, (c * y - s * x) / q) / r_eff
    b = (
        2 * n
        - 1 / 3
        + 4 / (405 * n)
        + 46 / (25515 * n**2)
        + 131 / (1148175 * n**3)
        - 2194697 / (30690717750 * n**4)
    )
    return b ** (2 * n) / (2 * np.pi * q * n * r_eff**2 * gamma(2 * n)) * np.exp(-b * r ** (1 / n))


def lensed_sersic(scene) -> Function:
    """Unit-flux brightness of one scene of SIEs, shear (or neither) and one Sersic source, with
    clumps or without, as a function of x, y (arcsec)."""
    (source,) = scene.source
    clumps = getattr(source, "clumps", None)

    def brightness(x, y):
        bx, by = x, y
        for m in scene.lens:
            if hasattr(m, "gamma1"):
                bx, by = bx - m.gamma1 * x - m.gamma2 * y, by - m.gamma2 * x + m.gamma1 * y
                continue
            shape = float(m.theta_e), float(m.q), float(m.phi)
            ax, ay = sie_deflection(x - float(m.x), y - float(m.y), *shape)
            bx, by = bx - ax, by - ay
        dx, dy = bx - float(source.x), by - float(source.y)
        size, q, phi = float(source.r_eff), float(source.q), float(source.phi)
        smooth = sersic(dx, dy, size, float(source.n), q, phi)
        if clumps is None:
            return smooth
        total = (1 - float(np.sum(clumps.fraction))) * smooth
        numbers = (clumps.fraction, clumps.u, clumps.v, clumps.size)
        for share, u, v, radius in zip(*(np.asarray(a, float) for a in numbers)):
            if share > 0:
                px = np.cos(phi) * u * size - np.sin(phi) * v * q * size
                py = np.sin(phi) * u * size + np.cos(phi) * v * q * size
                sigma = radius * size
                knot = np.exp(-0.5 * ((dx - px) ** 2 + (dy - py) ** 2) / sigma**2)
                total = total + share / (2 * np.pi * sigma**2) * knot
        return total

    return brightness
