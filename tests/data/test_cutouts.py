"""Cutout files: a round trip, equal bytes, the real ones, and every kind of hostile file refused by
name."""

import io
import zipfile

import numpy as np
import pytest

from data.cutouts import read_npz, write_npz
from lensjax.errors import InputError

META = {
    "galaxy_id": "1500p100_7",
    "ra": 150.0123456789,
    "dec": -3.5,
    "size": 11,
    "quality_ok": True,
    "tier": "",
    "psfsize_z": float("nan"),
}


def image(size: int = 11) -> np.ndarray:
    pixels = np.random.default_rng(0).normal(size=(size, size, 3)).astype("f4")
    pixels[0, 0, 0] = np.nan
    return pixels


def archive(path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in members.items():
            z.writestr(f"{name}.npy", content)


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


SCALARS = {f"meta_{k}": npy(np.asarray(v)) for k, v in META.items()}


def test_a_round_trip_keeps_everything_and_numpy_reads_it_too(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, image(), META)
    found, meta = read_npz(path)
    np.testing.assert_array_equal(found, image())
    assert found.dtype == np.float32 and list(meta) == list(META)
    assert {k: v for k, v in meta.items() if k != "psfsize_z"} == {
        k: v for k, v in META.items() if k != "psfsize_z"
    } and np.isnan(meta["psfsize_z"])
    with np.load(path, allow_pickle=False) as z:
        np.testing.assert_array_equal(z["cutout"], image())
        assert z["meta_galaxy_id"] == META["galaxy_id"]


def test_infinite_pixels_are_missing_ones(tmp_path):
    odd = image()
    odd[0, 0], odd[1, 1, 0] = np.inf, -np.inf
    write_npz(tmp_path / "a.npz", odd, META)
    found, _ = read_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(found, np.where(np.isinf(odd), np.nan, odd))


def test_equal_contents_are_equal_bytes_and_nothing_else_is_left(tmp_path):
    for name in ("a.npz", "b.npz"):
        write_npz(tmp_path / name, image(), META)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_reads_compressed_fortran_and_big_endian_arrays(tmp_path):
    for variant in (np.asfortranarray(image()), image().astype(">f4")):
        archive(tmp_path / "a.npz", cutout=npy(variant), **SCALARS)
        found, _ = read_npz(tmp_path / "a.npz")
        np.testing.assert_array_equal(found, image())
        assert found.dtype == np.float32 and found.dtype.isnative


@pytest.mark.parametrize("keep", [0, 10, 500, -30])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tmp_path / "a.npz"
    write_npz(path, image(), META)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"a\.npz: not a whole NPZ"):
        read_npz(path)


@pytest.mark.parametrize("start", [20, 600, -300, -60])
def test_a_file_without_some_bytes_in_its_middle_is_refused(tmp_path, start):
    path = tmp_path / "a.npz"
    write_npz(path, image(), META)
    content = bytearray(path.read_bytes())
    del content[start : start + 40]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: not a whole NPZ"):
        read_npz(path)


def test_a_flipped_byte_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, image(), META)
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: not a whole NPZ.*CRC"):
        read_npz(path)


def test_a_bomb_is_refused_before_it_is_expanded(tmp_path):
    path = tmp_path / "bomb.npz"
    archive(
        path,
        cutout=header("{'descr': '<f4', 'fortran_order': False, 'shape': (8192, 8192, 1)}\n")
        + bytes(8192 * 8192 * 4),
        **SCALARS,
    )
    assert path.stat().st_size < 300_000
    with pytest.raises(InputError, match=r"bomb\.npz: cutout\.npy expands to"):
        read_npz(path)
    archive(path, cutout=npy(image()), meta_note=npy(np.asarray("x" * 50_000)), **SCALARS)
    with pytest.raises(InputError, match=r"meta_note\.npy expands to"):
        read_npz(path)


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 1)}\n")
            + bytes(16),
            "announces 4000000000000 bytes",
        ),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3)}\n"), "broken header"),
        (header("{'descr': '<f4', 'fortran_order': False}\n"), "broken header"),
        (header("[" * 3000), "broken header"),
        (b"", "not a numpy array"),
        (b"<html>service unavailable</html>", "not a numpy array"),
        (npy(np.array([{"a": 1}], dtype=object), allow_pickle=True), "pickled objects"),
        (npy(image().astype("f8")), "float64"),
        (npy(image()[..., 0]), r"\(11, 11\)"),
        (npy(np.zeros((4, 0, 3), "f4")), r"\(4, 0, 3\)"),
    ],
)
def test_a_broken_array_is_refused(tmp_path, member, reason):
    archive(tmp_path / "a.npz", cutout=member, **SCALARS)
    with pytest.raises(InputError, match=rf"a\.npz: .*{reason}"):
        read_npz(tmp_path / "a.npz")


def test_missing_file_array_or_name_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such cutout"):
        read_npz(tmp_path / "none.npz")
    archive(tmp_path / "a.npz", **SCALARS)
    with pytest.raises(InputError, match="no array `cutout`"):
        read_npz(tmp_path / "a.npz")
    archive(tmp_path / "a.npz", cutout=npy(image()), meta_galaxy_id=npy(np.asarray("x")))
    with pytest.raises(InputError, match="no meta_ra"):
        read_npz(tmp_path / "a.npz")
    archive(tmp_path / "a.npz", **{f"m{i}": b"" for i in range(300)})
    with pytest.raises(InputError, match="300 members"):
        read_npz(tmp_path / "a.npz")


def test_reads_the_real_cutouts(survey_data):
    files = sorted((survey_data / "images" / "ls_dr10_lens_cutouts").glob("*.npz"))
    assert len(files) == 5
    for path in files:
        found, meta = read_npz(path)
        assert found.shape == (101, 101, 3) and np.isfinite(found).all()
        assert (
            meta["bands_requested"] == "grz"
            and meta["size"] == 101
            and meta["pixel_scale"] == 0.262
            and isinstance(meta["nobs_z"], int)
        )
