"""Checkpoints: exact round trips; others' and damaged ones are refused by name."""

import errno
import os

import jax.numpy as jnp
import numpy as np
import pytest

from classifiers.checkpoints import Checkpoints
from lensjax.errors import InputError

TREE = {
    "params": {"a.kernel": jnp.arange(6.0).reshape(2, 3)},
    "step": jnp.asarray(7, jnp.int32),
    "none": {},
}
NOTE = {"settings": {"seed": 1, "epochs": 3}}


def test_round_trip_keeps_every_bit_and_the_newest(tmp_path):
    kept = Checkpoints(tmp_path)
    assert kept.newest() is None
    for number in (1, 2, 2):
        kept.save(number, {**TREE, "step": jnp.asarray(number, jnp.int32)}, NOTE)
    tree, note = Checkpoints(tmp_path).restore(TREE, NOTE["settings"])
    assert kept.newest() == 2 and [p.name for p in tmp_path.iterdir() if p.name.isdigit()] == ["2"]
    assert (
        np.array_equal(tree["params"]["a.kernel"], TREE["params"]["a.kernel"])
        and tree["step"] == 2
        and tree["step"].dtype == np.int32
    )
    assert note["settings"] == NOTE["settings"]


def test_other_settings_and_other_arrays_are_named(tmp_path):
    kept = Checkpoints(tmp_path)
    kept.save(1, TREE, NOTE)
    with pytest.raises(InputError, match=r"seed: 1, not 2"):
        kept.restore(TREE, {"seed": 2, "epochs": 3})
    with pytest.raises(InputError, match=r"arrays that differ: params/a.kernel, params/b.kernel"):
        kept.restore({**TREE, "params": {"b.kernel": TREE["params"]["a.kernel"]}}, NOTE["settings"])
    with pytest.raises(InputError, match=r"arrays that differ: params/a.kernel"):
        kept.restore({**TREE, "params": {"a.kernel": jnp.zeros((3, 2))}}, NOTE["settings"])


@pytest.mark.parametrize("part", ["arrays", "note"])
def test_damage_is_refused(tmp_path, part):
    kept = Checkpoints(tmp_path)
    kept.save(1, TREE, NOTE)
    files = [p for p in (tmp_path / "1" / part).rglob("*") if p.is_file() and p.stat().st_size]
    for path in files:
        path.write_bytes(bytes(b ^ 0x55 for b in path.read_bytes()))
    with pytest.raises(InputError, match="checkpoint") as refused:
        Checkpoints(tmp_path).restore(TREE, NOTE["settings"])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_checkpoint_without_room_is_not_begun(tmp_path, monkeypatch, number):
    kept = Checkpoints(tmp_path)
    kept.save(1, TREE, NOTE)
    asked = []

    def full(file, start, size):
        asked.append(size)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", full)
    for again in (1, 2):
        with pytest.raises(OSError) as stopped:
            kept.save(again, TREE, NOTE)
        assert stopped.value.errno == number and stopped.value.filename == str(tmp_path)
    assert min(asked) >= sum(np.asarray(x).nbytes for x in TREE["params"].values())
    assert [p.name for p in tmp_path.iterdir()] == ["1"] and Checkpoints(tmp_path).restore(
        TREE, NOTE["settings"]
    )[0]["step"] == 7


@pytest.mark.parametrize(
    "error",
    [
        ValueError("RESOURCE_EXHAUSTED: Failed to write 9 bytes: No space left on device"),
        OSError(28, "No space left on device"),
    ],
)
def test_a_full_disk_is_an_oserror_and_leaves_the_checkpoint_before_it(
    tmp_path, monkeypatch, error
):
    """The words are tensorstore's; test_training_survival fills a real file system where that is
    permitted."""
    kept = Checkpoints(tmp_path)
    kept.save(1, TREE, NOTE)

    def full(number, **rest):
        (tmp_path / f"{number}.orbax-checkpoint-tmp" / "arrays").mkdir(parents=True)
        raise error

    monkeypatch.setattr(kept._manager, "save", full)
    with pytest.raises(OSError) as stopped:
        kept.save(2, TREE, NOTE)
    assert stopped.value.errno == 28 and not list(tmp_path.glob("*tmp*"))
    again = Checkpoints(tmp_path)
    assert (
        again.newest() == 1
        and again.restore(TREE, NOTE["settings"])[1]["settings"] == NOTE["settings"]
    )
