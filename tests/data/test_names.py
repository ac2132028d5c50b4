"""Names from outside become names of files only when they cannot leave their folder."""

import os
from pathlib import Path

import numpy as np
import pytest

from data.names import LONGEST, inside, is_safe, safe_name
from lensjax.errors import InputError


@pytest.mark.parametrize(
    "value",
    ["1500p100_7", "0001m060", "DESI-150.1+02.3", "J0330-5228", "9", 17, "a" * LONGEST, "a..b"],
)
def test_names_of_real_catalogues_are_kept_as_they_are(value):
    assert is_safe(value) and safe_name(value, "galaxy_id", "t.csv") == str(value)


@pytest.mark.parametrize(
    "value",
    [
        *("../../xy", "a/b", "a\\b", "/etc", "..", ".", ".hidden", "_temporary", "-rf", "", " "),
        *("a b", "a\n", "a\0", "a\x1b[31m", "é", "a,b", "a[0]", "a*", "%2e%2e", "x=1", "file:a"),
        *("a" * (LONGEST + 1), None, 1.5, float("nan"), True, b"a", ["a"], "\u0661", "<b>"),
    ],
)
def test_other_names_are_refused_with_their_place(value):
    assert not is_safe(value)
    with pytest.raises(InputError, match=r"^t\.csv, row 3: brick name .* cannot be used") as error:
        safe_name(value, "brick name", "t.csv, row 3")
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_every_accepted_character_stays_in_one_folder():
    for code in range(0x250):
        name = f"a{chr(code)}b"
        if is_safe(name):
            assert os.path.basename(name) == name and name.isascii() and name.isprintable()


def test_text_and_integers_of_numpy_are_names_too():
    assert safe_name(np.asarray(["a1"])[0], "id", "x") == "a1"
    assert safe_name(np.int64(7), "id", "x") == "7"


def test_paths_of_a_table_stay_below_their_folder(tmp_path):
    assert inside(tmp_path, "cutouts/a/a_1.npz", "m") == tmp_path / "cutouts/a/a_1.npz"
    assert inside(tmp_path, "with blank/é.npz", "m") == tmp_path / "with blank/é.npz"
    for path in ("../a", "a/../../b", "/etc/passwd", "", ".", None, 3, "a\\..\\b", "a\0b"):
        with pytest.raises(InputError, match=r"^manifest, row 2: path .* does not lie below"):
            inside(tmp_path, path, "manifest, row 2")
    assert isinstance(inside("x", "y", "m"), Path)
