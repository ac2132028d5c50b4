"""The command `lensjax`: finds the verbs that the rooms contribute, and hands over to one.

A verb is an entry point of the group `lensjax.verbs`: an object with a name, a one-line summary and
the names of the verbs that it comes after (`data.verb.Verb`). Called with the remaining arguments
it returns an exit code. Errors that a user can cure are printed as one line; anything else is a
defect and keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from graphlib import TopologicalSorter
from importlib.metadata import entry_points
from typing import Any, NoReturn

from lensjax.doctor.software import absent
from lensjax.errors import InputError, meant
from lensjax.siblings import own

GROUP = "lensjax.verbs"


def names() -> list[str]:
    """The names of all verbs, without loading any."""
    return sorted(entry.name for entry in entry_points(group=GROUP))


def verbs() -> dict[str, Any]:
    """Every verb by its name, in the order of the chain."""
    found = {entry.name: entry.load() for entry in entry_points(group=GROUP)}
    return {name: found[name] for name in ordered(found)}


def ordered(found: Mapping[str, Any]) -> list[str]:
    """The names, every verb behind those that it comes after, and otherwise by the alphabet."""
    graph = TopologicalSorter({name: set(found[name].after) & set(found) for name in found})
    graph.prepare()
    waiting: list[str] = []
    order: list[str] = []
    while graph.is_active():
        waiting = sorted([*waiting, *graph.get_ready()])
        order.append(waiting.pop(0))
        graph.done(order[-1])
    return order


def usage() -> str:
    """The text that `lensjax --help` prints."""
    lines = [f"  {name:10s} {verb.summary}" for name, verb in verbs().items()]
    return "\n".join(
        [
            "usage: lensjax VERB [CONFIG] [--out DIR] [flags]      "
            "(lensjax VERB --help explains one)",
            "",
            *lines,
            "",
            "CONFIG is a YAML file or the name of a preset (`lensjax run --help` lists them); "
            "without one the embedded default is used.",
            "When something does not work or is slow: lensjax doctor.",
        ]
    )


def on_a_disk(arguments: Sequence[str]) -> None:
    """Raises InputError when --out is an address, such as s3://bucket/run, which as a path would be
    a folder of that odd name on this machine's disk."""
    for i, word in enumerate(arguments):
        flag, equals, given = word.partition("=")
        if flag != "--out":
            continue
        value = given if equals else next(iter(arguments[i + 1 : i + 2]), "")
        if scheme := re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", value):  # the rest may hold a password
            raise InputError(
                f"--out {scheme[0]}/...: an address, and verbs write to folders on a disk. Give a "
                "folder. `lensjax survey --publish s3://bucket/run` also stores the finished "
                "survey in an object store; copy what other verbs have written with the store's "
                "own program, for example `aws s3 sync FOLDER s3://bucket/run`"
            )


def _fail(message: str, code: int = 2) -> int:
    print(f"lensjax: {message}", file=sys.stderr, flush=True)
    return code


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Runs one verb; exit code 0 success, 2 an error the user can cure, 130 interrupted, 141 when
    nobody reads what is printed any more. `doctor` has 1 for a machine that lacks something."""
    argv = list(sys.argv[1:] if argv is None else argv)
    entries = {entry.name: entry for entry in entry_points(group=GROUP)}
    help_wanted = not argv or argv[0] in ("-h", "--help")
    if not help_wanted and argv[0] not in entries:
        return _fail(f"unknown verb {argv[0]!r} ({meant(argv[0], entries)})")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if help_wanted:
            print(usage())
            return 0
        on_a_disk(argv[1:])
        return entries[argv[0]].load()(argv[1:]) or 0
    except InputError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        cure = absent(error.name)
        if not cure or os.environ.get("LENSJAX_TRACEBACK"):
            raise
        return _fail(cure)
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # so that the interpreter's last flush cannot fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command again to continue where it stopped", 130)
    except OSError as error:
        if os.environ.get("LENSJAX_TRACEBACK"):
            raise
        where = f" ({error.filename})" if error.filename else ""
        cure = {
            errno.ENOSPC: "the disk is full: free some space, then run the same command again "
            "to continue",
            errno.EDQUOT: "your quota of disk space is used up: free some space, then run the same "
            "command again to continue",
            errno.EACCES: "no permission: choose another --out or change the permissions",
            errno.EROFS: "the file system is read-only: choose another --out",
            errno.ENOENT: "no such file or folder: check the path",
        }.get(error.errno or 0, error.strerror or str(error))
        return _fail(cure + where)


def prepared() -> None:
    """Starts this process again, once, when the environment lacks what Python and glibc read only
    at the start of a program. Values that the user has set stay as they are.

    PYTHONSAFEPATH keeps the working directory off `sys.path`, here and in every process that a verb
    starts, so that a user's folder `data/` or `spark/` is not taken for ours.

    GLIBC_TUNABLES asks for memory in large pages where the kernel grants them (glibc 2.35 and
    later). XLA takes the scratch memory of every call from the kernel anew; page by page of 4 kB
    that is up to a third of an update's time (docs/training.md). glibc ignores what it does not
    know.
    """
    wanted = {"PYTHONSAFEPATH": "1"}
    plain = os.environ.get("LENSJAX_PLAIN", "0") not in ("", "0")  # the switch of lensjax/apart.py
    if "CS_GNU_LIBC_VERSION" in os.confstr_names and not plain:
        wanted["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    missing = {name: value for name, value in wanted.items() if name not in os.environ}
    if missing:
        os.environ.update(missing)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def command() -> NoReturn:
    """Runs main as a process. Once a verb has ended, an interrupt cannot break the shutdown of the
    interpreter any more (JAX's takes a while)."""
    prepared()
    own("data", "classifiers", "spark")
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    command()
