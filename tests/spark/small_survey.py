"""A survey of a few hundred rows: two sweep files, a lens list, and an NPZ cutout of every object
or coadds of the bricks that they are in."""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from data.coadds import image_path
from data.cutouts import write_npz
from data.files import sha256

SIZE = 32
ROWS = 150
LENSES = 12


def sweep(seed: int, release: int = 10000, rows: int = ROWS) -> Table:
    """Galaxies half a degree from each other at least, all of the pool's quality, in 3 bricks."""
    rng = np.random.default_rng(seed)
    bricks = np.array([f"{seed:02d}{i % 3:02d}m005" for i in range(rows)], "S8")
    columns = {
        "RELEASE": np.full(rows, release, np.int16),
        "BRICKNAME": bricks,
        "OBJID": np.arange(rows, dtype=np.int32),
    }
    columns |= {
        "RA": (20.0 * seed + 0.5 * (np.arange(rows) % 40)) % 360,
        "DEC": -15.0 + 0.6 * (np.arange(rows) // 40) + rng.uniform(0, 0.1, rows),
    }
    columns |= {
        "TYPE": rng.choice(
            ["SER", "DEV", "REX", "EXP", "PSF"], rows, p=[0.3, 0.3, 0.3, 0.05, 0.05]
        ).astype("S3")
    }
    columns |= {
        "MASKBITS": rng.choice([0, 0, 0, 0, 2], rows).astype(np.int32),
        "EBV": rng.uniform(0, 0.1, rows).astype(np.float32),
    }
    columns |= {f"NOBS_{b}": rng.integers(2, 14, rows).astype(np.int16) for b in "GRZ"}
    flux = {"G": (2.0, 9.0), "R": (5.0, 20.0), "Z": (8.0, 40.0)}
    columns |= {
        f"FLUX_{b}": rng.uniform(*span, rows).astype(np.float32) for b, span in flux.items()
    }
    columns |= {f"SHAPE_{p}": rng.uniform(0.0, 0.5, rows).astype(np.float32) for p in ("E1", "E2")}
    columns |= {
        "SHAPE_R": rng.uniform(0.3, 1.5, rows).astype(np.float32),
        "SERSIC": rng.uniform(0.5, 6.0, rows).astype(np.float32),
    }
    columns |= {f"PSFSIZE_{b}": rng.uniform(1.0, 1.6, rows).astype(np.float32) for b in "GRZ"}
    columns |= {
        f"{d}_{b}": rng.uniform(100, 2000, rows).astype(np.float32)
        for d in ("PSFDEPTH", "GALDEPTH")
        for b in "GRZ"
    }
    return Table(columns)


def write_lenses(path: Path, rows: list[tuple[str, float, float, str]]) -> None:
    lines = [f"{name},{ra:.7f},{dec:.7f},-,galaxy,{grading},x" for name, ra, dec, grading in rows]
    path.write_text(
        "name,RA [deg],DEC [deg],zlens,type,grading,ref\n" + "".join(line + "\n" for line in lines)
    )


def write_cutout(folder: Path, row, size: int = SIZE) -> None:
    brick = row["BRICKNAME"]
    name = f"{brick.decode() if isinstance(brick, bytes) else brick}_{row['OBJID']}"
    image = (
        np.random.default_rng(int(row["OBJID"])).normal(0, 0.01, (size, size, 3)).astype(np.float32)
    )
    meta = {
        "galaxy_id": name,
        "ra": float(row["RA"]),
        "dec": float(row["DEC"]),
        "brickname": name.split("_")[0],
        "nobs_z": int(row["NOBS_Z"]),
    }
    meta |= {
        "size": size,
        "pixel_scale": 0.262,
        "bands_requested": "grz",
        "layer": "ls-dr10",
        "type": str(row["TYPE"]),
        "cutout_type": "",
    }
    write_npz(folder / f"{name}.npz", image, meta)


def write_bricks(root: Path, table: Table, seed: int) -> None:
    """Moves the objects to where they are 13 arcsec from each other in their bricks, and writes
    coadds of noise."""
    for k, name in enumerate(np.unique(table["BRICKNAME"])):
        cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "DRVERSIO": 10000, "CRPIX1": 150.5}
        cards |= {"CRPIX2": 150.5, "CRVAL1": 20.0 * seed % 360, "CRVAL2": -15.0 + k}
        cards |= {"CD1_1": -0.262 / 3600, "CD2_2": 0.262 / 3600}
        header, inside = fits.Header(cards), np.flatnonzero(table["BRICKNAME"] == name)
        x, y = (25.0 + 50 * c for c in np.divmod(np.arange(inside.size), 6))
        table["RA"][inside], table["DEC"][inside] = WCS(header).wcs_pix2world(x, y, 0)
        for band in "grz":
            pixels = np.random.default_rng((seed, k, ord(band))).normal(0, 0.01, (300, 300))
            path = image_path(root, name.decode(), band)
            path.parent.mkdir(parents=True, exist_ok=True)
            fits.CompImageHDU(
                pixels.astype("f4"), header, quantize_method=2, dither_seed=1
            ).writeto(path, checksum=True)


def write_survey(
    root: Path, cutouts: bool = True, names: str = "ab", rows: int = ROWS, bricks: bool = False
) -> Path:
    """sweep/sweep-{a,b}.fits, lenses.csv with matched, distant, ungraded and foreign entries,
    given/*.npz or coadd/; returns root. names: of the sweeps, a letter each."""
    (root / "sweep").mkdir(parents=True)
    lenses = [
        ("DESI-far", 300.0, 80.0, "probable"),
        ("DESI-2as", 20.0, -15.0 - 100 / 3600, "probable"),
        ("OTHER-1", 50.0, 0.0, "confident"),
    ]
    for seed, name in enumerate(names, 1):
        table = sweep(seed, rows=rows)
        if bricks:
            write_bricks(root, table, seed)
        table.write(root / "sweep" / f"sweep-{name}.fits")
        for i in range(LENSES // 2):
            row = table[7 * i + 3]
            lenses.append(
                (
                    f"DESI-{name}{i}",
                    row["RA"] + 0.1 / 3600,
                    row["DEC"],
                    "confident" if i == 0 else "probable",
                )
            )
        lenses.append((f"OTHER-{name}", table["RA"][60], table["DEC"][60] + 5 / 3600, "probable"))
        for row in table if cutouts else ():
            write_cutout(root / "given", row)
    write_lenses(root / "lenses.csv", lenses)
    return root


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a run but its records, which say when and where it was made."""
    return {
        str(p.relative_to(folder)): sha256(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "records" not in p.parts
    }
