"""What training reads: the order of an epoch, resident and streaming alike, a part of the survey,
and every damage refused."""

import json
import re
import shutil
from pathlib import Path

import galaxies
import numpy as np
import pyarrow as pa
import pytest
from training_runs import SETTINGS, fresh, settings

from classifiers.training import command, inputs, loop, optimiser
from classifiers.training.step import make_step
from data import augment, manifest, shards
from data.loader import load_split
from data.preprocess import Preprocess, raw_robust
from lensjax.errors import InputError


def test_every_epoch_is_another_permutation_and_the_same_for_the_same_seed():
    s = settings()
    (a, turns), (b, _), (again, _) = (
        inputs.epoch_rows(np.arange(100) % 2, s, e) for e in (0, 1, 0)
    )
    assert (
        a.shape == (6, 1, 16)
        and len(set(a.ravel())) == 96
        and not np.array_equal(a, b)
        and np.array_equal(a, again)
    )
    assert np.array_equal(turns.ravel(), augment.codes(a.ravel(), s.seed, 0))
    with pytest.raises(
        InputError, match="batch 16 x accumulation 1 = 16 is larger than the training split .15."
    ):
        inputs.epoch_rows(np.zeros(15), s, 0)
    with pytest.raises(
        InputError, match="a batch of 17 is larger than the 16 stamps of a balanced epoch"
    ):
        inputs.epoch_rows(np.arange(17) % 2, settings(balanced=True, batch=17), 0)


def test_a_balanced_epoch_repeats_the_lenses():
    label = (np.arange(110) < 10).astype(int)
    rows, _ = inputs.epoch_rows(label, settings(balanced=True, batch=10), 0)
    assert label[rows].mean() == pytest.approx(0.5) and set(rows[label[rows] == 1]) == set(
        range(10)
    )


def test_streaming_trains_as_resident_does(uninterrupted, parts, survey, tmp_path):
    """The same batches in the same order; the losses differ by float error, since preprocessing is
    compiled into another program."""
    net, update, _, _, val = parts
    s = settings(input="streaming")
    train, way = inputs.training(survey, s)
    assert way == "streaming"
    step = make_step(net, update, s.seed, prepare=train.prepare)
    run = loop.Run(tmp_path, s, net, step, optimiser.schedule(s, 6), train, val.split)
    state, _ = loop.fit(run, fresh(parts))
    losses = [
        [json.loads(x)["train_loss"] for x in (f / "metrics.jsonl").read_text().splitlines()]
        for f in (tmp_path, uninterrupted[0])
    ]
    assert np.allclose(*losses, rtol=1e-3)
    for name in state.params:
        assert np.allclose(state.params[name], uninterrupted[1].params[name], atol=5e-3), name


def test_the_input_is_chosen_by_memory_and_says_so(survey, monkeypatch):
    assert inputs.training(survey, settings())[1].startswith("resident (0.0 GiB)")
    listed = json.loads((shards.located(survey) / shards.INDEX).read_text())
    number = {
        split: sum(e["records"] for e in listed["shards"] if e["split"] == split)
        for split in ("train", "val")
    }
    need = inputs.needed(survey, settings())
    assert need == {
        "device": 4 * 3 * 24**2 * sum(number.values()),
        "host": 4 * 3 * (32**2 * number["train"] + 24**2 * sum(number.values())),
    }
    assert inputs.needed(survey, settings(precision="bfloat16"))["device"] == need["device"] // 2
    for short in need:
        monkeypatch.setattr(
            inputs,
            "available",
            lambda short=short: {name: 1000 if name == short else 10**12 for name in need},
        )
        train, way = inputs.training(survey, settings())
        assert (
            isinstance(train, inputs.Streaming)
            and way.startswith("streaming (resident would take")
            and f"of the {short}'s" in way
        )
    assert isinstance(inputs.training(survey, settings(input="resident"))[0], inputs.Resident)


@pytest.mark.parametrize("way", ["resident", "streaming"])
def test_training_on_a_part_of_the_survey(survey, way):
    s = settings(select="nobs_z > 6 and type_bin != 'REX'", input=way)
    train, _ = inputs.training(survey, s)
    columns = load_split(survey, "train", ("galaxy_id", "nobs_z", "type_bin"))
    wanted = columns["galaxy_id"][(columns["nobs_z"] > 6) & (columns["type_bin"] != "REX")]
    assert train.ids.tolist() == wanted.tolist() and 0 < len(wanted) < len(columns["galaxy_id"])
    (split, rows, _), *_ = train.updates(np.array([[[1, 0]]]), np.zeros((1, 1, 2), int))
    images = load_split(survey, "train", ("image",))["image"][np.isin(columns["galaxy_id"], wanted)]
    assert np.allclose(
        train.prepare(split.images)[rows[0]], raw_robust(images[[1, 0]], s.preprocess), atol=1e-4
    )
    wrongs = {
        "nobs > 3": "cannot be evaluated",
        "@pd.io": "not part of",
        "nobs_z + 1": "not a condition",
        "nobs_z > 99": "holds for none",
    }
    for wrong, message in wrongs.items():
        with pytest.raises(InputError, match=message):
            inputs.training(survey, settings(select=wrong, input=way))


def test_turning_commutes_with_preprocessing():
    p = Preprocess(crop=31)
    images = galaxies.stamps(np.ones(8), size=31)
    codes = np.arange(16)
    turned = np.stack([augment.turned(images[0], code) for code in codes])
    assert np.allclose(
        raw_robust(turned, p),
        augment.apply(raw_robust(np.repeat(images[:1], 16, 0), p), codes),
        atol=1e-5,
    )


@pytest.mark.parametrize("weight", [np.inf, np.nan, -1.0, 1e39])
def test_what_is_no_weight_is_refused_with_the_object(weight):
    columns = {"label": np.array([1, 0]), "tier": np.array(["A", "N1"])}
    columns |= {"sample_weight": np.array([1.0, weight]), "galaxy_id": np.array(["a", "b"])}
    with np.errstate(over="ignore"), pytest.raises(InputError, match="sample_weight of b is not"):
        inputs.targets(columns, "train", settings(), Path("x"))


def test_tier_b_target_weights_and_shuffled_labels(survey):
    split = inputs.resident(survey, "train", settings(tier_b_target=0.95)).split
    columns = load_split(survey, "train", ("tier", "label"))
    b = columns["tier"] == "B"
    assert np.allclose(np.asarray(split.target)[b], 0.95) and np.allclose(
        np.asarray(split.weight), np.where(b, 0.5, 1.0)
    )
    shuffled = inputs.resident(survey, "train", settings(shuffle_labels=True)).split
    assert np.asarray(shuffled.target).sum() == columns["label"].sum() and not np.array_equal(
        shuffled.target, columns["label"]
    )


def test_a_split_of_one_kind_and_blank_stamps_are_refused(tmp_path):
    rows = [{**r, "label": 1, "split": "train"} for r in galaxies.table(20)]
    images = galaxies.stamps(np.ones(20))
    out = galaxies.survey(tmp_path / "lenses", rows, images)
    with pytest.raises(InputError, match="20 lenses and 0 non-lenses"):
        inputs.resident(out, "train", settings())
    images[3, ..., 1] = np.nan
    out = galaxies.survey(tmp_path / "blank", rows, images)
    with pytest.raises(
        InputError,
        match=r"1 stamps without data in a band "
        r"\(0010p000_3: .*-train.tfrecord-00000-of-00001, record \d+\)",
    ) as refused:
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
    path.write_bytes(
        {"flipped": content, "truncated": content[: len(content) // 2], "nan": path.read_bytes()}[
            damage
        ]
    )
    reason = {
        "flipped": "checksum of its data",
        "truncated": "truncated",
        "nan": "without data in a band",
    }[damage]
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"train": {**SETTINGS, "epochs": 1}}))
    with pytest.raises(InputError, match=reason) as refused:
        command([str(config), "--out", str(out), "--input", way])
    assert re.search(rf"{path.name}, record \d+", str(refused.value)) and "\n" not in str(
        refused.value
    )
    assert not (out / "training" / "classifier.json").exists()


def test_shards_that_are_not_the_manifests_are_refused(survey, tmp_path):
    rows = galaxies.table(160)
    columns = {
        **{name: [r[name] for r in rows] for name in rows[0]},
        "cutout_path": [f"{r['galaxy_id']}.npz" for r in rows],
        "size": [32] * 160,
    }
    columns["brickname"] = [f"b{i % 4}" for i in range(160)]
    usable = [True] * 160
    table = lambda: pa.table({**columns, "quality_ok": usable})
    out = tmp_path / "run"
    shutil.copytree(survey, out)
    manifest.write(out / "manifest.parquet", table())
    for way in ("resident", "streaming"):
        inputs.training(out, settings(input=way))
    chosen, _ = inputs.training(
        out, settings(select="brickname == 'b3'")
    )  # a column that only the manifest has
    train = [
        (r["galaxy_id"], name)
        for r, name in zip(rows, columns["brickname"])
        if r["split"] == "train"
    ]
    assert sorted(chosen.ids) == sorted(
        galaxy for galaxy, name in train if name == "b3"
    ) and 0 < len(chosen.ids) < len(train)
    first = next(i for i, r in enumerate(rows) if r["split"] == "train")
    columns["label"][first] ^= 1
    manifest.write(out / "manifest.parquet", table())
    with pytest.raises(
        InputError,
        match="1 objects of split train have another label in the shards "
        rf"\({rows[first]['galaxy_id']}\)",
    ):
        inputs.training(out, settings())
    columns["label"][first] ^= 1
    usable[first] = False  # a row of no use is not missed, but what is in the shards must be of use
    manifest.write(out / "manifest.parquet", table())
    with pytest.raises(InputError, match=f"not usable in the manifest .{rows[first]['galaxy_id']}"):
        inputs.training(out, settings())
    usable[first] = True
    more = {
        name: [
            *values,
            {"galaxy_id": "lost_1", "cutout_path": "lost_1.npz", "split": "train"}.get(
                name, values[-1]
            ),
        ]
        for name, values in columns.items()
    }
    manifest.write(out / "manifest.parquet", pa.table({**more, "quality_ok": [True] * 161}))
    for way in ("resident", "streaming"):
        with pytest.raises(
            InputError,
            match=r"manifest.parquet: 1 objects of split train are in the manifest and not in "
            r"the shards \(lost_1\)",
        ):
            inputs.training(out, settings(input=way))
