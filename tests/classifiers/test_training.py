"""A training run: it learns, ends with the best epoch, writes what it did, shares its batches
between devices."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_runs import SETTINGS, Killed, fresh, make_run, settings

from classifiers.checkpoints import Checkpoints
from classifiers.training import command, devices, loop
from data import tfrecord
from data.survey import default
from lensjax.errors import InputError


def test_it_learns_and_writes_a_line_an_epoch(uninterrupted):
    folder, _, summary = uninterrupted
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 9))
    assert lines[-1]["train_loss"] < 0.5 * lines[0]["train_loss"] and summary[
        "best_epoch"
    ] in range(1, 9)
    wanted = {
        "val_loss",
        "val_auc",
        "val_precision_at_recall_0.9",
        "val_recall_at_precision_0.9",
        "val_ece",
        "learning_rate",
        "images_per_second",
    }
    assert wanted <= set(lines[0])


def test_every_nth_epoch_is_kept_beside_best_and_last(parts, tmp_path):
    state, summary = loop.fit(make_run(tmp_path, parts, keep_every=3), fresh(parts))
    numbers = {
        name: sorted(int(p.name) for p in (tmp_path / name).iterdir() if p.name.isdigit())
        for name in ("kept", "best", "last")
    }
    assert (
        numbers["kept"] == [3, 6]
        and numbers["best"] == [summary["best_epoch"]]
        and len(numbers["last"]) == 1
    )
    like = {"params": state.params, "statistics": state.statistics}
    _, note = Checkpoints(tmp_path / "kept", keep=None).restore(
        like, loop.settings_of(settings()), 3
    )
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
    assert version.file_version == "brain.Event:2" and [event.step for event in events] == [
        line["epoch"] for line in lines
    ] == list(range(1, 9))
    for event, line in zip(events, lines):
        assert event.wall_time == line.pop("unix_seconds") and line.pop("epoch")
        assert {value.tag: value.simple_value for value in event.summary.value} == pytest.approx(
            line, rel=1e-6
        )


def test_training_without_progress_stops_after_patience(parts, tmp_path):
    def idle(state, split, rows, turns):
        return dataclasses.replace(state, step=state.step + 1), jnp.float32(0.5), jnp.bool_(True)

    for patience, epochs in ((2, 3), (0, 8)):
        run = dataclasses.replace(
            make_run(tmp_path / str(patience), parts, patience=patience), step=idle
        )
        _, summary = loop.fit(run, fresh(parts))
        assert (summary["epochs"], summary["best_epoch"]) == (epochs, 1)


@pytest.mark.stress
def test_two_devices_train_as_one_does(uninterrupted, survey, tmp_path):
    """The whole command in a process with two virtual devices: every loss is that of a single
    device, within float error."""
    config, out = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text(json.dumps({"train": SETTINGS}))
    shutil.copytree(survey, out)
    line = [sys.executable, "-m", "lensjax.cli", "train", str(config), "--out", str(out)]
    done = subprocess.run(
        line,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "2"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "training" / "run_info.json").read_text())["device"]["count"] == 2
    assert default().title in (out / "training" / "README.md").read_text()
    one, two = (
        [json.loads(x) for x in (f / "metrics.jsonl").read_text().splitlines()]
        for f in (uninterrupted[0], out / "training")
    )
    for name in ("train_loss", "val_loss"):
        assert np.allclose([x[name] for x in one], [x[name] for x in two], rtol=2e-3), name
    with pytest.raises(InputError, match="batch 15 cannot be shared by 2 devices"):
        devices.mesh(15, jax.local_devices() * 2)


def test_presets_and_keys_with_a_typo_are_refused(tmp_path):
    with pytest.raises(
        InputError,
        match="parity_resnet81: no such configuration file, nor a preset .*parity_resnet18",
    ):
        command(["parity_resnet81", "--out", str(tmp_path)])
    (tmp_path / "mine.yaml").write_text("train: {learning_rat: 0.1}")
    with pytest.raises(InputError, match="unknown key 'learning_rat'.*learning_rate"):
        command([str(tmp_path / "mine.yaml"), "--out", str(tmp_path)])
