"""The figures of every epoch for TensorBoard: the contents of metrics.jsonl as an event file.

The file is written whole each time. So nothing has to be removed from it when a killed run goes on,
and no thread delays what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from data import tfrecord
from data.files import replacing
from lensjax.errors import InputError

NAME = "events.out.tfevents.0.lensjax"


def write(folder: Path, lines: Sequence[Mapping[str, float | None]]) -> None:
    """Writes the lines of metrics.jsonl; what could not be computed is left out. Raises InputError
    when tensorboardX is not installed."""
    try:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary
    except ImportError:
        raise InputError(
            "tensorboard: needs the package tensorboardX; pip install 'lensjax[tensorboard]', "
            "or set tensorboard: false"
        ) from None
    events = [
        Event(wall_time=lines[0]["unix_seconds"] if lines else 0, file_version="brain.Event:2")
    ]
    for line in lines:
        values = [
            Summary.Value(tag=k, simple_value=v)
            for k, v in line.items()
            if k not in ("epoch", "unix_seconds") and v is not None
        ]
        events.append(
            Event(wall_time=line["unix_seconds"], step=line["epoch"], summary=Summary(value=values))
        )
    with replacing(folder / NAME) as temporary:
        tfrecord.write(temporary, (event.SerializeToString(deterministic=True) for event in events))
