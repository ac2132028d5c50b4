"""Grades in one SQLite file, of which nothing is lost.

Every grade and every undo is a line of `events`, which only grows; `current` has the line that
holds for each grader and object, and both change in one transaction. A call returns when its
transaction is on the disk (write-ahead log, synchronous=FULL), so that a grade which the page calls
saved survives the end of the process at any moment. A client gives every event a key; sent again
with the same key, an event counts once.

Values reach SQL as parameters only.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.inspection.objects import Object
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FILE = "inspection.sqlite"
GRADES = {
    "A": "certain lens",
    "B": "probable lens",
    "C": "possible lens",
    "D": "not a lens",
}
"""Grades, from best to worst."""
LONGEST_NAME, LONGEST_NOTE, LONGEST_KEY = 80, 2000, 64

SCHEMA = """
CREATE TABLE session (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE objects (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, calibration INTEGER NOT NULL,
    truth TEXT NOT NULL, about TEXT NOT NULL);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, at TEXT NOT NULL,
    grader TEXT NOT NULL, number INTEGER NOT NULL REFERENCES objects (number),
    grade TEXT, note TEXT, undoes INTEGER UNIQUE REFERENCES events (seq));
CREATE INDEX by_grader ON events (grader, number, seq);
CREATE INDEX in_time ON events (grader, seq);
CREATE TABLE current (
    grader TEXT NOT NULL, number INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (grader, number)) WITHOUT ROWID;
"""
STANDING = (
    "e.grader = ? AND e.undoes IS NULL "
    "AND NOT EXISTS (SELECT 1 FROM events u WHERE u.undoes = e.seq)"
)
"""Events that are grades of one grader and have not been taken back."""


class Store:
    """The file of one inspection; may be used from several threads."""

    def __init__(self, path: str | Path) -> None:
        """Opens a file that `create` has made. Raises InputError when there is none."""
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: no inspection there; start one with `lensjax inspect serve`")
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            self.path, check_same_thread=False, isolation_level=None, timeout=30
        )
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self.session = {
                name: json.loads(value)
                for name, value in self._db.execute("SELECT name, value FROM session")
            }
            self.count = int(self._db.execute("SELECT count(*) FROM objects").fetchone()[0])
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: not a file of an inspection ({error})") from None

    @classmethod
    def create(cls, path: str | Path, objects: Sequence[Object], session: dict[str, Any]) -> Store:
        """A new file with these objects; session: what else has to be remembered, JSON values. It
        takes its name when it is whole."""
        from data.files import replacing

        rows = ((o.number, o.id, int(o.calibration), o.truth, json.dumps(o.about)) for o in objects)
        with replacing(path) as temporary:
            db = sqlite3.connect(temporary)
            with db:
                db.executescript(SCHEMA)
                db.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", rows)
                said = [(k, json.dumps(v)) for k, v in session.items()]
                db.executemany("INSERT INTO session VALUES (?, ?)", said)
            db.close()
        return cls(path)

    def close(self) -> None:
        """Closes the file; nothing is lost."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def object(self, number: int) -> Object:
        """Raises InputError when there is none of that number."""
        if not 1 <= number <= self.count:
            raise InputError(f"object {number}: there are 1 to {self.count}")
        row = self._rows("SELECT * FROM objects WHERE number = ?", number)[0]
        number, id, calibration, truth, about = row
        return Object(number, id, bool(calibration), truth, json.loads(about))

    def grade(self, grader: Any, number: int, grade: Any, note: Any, key: Any) -> None:
        """Notes a grade, which takes the place of an earlier one of the same grader. Grader, grade,
        note and key should be text. Raises InputError for names, notes and keys that are too long,
        empty or hold control characters, and for a grade or a number that there is not."""
        grader, note, key = name(grader), text(note, "note", LONGEST_NOTE), _key(key)
        if not isinstance(grade, str) or grade not in GRADES:
            raise InputError(f"grade {grade!r} is not one of {', '.join(GRADES)}")
        self.object(number)
        with self._writing() as db:
            made = db.execute(
                "INSERT INTO events (key, at, grader, number, grade, note) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                (key, now(), grader, number, grade, note),
            )
            if made.rowcount:
                values = (grader, number, made.lastrowid)
                db.execute("INSERT OR REPLACE INTO current VALUES (?, ?, ?)", values)

    def undo(self, grader: Any, key: Any) -> int | None:
        """Takes back the latest grade of a grader that still stands, and returns its object's
        number; the grade before it, if any, holds again. None where there is nothing to undo.
        Raises InputError as `grade` does."""
        grader, key = name(grader), _key(key)
        with self._writing() as db:
            if done := db.execute("SELECT number FROM events WHERE key = ?", (key,)).fetchone():
                return int(done[0])
            last = db.execute(
                f"SELECT e.seq, e.number FROM events e WHERE {STANDING} "
                "ORDER BY e.seq DESC LIMIT 1",
                (grader,),
            ).fetchone()
            if last is None:
                return None
            db.execute(
                "INSERT INTO events (key, at, grader, number, undoes) VALUES (?, ?, ?, ?, ?)",
                (key, now(), grader, last[1], last[0]),
            )
            before = db.execute(
                f"SELECT e.seq FROM events e WHERE {STANDING} AND e.number = ? "
                "ORDER BY e.seq DESC LIMIT 1",
                (grader, last[1]),
            ).fetchone()
            if before is None:
                db.execute("DELETE FROM current WHERE grader = ? AND number = ?", (grader, last[1]))
            else:
                values = (grader, last[1], before[0])
                db.execute("INSERT OR REPLACE INTO current VALUES (?, ?, ?)", values)
            return int(last[1])

    def graded(self, grader: str, number: int) -> tuple[str, str] | None:
        """Grade and note that a grader has given an object."""
        rows = self._rows(
            "SELECT grade, note FROM current JOIN events USING (seq) "
            "WHERE current.grader = ? AND current.number = ?",
            grader,
            number,
        )
        return (str(rows[0][0]), str(rows[0][1])) if rows else None

    def number(self, grader: str) -> int:
        """How many objects a grader has graded."""
        return int(self._rows("SELECT count(*) FROM current WHERE grader = ?", grader)[0][0])

    def next(self, grader: str, after: int = 0) -> int | None:
        """The first object behind `after` without a grade of this grader; at the end it begins
        again. None when all have one."""
        graded = "SELECT count(*) FROM current WHERE grader = ? AND number > ? AND number <= ?"
        # All of a range are graded if there are as many grades as numbers in it, so that the first
        # gap is found by halving: quickly even where 100,000 grades lie before it.
        whole = lambda low, high: self._rows(graded, grader, low, high)[0][0] == high - low
        for start in dict.fromkeys((min(after, self.count), 0)):
            low, high = start, self.count
            if whole(low, high):
                continue
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if whole(low, middle) else (low, middle)
            return high
        return None

    def progress(self) -> dict[str, dict[str, int]]:
        """How many objects each grader has given each grade, graders by the alphabet."""
        found: dict[str, dict[str, int]] = {}
        for grader, grade, n in self._rows(
            "SELECT events.grader, grade, count(*) FROM current JOIN events USING (seq) "
            "GROUP BY events.grader, grade ORDER BY events.grader, grade"
        ):
            found.setdefault(grader, dict.fromkeys(GRADES, 0))[grade] = n
        return found

    def grades(self) -> pd.DataFrame:
        """The grades that stand: a row for each grader and object, by object and grader, with
        number, id, calibration, truth, grader, grade, note and at (UTC), and what the tables say of
        the object."""
        import pandas as pd

        columns = ("number", "id", "calibration", "truth", "grader", "grade", "note", "at")
        rows = self._rows(
            "SELECT number, id, calibration, truth, events.grader, grade, note, at, about "
            "FROM current JOIN events USING (seq, number) JOIN objects USING (number) "
            "ORDER BY number, events.grader"
        )
        found = pd.DataFrame([row[:-1] for row in rows], columns=list(columns))
        found["calibration"] = found["calibration"].astype(bool)
        about = pd.DataFrame([json.loads(row[-1]) for row in rows], index=found.index)
        return found.join(about[[c for c in about if c not in columns]])


def now() -> str:
    """The time in UTC, to the millisecond, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def text(value: Any, what: str, longest: int) -> str:
    """Text as it is kept: composed characters, without blanks around it. Raises InputError when it
    is no text, is too long, or holds control characters other than the end of a line."""
    if not isinstance(value, str):
        raise InputError(f"{what}: expected text")
    found = unicodedata.normalize("NFC", value).strip()
    if len(found) > longest:
        raise InputError(f"{what}: {len(found)} characters, at most {longest} are kept")
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in found):
        raise InputError(f"{what}: holds control characters")
    return found


def name(value: Any) -> str:
    """A grader's name. Raises InputError as `text` does, and for an empty one or several lines."""
    found = text(value, "name", LONGEST_NAME)
    if not found or "\n" in found or "\t" in found:
        raise InputError("name: give one line that is not empty")
    return found


def _key(value: Any) -> str:
    if not (found := text(value, "key", LONGEST_KEY)):
        raise InputError("key: an event needs one")
    return found
