"""Batch normalisation against its formula in float64, gradients and running statistics included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from classifiers.models import ARCHITECTURES, create
from classifiers.processor.norm import BatchNorm

EPSILON, MOMENTUM = 1e-3, 0.9


def norm(width, dtype=None):
    module = BatchNorm(width, momentum=MOMENTUM, epsilon=EPSILON, dtype=dtype, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(1)
    module.scale[...] = jnp.asarray(rng.uniform(0.5, 1.5, width), jnp.float32)
    module.bias[...] = jnp.asarray(rng.normal(size=width), jnp.float32)
    module.mean[...] = jnp.asarray(rng.normal(size=width), jnp.float32)
    module.var[...] = jnp.asarray(rng.uniform(0.5, 2, width), jnp.float32)
    return module


def images(shape):
    return np.random.default_rng(2).normal(3, 2, shape)


def test_in_training_it_is_the_formula_of_the_batch_and_so_is_the_gradient():
    x, module = images((6, 5, 4, 7)), norm(7)
    scale, bias = (np.asarray(v[...], np.float64) for v in (module.scale, module.bias))
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    z = (x - mean) / np.sqrt(var + EPSILON)
    module.train()

    def value(x):
        return jnp.sum(jnp.sin(nnx.clone(module)(x)))

    slope = jax.grad(value)(jnp.asarray(x, jnp.float32))
    g = np.cos(z * scale + bias) * scale
    wanted = (g - g.mean((0, 1, 2)) - z * (g * z).mean((0, 1, 2))) / np.sqrt(var + EPSILON)
    assert np.abs(slope - wanted).max() < 1e-5
    assert np.abs(module(jnp.asarray(x, jnp.float32)) - (z * scale + bias)).max() < 1e-5


def test_running_statistics_move_as_torchs_do_with_the_unbiased_variance():
    x, module = images((3, 2, 2, 5)), norm(5)
    before = [np.asarray(v[...], np.float64) for v in (module.mean, module.var)]
    module.train()
    module(jnp.asarray(x, jnp.float32))
    for running, old, batch in zip(
        (module.mean, module.var), before, (x.mean((0, 1, 2)), x.var((0, 1, 2), ddof=1))
    ):
        np.testing.assert_allclose(running[...], MOMENTUM * old + (1 - MOMENTUM) * batch, rtol=1e-5)


def test_torchs_batch_norm_says_the_same():
    torch = pytest.importorskip("torch", reason="extra `torch`")
    x, module = images((3, 2, 2, 5)), norm(5)
    other = torch.nn.BatchNorm2d(5, eps=EPSILON, momentum=1 - MOMENTUM)
    names_of = {
        "weight": module.scale,
        "bias": module.bias,
        "running_mean": module.mean,
        "running_var": module.var,
    }
    other.load_state_dict(
        {k: torch.tensor(np.asarray(v[...])) for k, v in names_of.items()}
        | {"num_batches_tracked": torch.tensor(0)}
    )
    module.train()
    ours, theirs = (
        module(jnp.asarray(x, jnp.float32)),
        other(torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float32)),
    )
    np.testing.assert_allclose(ours, theirs.detach().numpy().transpose(0, 2, 3, 1), atol=1e-5)
    np.testing.assert_allclose(module.mean[...], other.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(module.var[...], other.running_var.numpy(), rtol=1e-5)


def test_in_use_the_running_statistics_take_the_batchs_place_and_stay():
    x, module = images((2, 3, 3, 4)), norm(4)
    module.eval()
    kept = [np.asarray(v[...]) for v in (module.mean, module.var)]
    scale, bias, mean, var = (
        np.asarray(v[...], np.float64) for v in (module.scale, module.bias, module.mean, module.var)
    )
    found = module(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found, (x - mean) / np.sqrt(var + EPSILON) * scale + bias, atol=1e-5)
    assert all(np.array_equal(a, v[...]) for a, v in zip(kept, (module.mean, module.var)))


def test_a_constant_or_single_value_has_a_finite_norm_and_gradient():
    for x in (jnp.full((4, 2, 2, 3), 5.0), jnp.ones((1, 1, 1, 3))):
        module = norm(3)
        module.train()
        value, slope = jax.value_and_grad(
            lambda x, module=module: jnp.sum(nnx.clone(module)(x) ** 2)
        )(x)
        assert np.isfinite(value) and np.isfinite(slope).all()
        module(x)
        assert np.isfinite(module.var[...]).all()


def test_half_precision_keeps_its_statistics_in_full():
    x, module = images((6, 5, 4, 7)), norm(7, jnp.bfloat16)
    module.train()
    found = module(jnp.asarray(x, jnp.bfloat16))
    assert (
        found.dtype == jnp.bfloat16
        and module.mean[...].dtype == module.var[...].dtype == jnp.float32
    )
    exact = norm(7)
    exact.train()
    np.testing.assert_allclose(
        found.astype(np.float32), exact(jnp.asarray(x, jnp.float32)), atol=0.04
    )


def test_every_architecture_has_this_normalisation_and_no_other():
    for name in ARCHITECTURES:
        model = nnx.eval_shape(lambda name=name: create(name, {}, nnx.Rngs(0)))
        kinds = {type(m) for _, m in nnx.iter_modules(model) if isinstance(m, nnx.BatchNorm)}
        assert kinds == {BatchNorm}
