"""Files and folders take their names whole, whoever else writes them at the same time, and after a
kill at any point."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from data import files, jobs
from lensjax.errors import InputError

SIZE = 1 << 18


def made(folder, text):
    folder.mkdir()
    (folder / "a").write_text(text)
    (folder / "b").write_text(text)


def held(folder):
    return {p.name: p.read_text() for p in folder.iterdir()}


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_two_writers_of_one_file_do_not_share_what_is_not_finished(tmp_path, kind):
    """Each writes half, waits for the other to have done so, and writes the rest."""
    path = tmp_path / "a.txt"
    if kind == "threads":
        both = Barrier(2, timeout=20)

        def write(letter):
            with files.replacing(path) as temporary, open(temporary, "w") as file:
                file.write(letter * SIZE)
                file.flush()
                both.wait()
                file.write(letter * SIZE)
            return temporary

        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(write, "xy")
        assert first != second
    else:
        # The same number of a process, as two machines that share a disk may have.
        code = (
            "import os, sys; os.getpid = lambda: 7\nfrom data.files import replacing\n"
            "with replacing(sys.argv[1]) as t, open(t, 'w') as f:\n"
            f"    f.write(sys.argv[2] * {SIZE}); f.flush(); print('half', flush=True)\n"
            f"    sys.stdin.readline(); f.write(sys.argv[2] * {SIZE})\n"
        )
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        two = [subprocess.Popen([sys.executable, "-c", code, path, x], **pipes) for x in "xy"]
        assert [p.stdout.readline() for p in two] == ["half\n"] * 2
        for process in two:
            process.communicate("\n")
        assert [p.returncode for p in two] == [0, 0]
    assert path.read_text() in ("x" * 2 * SIZE, "y" * 2 * SIZE)
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_another(tmp_path):
    made(tmp_path / "out", "old")
    with files.replacing_folder(tmp_path / "out") as temporary:
        made(temporary, "new")
        assert held(tmp_path / "out") == {"a": "old", "b": "old"}
    assert held(tmp_path / "out") == {"a": "new", "b": "new"}
    with pytest.raises(ZeroDivisionError), files.replacing_folder(tmp_path / "out") as temporary:
        made(temporary, "bad")
        raise ZeroDivisionError
    assert held(tmp_path / "out") == {"a": "new", "b": "new"} and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(("renames", "left"), [(0, "old"), (1, "old"), (2, "new")])
def test_a_kill_between_the_steps_leaves_one_whole_folder(tmp_path, monkeypatch, renames, left):
    class Killed(BaseException):
        pass

    done, real = [], os.rename

    def rename(old, new):
        if len(done) == renames:
            raise Killed
        done.append(new)
        real(old, new)

    def kill(path):
        raise Killed

    made(tmp_path / "out", "old")
    made(tmp_path / "new", "new")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "rename", rename)
        patch.setattr(files, "remove", kill)
        files.take_place(tmp_path / "new", tmp_path / "out")
    files.restore(tmp_path)
    assert held(tmp_path / "out") == {"a": left, "b": left}
    assert not list(tmp_path.glob(".*"))


def test_many_who_replace_one_folder_leave_one_of_them_whole(tmp_path):
    start = Barrier(8, timeout=20)

    def replace(number):
        start.wait()
        for i in range(20):
            with files.replacing_folder(tmp_path / "out") as temporary:
                made(temporary, f"{number} {i}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(replace, range(8)))
    found = held(tmp_path / "out")
    assert len(found) == 2 and found["a"] == found["b"]
    assert os.listdir(tmp_path) == ["out"]


def test_attempts_at_one_item_of_folders_do_not_disturb_each_other(tmp_path):
    """As speculative tasks: every attempt writes the same, all at once."""
    together = Barrier(8, timeout=20)

    def work(payload, temporary):
        made(temporary, "same")
        together.wait()
        return {}

    def several(items, task, advance):
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(task, [*items] * 8))[:1]

    (entry,) = jobs.run(tmp_path / "j", [("x", 0)], work, "", "folders", mapper=several)
    assert entry["bytes"] == 8 and held(tmp_path / "j" / "x") == {"a": "same", "b": "same"}
    assert sorted(os.listdir(tmp_path / "j")) == ["_SUCCESS", "_job.json", "x"]


def test_a_second_run_in_a_folder_is_refused(tmp_path):
    def work(payload, temporary):
        with pytest.raises(InputError, match="another process writes here"):
            jobs.run(tmp_path / "j", [("y", 0)], work, ".txt", "second")
        temporary.write_text("first")
        return {}

    jobs.run(tmp_path / "j", [("x", 0)], work, ".txt", "first")
    assert [p.name for p in jobs.outputs(tmp_path / "j")] == ["x.txt"]
