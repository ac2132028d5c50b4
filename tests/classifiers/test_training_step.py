"""One update is what it says: AdamW on the mean cross-entropy, accumulated, frozen, in half
precision, from other numbers, on two devices."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from training_runs import TINY, fresh, same, settings

from classifiers import frozen, models
from classifiers.training import inputs, optimiser
from classifiers.training.step import Network, begin, make_step
from classifiers.training.verb import network
from data import augment
from data.preprocess import Preprocess
from lensjax.errors import InputError


def test_one_update_is_adamw_on_the_mean_cross_entropy(parts):
    net, step, train = parts[0], parts[2], parts[3].split
    rows, turns = inputs.epoch_rows(parts[3].label, settings(), 0)
    state, loss, finite = step(fresh(parts), train, rows[0], turns[0])
    images = augment.apply(train.images[rows[0, 0]], turns[0, 0])
    by_hand, _ = net.train(net.params, net.statistics, images, None)
    y, w = train.target[rows[0, 0]], train.weight[rows[0, 0]]
    expected = np.mean(w * (np.logaddexp(0, by_hand) - y * by_hand))
    assert bool(finite) and np.isclose(loss, expected, rtol=1e-5)
    # Adam's first step moves every parameter by about the learning rate, here the first of the
    # warm-up
    rate = float(optimiser.schedule(settings(), len(rows))(0))
    moved = np.concatenate([np.ravel(np.abs(state.params[k] - net.params[k])) for k in net.params])
    assert np.median(moved) == pytest.approx(rate, rel=0.1)


def test_accumulation_equals_the_large_batch_where_no_statistics_are_taken(parts):
    """Without batch statistics (evaluation mode) two passes of 8 make the gradient of one pass of
    16; with them another, as docs/training.md says."""
    train, rows, update, differ = parts[3].split, np.arange(16, dtype=np.int32), optax.sgd(1.0), {}
    for statistics in (False, True):
        net = Network(models.create("shielded_resnet", TINY, nnx.Rngs(0)))
        if not statistics:
            net._training = net._evaluation
        step, found = make_step(net, update, 0), []
        for shape in ((1, 16), (2, 8)):
            state, loss, _ = step(
                jax.tree.map(jnp.copy, begin(net, update)),
                train,
                rows.reshape(shape),
                0 * rows.reshape(shape),
            )
            found.append(
                np.concatenate(
                    [np.ravel(state.params[k] - net.params[k]) for k in net.params]
                    + [np.ravel(loss)]
                )
            )
        differ[statistics] = np.linalg.norm(found[1] - found[0]) / np.linalg.norm(found[0])
    assert differ[False] < 1e-6 and 0.02 < differ[True] < 2, differ


def test_frozen_parameters_and_statistics_do_not_move(parts):
    net, train = parts[0], parts[3].split
    s = settings(freeze=["stem*", "stages.0.0.norm2.*"])
    held = optimiser.frozen_names([*net.params, *net.statistics], s.freeze)
    update = optimiser.optimiser(s, 5, net.params)
    state = jax.tree.map(jnp.copy, begin(net, update))
    rows = np.arange(16, dtype=np.int32)[None]
    after, _, _ = make_step(net, update, 0, frozenset(held))(state, train, rows, 0 * rows)
    for before, now in ((net.params, after.params), (net.statistics, after.statistics)):
        for name in before:
            assert np.array_equal(before[name], now[name]) == (name in held), name
    with pytest.raises(InputError, match="matches no parameter"):
        optimiser.frozen_names(net.params, ["layer9.*"])


def test_schedules_reach_their_marks():
    cosine = optimiser.schedule(settings(epochs=10, warmup_epochs=1), 20)
    assert (
        cosine(20) == pytest.approx(0.01)
        and cosine(0) < 0.001
        and cosine(200) == pytest.approx(0, abs=1e-9)
    )
    step = optimiser.schedule(
        settings(schedule="step", step_epochs=[4], epochs=10, warmup_epochs=0), 20
    )
    assert step(79) == pytest.approx(0.01) and step(80) == pytest.approx(0.005)


def test_half_precision_keeps_parameters_statistics_and_moments_in_float32(parts):
    train, losses = parts[3].split, []
    for precision in ("float32", "bfloat16"):
        net = network(settings(precision=precision))
        update = optimiser.optimiser(settings(), 5, net.params)
        rows = np.arange(16, dtype=np.int32)[None]
        state, loss, finite = make_step(net, update, 0)(
            jax.tree.map(jnp.copy, begin(net, update)), train, rows, 0 * rows
        )
        assert bool(finite) and {str(leaf.dtype) for leaf in jax.tree.leaves(state)} == {
            "float32",
            "int32",
        }
        losses.append(float(loss))
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.02)


def test_fine_tuning_starts_from_a_classifier_with_its_head_or_a_new_one(
    uninterrupted, parts, tmp_path
):
    state = uninterrupted[1]
    trained = parts[0].model(state.params, state.statistics)
    frozen.save(
        tmp_path,
        frozen.freeze(
            trained,
            Preprocess(crop=24),
            {"model": "shielded_resnet", "config": models.complete("shielded_resnet", TINY)},
        ),
    )
    kept, renewed = (
        network(settings(initial=str(tmp_path), new_head=new, seed=7)) for new in (False, True)
    )
    assert (
        same(kept.params, state.params)
        and same(kept.statistics, state.statistics)
        and same(renewed.statistics, state.statistics)
    )
    head = {name for name in state.params if name.startswith("dense.")}
    assert {
        name
        for name in state.params
        if not np.array_equal(renewed.params[name], state.params[name])
    } == head
    # only the new head is trained
    s = settings(
        initial=str(tmp_path), new_head=True, freeze=["stem*", "stages*", "shields*"], epochs=1
    )
    update, rows = optimiser.optimiser(s, 5, renewed.params), np.arange(16, dtype=np.int32)[None]
    held = frozenset(optimiser.frozen_names([*renewed.params, *renewed.statistics], s.freeze))
    after, _, _ = make_step(renewed, update, 0, held)(
        jax.tree.map(jnp.copy, begin(renewed, update)), parts[3].split, rows, 0 * rows
    )
    assert {
        name
        for name in state.params
        if not np.array_equal(after.params[name], renewed.params[name])
    } == head
    assert same(after.statistics, renewed.statistics)
    with pytest.raises(InputError, match="does not fit the model: missing"):
        network(settings(initial=str(tmp_path), architecture={**TINY, "blocks": [2]}))


@pytest.mark.slow
def test_two_devices_take_the_step_of_one():
    """In a process with two virtual devices: loss, parameters and statistics after one update are
    those of a single device. test_training has the command."""
    code = """
import jax, numpy as np, optax
from flax import nnx
from classifiers import models
from classifiers.training import devices
from classifiers.training.step import Network, Split, begin, make_step
config = {"stem_width": 8, "middles": [8], "widths": [8], "blocks": [1]}
net = Network(models.create("shielded_resnet", config, nnx.Rngs(0)))
rng = np.random.default_rng(0)
images, label = rng.normal(size=(16, 16, 16, 3)).astype("f4"), (rng.random(16) < 0.5).astype("f4")
split = Split(images, label, np.ones(16, "f4"))
rows, found = np.arange(16, dtype=np.int32)[None], []
for where in (devices.mesh(16), None):
    state, loss, _ = make_step(net, optax.sgd(0.1), 0)(
        jax.tree.map(np.array, begin(net, optax.sgd(0.1))), devices.copied(split, where),
        devices.spread(rows, where), devices.spread(0 * rows, where))
    found.append((jax.tree.map(np.asarray, (state.params, state.statistics, loss))))
    print(where is not None, len(state.params["dense.bias"].sharding.device_set))
moved = jax.tree.map(lambda a, b: np.abs(a - np.asarray(b)).max(), found[0][0], net.params)
assert min(moved.values()) > 1e-4, moved
same = jax.tree.map(lambda a, b: np.allclose(a, b, rtol=0, atol=1e-5), *found)
assert all(jax.tree.leaves(same)), same
"""
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.splitlines() == ["True 2", "False 1"]


@pytest.mark.parametrize("bands", [1, 5])
def test_the_network_has_a_channel_for_each_band_of_the_survey(bands):
    """The first layer takes as many channels as there are bands, and stamps of them give logits."""
    model = network(settings(), bands)
    stamps = np.ones((2, 24, 24, bands), np.float32)
    assert model.params["stem.kernel"].shape[2] == bands
    assert model.evaluate(model.params, model.statistics, stamps).shape == (2,)
    with pytest.raises(InputError, match=f"bands is 3, and the survey has {bands}"):
        network(settings(architecture=TINY | {"bands": 3}), bands)
