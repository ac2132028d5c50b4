"""The loader gives back what was written, and names file, record and reason whenever it cannot."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from test_shards import rows, stamps, write

from data import shards, tfrecord
from data.loader import load_split
from data.survey import OF_A_RUN, default, load
from data.survey import write as write_definition
from lensjax.errors import InputError

FIRST = "lensjax_cutouts-train.tfrecord-00000-of-00003"


@pytest.fixture
def folder(tmp_path):
    write(tmp_path)
    return tmp_path


def test_gives_back_every_record_and_field(folder):
    table, images = rows(10), stamps(10)
    for split in ("train", "val"):
        found = load_split(folder, split)
        index = [[r["galaxy_id"] for r in table].index(g) for g in found["galaxy_id"]]
        assert sorted(index) == [i for i, r in enumerate(table) if r["split"] == split]
        np.testing.assert_array_equal(found["image"], images[index])
        for name in (
            "ra",
            "dec",
            "label",
            "sample_weight",
            "tier",
            "split",
            "nobs_z",
            "healpix_128",
        ):
            assert found[name].tolist() == [table[i][name] for i in index], name
        assert (
            found["ra"].dtype == np.float64
            and found["label"].dtype == np.int64
            and found["sample_weight"].dtype == np.float32
        )
        assert (found["pool"] == "").all() and np.isnan(found["psfsize_r"]).all()


def test_gives_only_what_is_asked_for(folder):
    assert set(load_split(folder, "val", ("label", "ra"))) == {"label", "ra"}
    empty = load_split(folder, "test")
    assert empty["image"].shape == (0, 9, 9, 3) and empty["label"].shape == (0,)
    for wrong in ({"split": "dev"}, {"split": "val", "fields": ("lable",)}):
        with pytest.raises(InputError, match="not among"):
            load_split(folder, **wrong)


def test_finds_the_shards_from_the_run_folder(tmp_path):
    write(tmp_path / "shards" / shards.NAME / shards.VERSION)
    assert len(load_split(tmp_path, "train", ("label",))["label"]) == 7
    with pytest.raises(InputError, match="lensjax survey"):
        load_split(tmp_path / "elsewhere", "train")


def test_a_missing_shard_is_named(folder):
    (folder / FIRST).unlink()
    with pytest.raises(InputError, match=f"{FIRST}: missing"):
        load_split(folder, "train")


@pytest.mark.parametrize("record", [0, 1])
@pytest.mark.parametrize("place", ["length", "length checksum", "data", "data checksum"])
def test_any_flipped_byte_is_found_and_its_record_named(folder, record, place):
    content = bytearray((folder / FIRST).read_bytes())
    start = 0
    for _ in range(record):
        start += 16 + struct.unpack_from("<Q", content, start)[0]
    length = struct.unpack_from("<Q", content, start)[0]
    at = {
        "length": 0,
        "length checksum": 9,
        "data": 12 + length // 2,
        "data checksum": 12 + length + 1,
    }[place]
    content[start + at] ^= 0x10
    (folder / FIRST).write_bytes(content)
    with pytest.raises(
        InputError, match=f"{FIRST}, record {record}: the checksum of its {place.split()[0]}"
    ):
        load_split(folder, "train", ("label",))


@pytest.mark.parametrize("keep", [-1, -200, 5])
def test_a_truncated_shard_is_named_with_its_record(folder, keep):
    content = (folder / FIRST).read_bytes()
    (folder / FIRST).write_bytes(content[:keep])
    with pytest.raises(InputError, match=f"{FIRST}, record {0 if keep == 5 else 2}: truncated"):
        load_split(folder, "train")


def test_a_shard_cut_between_records_is_refused(folder):
    content = (folder / FIRST).read_bytes()
    (folder / FIRST).write_bytes(content[: 16 + struct.unpack_from("<Q", content)[0]])
    with pytest.raises(InputError, match=f"{FIRST}: whole, but not the file"):
        load_split(folder, "train")


def test_a_whole_shard_in_the_place_of_another_is_refused(folder):
    (folder / FIRST).write_bytes((folder / FIRST.replace("00000-of", "00001-of")).read_bytes())
    with pytest.raises(InputError, match="not the file of shards.json"):
        load_split(folder, "train")


def test_counts_must_agree_with_the_index_even_when_checksums_do(folder):
    index = json.loads((folder / shards.INDEX).read_text())
    for wrong, message in ((2, "more than the 2 records"), (4, "3 records, shards.json says 4")):
        index["shards"][0]["records"] = wrong
        (folder / shards.INDEX).write_text(json.dumps(index))
        with pytest.raises(InputError, match=message):
            load_split(folder, "train", ("label",))


def test_a_record_that_is_no_cutout_is_named(folder):
    for record, reason in (
        (b"\xff\xff not protobuf", "not a tf.train.Example"),
        (b"", "record 0: not a cutout"),
    ):
        tfrecord.write(folder / FIRST, [record] * 3)
        index = json.loads((folder / shards.INDEX).read_text())
        index["shards"][0].update(shards.described(folder / FIRST, 3))
        (folder / shards.INDEX).write_text(json.dumps(index))
        with pytest.raises(InputError, match=reason):
            load_split(folder, "train")


def test_an_index_that_is_not_one_is_refused(folder):
    (folder / shards.INDEX).write_text('{"shards": [{"file": 3}]}')
    with pytest.raises(InputError, match="not a shard index"):
        load_split(folder, "train")


def test_needs_no_tensorflow(folder):
    code = (
        "import sys; sys.modules['tensorflow'] = None; from data.loader import load_split; "
        "print(len(load_split(sys.argv[1], 'train')['label']))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert found.stdout.split()[-1] == "7"


def test_shards_of_another_survey_are_refused_and_those_of_any_survey_read(tmp_path):
    survey = load("hsc")
    image = np.random.default_rng(0).normal(size=(8, 8, 5)).astype("f4")
    row = {"galaxy_id": "a_1", "label": 1, "split": "train", "sample_weight": 1.0, "nobs_i": 7}
    folder = tmp_path / "shards" / shards.NAME / shards.VERSION
    planned = shards.plan(["train"], np.array([1]), 4)
    records = [shards.example(image, row | {"psfsize_y": 0.5, "nobs_i_bin": "6-10"}, survey)]
    written = [shards.write(folder / planned[0].file, records)]
    shards.finish(folder, planned, written, 8, survey=survey)
    found = load_split(tmp_path, "train", survey=survey)
    np.testing.assert_array_equal(found["image"], image[None])
    assert found["nobs_i"].tolist() == [7] and found["psfsize_y"].tolist() == [0.5]
    assert found["nobs_i_bin"].tolist() == ["6-10"] and "nobs_z" not in found
    with pytest.raises(InputError, match=r"shards.json: shards of another survey .survey 'hsc'"):
        load_split(tmp_path, "train", survey=default())
    write_definition(tmp_path / OF_A_RUN, default())
    with pytest.raises(InputError, match="expected 'ls_dr10' with g,r,z"):
        load_split(tmp_path, "train")


def test_an_index_that_names_a_file_elsewhere_is_refused(folder):
    index = json.loads((folder / shards.INDEX).read_text())
    index["shards"][0]["file"] = "../../secret"
    (folder / shards.INDEX).write_text(json.dumps(index))
    with pytest.raises(InputError, match="does not lie below"):
        load_split(folder, "train")


def test_an_index_of_the_version_before_reads_as_the_default_survey(folder):
    index = json.loads((folder / shards.INDEX).read_text())
    for key in ("survey", "bands", "fields"):
        del index[key]
    (folder / shards.INDEX).write_text(json.dumps(index))
    assert load_split(folder, "train")["image"].shape == (7, 9, 9, 3)
