"""Which galaxies are the hosts of an audit: what the finder was trained on, and what lies near a
known lens, is kept out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.settings import AuditSettings
from data.files import sha256
from data.tables import read_csv
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from classifiers.audit.hosts import Hosts
    from classifiers.audit.veto import Veto
    from classifiers.finders import Finder
    from data.survey import Survey

PLACED = ["galaxy_id", "ra", "dec"]
"""columns of a list of training objects"""
NOTHING, TRAIN = "none", "train"
"""what `trained_on` says of a finder that saw none of these galaxies, and of one that saw the
training split of this run"""


def finder_of(s: AuditSettings) -> str:
    """The finder as `finders.load` takes it."""
    return s.finder or s.classifier


def beside_finder(s: AuditSettings) -> Path | None:
    """The manifest that says what the classifier of another run was trained on; None for finders of
    other kinds, of which a head has its own list."""
    from classifiers.finders.head import HEAD

    folder = Path(finder_of(s))
    if (folder / HEAD).is_file():
        return None
    other = finder_of(s) and (folder.is_dir() or s.classifier)
    return folder.parent / "manifest.parquet" if other else None


def trained_on(out: Path, s: AuditSettings, info: dict[str, Any]) -> pd.DataFrame | None:
    """What the finder was trained on: None where it is this run's training split; else a
    table with galaxy_id, ra and dec, which is empty where the user says that it was none of these.
    Raises InputError when nobody says it, and as `_of_a_head` does."""
    import pandas as pd

    from data.manifest import read

    if info.get("kind") == "head":
        return _of_a_head(out, s, info)
    beside = beside_finder(s)
    said = s.trained_on or str(info.get("trained_on", ""))
    if Path(said).name == TRAIN:
        return None
    if Path(said).name == NOTHING:
        return pd.DataFrame({c: [] for c in PLACED})
    if said:
        table = read_table(Path(said), PLACED, "audit.trained_on")
        return table[table["split"] == "train"] if "split" in table else table
    if beside is None and finder_of(s):
        raise InputError(
            f"finder {finder_of(s)}: nothing says what it was trained on; set audit.trained_on to "
            f"`{NOTHING}` (of these galaxies), to `{TRAIN}` (this run's training split), or to a "
            "table with galaxy_id, ra and dec"
        )
    path = beside or out / "manifest.parquet"
    if not path.is_file():
        raise InputError(
            f"{path}: missing, so what the classifier was trained on is unknown; keep the manifest "
            "beside its training folder, or set audit.trained_on"
        )
    if info.get("manifest_sha256") not in (None, sha256(path)):
        raise InputError(
            f"{path}: not the manifest that the classifier was trained on (SHA-256 differs); use "
            "that run's, or train again"
        )
    if beside is None:
        return None
    table = read(path).to_pandas()
    return table.loc[table["split"] == "train", PLACED]


def _of_a_head(out: Path, s: AuditSettings, info: dict[str, Any]) -> pd.DataFrame | None:
    """What a head was fitted to, which the list beside it says whatever the settings say: None
    where that is this run's training split.

    Raises InputError when the list is missing or another one than the head was fitted to, and when
    the settings say `train` of a head of another manifest.
    """
    import pandas as pd

    path, manifest = Path(info["trained_on"]), out / "manifest.parquet"
    table = read_table(path, PLACED, "the list of the head's training objects")
    if info.get("trained_on_sha256") not in (None, sha256(path)):
        raise InputError(
            f"{path}: not the list that was written with the head (SHA-256 differs); restore it or "
            "train the head again"
        )
    known = info.get("manifest_sha256")
    if known is not None and manifest.is_file() and known == sha256(manifest):
        return None
    if s.trained_on == TRAIN:
        if known is None:  # a head that did not note it yet
            return None
        raise InputError(
            f"{path.parent}: this head was trained on another manifest than {manifest}, so that "
            "audit.trained_on cannot be `train`; leave it out, the head has its own list"
        )
    if s.trained_on in ("", NOTHING):
        return table
    return pd.concat([table, read_table(Path(s.trained_on), PLACED, "audit.trained_on")])


def beneath(out: Path, info: dict[str, Any]) -> list[pd.DataFrame | None]:
    """What the trunk of a head was trained on, in the form of `trained_on`; empty for finders of
    other kinds, and for a trunk of which nothing says that it saw galaxies. Raises InputError when
    the manifest of a network of ours is missing or another one."""
    from data.manifest import read

    trunk = info.get("trunk") if info.get("kind") == "head" else None
    if not isinstance(trunk, dict):
        return []
    said = str(trunk.get("trained_on", ""))
    if said and Path(said).name not in (NOTHING, TRAIN):
        return [read_table(Path(said), PLACED, "trained_on of the head's trunk")]
    wanted, own = trunk.get("manifest_sha256"), out / "manifest.parquet"
    if wanted is None:
        return []
    if own.is_file() and sha256(own) == wanted:
        return [None]
    path = Path(trunk["manifest"])
    if not path.is_file() or sha256(path) != wanted:
        raise InputError(
            f"{path}: not the manifest that the head's trunk was trained on, or missing; keep it "
            "beside the trunk's folder, so that no host is an object that the trunk has seen"
        )
    table = read(path).to_pandas()
    return [table.loc[table["split"] == "train", PLACED]]


def read_table(path: Path, columns: list[str], key: str) -> pd.DataFrame:
    """A table from a CSV or Parquet file. key: the setting that names it, for errors. Raises
    InputError when it cannot be read or lacks a column."""
    import pandas as pd

    try:
        parquet = path.suffix == ".parquet"
        table = pd.read_parquet(path) if parquet else read_csv(path, text=False)
    except InputError as error:
        raise InputError(f"{key}: {error}") from None
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(f"{key}: {path}: cannot be read ({said})") from None
    if missing := [c for c in columns if c not in table]:
        raise InputError(f"{key}: {path}: no column {missing[0]!r}; add it")
    return table


def choose(
    out: Path,
    s: AuditSettings,
    info: dict[str, Any],
    survey: Survey,
    more: Mapping[str, Finder] | None = None,
) -> tuple[Hosts, Veto]:
    """The hosts of an audit, and which were left out because a known lens is near.

    They are checked against what the finder and those of `more_finders` were trained on. The PSF
    kernels of `psf_files` are copied to the run directory. Raises InputError as `trained_on`,
    `psffiles.with_kernels`, `hosts.refuse`, `veto.known_lenses` and `veto.apart` do, and when some
    hosts have a kernel and others do not."""
    from classifiers.audit import hosts, psffiles, veto
    from data.manifest import read

    path = out / "manifest.parquet"
    trained, below = trained_on(out, s, info), beneath(out, info)
    manifest = psffiles.with_kernels(read(path).to_pandas(), s.psf_files, out, survey)
    if s.host_list:
        try:
            names = read_csv(s.host_list, text=False, dtype=str)["galaxy_id"].dropna().tolist()
        except InputError:
            raise
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{s.host_list}: not a CSV file with a column galaxy_id ({error})"
            ) from None
        found = hosts.named(manifest, names, s.psf_fwhm, survey)
    else:
        outside = all(table is not None for table in (trained, *below))
        splits = None if outside else s.splits
        found = hosts.candidates(manifest, splits, s.psf_fwhm, survey, outside)
    if not len(found):
        raise InputError(
            f"{path}: no negative in split {' or '.join(s.splits)}, so there is nothing to inject "
            "into; make the survey larger"
        )
    positions = manifest[["galaxy_id", "ra", "dec"]]
    for table in (trained, *below):
        hosts.refuse(found, table, positions)
    for name, other in (more or {}).items():
        own = replace(s, finder=s.more_finders[name], classifier="")
        for table in (trained_on(out, own, other.info), *beneath(out, other.info)):
            hosts.refuse(found, table, positions)
    known = veto.known_lenses(out, s.lens_lists, manifest)
    apart, vetoed = veto.apart(found, known, s.lens_radius)
    bare = np.array([not v for v in apart.columns.get(hosts.KERNEL, ())], bool)
    if s.psf_files and bare.any():
        raise InputError(
            f"audit.psf_files: {int(bare.sum())} hosts have no measured PSF, for example "
            f"{apart.ids[bare][0]}, the others have; add a pattern for them, or list hosts in "
            "audit.host_list"
        )
    hosts.require_psf(apart)
    return apart, vetoed
