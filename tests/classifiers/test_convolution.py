"""The convolution of the networks: lax's numbers and gradients, whatever way they are had."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick_compilation

from classifiers import processor
from classifiers.processor.convolution import convolution

REST = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
ON_CPU = jax.default_backend() == "cpu"


def drawn(sides, size, inputs=16, outputs=8):
    rng = np.random.default_rng(0)
    shapes = (
        ((4, *sides, inputs), 1),
        ((size, size, inputs, outputs), (size * size * inputs) ** -0.5),
    )
    return [jnp.asarray(rng.normal(size=shape) * scale, jnp.float32) for shape, scale in shapes]


def close(found, wanted):
    return all(
        np.abs(f - w).max() < 3e-6 * np.abs(w).max()
        for f, w in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True)
    )


@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (2, 5), (3, 3)])
def test_the_convolution_of_a_map_smaller_than_the_kernel_is_laxs(sides):
    x, w = drawn(sides, 3)
    both = []
    for function in (convolution, jax.lax.conv_general_dilated):
        value = lambda x, w, function=function: function(x, w, (1, 1), [(1, 1), (1, 1)], **REST)
        both.append(
            (
                value(x, w),
                *jax.grad(lambda x, w, value=value: jnp.sum(jnp.sin(value(x, w))), (0, 1))(x, w),
            )
        )
        traced = jax.jit(value).lower(x, w).as_text()
        gathered = function is convolution and min(sides) < 3 and ON_CPU
        assert ("stablehlo.convolution" in traced) != gathered
    assert close(*both)


@pytest.mark.parametrize("sides", [(11, 8), (2, 2)])
@pytest.mark.parametrize(
    ("size", "stride", "pad"),
    [
        (3, 1, (1, 1)),
        pytest.param(3, 2, (1, 1), marks=pytest.mark.stress),
        (7, 2, (3, 3)),
        pytest.param(2, 1, (0, 1), marks=pytest.mark.stress),
        (1, 1, (0, 0)),
        pytest.param(1, 2, (0, 0), marks=pytest.mark.stress),
        (1, 2, (1, 2)),
    ],
)
def test_values_and_gradients_in_both_modes_are_laxs(size, stride, pad, sides):
    x, w = drawn(sides, size)
    both = []
    for function in (convolution, jax.lax.conv_general_dilated):

        @partial(jax.jit, compiler_options=quick_compilation.OPTIONS)
        def everything(x, w, function=function):
            value = lambda x, w: function(x, w, (stride, stride), [pad, pad], **REST)
            loss = lambda x, w: jnp.sum(jnp.sin(value(x, w)))
            reverse = jax.grad(loss, (0, 1))(x, w)
            along = jax.jacfwd(lambda t: value(x * (1 + t[0]), w * (1 + t[1])))(jnp.zeros(2))
            alone = (
                jax.jacfwd(lambda t: value(x * (1 + t), w))(0.0),
                jax.grad(loss, 1)(x, w),
                jax.grad(loss)(x, w),
            )
            second = jax.jvp(jax.grad(loss), (x, w), (jnp.ones_like(x), jnp.zeros_like(w)))[1]
            return value(x, w), reverse, along, alone, second

        both.append(everything(x, w))
    assert close(*both)


@pytest.mark.parametrize(
    ("stride", "pad"), [(1, (1, 1)), pytest.param(2, (1, 1), marks=pytest.mark.stress), (2, (0, 1))]
)
def test_a_depthwise_one_is_laxs_with_its_gradients_in_both_modes(stride, pad):
    (x, _), (_, w) = drawn((11, 8), 3, 6), drawn((11, 8), 3, 1, 6)
    both = []
    for function in (convolution, jax.lax.conv_general_dilated):
        value = lambda x, w, function=function: function(
            x, w, (stride, stride), [pad, pad], feature_group_count=6, **REST
        )
        loss = lambda x, w, value=value: jnp.sum(jnp.sin(value(x, w)))
        along = jax.jacfwd(lambda t, value=value: value(x * (1 + t), w * (1 + 2 * t)))(0.0)
        both.append((value(x, w), jax.grad(loss, (0, 1))(x, w), along))
        assert ("stablehlo.convolution" in jax.jit(value).lower(x, w).as_text()) == (
            function is not convolution or not ON_CPU
        )
    assert close(*both)


@pytest.mark.parametrize(("groups", "outputs"), [(2, 8), (4, 8)])
def test_other_groups_are_left_to_lax(groups, outputs):
    (x, _), (_, w) = drawn((7, 7), 3, 4), drawn((7, 7), 3, 4 // groups, outputs)
    found, wanted = (
        f(x, w, (1, 1), [(1, 1), (1, 1)], feature_group_count=groups, **REST)
        for f in (convolution, jax.lax.conv_general_dilated)
    )
    assert np.array_equal(found, wanted)


@pytest.mark.skipif(not ON_CPU, reason="the detour is a processor's")
def test_an_image_is_turned_once_it_is_there_and_not_worked_out_again():
    x, w = drawn((26, 26), 3, 64, 64)

    def turns(function):
        loss = lambda x, w: jnp.sum(
            jnp.sin(function(jnp.maximum(2 * x + 1, 0), w, (1, 1), [(1, 1), (1, 1)], **REST))
        )
        text = processor.jit(jax.grad(loss, (0, 1))).lower(x, w).compile().as_text()
        bodies = [
            part
            for part in text.split("\n}")
            if "} transpose(" in part and "} maximum(" in part and "ENTRY" not in part
        ]
        return len(bodies)

    assert turns(jax.lax.conv_general_dilated) > 0 and turns(convolution) == 0


def test_frozen_inputs_cost_no_convolution():
    x, w = drawn((11, 8), 3)
    value = lambda x, w: jnp.sum(jnp.sin(convolution(x, w, (1, 1), [(1, 1), (1, 1)], **REST)))
    count = lambda function: (
        processor.jit(function).lower(x, w).compile().as_text().count(" convolution(")
    )
    assert (
        count(jax.grad(value, 0)) == count(jax.grad(value, 1)) == 2
        and count(jax.grad(value, (0, 1))) == 3
    )
    assert count(lambda x, w: jax.jvp(lambda x: value(x, w), (x,), (x,))) == 2
    assert count(lambda x, w: jax.jvp(lambda w: value(x, w), (w,), (w,))) == 2
