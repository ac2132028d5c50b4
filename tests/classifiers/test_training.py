"""Training: it learns, resumes to the last bit, refuses what it cannot use; the step is what it says."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import galaxies
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from classifiers import frozen, models, weights
from classifiers.checkpoints import Checkpoints
from classifiers.training import TrainSettings, command, inputs, interrupt, loop, optimiser
from classifiers.training.step import Network, begin, make_step
from data import augment
from data.config import validated
from data.loader import load_split
from data.preprocess import Preprocess, raw_robust
from lensjax.errors import InputError

TINY = {"stem_width": 8, "stem_kernel": 5, "stem_stride": 2, "middles": [8], "widths": [8], "blocks": [1]}
SETTINGS = {"model": "shielded_resnet", "architecture": TINY, "preprocess": {"crop": 24}, "epochs": 8, "batch": 16, "learning_rate": 0.01}


def settings(**changes):
    return validated(TrainSettings, {**SETTINGS, **changes}, "test")


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return galaxies.small_survey(tmp_path_factory.mktemp("survey"), 160)


@pytest.fixture(scope="module")
def parts(survey):
    """Network, update, compiled step and splits, compiled once for all tests."""
    s = settings()
    net = Network(models.create(s.model, s.architecture, nnx.Rngs(s.seed)))
    train, val = inputs.resident(survey, "train", s), inputs.resident(survey, "val", s)
    update = optimiser.optimiser(s, len(inputs.epoch_rows(train.label, s, 0)[0]), net.params)
    return net, update, make_step(net, update, s.seed), train, val


def make_run(folder, parts, **changes):
    net, _, step, train, val = parts
    s = settings(**changes)
    return loop.Run(folder, s, net, step, optimiser.schedule(s, len(inputs.epoch_rows(train.label, s, 0)[0])), train, val.split)


def fresh(parts):
    net, update = parts[:2]
    return jax.tree.map(jnp.copy, begin(net, update))  # the step donates its state


@pytest.fixture(scope="module")
def uninterrupted(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    state, summary = loop.fit(make_run(folder, parts), fresh(parts))
    return folder, state, summary


def newest(folder, parts):
    plain = {k: v for k, v in dataclasses.asdict(settings()).items() if k not in loop.KEEPING}
    return Checkpoints(folder / "last").restore(fresh(parts), json.loads(json.dumps(plain)))[0]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_it_learns_and_writes_a_line_an_epoch(uninterrupted):
    folder, _, summary = uninterrupted
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 9))
    assert lines[-1]["train_loss"] < 0.5 * lines[0]["train_loss"] and summary["best_epoch"] in range(1, 9)
    wanted = {"val_loss", "val_auc", "val_precision_at_recall_0.9", "val_recall_at_precision_0.9", "val_ece", "learning_rate", "images_per_second"}
    assert wanted <= set(lines[0])


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [1, 4, 7, 13])
def test_a_run_killed_at_any_update_ends_with_the_same_bits(uninterrupted, parts, tmp_path, at):
    def die(done, total, text):
        if done == at and not text:
            raise Killed

    with pytest.raises(Killed):
        loop.fit(make_run(tmp_path, parts, checkpoint_seconds=1e-9 if at == 4 else 1e9), fresh(parts), die)
    state, _ = loop.fit(make_run(tmp_path, parts), fresh(parts))
    folder, whole, _ = uninterrupted
    assert same(state.params, whole.params) and same(state.statistics, whole.statistics)
    assert same(newest(tmp_path, parts), newest(folder, parts))
    keep = lambda path: [{k: v for k, v in json.loads(x).items() if "second" not in k} for x in (path / "metrics.jsonl").read_text().splitlines()]  # noqa: E731
    assert keep(tmp_path) == keep(folder)


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, interrupt.Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_saves_and_the_run_goes_on_from_that_update(uninterrupted, parts, tmp_path, number, raised):
    seen = []

    def send(done, total, text):
        seen.append(done)
        if done == 9 and not text:
            os.kill(os.getpid(), number)

    with pytest.raises(raised):
        loop.fit(make_run(tmp_path, parts, checkpoint_seconds=1e9), fresh(parts), send)
    state, _ = loop.fit(make_run(tmp_path, parts), fresh(parts), send)
    assert seen[: 9 + 2].count(9) == 1 and 10 in seen
    assert same(state.params, uninterrupted[1].params)


def test_a_checkpoint_of_other_settings_is_refused_by_key(uninterrupted, parts):
    with pytest.raises(InputError, match=r"seed: 42, not 7"):
        loop.fit(make_run(uninterrupted[0], parts, seed=7), fresh(parts))


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(parts, tmp_path):
    train = parts[3]
    rows, _ = inputs.epoch_rows(train.label, settings(), 1)
    victim = rows[2, 0, 5]
    poisoned = dataclasses.replace(train, split=dataclasses.replace(train.split, weight=train.split.weight.at[victim].set(jnp.nan)))
    broken = dataclasses.replace(make_run(tmp_path, parts), train=poisoned)
    with pytest.raises(InputError, match="not finite") as stopped:
        loop.fit(broken, fresh(parts))
    assert train.ids[victim] in str(stopped.value) and "last good checkpoint" in str(stopped.value)


def test_every_epoch_is_another_permutation_and_the_same_for_the_same_seed():
    s = settings()
    (a, turns), (b, _), (again, _) = (inputs.epoch_rows(np.arange(100) % 2, s, e) for e in (0, 1, 0))
    assert a.shape == (6, 1, 16) and len(set(a.ravel())) == 96 and not np.array_equal(a, b) and np.array_equal(a, again)
    assert np.array_equal(turns.ravel(), augment.codes(a.ravel(), s.seed, 0))
    with pytest.raises(InputError, match="larger than the training split"):
        inputs.epoch_rows(np.zeros(15), s, 0)


def test_streaming_trains_as_resident_does(uninterrupted, parts, survey, tmp_path):
    """The same batches in the same order; the losses differ by float error, since preprocessing is compiled into another program."""
    net, update, _, _, val = parts
    s = settings(input="streaming")
    train, way = inputs.training(survey, s)
    assert way == "streaming"
    step = make_step(net, update, s.seed, prepare=train.prepare)
    run = loop.Run(tmp_path, s, net, step, optimiser.schedule(s, 6), train, val.split)
    state, _ = loop.fit(run, fresh(parts))
    losses = [[json.loads(x)["train_loss"] for x in (f / "metrics.jsonl").read_text().splitlines()] for f in (tmp_path, uninterrupted[0])]
    assert np.allclose(*losses, rtol=1e-3)
    for name in state.params:
        assert np.allclose(state.params[name], uninterrupted[1].params[name], atol=5e-3), name


@pytest.mark.slow
def test_two_devices_take_the_step_of_one():
    """A subprocess with two virtual devices: loss and parameters after one update are those of a single device."""
    code = """
import jax, numpy as np, optax
from flax import nnx
from classifiers import models
from classifiers.training import devices
from classifiers.training.step import Network, Split, begin, make_step
net = Network(models.create("shielded_resnet", {"stem_width": 8, "middles": [8], "widths": [8], "blocks": [1]}, nnx.Rngs(0)))
rng = np.random.default_rng(0)
split = Split(rng.normal(size=(16, 16, 16, 3)).astype("f4"), (rng.random(16) < 0.5).astype("f4"), np.ones(16, "f4"))
rows, found = np.arange(16, dtype=np.int32)[None], []
for where in (devices.mesh(16), None):
    state, loss, _ = make_step(net, optax.sgd(0.1), 0)(
        jax.tree.map(np.array, begin(net, optax.sgd(0.1))), devices.copied(split, where), devices.spread(rows, where), devices.spread(0 * rows, where))
    found.append((jax.tree.map(np.asarray, (state.params, state.statistics, loss))))
    print(where is not None, len(state.params["dense.bias"].sharding.device_set))
same = jax.tree.map(lambda a, b: np.allclose(a, b, atol=1e-5), *found)
assert all(jax.tree.leaves(same)), same
"""
    out = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}, capture_output=True, text=True, timeout=300
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.splitlines() == ["True 2", "False 1"]


def test_the_input_is_chosen_by_memory_and_says_so(survey, monkeypatch):
    assert inputs.training(survey, settings())[1].startswith("resident (0.0 GiB)")
    monkeypatch.setattr(inputs, "available", lambda: 1000)
    train, way = inputs.training(survey, settings())
    assert isinstance(train, inputs.Streaming) and way.startswith("streaming (resident would take")


def test_a_balanced_epoch_repeats_the_lenses():
    label = (np.arange(110) < 10).astype(int)
    rows, _ = inputs.epoch_rows(label, settings(balanced=True, batch=10), 0)
    assert label[rows].mean() == pytest.approx(0.5) and set(rows[label[rows] == 1]) == set(range(10))


@pytest.mark.parametrize("way", ["resident", "streaming"])
def test_training_on_a_part_of_the_survey(survey, way):
    s = settings(select="nobs_z > 6 and type_bin != 'REX'", input=way)
    train, _ = inputs.training(survey, s)
    columns = load_split(survey, "train", ("galaxy_id", "nobs_z", "type_bin"))
    wanted = columns["galaxy_id"][(columns["nobs_z"] > 6) & (columns["type_bin"] != "REX")]
    assert train.ids.tolist() == wanted.tolist() and 0 < len(wanted) < len(columns["galaxy_id"])
    (split, rows, _), *_ = train.updates(np.array([[[1, 0]]]), np.zeros((1, 1, 2), int))
    images = load_split(survey, "train", ("image",))["image"][np.isin(columns["galaxy_id"], wanted)]
    assert np.allclose(train.prepare(split.images)[rows[0]], raw_robust(images[[1, 0]], s.preprocess), atol=1e-4)
    for wrong, message in (("nobs > 3", "cannot be evaluated"), ("nobs_z + 1", "not a condition"), ("nobs_z > 99", "holds for none")):
        with pytest.raises(InputError, match=message):
            inputs.training(survey, settings(select=wrong, input=way))


def test_turning_commutes_with_preprocessing():
    p = Preprocess(crop=31)
    images = galaxies.stamps(np.ones(8), size=31)
    codes = np.arange(16)
    turned = np.stack([augment.turned(images[0], code) for code in codes])
    assert np.allclose(raw_robust(turned, p), augment.apply(raw_robust(np.repeat(images[:1], 16, 0), p), codes), atol=1e-5)


def test_accumulation_equals_the_large_batch_where_no_statistics_are_taken(parts):
    """Without batch statistics (evaluation mode) two passes of 8 make the update of one pass of 16."""
    net, train = parts[0], parts[3].split
    quiet = Network(models.create("shielded_resnet", TINY, nnx.Rngs(0)))
    quiet._training = quiet._evaluation
    update = optax.sgd(0.1)
    rows = np.arange(16, dtype=np.int32)
    step = make_step(quiet, update, 0)
    once, twice = (step(jax.tree.map(jnp.copy, begin(net, update)), train, rows.reshape(shape), 0 * rows.reshape(shape)) for shape in ((1, 16), (2, 8)))
    for name in once[0].params:
        assert np.allclose(once[0].params[name], twice[0].params[name], atol=1e-6), name
    assert np.isclose(once[1], twice[1], atol=1e-6)


def test_one_update_is_adamw_on_the_mean_cross_entropy(parts):
    net, step, train = parts[0], parts[2], parts[3].split
    rows, turns = inputs.epoch_rows(parts[3].label, settings(), 0)
    state, loss, finite = step(fresh(parts), train, rows[0], turns[0])
    images = augment.apply(train.images[rows[0, 0]], turns[0, 0])
    by_hand, _ = net.train(net.params, net.statistics, images, None)
    y, w = train.target[rows[0, 0]], train.weight[rows[0, 0]]
    expected = np.mean(w * (np.logaddexp(0, by_hand) - y * by_hand))
    assert bool(finite) and np.isclose(loss, expected, rtol=1e-5)
    # Adam's first step moves every parameter by about the learning rate, here the first of the warm-up
    rate = float(optimiser.schedule(settings(), len(rows))(0))
    moved = np.concatenate([np.ravel(np.abs(state.params[k] - net.params[k])) for k in net.params])
    assert np.median(moved) == pytest.approx(rate, rel=0.1)


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
    assert cosine(20) == pytest.approx(0.01) and cosine(0) < 0.001 and cosine(200) == pytest.approx(0, abs=1e-9)
    step = optimiser.schedule(settings(schedule="step", step_epochs=[4], epochs=10, warmup_epochs=0), 20)
    assert step(79) == pytest.approx(0.01) and step(80) == pytest.approx(0.005)


def test_tier_b_target_weights_and_shuffled_labels(survey):
    split = inputs.resident(survey, "train", settings(tier_b_target=0.95)).split
    columns = load_split(survey, "train", ("tier", "label"))
    b = columns["tier"] == "B"
    assert np.allclose(np.asarray(split.target)[b], 0.95) and np.allclose(np.asarray(split.weight), np.where(b, 0.5, 1.0))
    shuffled = inputs.resident(survey, "train", settings(shuffle_labels=True)).split
    assert np.asarray(shuffled.target).sum() == columns["label"].sum() and not np.array_equal(shuffled.target, columns["label"])


def test_a_split_of_one_kind_and_blank_stamps_are_refused(tmp_path):
    rows = [{**r, "label": 1, "split": "train"} for r in galaxies.table(20)]
    images = galaxies.stamps(np.ones(20))
    out = galaxies.survey(tmp_path / "lenses", rows, images)
    with pytest.raises(InputError, match="20 lenses and 0 non-lenses"):
        inputs.resident(out, "train", settings())
    images[3, ..., 1] = np.nan
    out = galaxies.survey(tmp_path / "blank", rows, images)
    with pytest.raises(InputError, match=r"1 stamps without data in a band \(0010p000_3\)"):
        inputs.resident(out, "train", settings())


@pytest.mark.slow
def test_the_command_survives_kill_9_and_gives_a_classifier(tmp_path):
    """The whole command, killed by SIGKILL, ends with the bytes of an uninterrupted run."""
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"train": {**SETTINGS, "epochs": 40, "checkpoint_seconds": 0.05}}))
    digests = []
    for name, kills in (("killed", 1), ("whole", 0)):
        out = galaxies.small_survey(tmp_path / name, 160)
        line = [sys.executable, "-m", "lensjax.cli", "train", str(config), "--out", str(out)]
        for kill in range(kills):
            process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
            for text in process.stderr:
                if text.startswith(f"epoch {5 + 10 * kill}/"):
                    process.kill()
                    break
            assert process.wait() == -signal.SIGKILL
        if kills:
            assert subprocess.run(line, check=True, capture_output=True).returncode == 0
            (first,) = (json.loads(x) for x in (out / "training" / "metrics.jsonl").read_text().splitlines()[:1])
            assert first["epoch"] == 1
        else:
            assert command([str(config), "--out", str(out)]) == 0
        found = frozen.load(out / "training")
        digests.append(found.info["weights_sha256"])
        assert weights.finite(weights.flatten(found.model)) and found.info["model"] == "shielded_resnet"
    assert digests[0] == digests[1]
    assert command([str(config), "--out", str(tmp_path / "whole")]) == 0  # up to date
    info = json.loads((tmp_path / "whole" / "training" / "run_info.json").read_text())
    assert {"commit", "utc", "config_sha256", "seeds", "command", "versions", "device", "manifest_sha256"} <= set(info)
