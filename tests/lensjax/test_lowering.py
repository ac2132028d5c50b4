"""Every form of the renderer lowers for graphics cards and tensor processors, on a machine that has
neither, and without the loops that are there for a processor's cache."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from scenes import sie_scene

import lensjax as lj
from data.preprocess import Preprocess, raw_robust

pytestmark = pytest.mark.usefixtures("as_on_every_platform")

GRID = lj.PixelGrid(45)
PSF = lj.Gaussian(np.array([1.3, 1.2, 1.1], np.float32))
HOST = np.zeros((45, 45, 3), np.float32)

# How numbers lie in memory is fixed for the sake of a card's speed (`choose.nth_largest`). Exported
# programs of other versions of JAX need not know that step.
LAYOUT = export.DisabledSafetyCheck.custom_call("LayoutConstraint")


def image(scene, psf, host):
    return lj.render(scene, GRID, psf)


def injected(scene, psf, host):
    arc = lj.render(scene, GRID, psf)
    return raw_robust(lj.inject(host, arc)[None], Preprocess(crop=41))[0]


def chi2(scene, psf, host):
    return jnp.sum((lj.render(scene, GRID, psf) - host) ** 2)


FUNCTIONS = {
    "image": image,
    "injected": injected,
    "gradient": jax.grad(chi2),
    "forward": lambda *args: jax.jvp(image, args, args)[1],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_batch_lowers_without_a_long_loop(name):
    """For both platforms at once, because tracing takes most of the time."""
    scene = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), sie_scene())
    args = jax.tree.map(lambda v: jnp.broadcast_to(v, (2, *np.shape(v))), (scene, PSF, HOST))
    mapped = jax.jit(lj.in_turn(FUNCTIONS[name]))
    found = export.export(mapped, platforms=["cuda", "tpu"], disabled_checks=[LAYOUT])(*args)
    assert found.platforms == ("cuda", "tpu")
    assert len(re.findall(r"stablehlo\.while", found.mlir_module())) == 0
