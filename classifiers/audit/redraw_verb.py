"""The verb `inject`: an injection of a set, made once more from the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from data.verb import Verb
from lensjax.errors import InputError


@dataclass(frozen=True)
class Again:
    """One injection of an audit is made again, to the last bit, from audit/injections.parquet and
    the cutouts that it names. What the file says of it is compared with what comes out."""

    file: Annotated[Path, tyro.conf.arg(name="from")]
    """the injection set"""
    row: int
    """which injection, 0 is the first"""
    out: str = ""
    """run directory with the cutouts; empty: the folder above the file's"""
    to: str = ""
    """file to write host, arc and stamp to: .npz, or .fits with one image extension for each"""


command: Verb[None] = Verb(
    name="inject",
    summary="Makes one injection of an audit again, to the last bit, from the injection set.",
    after=("audit",),
    work="classifiers.audit.redraw_verb:work",
)


def work(argv: list[str]) -> int:
    """Makes the injection and says whether it is the same; returns 0 if so, else 1."""
    asked = tyro.cli(Again, args=argv, prog="lensjax inject")
    from classifiers.audit.injectionset import InjectionSet
    from classifiers.audit.redraw import other_versions, redraw

    if asked.to and Path(asked.to).suffix not in (".npz", ".fits"):
        raise InputError(f"--to {asked.to}: give a name that ends in .npz or .fits")
    injections = InjectionSet.load(asked.file)
    out = Path(asked.out) if asked.out else asked.file.resolve().parent.parent
    for line in other_versions(injections.about):
        print(f"inject: the set was made with {line}")
    found = redraw(injections, asked.row, out)
    row = injections.table.iloc[asked.row]
    print(f"inject: {row['injection_id']} into {row['galaxy_id']}, score {row['score']:.4f}")
    for name in injections.density_over:
        print(f"inject:   {name} = {row[name]:.6g}")
    if asked.to:
        write(Path(asked.to), {"host": found.host, "arc": found.arc, "stamp": found.stamp})
        print(f"inject: {asked.to}")
    if found.differs:
        print(f"inject: not the same as in the file: {', '.join(found.differs)}")
        return 1
    print("inject: every measured column is the same as in the file, to the last bit")
    return 0


def write(path: Path, images: dict[str, np.ndarray]) -> None:
    """Images (H, W, B) in nanomaggies to NPZ, or to FITS with axes (band, row, column)."""
    from data.files import replacing

    with replacing(path) as temporary:
        if path.suffix == ".npz":
            with open(temporary, "wb") as file:
                np.savez_compressed(file, allow_pickle=False, **images)
            return
        from astropy.io import fits

        parts = [fits.ImageHDU(np.moveaxis(v, -1, 0), name=name) for name, v in images.items()]
        for part in parts:
            part.header["BUNIT"] = "nanomaggy"
        fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(temporary)
