"""Checkpoints of a training run: a flat dictionary of arrays and a note, kept by Orbax. A
checkpoint is whole or not there.

`best` and `last` are two managers, because one that keeps the best by a metric deletes the newest.
The note holds a digest of the arrays, so that a damaged file is refused and not trained on. It also
holds the settings, so that a checkpoint of another run is refused and the keys that differ are
named.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lensjax.errors import InputError

CURE = "remove the folder to continue from what is left, or start over with --force"
# bytes of a checkpoint beside its arrays: note, metadata, directories
OVERHEAD = 1 << 20


def flat(tree: Any) -> dict[str, Any]:
    """Leaves of a pytree by their path, names joined with '/'."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def digest(arrays: Mapping[str, Any]) -> str:
    """SHA-256 over names and bytes, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(name.encode())
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()


def unlike(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Settings that differ, as `key: found, not wanted`; empty when equal."""
    keys = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
    return "; ".join(
        f"{k}: {json.dumps(found.get(k))}, not {json.dumps(wanted.get(k))}" for k in keys
    )


def reserve(folder: Path, size: int) -> None:
    """Raises OSError, the operating system's own (disk full, quota), unless the folder's disk takes
    so many bytes.

    This is asked before writing: tensorstore has many writers, and the first that fails closes the
    loop of the others, which then print tracebacks.
    """
    with tempfile.TemporaryFile(dir=folder) as trial:
        try:
            os.posix_fallocate(trial.fileno(), 0, size)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(folder)) from None


class Checkpoints:
    """Numbered checkpoints in a folder, the newest `keep` of them (None: all)."""

    def __init__(self, folder: Path, keep: int | None = 1):
        import orbax.checkpoint as ocp

        # Orbax logs a traceback beside the exception it raises.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self.folder = Path(folder).resolve()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            enable_async_checkpointing=False,
            create=True,
            cleanup_tmp_directories=True,
        )
        handlers = {"arrays": ocp.StandardCheckpointHandler(), "note": ocp.JsonCheckpointHandler()}
        self._manager = ocp.CheckpointManager(self.folder, options=options, item_handlers=handlers)

    def newest(self) -> int | None:
        """Number of the newest whole checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, number: int, tree: Any, note: Mapping[str, Any]) -> None:
        """Writes a checkpoint beside the others, then removes what is not kept. Raises OSError when
        the disk is full; nothing half-written stays.

        A checkpoint of the same number is removed first. As long as numbers grow, there is
        therefore always a whole checkpoint.
        """
        import orbax.checkpoint as ocp

        arrays = flat(jax.device_get(tree))
        reserve(self.folder, sum(array.nbytes for array in arrays.values()) + OVERHEAD)
        if number in self._manager.all_steps():
            self._manager.delete(number)
        note = {**note, "digest": digest(arrays)}
        try:
            self._manager.save(
                number,
                args=ocp.args.Composite(
                    arrays=ocp.args.StandardSave(arrays), note=ocp.args.JsonSave(note)
                ),
                force=True,
            )
        except (ValueError, OSError) as error:
            for unfinished in self.folder.glob(f"{number}.orbax-checkpoint-tmp*"):
                shutil.rmtree(unfinished, ignore_errors=True)
            # tensorstore reports a full disk as a ValueError with the words of the system in it.
            if "No space left" in str(error) or "RESOURCE_EXHAUSTED" in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder)) from None
            raise

    def note(self, number: int | None = None) -> dict[str, Any]:
        """The note of a checkpoint (the newest unless numbered). Raises InputError when it cannot
        be read."""
        import orbax.checkpoint as ocp

        number = self.newest() if number is None else number
        try:
            return self._manager.restore(
                number, args=ocp.args.Composite(note=ocp.args.JsonRestore())
            ).note
        except Exception as error:
            raise InputError(
                f"{self.folder / str(number)}: not a readable checkpoint "
                f"({type(error).__name__}); {CURE}"
            ) from None

    def require(self, settings: Mapping[str, Any], number: int | None = None) -> dict[str, Any]:
        """The note of a checkpoint. Raises InputError, which names the keys, when it was written
        with other settings."""
        number = self.newest() if number is None else number
        note = self.note(number)
        if problems := unlike(note.get("settings", {}), settings):
            raise InputError(
                f"{self.folder / str(number)}: checkpoint of other settings ({problems}); "
                "choose another --out or start over with --force"
            )
        return note

    def restore(
        self, like: Any, settings: Mapping[str, Any], number: int | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """A checkpoint (the newest unless numbered) in the structure of `like`, and its note.

        Raises InputError when it was written with other settings (which are named), holds other
        arrays (which are named), or is damaged.
        """
        import orbax.checkpoint as ocp

        number = self.newest() if number is None else number
        where = self.folder / str(number)
        wanted, note = flat(like), self.require(settings, number)
        try:
            found = {
                name: meta.shape
                for name, meta in self._manager.item_metadata(number).arrays.items()
            }
        except Exception as error:
            raise InputError(
                f"{where}: not a readable checkpoint ({type(error).__name__}); {CURE}"
            ) from None
        shapes = {name: tuple(np.shape(leaf)) for name, leaf in wanted.items()}
        if wrong := sorted(k for k in {*found, *shapes} if found.get(k) != shapes.get(k)):
            raise InputError(
                f"{where}: checkpoint of another model; arrays that differ: {', '.join(wrong)}; "
                "choose another --out or start over with --force"
            )
        try:
            template = jax.tree.map(np.asarray, wanted)
            arrays = self._manager.restore(
                number, args=ocp.args.Composite(arrays=ocp.args.StandardRestore(template))
            ).arrays
        except Exception as error:
            raise InputError(
                f"{where}: damaged checkpoint ({type(error).__name__}); {CURE}"
            ) from None
        if digest(arrays) != note.get("digest"):
            raise InputError(
                f"{where}: damaged checkpoint (its arrays are not the ones written); {CURE}"
            )
        leaves = [arrays[name] for name in wanted]
        return jax.tree.unflatten(jax.tree.structure(like), leaves), note
