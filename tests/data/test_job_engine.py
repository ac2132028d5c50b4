"""Without Spark: any mapper gives the same bytes, and names of items stay in their folder."""

import pytest

from data import jobs
from lensjax.errors import InputError


def work(payload, temporary):
    temporary.write_text(str(payload))
    return {"n": payload}


def backwards(items, task, advance):
    """A mapper that takes the last item first, as workers of a cluster might."""
    return [task(item) for item in reversed(items)]


def tree(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_any_mapper_gives_the_same_entries_and_bytes(tmp_path):
    items = [(f"part-{i}", i) for i in range(4)]
    one = jobs.run(tmp_path / "a", items, work, ".txt", "numbers")
    two = jobs.run(tmp_path / "b", items, work, ".txt", "numbers", mapper=backwards)
    assert one == two and tree(tmp_path / "a") == tree(tmp_path / "b")
    assert [p.read_text() for p in jobs.outputs(tmp_path / "a")] == ["0", "1", "2", "3"]


def test_an_interrupted_job_does_only_what_is_missing(tmp_path):
    items, seen = [(f"part-{i}", i) for i in range(4)], []

    def stopped(payload, temporary):
        if payload == 2:
            raise KeyboardInterrupt
        return work(payload, temporary)

    def noted(payload, temporary):
        seen.append(payload)
        return work(payload, temporary)

    with pytest.raises(KeyboardInterrupt):
        jobs.run(tmp_path / "a", items, stopped, ".txt", "numbers")
    with pytest.raises(InputError, match="has not finished"):
        jobs.outputs(tmp_path / "a")
    jobs.run(tmp_path / "a", items, noted, ".txt", "numbers")
    jobs.run(tmp_path / "b", items, work, ".txt", "numbers")
    assert seen == [2, 3] and tree(tmp_path / "a") == tree(tmp_path / "b")


@pytest.mark.parametrize("content", [b"", b"\xff{", b"null", b"{}", b'{"name": "part-0"'])
def test_what_a_damaged_note_says_is_not_done(tmp_path, content):
    items = [(f"part-{i}", i) for i in range(2)]

    def failing(payload, temporary):
        if payload == 1:
            raise InputError("not now")
        return work(payload, temporary)

    with pytest.raises(InputError, match="not now"):
        jobs.run(tmp_path / "a", items, failing, ".txt", "numbers")
    (tmp_path / "a" / "_done" / "part-0.json").write_bytes(content)
    entries = jobs.run(tmp_path / "a", items, work, ".txt", "numbers")
    (tmp_path / "a" / "_job.json").write_bytes(content)
    assert jobs.run(tmp_path / "a", items, work, ".txt", "numbers") == entries


@pytest.mark.parametrize("name", ["../x", "a/b", "_x", ".x", "", "a b"])
def test_items_whose_names_are_no_names_of_files_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="name of an item"):
        jobs.run(tmp_path / "a", [(name, 0)], work, ".txt", "numbers")
    assert not (tmp_path / "a").exists()
