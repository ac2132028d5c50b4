"""Winograd's convolution: lax's in float64, close to it in float32, taken where it is quicker."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick_compilation

from classifiers.processor import winograd
from classifiers.processor.convolution import convolution

ORDER = ("NHWC", "HWIO", "NHWC")
REST = {"dimension_numbers": ORDER}


def drawn(sides, batch=3, inputs=5, outputs=7):
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, *sides, inputs)), rng.normal(size=(3, 3, inputs, outputs)) / (
        9 * inputs
    ) ** 0.5


REPEATED = [pytest.param(sides, marks=pytest.mark.stress) for sides in ((7, 7), (3, 9))]


@pytest.mark.parametrize("sides", [(4, 4), (13, 6), (1, 1), *REPEATED])
@pytest.mark.parametrize(
    "pads",
    [
        ((1, 1), (1, 1)),
        pytest.param(((0, 2), (3, 1)), marks=pytest.mark.stress),
        ((2, 2), (2, 0)),
    ],
)
def test_values_and_gradients_in_both_modes_are_laxs(sides, pads):
    with jax.enable_x64(True):
        x, w = map(jnp.asarray, drawn(sides))
        both = []
        for function in (
            winograd.convolution,
            lambda x, w, pads: jax.lax.conv_general_dilated(
                x, w, (1, 1), pads, dimension_numbers=ORDER
            ),
        ):

            @partial(jax.jit, compiler_options=quick_compilation.OPTIONS)
            def everything(x, w, function=function):
                loss = lambda x, w: jnp.sum(jnp.sin(function(x, w, pads)))
                along = jax.jvp(lambda x, w: function(x, w, pads), (x, w), (x[::-1], w[::-1]))
                mapped = jax.vmap(lambda x: function(x, w, pads))(jnp.stack([x, 2 * x]))
                second = jax.jvp(jax.grad(loss), (x, w), (x[::-1], w[::-1]))[1]
                return *along, mapped, *jax.grad(loss, (0, 1))(x, w), second

            both.append(everything(x, w))
        assert all(
            a.shape == b.shape and np.abs(a - b).max(initial=0) < 1e-12
            for a, b in zip(*both, strict=True)
        )


def test_float32_rounds_a_few_times_as_much_as_a_direct_sum():
    x, w = drawn((8, 8), 16, 256, 64)
    x = np.maximum(x, 0)  # what a ReLU leaves
    with jax.enable_x64(True):
        true = np.asarray(
            jax.lax.conv_general_dilated(x, w, (1, 1), [(1, 1), (1, 1)], dimension_numbers=ORDER)
        )
    error = (
        winograd.convolution(
            jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32), ((1, 1), (1, 1))
        )
        - true
    )
    assert error.std() < 2e-6 * true.std() and np.abs(error).max() < 2e-5 * true.std()


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the detour is a processor's")
@pytest.mark.parametrize(
    ("inputs", "outputs", "side", "stride", "taken"),
    [
        (256, 320, 8, 1, True),
        (256, 320, 8, 2, False),
        (128, 320, 8, 1, False),
        (320, 128, 8, 1, False),
        (256, 256, 3, 1, False),
    ],
)
def test_it_is_taken_for_many_channels_and_pixels(inputs, outputs, side, stride, taken):
    x, w = (jnp.asarray(a, jnp.float32) for a in drawn((side, side), 4, inputs, outputs))
    value = lambda x, w: convolution(x, w, (stride, stride), [(1, 1), (1, 1)], **REST)
    assert ("stablehlo.convolution" not in jax.jit(value).lower(x, w).as_text()) == taken
    wanted = jax.lax.conv_general_dilated(x, w, (stride, stride), [(1, 1), (1, 1)], **REST)
    assert np.abs(value(x, w) - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_half_precision_is_no_less_precise_than_laxs():
    x, w = drawn((8, 8), 4, 128, 128)
    true = jax.lax.conv_general_dilated(
        jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32), (1, 1), [(1, 1), (1, 1)], **REST
    )
    half = [jnp.asarray(a, jnp.bfloat16) for a in (x, w)]
    found, laxs = (
        winograd.convolution(*half, ((1, 1), (1, 1))),
        jax.lax.conv_general_dilated(*half, (1, 1), [(1, 1), (1, 1)], **REST),
    )
    assert found.dtype == jnp.bfloat16 and jnp.std(found - true) < 1.05 * jnp.std(laxs - true)
