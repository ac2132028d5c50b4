"""PsfEx models: a PSF as images times polynomials of the place on the detector."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.checks import check_value
from lensjax.component import ANY, POSITIVE
from lensjax.errors import InputError


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PsfEx:
    """The contents of a PsfEx file: basis (T, M, M) (PSF_MASK), the place and scale of the
    polynomials on both axes (POLZERO1, POLSCAL1, POLZERO2, POLSCAL2), and `sampling`, pixels per
    sample (PSF_SAMP). T = (degree + 1)(degree + 2)/2."""

    basis: Float[Array, "T M M"]
    x_zero: Real
    x_scale: Real
    y_zero: Real
    y_scale: Real
    sampling: Real

    def kernel(self, x: Real, y: Real, size: int) -> Float[Array, "size size"]:
        """Effective PSF at pixel x, y of the detector (the first pixel is 1, as in FITS), sampled
        at size x size pixels (odd), summing to one: a band of a PixelKernel. Rows are y.
        Differentiable in x and y.

        sum_ij basis_k u^i v^j with i fastest, u = (x - x_zero)/x_scale; between samples Lanczos-4
        interpolation, PsfEx's own choice, with weights that
        sum to one: within 0.3 % of the peak of band-limited interpolation. Raises InputError for an
        even size, a place that is not finite (outside of jit), or a basis of the wrong shape.
        """
        if size % 2 == 0 or size < 1:
            raise InputError(f"PsfEx kernel size = {size}: give an odd number of pixels")
        for name, place in (("x", x), ("y", y)):
            check_value(f"PsfEx {name}", place, ANY)
        check_value("PsfEx sampling", self.sampling, POSITIVE)
        if (
            jnp.ndim(self.basis) != 3
            or self.basis.shape[1] != self.basis.shape[2]
            or self.basis.shape[1] % 2 == 0
        ):
            raise InputError(
                f"PsfEx basis has shape {jnp.shape(self.basis)}: give (terms, M, M) with M odd"
            )
        u, v = (x - self.x_zero) / self.x_scale, (y - self.y_zero) / self.y_scale
        terms = self.basis.shape[0]
        degree = round((np.sqrt(8 * terms + 1) - 3) / 2)
        if (degree + 1) * (degree + 2) // 2 != terms:
            raise InputError(
                f"PsfEx basis has {terms} images: a polynomial of two variables has 1, 3, 6, 10, "
                "... terms"
            )
        weights = jnp.stack(
            [jnp.asarray(u**i * v**j) for j in range(degree + 1) for i in range(degree + 1 - j)]
        )
        image = jnp.einsum("t,tij->ij", weights, jnp.asarray(self.basis), precision="highest")
        samples = self.basis.shape[-1]
        offset = (jnp.arange(size) - size // 2)[:, None] / self.sampling - (
            jnp.arange(samples) - samples // 2
        )[None, :]
        w = jnp.where(jnp.abs(offset) < 4, jnp.sinc(offset) * jnp.sinc(offset / 4), 0.0).astype(
            image.dtype
        )
        w = w / jnp.maximum(
            jnp.sum(w, 1, keepdims=True), 0.5
        )  # about 1, and less only where a row reaches beyond the samples
        out = jnp.einsum("ik,kl,jl->ij", w, image, w, precision="highest")
        return out / jnp.sum(out)
