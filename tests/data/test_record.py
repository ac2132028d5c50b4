"""Run records: a step is done again exactly when something it depends on changed."""

from pathlib import Path

import pytest

from data import config
from data.files import replacing
from data.record import Step, read, up_to_date
from lensjax.errors import InputError


@config.settings
class Numbers:
    a: int = 1


def work(out: Path, config=Numbers(), text="x", name="first", after=(), external=()):
    step = Step(out, name, config, after=after, owns=(name,), external=external)
    if step.current():
        return False
    with step:
        with replacing(out / name / "result.txt") as temporary:
            temporary.write_text(text)
        step.finish([f"{name}/result.txt"], figure=3)
    return True


def test_a_finished_step_is_up_to_date(tmp_path):
    assert work(tmp_path)
    assert not work(tmp_path)
    assert up_to_date(tmp_path, "first", Numbers())
    assert read(tmp_path, "first")["notes"] == {"figure": 3}


def test_other_settings_or_inputs_or_lost_outputs_make_it_stale(tmp_path):
    external = tmp_path / "list.csv"
    external.write_text("1")
    work(tmp_path, external=[external])
    assert not up_to_date(tmp_path, "first", Numbers(a=2))
    external.write_text("12")
    assert not up_to_date(tmp_path, "first", Numbers())
    assert work(tmp_path, external=[external])
    (tmp_path / "first" / "result.txt").unlink()
    assert not up_to_date(tmp_path, "first", Numbers())


def test_a_step_depends_on_the_bytes_of_the_step_before(tmp_path):
    cure = rf"run `lensjax first --out {tmp_path}` first \(`lensjax run --out {tmp_path}` does"
    with pytest.raises(InputError, match=rf"'first' has not finished; {cure}"):
        work(tmp_path, name="second", after=("first",))
    work(tmp_path)
    work(tmp_path, name="second", after=("first",))
    assert up_to_date(tmp_path, "second", Numbers())
    work(tmp_path, config=Numbers(a=2), text="other")
    assert not up_to_date(tmp_path, "second", Numbers())


def test_an_interrupted_step_continues_but_other_settings_start_from_nothing(tmp_path):
    step = Step(tmp_path, "first", Numbers(), owns=("first",))
    with pytest.raises(KeyboardInterrupt), step:
        (tmp_path / "first").mkdir()
        (tmp_path / "first" / "part").write_text("half")
        raise KeyboardInterrupt
    assert read(tmp_path, "first") is None
    with Step(tmp_path, "first", Numbers(), owns=("first",)):
        assert (tmp_path / "first" / "part").exists()
    with Step(tmp_path, "first", Numbers(a=2), owns=("first",)):
        assert not (tmp_path / "first").exists()


@pytest.mark.parametrize("content", [b"", b"\xff{", b"null", b"[1]"])
def test_a_damaged_record_is_none(tmp_path, content):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "train.json").write_bytes(content)
    assert read(tmp_path, "train") is None


def test_two_processes_cannot_run_the_same_step(tmp_path):
    with Step(tmp_path, "first", Numbers()), pytest.raises(InputError, match="another process"):
        Step(tmp_path, "first", Numbers()).__enter__()


def test_an_error_leaves_no_file_of_the_final_name(tmp_path):
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
