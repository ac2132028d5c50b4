"""What a log says of a long job: how far it is, how quick, and how long it still takes."""

import io

import pytest

from data import jobs, progress


def test_a_line_soon_and_then_one_a_minute_with_rate_and_time_left():
    now, said = [100.0], io.StringIO()
    lines = progress.Lines("simulating bricks", 48, said, lambda: now[0])
    for done in range(1, 49):
        now[0] += 4.0
        lines(done)
    assert said.getvalue().splitlines() == [
        "simulating bricks: 3 of 48 (6.2 %), 15/min, 0:03:00 left",
        "simulating bricks: 18 of 48 (37.5 %), 15/min, 0:02:00 left",
        "simulating bricks: 33 of 48 (68.8 %), 15/min, 0:01:00 left",
    ]


def test_a_quick_job_says_nothing():
    said = io.StringIO()
    lines = progress.Lines("quick", 5, said, lambda: 1.0)
    for done in range(6):
        lines(done)
    assert said.getvalue() == ""


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1234.4, "1234/s"), (2.5, "2.5/s"), (0.5, "30/min"), (0.001, "3.6/h"), (0.0, "0/h")],
)
def test_rates_are_said_in_the_unit_in_which_they_can_be_read(rate, text):
    assert progress.speed(rate) == text


def test_an_unknown_time_is_said_to_be_unknown():
    assert progress.clock(3725) == "1:02:05"
    assert progress.line("a", 0, 9, 0.0) == "a: 0 of 9 (0.0 %), time left not known yet"


def test_every_job_says_how_far_it_is_where_there_is_no_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SOON", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)

    def work(payload, path):
        path.write_text("done")
        return {}

    jobs.run(tmp_path / "a", [(f"i{i}", i) for i in range(4)], work, ".txt", "simulating bricks")
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(" (")[0] for line in said] == [
        f"simulating bricks: {n} of 4" for n in (1, 2, 3)
    ]


def test_the_figures_of_a_job_are_words_also_where_they_are_of_one_kind():
    found = {"of_all": 360, "counts": {"train": 190, "val": 1 / 3}, "complete": False}
    assert progress.figures(found) == "of all 360, counts (train 190, val 0.333), complete no"
