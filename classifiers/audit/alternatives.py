"""Other lenses and other sources in place of those of a prior, with all that both have in common
drawn from the same keys by the same names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

import lensjax as lj
from lensjax.component import Component
from lensjax.light import Sersic
from lensjax.mass import SIE
from lensjax.prior import Distribution, Prior

SLOPE = Distribution((2.08, 0.16), "normal")
"""Density slopes of lensing galaxies: mean and intrinsic scatter of SLACS (Auger et al. 2010, ApJ
724, 511, section 4)."""

BOXINESS = Distribution((0.0, 0.01), "normal")
"""a_4/a of the isophotes of early-type galaxies, about 1 % either way (Hao et al. 2006, MNRAS 370,
1339, figure 5), taken for the mass, relative to the Einstein radius."""


def place(prior: Prior, role: str, base: type[Component]) -> int | None:
    """Place of the first block of a role whose component is, or derives from, `base`."""
    for number, block in enumerate(prior.blocks):
        if block.role == role and issubclass(block.cls, base):
            return number
    return None


def with_component(
    prior: Prior,
    number: int,
    component: str,
    added: Mapping[str, str] | None = None,
    without: tuple[str, ...] = (),
    extra: Any = None,
    parameters: Mapping[str, Distribution] | None = None,
) -> Prior:
    """The prior with another component in a block. It keeps the block's parameters but `without`,
    and gets those of `added` (its name to the flat name) with their distributions."""
    old = prior.blocks[number]
    names = [pair for pair in old.names if pair[0] not in without]
    block = replace(old, component=component, names=(*names, *(added or {}).items()))
    known = block.cls.constants()
    constants, implied = (
        tuple(c for c in values if c[0] in known) for values in (block.constants, block.implied)
    )
    block = replace(block, constants=constants, implied=implied)
    blocks, extras = list(prior.blocks), list(prior.extras)
    blocks[number], extras[number] = block, extra
    return replace(
        prior,
        blocks=tuple(blocks),
        extras=tuple(extras),
        parameters={**prior.parameters, **(parameters or {})},
    )


def power_law_with_multipole(prior: Prior) -> Prior | None:
    """The prior with an elliptical power law and an m = 4 multipole in place of its SIE, where
    slope = 2 and a_m = 0 give the SIE back; None where it has no SIE.

    New parameters: slope (`SLOPE`), a_m (arcsec) and phi_m. The multipole comes after all other
    blocks, because clumps and images are drawn by a block's place.
    """
    from lensjax.prior.drawing import Block

    number = place(prior, "lens", SIE)
    taken = {"slope", "a_m", "phi_m"} & set(prior.parameters)
    if number != 0 or prior.blocks[0].cls is not SIE or taken:
        return None
    made = with_component(prior, 0, "EPL", {"slope": "slope"}, parameters={"slope": SLOPE})
    fourth = Block("lens", "Multipole", (("a_m", "a_m"), ("phi_m", "phi_m")), (("m", 4),))
    return replace(
        made,
        blocks=(*made.blocks, fourth),
        extras=(*made.extras, None),
        parameters={
            **made.parameters,
            "a_m": BOXINESS,
            "phi_m": Distribution((0.0,), "fixed"),
        },
    )


def clumpy(prior: Prior) -> Prior | None:
    """The prior with the knots of the preset raw_notes in its Sersic source; None where the source
    is another."""
    number = place(prior, "source", Sersic)
    if number is None or prior.blocks[number].component != "Sersic":
        return None
    other = lj.priors("raw_notes")
    found = place(other, "source", Sersic)
    assert found is not None
    return with_component(prior, number, "ClumpySersic", extra=other.extras[found])


def smooth(prior: Prior) -> Prior | None:
    """The prior with its clumpy source without knots; None where the source is another."""
    number = place(prior, "source", Sersic)
    if number is None or prior.blocks[number].component != "ClumpySersic":
        return None
    return with_component(prior, number, "Sersic")


def pictured(prior: Prior, images: Float[np.ndarray, "n h w"]) -> Prior | None:
    """The prior with images of galaxies in place of its Sersic source, drawn with new parameter
    `image_scale` (arcsec per pixel of the image); None where the source is another."""
    number = place(prior, "source", Sersic)
    if number is None:
        return None
    return with_component(
        prior,
        number,
        "GalaxyImage",
        {"scale": "image_scale"},
        ("r_eff", "n", "q"),
        images,
        {"image_scale": Distribution((0.01,), "fixed")},
    )


def half_light(images: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, " n"]:
    """Radius (pixels) of the circle about the middle of each image that holds half of its light."""
    height, width = images.shape[1:]
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2).ravel()
    order = np.argsort(radius, kind="stable")
    light = np.cumsum(images.reshape(len(images), -1)[:, order], axis=1, dtype=np.float64)
    first = (light >= 0.5 * light[:, -1:]).argmax(1)
    return np.maximum(radius[order][first], 0.5)
