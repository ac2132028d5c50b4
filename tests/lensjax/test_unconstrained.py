"""Unconstrained coordinates: there and back, log-determinants against Jacobians, round shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensjax as lj
from tests.quick_compilation import OPTIONS


def scene(q=0.7, source_q=0.6, flux=(1.0, 2.0)):
    lens = lj.EPL(1.3, 2.1, q, 0.3, 0.01, -0.02), lj.Shear(0.03, -0.02)
    source = lj.Sersic(jnp.array(flux), 0.25, 1.2, source_q, -2.0, 0.15, 0.1)
    return lj.Scene(lens, source, lj.GaussianLight(jnp.array([3.0, 2.0]), 0.5))


def same(a, b, atol=1e-6):
    """Equal values; an angle may differ by half a turn, and means nothing where q = 1."""
    for (path, x), y in zip(jax.tree_util.tree_flatten_with_path(a)[0], jax.tree.leaves(b)):
        if path[-1].name == "phi":
            x, y = np.exp(2j * np.asarray(x)), np.exp(2j * np.asarray(y))
        np.testing.assert_allclose(x, y, atol=atol)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def test_a_scene_comes_back_and_every_coordinate_has_a_name():
    start = scene()
    z, restore = lj.unconstrain(start, fixed=["lens_light"])
    back, log_det = restore(z)
    same(start, back)
    assert z.shape == (len(restore.names),) == (16,) and np.isfinite(log_det)
    names = (
        *("lens[0].theta_e", "lens[0].slope", "lens[0].e1", "lens[0].e2", "lens[0].x"),
        *("lens[0].y", "lens[1].gamma1", "lens[1].gamma2", "source[0].flux[0]"),
        *("source[0].flux[1]", "source[0].r_eff", "source[0].n", "source[0].e1", "source[0].e2"),
    )
    assert restore.names[:14] == names
    # all of space is in the domain
    far = np.random.default_rng(0).normal(0, 4, (200, z.size))

    def checked(z):
        scene, log_det = restore(z)
        return lj.valid(scene) & jnp.isfinite(log_det)

    assert jax.jit(jax.vmap(checked), compiler_options=OPTIONS)(jnp.asarray(far)).all()


def test_the_log_determinant_is_that_of_the_jacobian():
    z, restore = lj.unconstrain(scene())

    def plain(z):
        """The scene as numbers, (q, phi) as (e1, e2)."""
        out = []
        for part in (*restore(z)[0].lens, *restore(z)[0].source, *restore(z)[0].lens_light):
            values = dict(vars(part))
            values.pop("steep", None), values.pop("curve", None)
            if "q" in values:
                q, phi = values.pop("q"), values.pop("phi")
                f = (1 - q) / (1 + q)
                values |= {"e1": f * jnp.cos(2 * phi), "e2": f * jnp.sin(2 * phi)}
            out += [jnp.atleast_1d(v) for v in values.values()]
        return jnp.concatenate(out)

    jacobian = jax.jit(jax.jacfwd(plain), compiler_options=OPTIONS)
    for shift in (0.0, 0.7):
        _, log_det = np.linalg.slogdet(jacobian(z + shift))
        np.testing.assert_allclose(restore(z + shift)[1], log_det, atol=1e-9)


@pytest.mark.parametrize("ends", ["high", "low", "both", "none"])
def test_every_kind_of_domain(ends):
    from lensjax.component import Domain
    from lensjax.unconstrained import _bounded, _coordinates, _Leaf

    domain = Domain(-2.0 if ends in ("low", "both") else -np.inf,
                    5.0 if ends in ("high", "both") else np.inf, "")  # fmt: skip
    value = jnp.array([-1.9, 0.3, 4.9])
    z = _coordinates(_Leaf("v", (3,), domain, 0), [value])
    back, slope = _bounded(z, domain)
    np.testing.assert_allclose(back, value, atol=1e-12)
    by = jax.vmap(jax.grad(lambda z: _bounded(z, domain)[0]))(z)
    np.testing.assert_allclose(slope, jnp.log(jnp.abs(by)), atol=1e-12)


def test_a_round_component_is_no_boundary():
    """It starts a hair from round, so that a gradient can take it anywhere; at z = 0 everything is
    finite in single precision as well."""
    sphere = lj.Scene(lj.SIE(1.3, 1.0, 0.3, 0.01, -0.02))
    z, restore = lj.unconstrain(sphere)
    assert 0.9997 < restore(z)[0].lens[0].q < 1
    place = restore.names.index("lens[0].e1")
    with jax.enable_x64(False):
        z, restore = lj.unconstrain(sphere)
        lens = lambda z: lj.mass.deflection(restore(z)[0].lens, jnp.float32(0.9), 0.7)
        slope = jax.jit(jax.grad(lambda z: restore(z)[1]), compiler_options=OPTIONS)
        bend = jax.jit(jax.jacrev(lens), compiler_options=OPTIONS)
        for at in (z, z.at[place : place + 2].set(0.0)):
            by = bend(at)
            assert at.dtype == jnp.float32 and all(np.isfinite(b).all() for b in by)
            assert np.isfinite(slope(at)).all()
    # the ellipticity's derivative does not depend on the side from which it is round
    with jax.enable_x64(True):
        z, restore = lj.unconstrain(sphere)
        bent = lambda e: lj.mass.deflection(
            restore(z.astype(e.dtype).at[place : place + 2].set(e))[0].lens, 0.9, 0.7
        )[0]
        around = 1e-4 * jnp.array([[np.cos(t), np.sin(t)] for t in range(6)])
        slopes = jax.jit(jax.vmap(jax.grad(bent)), compiler_options=OPTIONS)(around)
        np.testing.assert_allclose(slopes, np.mean(slopes, 0)[None].repeat(6, 0), atol=1e-3)


def test_images_and_held_parameters_stay_and_batches_are_coordinates_too():
    psf = lj.PixelKernel(jnp.ones((1, 3, 3)))
    z, restore = lj.unconstrain((scene(), psf), fixed=["[0].lens", "[0].source[0].q"])
    assert not any("kernel" in name or ".lens[" in name for name in restore.names)
    assert "[0].source[0].phi" in restore.names and restore(z)[0][0].source[0].q == 0.6
    batch = jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 3), scene())
    z, restore = lj.unconstrain(batch)
    assert "lens[0].theta_e[2]" in restore.names and "lens[0].e2[1]" in restore.names
    same(batch, restore(z)[0], atol=3e-4)  # what is round starts a hair from round


def test_what_has_no_coordinate_is_refused():
    with pytest.raises(lj.InputError, match=r"source\[0\].flux = 0: .*larger"):
        lj.unconstrain(scene(flux=(1.0, 0.0)))
    with pytest.raises(lj.InputError, match=r"lens\[0\].q = 1.2"):
        lj.unconstrain(scene(q=1.2))
    with pytest.raises(lj.InputError, match="fixed names 'lens.q'"):
        lj.unconstrain(scene(), fixed=["lens.q"])
    with pytest.raises(lj.InputError, match=r"z has shape \(3,\)"):
        lj.unconstrain(scene())[1](jnp.zeros(3))
