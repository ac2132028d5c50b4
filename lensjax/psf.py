"""Point-spread functions.

A survey describes its *effective* PSF, the pixel included: the image is the light convolved with
the PSF, sampled at pixel centres, times the pixel's area. That is the default.
`pixel_integrated=True` integrates over the pixel once more, as simulations do that bin light to
pixels and then convolve with the PSF sampled at pixels (lenstronomy among them). The two differ by
1-2 % of the peak at DR10's seeing.

The light comes as coefficients of a spline on the pixel grid (`spline.py`). So the convolution
is a product in Fourier space, with the PSF's transfer function over the spline's. It is exact up to
what a pixel grid can hold of the PSF, which lacks the frequencies beyond half a cycle per pixel;
there a Gaussian of FWHM 0.9" (0.7") has fallen to 3e-5 (2e-3) at DR10's pixels. A Gaussian is also
a row of weights along x and the same along y. Where these end within REACH pixels, this is half the
work of the transforms, and a quarter for three bands.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float

from lensjax.apart import apart
from lensjax.arrays import Real
from lensjax.component import POSITIVE, Domain, parameter
from lensjax.errors import InputError
from lensjax.field import Field
from lensjax.grid import PixelGrid
from lensjax.spline import transform

FWHM_TO_SIGMA = 1 / 2.3548200450309493

REACH = 16
"""Pixels from a Gaussian's centre to the end of its rows of weights."""


class PSF(Protocol):
    """What a PSF can do."""

    @property
    def pixel_integrated(self) -> bool:
        """Whether the pixel has still to be integrated over."""
        ...

    def transfer(
        self, side: int, grid: PixelGrid
    ) -> Complex[Array, "B S F"] | Float[Array, "B S F"]:
        """Fourier transform at the frequencies of rfft2 on side x side pixels; 1 at frequency 0."""
        ...

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]:
        """Image of a point source of unit flux at the centre of the grid."""
        ...


def convolve(nodes: Float[Array, "M M"], psf: PSF, field: Field) -> Float[Array, "N N B"]:
    """Image of light given as spline coefficients on the field (`cells.nodes`), in the units of
    the coefficients."""
    by_fourier = jax.checkpoint(lambda nodes, psf: _by_fourier(nodes, psf, field))
    if not isinstance(psf, Gaussian):
        return by_fourier(nodes, psf)
    by_lines = jax.checkpoint(
        lambda nodes, psf: jnp.stack(
            [_across(nodes, line, field) for line in psf.lines(field.grid)], -1
        ).astype(nodes.dtype)
    )
    return jax.lax.cond(everywhere(psf.compact(field.grid)), by_lines, by_fourier, nodes, psf)


def beyond_pixels(psf: PSF, grid: PixelGrid) -> Float[Array, " B"]:
    """By about which share of its peak the image of a point is wrong because pixels cannot tell the
    frequency nu from 1 - nu and 1 + nu: the spline has some of these (`spline.py`), and the PSF
    lets them through. A kernel that is given in pixels has no finer truth to compare with, so it
    gets 0."""
    if hasattr(psf, "half_width"):
        return jnp.zeros(1)
    nu = np.fft.rfftfreq(_PLACES)[1:]
    alias = np.abs(transform(1 - nu) / transform(nu)) + np.abs(transform(1 + nu) / transform(nu))
    through = jnp.abs(psf.transfer(_PLACES, grid)[:, 1 : len(nu) + 1, 0])
    return (
        2 * jnp.sum(through * jnp.asarray(alias, through.dtype), 1) / (1 + 2 * jnp.sum(through, 1))
    )


_PLACES = 32
"""Frequencies at which it is summed up."""


@jax.custom_batching.custom_vmap
def everywhere(flag: Bool[Array, "..."]) -> Bool[Array, ""]:
    """Whether all flags are true, those of a batch too. A condition on one flag for the whole batch
    stays a choice; on a flag for each item, both sides would be worked out for all."""
    return jnp.all(flag)


@everywhere.def_vmap
def _everywhere_of_a_batch(axis_size, in_batched, flag):
    return everywhere(flag), False


def _shape(nu: np.ndarray, psf: PSF, step: int = 1) -> np.ndarray:
    """Factor that takes the spline's coefficients to the light at frequency nu (cycles a pixel of
    the field), and to the integral over the stamp's pixel, `step` of the field's, if the PSF does
    not include it."""
    pixel = np.sinc(step * nu) if psf.pixel_integrated else 1.0
    return pixel / transform(nu)


_INVERSE = 8


def _transform_side(psf: PSF, field: Field) -> int:
    """Pixels on a side of the transforms, such that no light leaves the field at one edge and comes
    back at the other: the longest way from a coefficient to a pixel of the stamp, and beyond it the
    PSF's half width. A PSF that does not end (every one without `half_width`) needs twice the
    longest way, whatever its width in pixels."""
    side, first = field.side, field.first
    longest = max(first + field.grid.size, side - first) - 1
    ends = getattr(psf, "half_width", None)
    # The inverse of the spline widens a kernel by a few pixels.
    beyond = longest if ends is None else min(ends + _INVERSE, longest)
    return fft_size(longest + 1 + max(beyond, side - 1 - longest))


def _by_fourier(nodes: Float[Array, "M M"], psf: PSF, field: Field) -> Float[Array, "N N B"]:
    full = _transform_side(psf, field)
    fy, fx = (
        jnp.asarray(_shape(nu, psf, field.step), nodes.dtype)
        for nu in (np.fft.fftfreq(full), np.fft.rfftfreq(full))
    )
    spectrum = jnp.fft.rfft2(nodes, s=(full, full)) * (fy[:, None] * fx[None, :])
    images = jnp.fft.irfft2(psf.transfer(full, field.grid) * spectrum, s=(full, full))
    part = slice(field.first, field.first + field.grid.size, field.step)
    return jnp.moveaxis(images[:, part, part], 0, -1).astype(nodes.dtype) * field.step**2


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _across(
    nodes: Float[Array, "M M"], line: Float[Array, " R"], field: Field
) -> Float[Array, "N N"]:
    """Sum of `line[|i|] line[|j|]` times the nodes i columns and j rows away, at the stamp's
    pixels."""
    size, step = field.grid.size, field.step
    missing = REACH - field.first, REACH + field.first + size - field.side
    wide = apart(lambda n: jax.lax.pad(n, jnp.zeros((), n.dtype), [(*missing, 0)] * 2), nodes)
    weights = [(k, abs(k - REACH)) for k in range(2 * REACH + 1)]
    rows = apart(
        lambda image, line: sum(line[w] * image[k : k + size : step] for k, w in weights),
        wide,
        line,
    )
    return apart(
        lambda image, line: (
            sum(line[w] * image[:, k : k + size : step] for k, w in weights) * step**2
        ),
        rows,
        line,
    )


@_across.defjvp
def _across_jvp(field, primals, tangents):
    """The derivative by matrix products, because a transposed sum of slices would be a sum of
    padded images."""
    (nodes, line), (d_nodes, d_line) = primals, tangents
    to = np.arange(0, field.grid.size, field.step) + field.first
    lag = np.abs(to[:, None] - np.arange(field.side)[None, :])
    matrix, d_matrix = (field.step * jnp.pad(c, (0, field.side))[lag] for c in (line, d_line))
    dot = partial(jnp.matmul, precision="highest")
    turned = dot(d_matrix, dot(nodes, matrix.T)) + dot(matrix, dot(nodes, d_matrix.T))
    return _across(nodes, line, field), dot(matrix, dot(d_nodes, matrix.T)) + turned


def fft_size(least: int) -> int:
    """Smallest even product of 2, 3 and 5 that is at least `least`."""
    for n in range(least, 2 * least + 2):
        rest = n
        for p in (2, 3, 5):
            while rest % p == 0:
                rest //= p
        if rest == 1 and n % 2 == 0:
            return n
    raise AssertionError(least)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Gaussian:
    """Gaussian PSF, fwhm (B,) in arcsec."""

    fwhm: Real = parameter(POSITIVE)
    pixel_integrated: bool = field(default=False, metadata={"static": True})

    own_pixels_from: ClassVar[float] = 3.0
    margin: ClassVar[float] = 2.2

    def _sigma(self, grid: PixelGrid) -> Float[Array, " B"]:
        """In pixels."""
        return jnp.atleast_1d(jnp.asarray(self.fwhm)) * (FWHM_TO_SIGMA / grid.scale)

    def compact(self, grid: PixelGrid) -> Bool[Array, " B"]:
        """Whether `lines` hold it to 2e-5 of its peak: five sigma fit, and little of it lies beyond
        what the pixel grid can hold."""
        sigma = jax.lax.stop_gradient(self._sigma(grid))
        return (sigma > 1.3) & (5 * sigma < REACH + 0.5)

    def lines(self, grid: PixelGrid) -> Float[Array, "B R"]:
        """Weights of the spline's coefficients 0, 1, ... REACH pixels away, the same along x and y.
        All 2 REACH + 1 sum to 1."""
        full = 8 * REACH
        nu = np.fft.rfftfreq(full)
        back = (
            np.cos(2 * np.pi * np.outer(nu, np.arange(REACH + 1)))
            * np.where((nu == 0) | (nu == 0.5), 1, 2)[:, None]
            / full
        )
        sigma = self._sigma(grid)[:, None]
        spectrum = jnp.exp(
            -2 * (jnp.pi * sigma) ** 2 * jnp.asarray(nu**2, sigma.dtype)
        ) * jnp.asarray(_shape(nu, self), sigma.dtype)
        line = jnp.dot(spectrum, jnp.asarray(back, sigma.dtype), precision="highest")
        return line / (2 * jnp.sum(line, -1, keepdims=True) - line[:, :1])

    def transfer(self, side: int, grid: PixelGrid) -> Float[Array, "B S F"]:
        """Fourier transform (B, S, F) at the frequencies of rfft2; see `PSF.transfer`."""
        rate = 2 * jnp.pi**2 * self._sigma(grid)[:, None] ** 2
        ty, tx = (
            jnp.exp(-rate * jnp.asarray(nu**2, rate.dtype))
            for nu in (np.fft.fftfreq(side), np.fft.rfftfreq(side))
        )
        return ty[:, :, None] * tx[:, None, :]

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]:
        """Image (N, N, B) of a point source of unit flux at the centre."""
        sigma = self._sigma(grid)[:, None]
        d = jnp.asarray(grid.axis() / grid.scale, sigma.dtype)
        line = jnp.exp(-0.5 * (d / sigma) ** 2) / (jnp.sqrt(2 * jnp.pi) * sigma)
        return jnp.einsum("bi,bj->ijb", line, line, precision="highest")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Moffat:
    r"""Moffat PSF, fwhm (B,) in arcsec:

    $$I = \frac{\beta - 1}{\pi a^2} \left(1 + \frac{r^2}{a^2}\right)^{-\beta}, \quad
    a = \frac{\mathrm{fwhm}}{2 \sqrt{2^{1/\beta} - 1}}.$$

    The survey's own fits have beta 2.5, 3.5 or 4.5; any beta > 1, scalar or (B,), is accepted."""

    fwhm: Real = parameter(POSITIVE)
    beta: Real = parameter(Domain(1.0, np.inf, "larger than 1", 3.5, "()"), 3.5)
    pixel_integrated: bool = field(default=False, metadata={"static": True})

    own_pixels_from: ClassVar[float] = 4.5
    margin: ClassVar[float] = 2.5

    def _sample(self, dx: np.ndarray, dy: np.ndarray, grid: PixelGrid) -> Float[Array, "B ..."]:
        """Flux per pixel at offsets in pixels."""
        fwhm = jnp.atleast_1d(jnp.asarray(self.fwhm)) / grid.scale
        beta = jnp.broadcast_to(jnp.asarray(self.beta, fwhm.dtype), fwhm.shape)
        a = 0.5 * fwhm / jnp.sqrt(jnp.exp2(1 / beta) - 1)
        a, beta = (v.reshape(-1, *(1,) * np.ndim(dx)) for v in (a, beta))
        r2 = jnp.asarray(dx**2 + dy**2, a.dtype)
        return (beta - 1) / (jnp.pi * a**2) * jnp.exp(-beta * jnp.log1p(r2 / a**2))

    def transfer(self, side: int, grid: PixelGrid) -> Float[Array, "B S F"]:
        """Fourier transform (B, S, F) at the frequencies of rfft2; see `PSF.transfer`."""
        lag = np.fft.fftfreq(side, 1 / side)
        dx, dy = np.meshgrid(lag, lag)
        return jnp.fft.rfft2(self._sample(dx, dy, grid)).real

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]:
        """Image (N, N, B) of a point source of unit flux at the centre."""
        x, y = grid.mesh()
        return jnp.moveaxis(self._sample(x / grid.scale, y / grid.scale, grid), 0, -1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PixelKernel:
    """A pixelised effective PSF, kernel (B, K, K), K odd, sampled at pixels with its centre in the
    middle one. It is normalised here, band by band; between its samples it is what its Fourier
    transform says."""

    kernel: Float[Array, "B K K"] = parameter(normalised=True)
    pixel_integrated: bool = field(default=False, metadata={"static": True})

    def check(self, grid: PixelGrid) -> None:
        """Refuses a kernel that has no middle pixel or does not fit. Raises InputError."""
        shape = np.shape(self.kernel)
        if len(shape) != 3 or shape[1] != shape[2] or shape[1] % 2 == 0:
            raise InputError(f"PixelKernel kernel has shape {shape}: give (bands, K, K) with K odd")
        if shape[1] > grid.size:
            raise InputError(
                f"PixelKernel kernel is {shape[1]} pixels wide, the stamp {grid.size}: crop the "
                "kernel or enlarge the stamp"
            )

    @property
    def half_width(self) -> int:
        """Pixels from the middle of the kernel to its edge."""
        return self.kernel.shape[-1] // 2

    def _normalised(self) -> Float[Array, "B K K"]:
        return self.kernel / jnp.sum(self.kernel, axis=(-2, -1), keepdims=True)

    def transfer(self, side: int, grid: PixelGrid) -> Complex[Array, "B S F"]:
        """Fourier transform (B, S, F) at the frequencies of rfft2; see `PSF.transfer`."""
        k = self._normalised()
        size = k.shape[-1]
        wide = jnp.pad(k, ((0, 0), (0, side - size), (0, side - size)))
        return jnp.fft.rfft2(jnp.roll(wide, -(size // 2), (1, 2)))

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]:
        """Image (N, N, B) of a point source of unit flux at the centre."""
        k = self._normalised()
        if grid.size % 2 == 0:
            k = jnp.pad(
                k, ((0, 0), (0, 1), (0, 1))
            )  # half a pixel off: the centre of an even stamp is a corner
            k = 0.25 * (k + jnp.roll(k, 1, 1) + jnp.roll(k, 1, 2) + jnp.roll(k, (1, 1), (1, 2)))
        gap = grid.size - k.shape[-1]
        before, cut = max(gap // 2, 0), max(-gap // 2, 0)
        k = jnp.pad(k, ((0, 0), (before, max(gap - before, 0)), (before, max(gap - before, 0))))
        return jnp.moveaxis(k[:, cut : cut + grid.size, cut : cut + grid.size], 0, -1)
