"""What the verb `survey` reads: its settings, and the files that they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from data import hats
from data.config import external, matching, settings
from data.folder import Folder, read_table, table_path
from data.lenses import Lenses
from data.lenses import read as read_lenses
from data.names import inside
from data.publishing import store
from data.selection import Selection
from data.stores import Place, Remote, on_disk, place
from data.survey import DEFINITION, Survey, chosen
from lensjax.errors import InputError
from spark.cluster import Cluster
from spark.crossmatch import CrossmatchSettings
from spark.cutouts import CutoutSettings
from spark.maps import MapSettings
from spark.pool import OnBadFile
from spark.sampling import SampleSettings
from spark.shards import ShardSettings

Refusal = tuple[str, object, str]
"""(path, row or object, reason)"""
StepName = Literal[
    "pool", "crossmatch", "sample", "maps", "cutouts", "validation", "manifest", "shards"
]
STEPS: tuple[StepName, ...] = get_args(StepName)


@settings
class SurveySettings:
    """What is read, what is selected from it, and how it is packed."""

    root: str = ""
    """folder of the survey; empty for the simulated one of this run, LENSJAX_DATA for the folder
    that environment variable names"""
    definition: str = ""
    """the survey's definition: a shipped one's name, or a YAML file; empty for definition.yaml in
    root, or DR10 where there is none"""
    folder: Folder = Folder()
    """a table and a folder of somebody's cutouts, in place of catalogues and a lens list"""
    sweeps: tuple[str, ...] = ("sweep/sweep-*.fits",)
    """catalogue files, relative to root: names, or patterns with * and ?; or the folder of a HATS
    catalogue"""
    lenses: str = "lenses.csv"
    """lens list in lenscat's format, relative to root"""
    given: tuple[str, ...] = ()
    """existing NPZ cutouts, relative to root: names, or patterns with * and ?; they stand in for
    slicing, and their metadata for a row of a catalogue"""
    on_bad_file: OnBadFile = "stop"
    """a file that cannot be used stops the step, or is listed in quarantine.csv"""
    test_limit: Annotated[int, Field(ge=0)] = 0
    """read only this many catalogue files, and as many existing cutouts; 0 for all"""
    publish: str = ""
    """address, such as s3://bucket/path, to which the finished run is published; empty for none"""
    dry_run: bool = False
    """only say how many files, rows, bytes and tasks there are, and what they would take"""
    cluster: Cluster = Cluster()
    steps: tuple[StepName, ...] = STEPS
    """which steps to run"""
    memory: str = "1g"
    """heap of Spark's driver in local mode"""
    cores: Annotated[int, Field(ge=0)] = 0
    """of this machine in local mode; 0 for all"""
    pool: Selection = Selection()
    crossmatch: CrossmatchSettings = CrossmatchSettings()
    sample: SampleSettings = SampleSettings()
    maps: MapSettings = MapSettings()
    cutouts: CutoutSettings = CutoutSettings()
    shards: ShardSettings = ShardSettings()


@dataclass(frozen=True)
class Inputs:
    """Where everything is.

    survey: its definition. catalogues, given, lens_list: relative to root. Where a table stands for
    catalogues there are none of them, and a lens list only if the table's folder names one.
    external: files outside the run. after: steps before this one. objects: rows of the table that
    can be used, where there is one.
    """

    root: Place
    survey: Survey
    catalogues: list[str]
    given: list[str]
    lens_list: str
    external: list[Place]
    after: tuple[str, ...]
    objects: int = 0


def locate(out: Path, s: SurveySettings) -> Inputs:
    """Finds the files that the settings name.

    Raises InputError naming the folder, pattern, list or definition that is not there, and for a
    place to which nothing can be published.
    """
    if s.publish:
        store(s.publish)
    root = _root(out, s)
    if isinstance(root, Remote):
        _only_catalogues_and_bricks(s, root)
    survey = chosen(s.definition, root)
    path = Path(s.definition) if s.definition else root / DEFINITION
    definition: list[Place] = [path.absolute()] if path.is_file() else []
    if s.folder.table:
        below = on_disk(root, "survey.root")
        table = table_path(below, s.folder)
        rows, _ = read_table(below, s.folder, survey)
        files = sorted({below / file for row in rows for file in row["files"]})
        known = []
        if s.folder.lenses:
            known = [inside(below, s.folder.lenses, "survey.folder.lenses")]
            if not known[0].is_file():
                raise InputError(f"{known[0]}: no such lens list; correct survey.folder.lenses")
        beside: list[Place] = [table, *files, *known, *definition] if s.root else []
        after = () if s.root else ("simulate",)
        return Inputs(root, survey, [], [], s.folder.lenses, beside, after, len(rows))
    catalogues = _catalogues(root, s.sweeps, survey)
    given = matching(root, s.given, "survey.given")
    if s.test_limit:
        catalogues, given = catalogues[: s.test_limit], given[: s.test_limit]
    if not (root / s.lenses).is_file():
        raise InputError(f"{root / s.lenses}: no such lens list; set survey.lenses")
    if not s.root:
        own = [path for path in definition if not str(path).startswith(f"{root}/")]
        return Inputs(root, survey, catalogues, given, s.lenses, own, ("simulate",))
    folders = sorted({(root / path).parent for path in (*catalogues, *given)}, key=str)
    if isinstance(root, Remote):
        folders = []  # a store has no time at which something was added
    hosts = [root / path for path in (*s.cutouts.stamps, *s.cutouts.cubes)]
    tables = [root / path for path in (*catalogues, *given, s.lenses)]
    external = [*tables, *hosts, *folders, *definition]
    return Inputs(root, survey, catalogues, given, s.lenses, external, ())


def listed_lenses(i: Inputs, on_bad_file: OnBadFile) -> tuple[Lenses, list[Refusal]]:
    """The survey's lens list and its refused rows. Raises InputError for the first of these when
    on_bad_file is "stop"."""
    found, bad = read_lenses(i.root / i.lens_list)
    if bad and on_bad_file == "stop":
        line, reason = bad[0]
        raise InputError(
            f"{i.root / i.lens_list}, line {line}: {reason}; mend the row, or set "
            "survey.on_bad_file to quarantine"
        )
    return found, [(i.lens_list, line, reason) for line, reason in bad]


def _catalogues(root: Place, patterns: tuple[str, ...], survey: Survey) -> list[str]:
    """The files that survey.sweeps names, each once, those of HATS catalogues among them."""
    found: dict[str, None] = {}
    for pattern in patterns:
        whole = hats.named(root, pattern)
        files = hats.parts(root, pattern, survey) if whole else None
        found |= dict.fromkeys(files or matching(root, [pattern], "survey.sweeps"))
    return list(found)


def _only_catalogues_and_bricks(s: SurveySettings, root: Remote) -> None:
    """Raises InputError for what is read from a folder on disk only."""
    named = {
        "survey.given": s.given,
        "survey.folder.table": s.folder.table,
        "survey.cutouts.stamps": s.cutouts.stamps,
        "survey.cutouts.cubes": s.cutouts.cubes,
    }
    for key, value in named.items():
        if value:
            raise InputError(
                f"{key}: is read from a folder on disk only, and survey.root is {root}; copy the "
                f"survey to disk and set survey.root to the copy, or leave {key} empty"
            )


def _root(out: Path, s: SurveySettings) -> Place:
    root: Place
    if not s.root:
        root = out / "survey"
    else:
        here = "://" not in s.root
        root = external(s.root, "survey.root").absolute() if here else place(s.root)
    if not root.is_dir():
        cure = (
            "set survey.root to the survey's folder"
            if s.root
            else f"run `lensjax simulate --out {out}` first, or set survey.root"
        )
        raise InputError(f"{root}: no such folder; {cure}")
    return root
