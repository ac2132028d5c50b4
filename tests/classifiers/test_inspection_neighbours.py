"""Neighbours on the inspection page: read from what `shortcuts` writes, shown as small pictures and
as text, and kept back where they would tell calibration items."""

import io

import numpy as np
import pandas as pd
import pytest
from inspections import SIDE, client, folder, objects, stamp, store
from PIL import Image

from classifiers.inspection import neighbours, verb
from classifiers.inspection.neighbours import Neighbour
from data.files import write_csv
from lensjax.errors import InputError

HOSTILE = "<img src=x onerror=alert(1)>"
TABLE = pd.DataFrame(
    {
        "id": ["g0", "g0", "g1"],
        "neighbour": ["g2", HOSTILE, "g0"],
        "neighbour_label": [1, 0, 0],
        "place": [2, 1, 1],
    }
)


def written(path, table=TABLE):
    write_csv(path / "near.csv", table)
    return path / "near.csv"


def test_the_table_gives_neighbours_nearest_first(tmp_path):
    wanted = {
        "g0": (Neighbour(HOSTILE, "not a lens"), Neighbour("g2", "lens")),
        "g1": (Neighbour("g0", "not a lens"),),
    }
    assert neighbours.read(written(tmp_path)) == wanted
    TABLE.to_parquet(tmp_path / "near.parquet")
    assert neighbours.read(tmp_path / "near.parquet") == wanted
    bare = written(tmp_path, TABLE[["id", "neighbour"]])
    assert neighbours.read(bare)["g0"] == (Neighbour("g2", ""), Neighbour(HOSTILE, ""))


@pytest.mark.parametrize("none", ["", "\n", '""\n', "id,neighbour,place\n"])
def test_an_empty_table_is_none(tmp_path, none):
    (tmp_path / "near.csv").write_text(none)
    assert neighbours.read(tmp_path / "near.csv") == {}
    assert neighbours.of_these({}, objects(3), True, "near.csv") == {}
    write_csv(tmp_path / "near.csv", pd.DataFrame())
    assert neighbours.read(tmp_path / "near.csv") == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"place": [1, 1, 1]}, "row 2: 'g0' has a neighbour at place 1 already"),
        ({"place": [1, 0, 1]}, "row 2: place '0' is not"),
        ({"place": [1, "x", 1]}, "row 2: place 'x' is not"),
        ({"neighbour_label": [1, 2, 0]}, "row 2: neighbour_label '2' is not 0 or 1"),
        ({"neighbour": ["a", None, "b"]}, "row 2: id or neighbour is empty"),
    ],
)
def test_a_wrong_table_is_refused_by_row(tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        neighbours.read(written(tmp_path, TABLE.assign(**change)))


def test_missing_tables_and_columns_are_named(tmp_path):
    with pytest.raises(InputError, match="no such table of neighbours"):
        neighbours.read(tmp_path / "near.csv")
    with pytest.raises(InputError, match="no column 'neighbour'"):
        neighbours.read(written(tmp_path, TABLE[["id"]]))
    found = neighbours.read(written(tmp_path))
    with pytest.raises(InputError, match="no object of this inspection is in it"):
        neighbours.of_these(found, objects(1, ["other"]), False, "near.csv")
    with pytest.raises(InputError, match="1 objects have no neighbours, which may tell"):
        neighbours.of_these(found, objects(3), True, "near.csv")
    assert {*neighbours.of_these(found, objects(3), False, "near.csv")} == {"g0", "g1"}


def test_the_page_shows_small_pictures_with_text(tmp_path):
    def some(id):
        if id == "g1":
            raise InputError("no image")
        return stamp(id)

    near = {"g0": tuple(Neighbour(id, "lens") for id in ("g2", HOSTILE, "g1"))}
    made = store(tmp_path, objects(3))
    to = client(made, ["id"], some, near)
    told = to.get("api/object/1", params={"grader": "Anna"}).json()["neighbours"]
    assert [one["title"] for one in told] == [
        "1, lens, g2",
        f"2, lens, {HOSTILE}",
        "3, lens, g1",
    ]
    assert [one["src"] for one in told] == ["neighbour/1/1.png", "neighbour/1/2.png", ""]
    answer = to.get(told[1]["src"])
    assert answer.headers["content-type"] == "image/png"
    picture = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert picture.shape == (SIDE, SIDE, 3) and picture.std() > 0
    for wrong in ("1/0", "1/3", "1/4", "2/1", "9/1"):
        assert to.get(f"neighbour/{wrong}.png").status_code == 400
    assert to.get("api/object/2", params={"grader": "Anna"}).json()["neighbours"] == []
    told = client(made, (), some, near).get("api/object/1?grader=A").json()["neighbours"]
    assert [one["title"] for one in told] == ["1, lens", "2, lens", "3, lens"]


def test_the_command_takes_the_table(tmp_path):
    ids = ["g0", "g1", "g2"]
    pd.DataFrame({"id": ids}).to_csv(tmp_path / "t.csv")
    images = folder(tmp_path / "i", ids)
    asked = verb.Serve(tmp_path / "t.csv", images, tmp_path / "out", neighbours=written(tmp_path))
    found = verb.opened(asked)
    assert {*verb.neighbours_of(asked, found)} == {"g0", "g1"}
    found.close()
