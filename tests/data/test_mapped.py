"""Columns and checksums of a mapped FITS table are those that astropy gives."""

from itertools import pairwise

import numpy as np
import pytest
from astropy.io import fits

from data import mapped

FORMS = {"B": np.uint8, "I": np.int16, "J": np.int32, "K": np.int64, "E": np.float32, "D": float}


def written(path, rows: int = 1001, extra: int = 1):
    """A table of every ordinary form, whose rows are no whole number of words."""
    rng = np.random.default_rng(rows)
    columns = [
        fits.Column(f"C{form}", form, array=rng.integers(0, 100, rows).astype(kind))
        for form, kind in FORMS.items()
    ]
    columns.append(fits.Column("text", "5A", array=rng.choice(["ab", "abcde", ""], rows)))
    columns.append(fits.Column("many", f"{extra}B", array=np.ones((rows, extra), np.uint8)))
    columns.append(fits.Column("truth", "L", array=rng.random(rows) < 0.5))
    fits.BinTableHDU.from_columns(columns).writeto(path, checksum=True)
    return {c.name.lower(): c.name for c in columns if c.name != "many"}


@pytest.mark.parametrize("extra", [2, 3, 4, 5])
def test_values_and_sums_are_those_of_astropy(tmp_path, extra):
    path = tmp_path / "t.fits"
    names = written(path, extra=extra)
    table = mapped.opened(path, names)
    assert table is not None and set(table.names) == set(names.values())
    cuts = [0, 1, 2, 400, 400, 1001]
    with fits.open(path) as hdus:
        data, total = hdus[1].data, 0
        assert int(hdus[1].header["DATASUM"]) == mapped.checksum(
            path, table.part.data, table.part.end
        )
        for start, stop in pairwise(cuts):
            view, first, part = table.read(start, stop, ["CI", "text"])
            total += part
            for name in table.names:
                values, unknown = table.values(name, first.get(name, view[name]))
                assert values.dtype.isnative and unknown is None
                expected = np.asarray(data[name][start:stop])
                np.testing.assert_array_equal(values, expected.astype(values.dtype))
    assert mapped.damaged(table.declared(), total) == "" and not table.damaged_beside()
    assert "DATASUM" in mapped.damaged(table.declared(), total + 1)


def test_a_changed_header_or_neighbour_is_damage(tmp_path):
    path = tmp_path / "t.fits"
    names = written(path)
    image = fits.ImageHDU(np.arange(5000, dtype=np.int16))
    fits.append(path, image.data, image.header, checksum=True)
    table = mapped.opened(path, names)
    total = table.read(0, table.rows, [])[2]
    assert mapped.damaged(table.declared(), total) == "" and not table.damaged_beside()
    content = bytearray(path.read_bytes())
    content[-3000] ^= 1
    path.write_bytes(content)
    assert mapped.opened(path, names).damaged_beside()
    content[table.part.begin + 100] ^= 1
    path.write_bytes(content)
    changed = mapped.opened(path, names)
    assert changed is None or "CHECKSUM" in mapped.damaged(changed.declared(), total)


@pytest.mark.parametrize("rows", [0, 1])
def test_tables_of_no_and_one_row(tmp_path, rows):
    names = written(tmp_path / "t.fits", rows)
    table = mapped.opened(tmp_path / "t.fits", names)
    view, _, total = table.read(0, rows, ["CD"])
    assert len(view) == rows and mapped.damaged(table.declared(), total) == ""
