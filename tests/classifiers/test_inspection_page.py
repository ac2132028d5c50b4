"""The server answers whom it should, and tells graders what they may know."""

import csv
import io
import re
from importlib import resources

import pandas as pd
import pytest
from inspections import PORT, TOKEN, client, grade, objects, store

from classifiers.inspection.objects import Object
from classifiers.inspection.store import GRADES
from lensjax.errors import InputError

HOSTILE = ["<img src=x onerror=alert(1)>", '=HYPERLINK("http://x")', "'; DROP TABLE objects; --"]
ADDRESSES = [
    *("", "page.js", "page.css", "api/session", "api/next?grader=a", "api/object/1?grader=a"),
    *("api/summary", "picture/1/colour.png", "export.csv", "export.parquet"),
]


@pytest.fixture
def made(tmp_path):
    return store(tmp_path, objects(5, HOSTILE))


def body(number=1, letter="A", **more):
    return {"grader": "Anna", "number": number, "grade": letter, "note": "", "key": "k"} | more


def test_every_address_answers_and_forbids_everything_from_elsewhere(made):
    to = client(made)
    for address in ADDRESSES:
        answer = to.get(address)
        assert answer.status_code == 200, address
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "http" not in policy and "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_without_the_token_nothing_is_told(made):
    to = client(made)
    for token in ("", "x", TOKEN[:-1], TOKEN + "x", "%C3%A9", "%ED%A0%80", TOKEN.upper(), "//"):
        for address in ADDRESSES:
            answer = to.get(f"http://127.0.0.1:{PORT}/{token}/{address}")
            assert answer.status_code == 404 and HOSTILE[0] not in answer.text
    assert to.get(f"http://127.0.0.1:{PORT}/{TOKEN}").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": f"localhost:{PORT}"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": f"evil.example:{PORT}"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": f"127.0.0.1:{PORT + 1}"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": f"http://127.0.0.1:{PORT}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": f"http://localhost:{PORT}"}, 403),
        ({"Origin": f"https://127.0.0.1:{PORT}"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_hosts_and_other_sites_are_refused(made, headers, status):
    to = client(made)
    assert to.get("api/session", headers=headers).status_code == status
    assert to.post("api/grade", json=body(), headers=headers).status_code == status
    assert (made.graded("Anna", 1) is not None) == (status == 200)


def test_an_address_that_is_typed_opens_the_page_but_grades_nothing(made):
    to, typed = client(made), {"Sec-Fetch-Site": "none"}
    assert to.get("", headers=typed).status_code == 200
    assert to.post("api/grade", json=body(), headers=typed).status_code == 403
    assert to.get("api/grade").status_code == 405


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"content": b"grader=Anna", "headers": {"Content-Type": "text/plain"}}, "expected JSON"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, "not JSON"),
        ({"content": b"[" * 9000, "headers": {"Content-Type": "application/json"}}, "not JSON"),
        ({"json": [1]}, "expected a JSON object"),
        ({"json": body(note="x" * 20_000)}, "more than 16384 bytes"),
        ({"json": body(number="1")}, "number: expected one"),
        ({"json": body(number=True)}, "number: expected one"),
        ({"json": body(number=10**30)}, "object"),
        ({"json": body(grader=7)}, "name: expected text"),
        ({"json": body(letter="AA")}, "grade 'AA'"),
        ({"json": {}}, "number: expected one"),
    ],
)
def test_what_is_no_grade_is_refused_in_words(made, sent, said):
    answer = client(made).post("api/grade", **sent)
    assert answer.status_code == 400 and said in answer.json()["error"]
    assert made.progress() == {}


@pytest.mark.parametrize("path", ["picture/9/colour.png", "picture/1/x.png", "picture/1/..%2f.png"])
def test_pictures_that_there_are_not_are_refused(made, path):
    assert client(made).get(path).status_code in (400, 404)


def test_two_graders_see_their_own_grades_alone(made):
    to = client(made)
    to.post("api/grade", json=body(1, "A", note="ring", key="1"))
    to.post("api/grade", json=body(1, "D", grader="Ben", key="2"))
    own = {who: to.get(f"api/object/1?grader={who}").json() for who in ("Anna", "Ben", "Cleo")}
    assert [(o["grade"], o["note"]) for o in own.values()] == [("A", "ring"), ("D", ""), (None, "")]
    assert [o["graded"] for o in own.values()] == [1, 1, 0]
    assert to.get("api/next?grader=Anna").json() == {"number": 2}
    assert to.post("api/undo", json={"grader": "Anna", "key": "3"}).json() == {"number": 1}
    assert to.post("api/undo", json={"grader": "Anna", "key": "4"}).json() == {"number": None}
    assert to.get("api/next?grader=Anna").json() == {"number": 1}
    assert made.graded("Ben", 1) == ("D", "")
    assert to.get("api/summary").json()["progress"] == {"Ben": dict.fromkeys(GRADES, 0) | {"D": 1}}


def test_a_grader_cannot_tell_which_items_are_known(tmp_path):
    """Everything that the page can ask for, of a candidate and of calibration items: the same but
    for number and pixels."""
    known = ("lens", "injection", "confuser", "other", "")
    made = [
        Object(i, f"name-{i}-{t}", bool(t), t, {"theta_e": 1.5, "score": 0.5, "host": "h"})
        for i, t in enumerate(known, 1)
    ]
    of = store(tmp_path, made, mixed=True)
    for who in ("Anna", "Ben"):
        for number in range(1, 6):
            grade(of, who, number, "B", "n")
    to = client(of, show=("score",))
    said = ""
    for number in range(1, 6):
        answer = to.get(f"api/object/{number}?grader=Anna")
        said += answer.text
        for panel in answer.json()["panels"]:
            found = to.get(panel["src"])
            assert not re.search("|".join(known[:-1]) + "|name-", str(found.headers))
    plain = {
        re.sub(r"\b[1-5]\b", "#", str(to.get(f"api/object/{n}?grader=Anna").json()))
        for n in range(1, 6)
    }
    assert len(plain) == 1
    said += to.get("api/session").text + to.get("api/summary").text + to.get("export.csv").text
    table = pd.read_parquet(io.BytesIO(to.get("export.parquet").content))
    said += table.to_csv()
    for secret in ("injection", "confuser", "other", "name-", "theta_e", "truth", "calibration"):
        assert secret not in said
    assert list(table) == ["number", "score", "grader", "grade", "note", "at"] and len(table) == 10


def test_tables_hold_hostile_text_as_text(made):
    note = "+1\n=2"
    grade(made, "@Anna", 1, "A", note)
    grade(made, "-Ben", 2, "B", "\t=cmd")
    to = client(made)
    answer = to.get("export.csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(r["id"], r["grader"], r["note"]) for r in rows] == [
        (HOSTILE[0], "'@Anna", "'+1 =2"),
        ("'" + HOSTILE[1], "'-Ben", "'=cmd"),
    ]
    table = pd.read_parquet(io.BytesIO(to.get("export.parquet").content))
    assert table["id"].tolist() == HOSTILE[:2] and table["note"].tolist() == [note, "=cmd"]
    assert table["grader"].tolist() == ["@Anna", "-Ben"]


def test_an_object_without_a_picture_can_be_graded_and_its_name_is_not_told(made):
    def missing(id):
        raise InputError(f"no image of {id!r}")

    to = client(made, stamp=missing)
    found = to.get("api/object/1?grader=Anna")
    assert found.json()["panels"] == [] and found.json()["problem"]
    assert HOSTILE[0] not in found.text
    assert HOSTILE[0] not in to.get("picture/1/colour.png").text
    assert to.post("api/grade", json=body()).json() == {"saved": True}


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """WCAG 2.2, definition of contrast ratio."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_page_needs_no_network_and_its_colours_have_contrast():
    read = lambda name: (resources.files("classifiers.inspection") / name).read_text()
    files = {name: read(name) for name in ("page.html", "page.css", "page.js")}
    for name, text in files.items():
        assert not re.search(r"https?:|//[a-z]|innerHTML|insertAdjacent|eval\(|\son\w+=", text), (
            name
        )
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", files["page.css"]))
    for ink in ("ink", "soft", "main", "warn", "a", "b", "c", "d"):
        for paper in ("paper", "panel"):
            assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
    for one, other in (("#08131d", colours["main"]), ("#33373c", colours["ink"])):
        assert contrast(one, other) >= 4.5
    # Borders of controls, WCAG 1.4.11.
    assert min(contrast(colours["line"], colours[p]) for p in ("paper", "panel")) >= 3
