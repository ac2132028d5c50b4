"""Files of a calibration: the prior as YAML, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lensjax as lj
from classifiers.audit.calibration.judged import Judged
from classifiers.audit.calibration.lenses import KEY, SEEN, Real, described
from classifiers.audit.calibration.observables import THETA_E, measurable, plain
from data.files import replacing, write_csv
from data.survey import Survey
from lensjax.prior import Distribution, Prior, prior_entries, replaced_entries

if TYPE_CHECKING:
    import pandas as pd


def entries(
    source: str | Mapping[str, Any], prior: Prior, made: Mapping[str, Distribution]
) -> dict[str, Any]:
    """The prior's YAML with moved distributions, everything else as it was."""
    given = source if isinstance(source, Mapping) else prior_entries(source)
    return replaced_entries(given, prior, made)


def read_back(
    written: Mapping[str, Any], prior: Prior, made: Mapping[str, Distribution], survey: Survey
) -> Prior:
    """The prior that an audit reads from these entries. That it is the one meant is checked: moved
    distributions are those of `made`, all others have not changed."""
    found = lj.prior_from("calibrated", written).for_bands(survey.bands, survey.wavelength)
    assert found.blocks == prior.blocks
    for name, own in found.parameters.items():
        wanted = made.get(name, prior.parameters[name])
        assert (own.kind, own.numbers) == (wanted.kind, wanted.numbers), name
    return found


def prior_file(path: Path, written: Mapping[str, Any], name: str, told: Mapping[str, Any]) -> None:
    """The calibrated prior as YAML, with what it came from as a comment. name: of the prior before.
    told: the summary."""
    import yaml

    moved = [f"{n}: {v['before']} -> {v['after']}" for n, v in told["moved"].items()]
    head = [
        f"Prior {name}, calibrated: {told['words'][0]}.",
        f"Realism gates on held-out lenses that a prior can change: {told['verdict']}.",
        *(moved or ["Nothing was moved."]),
    ]
    with replacing(path) as temporary:
        text = "".join(f"# {line}\n" for line in head)
        temporary.write_text(text + yaml.safe_dump(dict(written), sort_keys=False))


def tables(
    folder: Path,
    numbers: pd.DataFrame,
    before: Judged,
    after: Judged,
    survey: Survey,
    lenses: Real,
    held: np.ndarray,
    injections: Mapping[str, Real],
) -> list[Path]:
    """numbers and matching as CSV and Parquet; lenses.parquet (observables of the lenses, which is
    a table to calibrate on) and injections.parquet (before and after)."""
    import pandas as pd

    matching = pd.concat(
        [
            pd.DataFrame(judged.observables).assign(prior=what)
            for what, judged in (("before", before), ("after", after))
        ],
        ignore_index=True,
    )
    paths = []
    for name, table in (("numbers", numbers), ("matching", matching)):
        paths += [folder / f"{name}.parquet", folder / f"{name}.csv"]
        with replacing(paths[-2]) as temporary:
            table.to_parquet(temporary, index=False, compression="zstd")
        write_csv(paths[-1], table)
    paths += [folder / "lenses.parquet", folder / "injections.parquet"]
    _observables(paths[-2], survey, [(lenses, {"held_out": held})])
    _observables(
        paths[-1], survey, [(sample, {"prior": word}) for word, sample in injections.items()]
    )
    return paths


def _observables(
    path: Path, survey: Survey, parts: Sequence[tuple[Real, Mapping[str, Any]]]
) -> None:
    """Observables of samples in plain units, with columns that name the sample; the survey that
    they were measured on stands in the file's metadata."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = (*measurable(survey), THETA_E)
    frames = []
    for real, more in parts:
        known = [i for i in range(len(names)) if np.isfinite(real.values[:, i]).all()]
        own = plain(real.values[:, known], [names[i] for i in known])
        frames.append(pd.DataFrame({"galaxy_id": real.group, **own, SEEN: real.seen, **more}))
    table = pa.Table.from_pandas(pd.concat(frames, ignore_index=True), preserve_index=False)
    metadata = {**(table.schema.metadata or {}), KEY: described(survey).encode()}
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")
