"""Streaming: the loader's cutouts in the order asked for; damage is found when it is read."""

import numpy as np
import pytest
from test_shards import write

from data import streaming, tfrecord
from data.loader import load_split
from lensjax.errors import InputError

FIRST = "lensjax_cutouts-train.tfrecord-00000-of-00003"


@pytest.fixture
def folder(tmp_path):
    write(tmp_path)
    return tmp_path


@pytest.mark.parametrize("threads", [0, 3])
def test_rows_come_in_the_order_asked_for(folder, threads):
    images, source = (
        load_split(folder, "train", ("image",))["image"],
        streaming.records(folder, "train"),
    )
    assert len(source) == len(images) == 7
    rows = [3, 0, 6, 1, 1]
    found = list(streaming.batches(source, rows, 2, threads=threads))
    assert [len(f) for f in found] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(found), images[rows])


def test_processes_that_read_ahead_keep_the_order(folder):
    images, source = (
        load_split(folder, "train", ("image",))["image"],
        streaming.records(folder, "train"),
    )
    rows = [6, 2, 5, 0, 4, 1, 3]
    found = [np.array(batch) for batch in streaming.batches(source, rows, 2, workers=2)]
    assert [len(f) for f in found] == [2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(found), images[rows])


def test_a_flipped_byte_is_found_when_its_record_is_read(folder):
    source = streaming.records(folder, "train")
    path = folder / FIRST
    content = bytearray(path.read_bytes())
    content[int(source.place[1]) + 50] ^= 1
    path.write_bytes(bytes(content))
    source[0]
    with pytest.raises(InputError, match=f"{FIRST}, record 1: .*checksum"):
        source[1]
    with pytest.raises(InputError, match="record 1"):
        list(streaming.batches(source, range(7), 2, threads=2))


def test_a_file_that_is_not_the_listed_one_is_refused_at_once(folder):
    path = folder / FIRST
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(InputError, match=f"{FIRST}: .*bytes, shards.json says"):
        streaming.records(folder, "train")
    broken = bytearray(whole)
    broken[tfrecord.HEADER.size - 1] ^= 1
    path.write_bytes(bytes(broken))
    with pytest.raises(InputError, match=f"{FIRST}, record 0: the checksum of its length"):
        streaming.records(folder, "train")
    path.unlink()
    with pytest.raises(InputError, match=f"{FIRST}: missing"):
        streaming.records(folder, "train")
