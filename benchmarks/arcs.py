"""What do arcs of real galaxies look like?

    python benchmarks/arcs.py --data FOLDER            docs/arcs.png

Columns: galaxies of the GalSim COSMOS sample (FOLDER/sources/cosmos_paltas) behind one lens, and a
Sersic profile of the same flux and size. Rows: the source, its arc at the resolution of HST (0.05"
pixels, FWHM 0.1"), the arc as the Legacy Surveys would see it (0.262" pixels, FWHM 1.1"), and that
in sky noise of their depth (r, m5 = 23.9).
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import lensjax as lj
from data.galaxies import cleaned

PAGE = Path(__file__).resolve().parents[1] / "docs" / "arcs.png"
LENS, SHEAR = lj.SIE(1.5, 0.75, 0.5), lj.Shear(0.04, -0.02)
SCALE, SIDE = 0.015, 151  # a galaxy of the sample at twice its distance, about
PLACES = [(0.25, 0.1), (0.1, -0.05), (-0.45, 0.35), (0.3, -0.25), (0.25, 0.1)]
CHOSEN = (1, 3, 5, 7)


def sources(folder: Path) -> list:
    """GalaxyImages of r = 21.5 mag, and an exponential disc of the first one's half-light
    radius."""
    from astropy.io import fits

    flux, found = jnp.atleast_1d(lj.nanomaggies(21.5)), []
    with fits.open(
        folder / "sources" / "cosmos_paltas" / "real_galaxy_images_23.5_n1.fits"
    ) as hdus:
        for index, (x, y) in zip(CHOSEN, PLACES):
            image = cleaned(hdus[index].data)
            image = np.pad(
                image, [((SIDE - n) // 2, SIDE - n - (SIDE - n) // 2) for n in image.shape]
            )
            found.append(lj.GalaxyImage(flux, jnp.asarray(image, jnp.float32), SCALE, 0.3, x, y))
    image = np.asarray(found[0].image)
    row, column = np.mgrid[:SIDE, :SIDE]
    r = np.hypot(
        row - (image * row).sum() / image.sum(), column - (image * column).sum() / image.sum()
    )
    order = np.argsort(r, axis=None)
    half = r.ravel()[order][np.searchsorted(np.cumsum(image.ravel()[order]), 0.5 * image.sum())]
    return [*found, lj.Sersic(flux, half * SCALE, 1.0, 0.7, 0.8, *PLACES[-1])]


def main() -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("LENSJAX_DATA"),
        required="LENSJAX_DATA" not in os.environ,
    )
    parser.add_argument("--out", type=Path, default=PAGE)
    args = parser.parse_args()
    near, hst, survey = lj.PixelGrid(120, 0.02), lj.PixelGrid(120, 0.05), lj.PixelGrid(23, 0.262)
    sigma = lj.pixel_sigma(lj.psfdepth_from_m5(23.9), lj.Gaussian(1.1), survey)
    found = sources(args.data)
    figure, axes = plt.subplots(4, len(found), figsize=(1.7 * len(found), 6.9))
    for i, source in enumerate(found):
        where = replace(source, x=0.0, y=0.0)
        arc = lj.render(lj.Scene((LENS, SHEAR), source), survey, lj.Gaussian(1.1), tol=5e-4)
        rows = {
            "source (2.4″)": lj.render(lj.Scene(source=where), near, lj.Gaussian(0.04), tol=5e-4),
            "arc at 0.1″ (6″)": lj.render(
                lj.Scene((LENS, SHEAR), source), hst, lj.Gaussian(0.1), tol=5e-4
            ),
            "DR10 seeing": arc,
            "and depth": lj.inject(lj.sky_noise(jax.random.key(i), sigma, survey), arc),
        }
        for axis, (name, image) in zip(axes[:, i], rows.items()):
            image = np.asarray(image[..., 0])
            axis.imshow(
                np.arcsinh(image / (0.04 * image.max())), origin="lower", cmap="gray", vmin=-0.3
            )
            axis.set(xticks=[], yticks=[])
            if i == 0:
                axis.set_ylabel(name)
        axes[0, i].set_title(
            "Sérsic" if isinstance(source, lj.Sersic) else f"COSMOS {CHOSEN[i]}", fontsize=9
        )
    figure.tight_layout(pad=0.3)
    figure.savefig(args.out, dpi=95)


if __name__ == "__main__":
    main()
