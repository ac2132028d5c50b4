"""Training: it learns, resumes to the last bit, refuses what it cannot use; the step is what it says."""

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import galaxies
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pyarrow as pa
import pytest
from flax import nnx

from classifiers import frozen, models, weights
from classifiers.checkpoints import Checkpoints
from classifiers.training import TrainSettings, command, devices, inputs, interrupt, loop, optimiser
from classifiers.training.step import Network, begin, make_step
from classifiers.training.verb import network
from data import augment, manifest, shards, tfrecord
from data.config import validated
from data.files import sha256
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
    return Checkpoints(folder / "last").restore(fresh(parts), loop.settings_of(settings()))[0]


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


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(parts, tmp_path, monkeypatch):
    train = parts[3]
    (first, _), (rows, _) = (inputs.epoch_rows(train.label, settings(), epoch) for epoch in (0, 1))
    victim = np.setdiff1d(rows, first)[0]  # left out of the first epoch, so that there is a checkpoint before it
    update = int(np.argwhere(rows == victim)[0, 0])
    poisoned = dataclasses.replace(train, split=dataclasses.replace(train.split, weight=train.split.weight.at[victim].set(jnp.nan)))
    broken = dataclasses.replace(make_run(tmp_path, parts), train=poisoned)
    with pytest.raises(InputError, match="not finite") as stopped:
        loop.fit(broken, fresh(parts))
    assert train.ids[victim] in str(stopped.value) and "last good checkpoint" in str(stopped.value)
    good = str(stopped.value).split("last good checkpoint: ")[1].split(";")[0]
    assert Path(good).is_dir() and np.isfinite(np.concatenate([np.ravel(v) for v in newest(tmp_path, parts).params.values()])).all()
    monkeypatch.setattr(loop, "NAMED", 4)
    with pytest.raises(InputError, match=r"and 12 more in .*not_finite\.json"):
        loop.fit(broken, fresh(parts))
    listed = json.loads((tmp_path / "not_finite.json").read_text())
    assert listed["galaxy_id"] == train.ids[rows[update, 0]].tolist() and (listed["epoch"], listed["update"]) == (2, update + 1)


def test_every_epoch_is_another_permutation_and_the_same_for_the_same_seed():
    s = settings()
    (a, turns), (b, _), (again, _) = (inputs.epoch_rows(np.arange(100) % 2, s, e) for e in (0, 1, 0))
    assert a.shape == (6, 1, 16) and len(set(a.ravel())) == 96 and not np.array_equal(a, b) and np.array_equal(a, again)
    assert np.array_equal(turns.ravel(), augment.codes(a.ravel(), s.seed, 0))
    with pytest.raises(InputError, match="batch 16 x accumulation 1 = 16 is larger than the training split .15."):
        inputs.epoch_rows(np.zeros(15), s, 0)
    with pytest.raises(InputError, match="a batch of 17 is larger than the 16 stamps of a balanced epoch"):
        inputs.epoch_rows(np.arange(17) % 2, settings(balanced=True, batch=17), 0)


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
def test_two_devices_train_as_one_does(uninterrupted, survey, tmp_path):
    """The whole command in a process with two virtual devices: every loss is that of a single device, within float error."""
    config, out = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text(json.dumps({"train": SETTINGS}))
    shutil.copytree(survey, out)
    line = [sys.executable, "-m", "lensjax.cli", "train", str(config), "--out", str(out)]
    done = subprocess.run(line, env={**os.environ, "JAX_NUM_CPU_DEVICES": "2"}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "training" / "run_info.json").read_text())["device"]["count"] == 2
    one, two = ([json.loads(x) for x in (f / "metrics.jsonl").read_text().splitlines()] for f in (uninterrupted[0], out / "training"))
    for name in ("train_loss", "val_loss"):
        assert np.allclose([x[name] for x in one], [x[name] for x in two], rtol=2e-3), name
    with pytest.raises(InputError, match="batch 15 cannot be shared by 2 devices"):
        devices.mesh(15, jax.local_devices() * 2)


def test_the_input_is_chosen_by_memory_and_says_so(survey, monkeypatch):
    assert inputs.training(survey, settings())[1].startswith("resident (0.0 GiB)")
    listed = json.loads((shards.located(survey) / shards.INDEX).read_text())
    number = {split: sum(e["records"] for e in listed["shards"] if e["split"] == split) for split in ("train", "val")}
    need = inputs.needed(survey, settings())
    assert need == {"device": 4 * 3 * 24**2 * sum(number.values()), "host": 4 * 3 * (32**2 * number["train"] + 24**2 * sum(number.values()))}
    assert inputs.needed(survey, settings(precision="bfloat16"))["device"] == need["device"] // 2
    for short in need:
        monkeypatch.setattr(inputs, "available", lambda short=short: {name: 1000 if name == short else 10**12 for name in need})
        train, way = inputs.training(survey, settings())
        assert isinstance(train, inputs.Streaming) and way.startswith("streaming (resident would take") and f"of the {short}'s" in way
    assert isinstance(inputs.training(survey, settings(input="resident"))[0], inputs.Resident)


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
    wrongs = {"nobs > 3": "cannot be evaluated", "@pd.io": "not part of", "nobs_z + 1": "not a condition", "nobs_z > 99": "holds for none"}
    for wrong, message in wrongs.items():
        with pytest.raises(InputError, match=message):
            inputs.training(survey, settings(select=wrong, input=way))


def test_turning_commutes_with_preprocessing():
    p = Preprocess(crop=31)
    images = galaxies.stamps(np.ones(8), size=31)
    codes = np.arange(16)
    turned = np.stack([augment.turned(images[0], code) for code in codes])
    assert np.allclose(raw_robust(turned, p), augment.apply(raw_robust(np.repeat(images[:1], 16, 0), p), codes), atol=1e-5)


def test_accumulation_equals_the_large_batch_where_no_statistics_are_taken(parts):
    """Without batch statistics (evaluation mode) two passes of 8 make the gradient of one pass of 16; with them another, as docs/training.md says."""
    train, rows, update, differ = parts[3].split, np.arange(16, dtype=np.int32), optax.sgd(1.0), {}
    for statistics in (False, True):
        net = Network(models.create("shielded_resnet", TINY, nnx.Rngs(0)))
        if not statistics:
            net._training = net._evaluation
        step, found = make_step(net, update, 0), []
        for shape in ((1, 16), (2, 8)):
            state, loss, _ = step(jax.tree.map(jnp.copy, begin(net, update)), train, rows.reshape(shape), 0 * rows.reshape(shape))
            found.append(np.concatenate([np.ravel(state.params[k] - net.params[k]) for k in net.params] + [np.ravel(loss)]))
        differ[statistics] = np.linalg.norm(found[1] - found[0]) / np.linalg.norm(found[0])
    assert differ[False] < 1e-6 and 0.02 < differ[True] < 2, differ


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
    with pytest.raises(InputError, match=r"1 stamps without data in a band \(0010p000_3: .*-train.tfrecord-00000-of-00001, record \d+\)") as refused:
        inputs.resident(out, "train", settings())
    record = int(str(refused.value).split("record ")[1].split(")")[0])
    assert load_split(out, "train", ("galaxy_id",))["galaxy_id"][record] == "0010p000_3"


@pytest.mark.parametrize("way", ["resident", "streaming"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "nan"])
def test_damage_in_a_shard_stops_training_with_file_and_record(tmp_path, way, damage):
    rows, contrast = galaxies.table(60), np.ones(60)
    images = galaxies.stamps(contrast)
    if damage == "nan":
        images[[i for i, r in enumerate(rows) if r["split"] == "train"][4]] = np.nan
    out = galaxies.survey(tmp_path, rows, images)
    path = next(shards.located(out).glob("*-train.tfrecord-*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes({"flipped": content, "truncated": content[: len(content) // 2], "nan": path.read_bytes()}[damage])
    reason = {"flipped": "checksum of its data", "truncated": "truncated", "nan": "without data in a band"}[damage]
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"train": {**SETTINGS, "epochs": 1}}))
    with pytest.raises(InputError, match=reason) as refused:
        command([str(config), "--out", str(out), "--input", way])
    assert re.search(rf"{path.name}, record \d+", str(refused.value)) and "\n" not in str(refused.value)
    assert not (out / "training" / "classifier.json").exists()


def test_shards_that_are_not_the_manifests_are_refused(survey, tmp_path):
    rows = galaxies.table(160)
    columns = {**{name: [r[name] for r in rows] for name in rows[0]}, "cutout_path": [f"{r['galaxy_id']}.npz" for r in rows], "size": [32] * 160}
    columns["brickname"] = [f"b{i % 4}" for i in range(160)]
    usable = [True] * 160
    table = lambda: pa.table({**columns, "quality_ok": usable})  # noqa: E731
    out = tmp_path / "run"
    shutil.copytree(survey, out)
    manifest.write(out / "manifest.parquet", table())
    for way in ("resident", "streaming"):
        inputs.training(out, settings(input=way))
    chosen, _ = inputs.training(out, settings(select="brickname == 'b3'"))  # a column that only the manifest has
    train = [(r["galaxy_id"], name) for r, name in zip(rows, columns["brickname"]) if r["split"] == "train"]
    assert sorted(chosen.ids) == sorted(galaxy for galaxy, name in train if name == "b3") and 0 < len(chosen.ids) < len(train)
    first = next(i for i, r in enumerate(rows) if r["split"] == "train")
    columns["label"][first] ^= 1
    manifest.write(out / "manifest.parquet", table())
    with pytest.raises(InputError, match=rf"1 objects of split train have another label in the shards \({rows[first]['galaxy_id']}\)"):
        inputs.training(out, settings())
    columns["label"][first] ^= 1
    usable[first] = False  # a row of no use is not missed, but what is in the shards must be of use
    manifest.write(out / "manifest.parquet", table())
    with pytest.raises(InputError, match=f"not usable in the manifest .{rows[first]['galaxy_id']}"):
        inputs.training(out, settings())
    usable[first] = True
    more = {name: [*values, {"galaxy_id": "lost_1", "cutout_path": "lost_1.npz", "split": "train"}.get(name, values[-1])] for name, values in columns.items()}
    manifest.write(out / "manifest.parquet", pa.table({**more, "quality_ok": [True] * 161}))
    for way in ("resident", "streaming"):
        with pytest.raises(InputError, match=r"manifest.parquet: 1 objects of split train are in the manifest and not in the shards \(lost_1\)"):
            inputs.training(out, settings(input=way))


def test_presets_and_keys_with_a_typo_are_refused(tmp_path):
    with pytest.raises(InputError, match="parity_resnet81: no such configuration file, nor a preset .*parity_resnet18"):
        command(["parity_resnet81", "--out", str(tmp_path)])
    (tmp_path / "mine.yaml").write_text("train: {learning_rat: 0.1}")
    with pytest.raises(InputError, match="unknown key 'learning_rat'.*learning_rate"):
        command([str(tmp_path / "mine.yaml"), "--out", str(tmp_path)])


def test_every_nth_epoch_is_kept_beside_best_and_last(parts, tmp_path):
    state, summary = loop.fit(make_run(tmp_path, parts, keep_every=3), fresh(parts))
    numbers = {name: sorted(int(p.name) for p in (tmp_path / name).iterdir() if p.name.isdigit()) for name in ("kept", "best", "last")}
    assert numbers["kept"] == [3, 6] and numbers["best"] == [summary["best_epoch"]] and len(numbers["last"]) == 1
    like = {"params": state.params, "statistics": state.statistics}
    _, note = Checkpoints(tmp_path / "kept", keep=None).restore(like, loop.settings_of(settings()), 3)
    assert note["epoch"] == 3


def test_the_figures_of_every_epoch_are_in_tensorboard_too(parts, tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    def die(done, total, text):
        if done == 13 and not text:
            raise Killed

    with pytest.raises(Killed):
        loop.fit(make_run(tmp_path, parts, tensorboard=True), fresh(parts), die)
    loop.fit(make_run(tmp_path, parts, tensorboard=True), fresh(parts))
    (path,) = (tmp_path / "tensorboard").iterdir()
    version, *events = map(Event.FromString, tfrecord.read(path))
    lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert version.file_version == "brain.Event:2" and [event.step for event in events] == [line["epoch"] for line in lines] == list(range(1, 9))
    for event, line in zip(events, lines):
        assert event.wall_time == line.pop("unix_seconds") and line.pop("epoch")
        assert {value.tag: value.simple_value for value in event.summary.value} == pytest.approx(line, rel=1e-6)


def test_half_precision_keeps_parameters_statistics_and_moments_in_float32(parts):
    train, losses = parts[3].split, []
    for precision in ("float32", "bfloat16"):
        net = network(settings(precision=precision))
        update = optimiser.optimiser(settings(), 5, net.params)
        rows = np.arange(16, dtype=np.int32)[None]
        state, loss, finite = make_step(net, update, 0)(jax.tree.map(jnp.copy, begin(net, update)), train, rows, 0 * rows)
        assert bool(finite) and {str(leaf.dtype) for leaf in jax.tree.leaves(state)} == {"float32", "int32"}
        losses.append(float(loss))
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.02)


def test_fine_tuning_starts_from_a_classifier_with_its_head_or_a_new_one(uninterrupted, parts, tmp_path):
    state = uninterrupted[1]
    trained = parts[0].model(state.params, state.statistics)
    frozen.save(tmp_path, frozen.freeze(trained, Preprocess(crop=24), {"model": "shielded_resnet", "config": models.complete("shielded_resnet", TINY)}))
    kept, renewed = (network(settings(initial=str(tmp_path), new_head=new, seed=7)) for new in (False, True))
    assert same(kept.params, state.params) and same(kept.statistics, state.statistics) and same(renewed.statistics, state.statistics)
    head = {name for name in state.params if name.startswith("dense.")}
    assert {name for name in state.params if not np.array_equal(renewed.params[name], state.params[name])} == head
    # only the new head is trained
    s = settings(initial=str(tmp_path), new_head=True, freeze=["stem*", "stages*", "shields*"], epochs=1)
    update, rows = optimiser.optimiser(s, 5, renewed.params), np.arange(16, dtype=np.int32)[None]
    held = frozenset(optimiser.frozen_names([*renewed.params, *renewed.statistics], s.freeze))
    after, _, _ = make_step(renewed, update, 0, held)(jax.tree.map(jnp.copy, begin(renewed, update)), parts[3].split, rows, 0 * rows)
    assert {name for name in state.params if not np.array_equal(after.params[name], renewed.params[name])} == head
    assert same(after.statistics, renewed.statistics)
    with pytest.raises(InputError, match="does not fit the model: missing"):
        network(settings(initial=str(tmp_path), architecture={**TINY, "blocks": [2]}))


def test_training_without_progress_stops_after_patience(parts, tmp_path):
    def idle(state, split, rows, turns):
        return dataclasses.replace(state, step=state.step + 1), jnp.float32(0.5), jnp.bool_(True)

    for patience, epochs in ((2, 3), (0, 8)):
        run = dataclasses.replace(make_run(tmp_path / str(patience), parts, patience=patience), step=idle)
        _, summary = loop.fit(run, fresh(parts))
        assert (summary["epochs"], summary["best_epoch"]) == (epochs, 1)


def test_no_moment_of_a_run_is_without_a_whole_checkpoint(parts, tmp_path, monkeypatch):
    """Whenever something is removed from `last`, another whole checkpoint is there."""
    remaining = []
    remove = shutil.rmtree

    def watched(path, *args, **kwargs):
        folder = Path(path).parent
        if folder == tmp_path / "last" and Path(path).name.isdigit():
            remaining.append([p.name for p in folder.iterdir() if p.name.isdigit() and p.name != Path(path).name])
        return remove(path, *args, **kwargs)

    monkeypatch.setattr(shutil, "rmtree", watched)
    loop.fit(make_run(tmp_path, parts, checkpoint_seconds=1e-9, epochs=2), fresh(parts))
    assert len(remaining) > 8 and all(remaining)


@contextmanager
def running(line, folder, number):
    """The command as a process, as soon as it has written a checkpoint of this number or later."""
    last = folder / "training" / "last"
    newest = lambda: max((int(p.name) for p in last.glob("[0-9]*") if p.name.isdigit()), default=-1)  # noqa: E731
    number = max(number, newest() + 1)
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while newest() < number:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.001)
        yield process


@pytest.mark.slow
def test_the_command_survives_kill_9_and_sigterm_and_gives_a_classifier(tmp_path):
    """The whole command, killed by SIGKILL at a random update, then stopped by SIGTERM at another, ends with the bytes of an uninterrupted run."""
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"train": {**SETTINGS, "epochs": 15, "checkpoint_seconds": 0.05}}))
    whole, out = (galaxies.small_survey(tmp_path / name, 160) for name in ("whole", "killed"))
    assert command([str(config), "--out", str(whole)]) == 0
    line = [sys.executable, "-m", "lensjax.cli", "train", str(config), "--out", str(out)]
    first, second = sorted(random.SystemRandom().sample(range(5, 90), 2))
    print("killed at", first, "terminated at", second)
    with running(line, out, first) as process:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    with running(line, out, second) as process:
        process.terminate()
        said = process.stderr.read()
    assert process.returncode == 0 and "everything is saved" in said
    with pytest.raises(InputError, match=r"last/\d+: checkpoint of other settings \(learning_rate: 0.01, not 0.02\).*--force"):
        command([str(config), "--out", str(out), "--learning-rate", "0.02"])
    assert not (out / "records" / "train.json").exists()
    assert command([str(config), "--out", str(out)]) == 0
    one, two = (frozen.load(folder / "training") for folder in (whole, out))
    assert one.info["weights_sha256"] == two.info["weights_sha256"] and weights.finite(weights.flatten(one.model))
    lines = [json.loads(x)["epoch"] for x in (out / "training" / "metrics.jsonl").read_text().splitlines()]
    assert lines == list(range(1, 16)) and not list((out / "training").rglob("*orbax-checkpoint-tmp*"))
    assert command([str(config), "--out", str(whole)]) == 0  # up to date
    info = json.loads((whole / "training" / "run_info.json").read_text())
    assert info["config"] == str(config) and info["config_sha256"] == sha256(config) and info["seeds"] == {"training": 42}
    assert info["device"] == {"platform": "cpu", "kind": jax.devices()[0].device_kind, "count": 1} and info["versions"]["jax"] == jax.__version__
    assert info["utc"].endswith("+00:00") and info["parameters"] == sum(v.size for v in jax.tree.leaves(nnx.state(one.model, nnx.Param)))
    assert {"commit", "command", "manifest_sha256", "shards_sha256", "settings", "splits", "input"} <= set(info)


@pytest.mark.slow
def test_a_full_disk_stops_with_one_line(tmp_path):
    """On a file system of its own, a few pages larger than the survey. test_checkpoints shows that nothing half-written stays."""
    private = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*private, f"mount -t tmpfs tmpfs {tmp_path}"], capture_output=True).returncode:
        pytest.skip("mounting a small file system is not permitted here; tests/classifiers/test_checkpoints.py raises the same error by hand")
    config, survey, small = tmp_path / "config.yaml", tmp_path / "survey", tmp_path / "small"
    config.write_text(json.dumps({"train": {**SETTINGS, "epochs": 2, "checkpoint_seconds": 1e-9}}))
    galaxies.small_survey(survey, 160)
    small.mkdir()
    train = f"{sys.executable} -m lensjax.cli train {config} --out {small}/run"
    script = f"""
mount -t tmpfs -o size=4m tmpfs {small} && cp -r {survey} {small}/run || exit 9
free=$(df --output=avail -B1 {small} | tail -1); head -c $((free - 65536)) /dev/zero > {small}/filler
{train}
"""
    done = subprocess.run([*private, script], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("lensjax:")]
    assert "the disk is full" in said and "/training/last" in said and "Traceback" not in done.stderr
