"""Training that is killed, stopped, given NaN or a full disk: nothing is lost, and what goes on
ends with the same bits."""

import dataclasses
import json
import os
import random
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
import programs
import pytest
from flax import nnx
from training_runs import SETTINGS, Killed, fresh, make_run, newest, same, settings

from classifiers import frozen, weights
from classifiers.training import command, inputs, interrupt, loop
from data.files import sha256
from lensjax.errors import InputError


@pytest.mark.parametrize("at", [1, 4, 7, 13])
def test_a_run_killed_at_any_update_ends_with_the_same_bits(uninterrupted, parts, tmp_path, at):
    def die(done, total, text):
        if done == at and not text:
            raise Killed

    with pytest.raises(Killed):
        loop.fit(
            make_run(tmp_path, parts, checkpoint_seconds=1e-9 if at == 4 else 1e9),
            fresh(parts),
            die,
        )
    state, _ = loop.fit(make_run(tmp_path, parts), fresh(parts))
    folder, whole, _ = uninterrupted
    assert same(state.params, whole.params) and same(state.statistics, whole.statistics)
    assert same(newest(tmp_path, parts), newest(folder, parts))
    keep = lambda path: [
        {k: v for k, v in json.loads(x).items() if "second" not in k}
        for x in (path / "metrics.jsonl").read_text().splitlines()
    ]
    assert keep(tmp_path) == keep(folder)


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGTERM, interrupt.Terminated), (signal.SIGINT, KeyboardInterrupt)],
)
def test_a_signal_saves_and_the_run_goes_on_from_that_update(
    uninterrupted, parts, tmp_path, number, raised
):
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
    victim = np.setdiff1d(rows, first)[
        0
    ]  # left out of the first epoch, so that there is a checkpoint before it
    update = int(np.argwhere(rows == victim)[0, 0])
    poisoned = dataclasses.replace(
        train,
        split=dataclasses.replace(train.split, weight=train.split.weight.at[victim].set(jnp.nan)),
    )
    broken = dataclasses.replace(make_run(tmp_path, parts), train=poisoned)
    with pytest.raises(InputError, match="not finite") as stopped:
        loop.fit(broken, fresh(parts))
    assert train.ids[victim] in str(stopped.value) and "last good checkpoint" in str(stopped.value)
    good = str(stopped.value).split("last good checkpoint: ")[1].split(";")[0]
    assert (
        Path(good).is_dir()
        and np.isfinite(
            np.concatenate([np.ravel(v) for v in newest(tmp_path, parts).params.values()])
        ).all()
    )
    monkeypatch.setattr(loop, "NAMED", 4)
    with pytest.raises(InputError, match=r"and 12 more in .*not_finite\.json"):
        loop.fit(broken, fresh(parts))
    listed = json.loads((tmp_path / "not_finite.json").read_text())
    assert listed["galaxy_id"] == train.ids[rows[update, 0]].tolist() and (
        listed["epoch"],
        listed["update"],
    ) == (2, update + 1)


def test_no_moment_of_a_run_is_without_a_whole_checkpoint(parts, tmp_path, monkeypatch):
    """Whenever something is removed from `last`, another whole checkpoint is there."""
    remaining = []
    remove = shutil.rmtree

    def watched(path, *args, **kwargs):
        folder = Path(path).parent
        if folder == tmp_path / "last" and Path(path).name.isdigit():
            remaining.append(
                [p.name for p in folder.iterdir() if p.name.isdigit() and p.name != Path(path).name]
            )
        return remove(path, *args, **kwargs)

    monkeypatch.setattr(shutil, "rmtree", watched)
    loop.fit(make_run(tmp_path, parts, checkpoint_seconds=1e-9, epochs=2), fresh(parts))
    assert len(remaining) > 8 and all(remaining)


@contextmanager
def running(line, folder, number):
    """The command as a process, as soon as it has written a checkpoint of this number or later."""
    last = folder / "training" / "last"
    newest = lambda: max((int(p.name) for p in last.glob("[0-9]*") if p.name.isdigit()), default=-1)
    number = max(number, newest() + 1)
    with subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while newest() < number:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.001)
        yield process


@pytest.mark.slow
@pytest.mark.stress
def test_the_command_survives_kill_9_and_sigterm_and_gives_a_classifier(tmp_path):
    """The whole command, killed by SIGKILL at a random update, then stopped by SIGTERM at another,
    ends with the bytes of an uninterrupted run."""
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
    with pytest.raises(
        InputError,
        match=r"last/\d+: checkpoint of other settings \(learning_rate: 0.01, not 0.02\).*--force",
    ):
        command([str(config), "--out", str(out), "--learning-rate", "0.02"])
    assert not (out / "records" / "train.json").exists()
    assert command([str(config), "--out", str(out)]) == 0
    one, two = (frozen.load(folder / "training") for folder in (whole, out))
    assert one.info["weights_sha256"] == two.info["weights_sha256"] and weights.finite(
        weights.flatten(one.model)
    )
    lines = [
        json.loads(x)["epoch"]
        for x in (out / "training" / "metrics.jsonl").read_text().splitlines()
    ]
    assert lines == list(range(1, 16)) and not list(
        (out / "training").rglob("*orbax-checkpoint-tmp*")
    )
    assert command([str(config), "--out", str(whole)]) == 0  # up to date
    info = json.loads((whole / "training" / "run_info.json").read_text())
    assert (
        info["config"] == str(config)
        and info["config_sha256"] == sha256(config)
        and info["seeds"] == {"training": 42}
    )
    assert (
        info["device"] == {"platform": "cpu", "kind": jax.devices()[0].device_kind, "count": 1}
        and info["versions"]["jax"] == jax.__version__
    )
    assert info["utc"].endswith("+00:00") and info["parameters"] == sum(
        v.size for v in jax.tree.leaves(nnx.state(one.model, nnx.Param))
    )
    assert {
        "commit",
        "command",
        "manifest_sha256",
        "shards_sha256",
        "settings",
        "splits",
        "input",
    } <= set(info)


@pytest.mark.slow
def test_a_full_disk_stops_with_one_line(tmp_path):
    """On a file system of its own, a few pages larger than the survey. test_checkpoints shows that
    nothing half-written stays."""
    programs.needed("unshare", "mount", "sh", "cp", "df", "tail", "head")
    private = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run(
        [*private, f"mount -t tmpfs tmpfs {tmp_path}"], capture_output=True
    ).returncode:
        pytest.skip(
            "mounting a small file system is not permitted here; "
            "tests/classifiers/test_checkpoints.py raises the same error by hand"
        )
    config, survey, small = tmp_path / "config.yaml", tmp_path / "survey", tmp_path / "small"
    config.write_text(json.dumps({"train": {**SETTINGS, "epochs": 2, "checkpoint_seconds": 1e-9}}))
    galaxies.small_survey(survey, 160)
    small.mkdir()
    train = f"{sys.executable} -m lensjax.cli train {config} --out {small}/run"
    script = f"""
mount -t tmpfs -o size=4m tmpfs {small} && cp -r {survey} {small}/run || exit 9
free=$(df --output=avail -B1 {small} | tail -1)
head -c $((free - 65536)) /dev/zero > {small}/filler
{train}
"""
    done = subprocess.run([*private, script], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("lensjax:")]
    assert (
        "the disk is full" in said and "/training/last" in said and "Traceback" not in done.stderr
    )
