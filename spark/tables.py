"""Tables of objects as Parquet files, with the types and units of the column table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from data import columns
from data.files import replacing
from data.survey import Survey, default

if TYPE_CHECKING:
    import pandas as pd


def write_parquet(path: Path, frame: pd.DataFrame, survey: Survey | None = None) -> None:
    """A frame as Parquet, null where a value is absent; equal frames give equal bytes.

    Columns that the table does not know are text where they hold text, else float64. survey: the
    default survey if none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    survey = survey or default()
    known = {
        field.name: field for stage in columns.STAGES for field in columns.schema(survey, stage)
    }

    def of(name: str) -> pa.Field:
        if name in known:
            return known[name].with_nullable(True)
        text = str(frame[name].dtype).startswith(("object", "str"))
        return pa.field(name, pa.string() if text else pa.float64())

    schema = pa.schema([of(str(name)) for name in frame.columns], metadata={"survey": survey.name})
    arrays = [pa.array(frame[f.name], type=f.type, from_pandas=True) for f in schema]
    with replacing(path) as temporary:
        pq.write_table(pa.table(arrays, schema=schema), temporary, compression="zstd")
