"""Grades are kept, taken back and counted as they should be, whatever happens to the process."""

import os
import signal
import sqlite3

import httpx
import numpy as np
import pandas as pd
import pytest
from inspections import KEYS, folder, grade, objects, served, store

from classifiers.inspection.store import FILE, GRADES, LONGEST_NAME, LONGEST_NOTE, Store
from lensjax.errors import InputError


def test_any_sequence_of_grades_and_undos_leaves_what_a_stack_leaves(tmp_path):
    """Against the obvious model: a list of grades for each grader, of which an undo takes the last
    one away. The file is closed and opened again in between."""
    rng = np.random.default_rng(0)
    made = store(tmp_path, objects(6))
    stacks: dict[str, list[tuple[int, str]]] = {"Anna": [], "Ben": []}
    for step in range(150):
        grader = str(rng.choice(list(stacks)))
        if rng.random() < 0.4:
            wanted = stacks[grader].pop()[0] if stacks[grader] else None
            assert made.undo(grader, next(KEYS)) == wanted
        else:
            number, letter = int(rng.integers(1, 7)), str(rng.choice(list(GRADES)))
            grade(made, grader, number, letter)
            stacks[grader].append((number, letter))
        if step % 50 == 49:
            made.close()
            made = Store(tmp_path / FILE)
        for name, stack in stacks.items():
            wanted = dict(stack)
            found = {n: g[0] for n in range(1, 7) if (g := made.graded(name, n))}
            assert found == wanted
            left = [n for n in range(1, 7) if n not in wanted]
            assert made.next(name) == (left[0] if left else None)
            assert sum(made.progress().get(name, {}).values()) == len(wanted)
    table = made.grades()
    assert [(r.grader, r.number, r.grade) for r in table.itertuples()] == sorted(
        ((name, n, g) for name, stack in stacks.items() for n, g in dict(stack).items()),
        key=lambda row: (row[1], row[0]),
    )
    with sqlite3.connect(tmp_path / FILE) as db:
        assert db.execute("SELECT count(*) FROM events").fetchone()[0] > 100  # nothing is deleted


def test_the_next_object_lies_behind_and_the_search_begins_again(tmp_path):
    made = store(tmp_path, objects(5))
    for number in (2, 4):
        grade(made, "Anna", number, "A")
    assert [made.next("Anna", after) for after in range(6)] == [1, 3, 3, 5, 5, 1]
    assert made.next("Ben", 3) == 4


def test_an_event_that_is_sent_twice_counts_once(tmp_path):
    made = store(tmp_path, objects(3))
    for letter in "AB":
        made.grade("Anna", 1, letter, "", f"key of {letter}")
    for _ in range(2):
        made.grade("Anna", 1, "A", "", "key of A")
    assert made.graded("Anna", 1) == ("B", "")
    assert made.undo("Anna", "an undo") == made.undo("Anna", "an undo") == 1
    assert made.graded("Anna", 1) == ("A", "")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("", 1, "A", "", "k"), "name: give one line"),
        (("  \n ", 1, "A", "", "k"), "name: give one line"),
        (("a\nb", 1, "A", "", "k"), "name: give one line"),
        (("a\x00b", 1, "A", "", "k"), "name: holds control"),
        (("x" * (LONGEST_NAME + 1), 1, "A", "", "k"), "name: 81 characters"),
        ((None, 1, "A", "", "k"), "name: expected text"),
        (("Anna", 1, "E", "", "k"), "grade 'E' is not one of A, B, C, D"),
        (("Anna", 1, ["A"], "", "k"), "is not one of"),
        (("Anna", 9, "A", "", "k"), "object 9: there are 1 to 3"),
        (("Anna", 1, "A", "x" * (LONGEST_NOTE + 1), "k"), "note: 2001 characters"),
        (("Anna", 1, "A", "\ud800", "k"), "note: holds control"),
        (("Anna", 1, "A", "", ""), "key: an event needs one"),
    ],
)
def test_what_is_no_grade_is_refused_and_leaves_nothing(tmp_path, values, said):
    made = store(tmp_path, objects(3))
    with pytest.raises(InputError, match=said):
        made.grade(*values)
    assert made.progress() == {} and made.grades().empty


def test_hostile_names_and_notes_are_text(tmp_path):
    names = ["x'); DROP TABLE events; --", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "ñ"]
    made = store(tmp_path, objects(4, names))
    for number, name in enumerate(names, 1):
        grade(made, name, number, "A", f"note of {name}")
    table = made.grades()
    assert set(table["grader"]) == set(table["id"]) == set(names)
    assert table["note"].tolist() == [f"note of {name}" for name in names]
    grade(made, "n\u0303", 1, "B")  # the same name, typed with a combining tilde
    assert made.graded("ñ", 1) == ("B", "") and len(made.progress()) == 4


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"no database at all" * 100)
    for name in ("x", "none"):
        with pytest.raises(InputError):
            Store(tmp_path / name)


def test_nothing_that_was_called_saved_is_lost_when_the_server_is_killed(tmp_path):
    """The process ends without warning while a client goes on sending; every grade that was
    answered is there afterwards, and the next server goes on from it."""
    ids = [f"g{i}" for i in range(40)]
    pd.DataFrame({"id": ids}).to_csv(tmp_path / "t.csv", index=False)
    words = [tmp_path / "t.csv", "--images", folder(tmp_path / "i", ids[:2]), "--port", "0"]
    words += ["--out", tmp_path / "out", "--size", "32"]
    saved: list[int] = []
    with served(*words) as (process, address), httpx.Client(base_url=address) as to:
        for number in range(1, 41):
            if number == 25:
                os.kill(process.pid, signal.SIGKILL)
            body = {
                "grader": "Anna",
                "number": number,
                "grade": "C",
                "note": "",
                "key": f"{number}",
            }
            try:
                assert to.post("api/grade", json=body).json() == {"saved": True}
            except httpx.TransportError:
                break
            saved.append(number)
    assert len(saved) >= 24
    made = Store(tmp_path / "out" / FILE)
    assert [n for n in range(1, 41) if made.graded("Anna", n)] == saved
    assert made.next("Anna") == saved[-1] + 1
    made.close()
