"""A file in an object store or on a web server, with the part of `pathlib.Path` that readers use.

    root = place("s3://bucket/survey")            # a Path for a path, a Remote for an address
    part = (root / "sweep/a.fits").bytes(2880, 5760)

Addresses are s3:// (s3a:// is the same), https:// and http://. Credentials are those that the
environment gives to every program that uses S3: AWS_* variables, ~/.aws, or the machine's role. An
address that holds some is refused, and the message does not repeat it. FSSPEC_S3_ANON=true reads
public buckets without any, AWS_ENDPOINT_URL_S3 names another server.

A file that was looked at (`pinned`) is read as it was then: every request names that version, and
there is a StoreError where the store has another one by now. So parts of two versions are never put
together, also when tasks on several machines read them. The header is If-Match, or
If-Unmodified-Since (RFC 9110, 13.1), which S3 and most web servers heed.

A request that the store turned away because it is busy, or that the network lost, is made again,
ATTEMPTS times in all. Before each one a random time is waited, whose limit doubles ("full jitter",
so that tasks that were turned away together do not come back together). After the last attempt
there is a StoreError; for a trouble that no repetition cures there is one at once. A StoreError is
an OSError: the file may be whole, so it is never listed as a bad one.
"""

from __future__ import annotations

import errno
import io
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from data.storetroubles import BARRED, PASSING, StoreError, code_of, refused
from lensjax.errors import InputError, said

T = TypeVar("T")
SCHEMES = ("s3", "s3a", "https", "http")
ATTEMPTS = 8
FIRST_WAIT, LONGEST_WAIT = 0.5, 20.0
"""seconds that are waited at most before the second attempt, and before any"""
PIECE = 16 * 2**20
"""bytes that are asked for at once"""
TOGETHER = 4
"""requests of one task at a time"""
LOOKS = 32
"""files that are looked at at a time"""
BUFFER = 1 << 16
"""bytes that are read ahead where a file is read from its beginning, as headers are"""


@dataclass(frozen=True)
class Stat:
    """Size in bytes of a file, and the store's mark of its content: the ETag, or where it has none
    that stands for every byte, the time of the last change, as HTTP writes it."""

    st_size: int
    mark: str

    def condition(self) -> dict[str, str]:
        """The header by which a server gives this content only."""
        if self.mark.startswith('"'):
            return {"If-Match": self.mark}
        return {"If-Unmodified-Since": self.mark} if self.mark.endswith("GMT") else {}


@dataclass(frozen=True, order=True)
class Remote:
    """A file or folder of a store. url: without a slash at its end. seen: what the file was when it
    was looked at, None where it was not; two addresses are equal whatever it is."""

    url: str
    seen: Stat | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, below: object) -> Remote:
        text = str(below).strip("/")
        return Remote(f"{self.url}/{text}") if text not in ("", ".") else self

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Remote:
        """The folder."""
        return Remote(self.url.rpartition("/")[0])

    @property
    def scheme(self) -> str:
        """The kind of store: s3, https or http."""
        return self.url.partition("://")[0]

    def absolute(self) -> Remote:
        """This address, which is always absolute."""
        return self

    def relative_to(self, root: object) -> PurePosixPath:
        """The way from a folder above. Raises ValueError where it is not above."""
        if not self.url.startswith(f"{root}/"):
            raise ValueError(f"{self.url} is not below {root}")
        return PurePosixPath(self.url[len(str(root)) + 1 :])

    def pinned(self) -> Remote:
        """The file as it is now, or was when it was looked at: what is read of it later is of this
        version. Raises as `stat`."""
        return replace(self, seen=self.stat())

    def stat(self) -> Stat:
        """What was seen, or else what is there now. Raises FileNotFoundError where nothing is,
        StoreError for another trouble."""
        if self.seen is not None:
            return self.seen
        facts = self._ask(lambda store, key: store.info(key))
        if facts["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, "no such file", self.url)
        tag, time_ = str(facts.get("ETag") or ""), str(facts.get("Last-Modified") or "")
        mark = tag if tag.startswith('"') or not time_ else time_  # W/"..." is for one like it
        return Stat(int(facts.get("size") or 0), mark)

    def is_file(self) -> bool:
        """Whether a file is there. Raises StoreError where the store does not say."""
        try:
            return bool(self.stat())
        except FileNotFoundError:
            return False

    def is_dir(self) -> bool:
        """Whether something lies below. A web server is not asked."""
        if self.scheme.startswith("http"):
            return True
        try:
            return bool(self._ask(lambda store, key: store.ls(key, detail=False)))
        except FileNotFoundError:
            return False

    def glob(self, pattern: str) -> list[Remote]:
        """Files below that match, sorted; a name without *, ? and [ is that file. A web server has
        to show a list of its folder."""
        if not set("*?[") & set(pattern):
            return [self / pattern] if (self / pattern).is_file() else []
        ask = (self / pattern)._ask
        found = ask(lambda store, key: [store.unstrip_protocol(p) for p in store.glob(key)])
        return sorted(Remote(url) for url in found)

    def bytes(self, start: int, stop: int) -> bytearray:
        """The bytes from offset start to stop, a few requests at a time. Raises FileNotFoundError
        and StoreError."""
        out = bytearray(stop - start)
        condition = self.seen.condition() if self.seen else {}

        def piece(at: int) -> None:
            end = min(at + PIECE, stop)
            found = self._ask(lambda store, key: _part(store, key, at, end, condition))
            if len(found) != end - at:
                raise StoreError(
                    self.url,
                    f"gave {len(found):,} bytes where {end - at:,} were asked for; the file "
                    "changed, or its server does not give parts of files: copy it to disk",
                )
            out[at - start : end - start] = found

        begins = range(start, stop, PIECE)
        if len(begins) == 1:
            piece(start)
        elif begins:
            with ThreadPoolExecutor(TOGETHER) as pool:
                list(pool.map(piece, begins))
        return out

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """The file as it is now for reading from anywhere in it; mode is "rb"."""
        return io.BufferedReader(_Raw(self.pinned()), BUFFER)

    def save(self, to: Path) -> None:
        """Writes the file as it is now to disk. Raises FileNotFoundError and StoreError."""
        now = self.pinned()
        size, step = now.stat().st_size, PIECE * TOGETHER
        with open(to, "wb") as handle:
            for at in range(0, size, step):
                handle.write(now.bytes(at, min(at + step, size)))

    @contextmanager
    def copied(self) -> Iterator[Path]:
        """A copy on disk, for readers of whole files, which is removed at the end. An InputError of
        the block then names the file in the store. Raises FileNotFoundError and StoreError."""
        with tempfile.TemporaryDirectory(prefix="lensjax-") as folder:
            local = Path(folder) / self.name
            self.save(local)
            try:
                yield local
            except InputError as error:
                raise InputError(str(error).replace(str(local), self.url)) from None

    def put(self, source: Path) -> None:
        """Stores a file under this address, whole or not at all. Raises StoreError."""
        if self.scheme != "s3":
            raise InputError(f"{self.url}: files can be stored in s3:// only")
        self._ask(lambda store, key: store.put_file(str(source), key))

    def sizes(self) -> dict[str, int]:
        """Every file below, by its path from here, with its size."""
        try:
            found = self._ask(lambda store, key: store.find(key, detail=True))
        except FileNotFoundError:
            return {}
        start = len(self.url.partition("://")[2]) + 1
        return {path[start:]: int(facts["size"]) for path, facts in found.items()}

    def _ask(self, request: Callable[[Any, str], T]) -> T:
        """A request to the store, repeated as the top of this module says."""
        began, limit = time.monotonic(), FIRST_WAIT
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return request(_store(self.scheme), self.url)
            except Exception as error:  # each library has its own kinds
                code = code_of(error)
                again, none = code in PASSING, isinstance(error, FileNotFoundError)
                if none and not again and code not in BARRED:
                    raise FileNotFoundError(errno.ENOENT, "no such file", self.url) from None
                if not again:
                    raise refused(self.url, code, error) from None
                if attempt < ATTEMPTS:
                    time.sleep(random.uniform(0, limit))
                    limit = min(2 * limit, LONGEST_WAIT)
        raise StoreError(
            self.url,
            f"turned away {ATTEMPTS} times in {time.monotonic() - began:.0f} s ({code}): the store "
            "is throttled or cannot be reached; run the same command again later, which goes on "
            "with what is missing, or with fewer cores",
        )


Place = Path | Remote
"""Where a file lies"""


def place(text: object) -> Place:
    """A path, or the address of a file in a store. Raises InputError for an address that holds
    credentials or a query, which it does not repeat, and for one of an unknown kind."""
    if isinstance(text, Path | Remote):
        return text
    scheme, mark, rest = str(text).partition("://")
    if not mark:
        return Path(str(text))
    if scheme == "file":
        return Path(rest)
    if scheme not in SCHEMES:
        raise InputError(f"{scheme}://: addresses are s3://, s3a://, https:// and file://")
    host = rest.partition("/")[0]
    if "@" in host or "?" in rest or "#" in rest:
        raise InputError(
            f"an address in {scheme}:// holds credentials or a query; give the plain address, and "
            "credentials in the environment"
        )
    if not host:
        raise InputError(f"{text}: an address needs a {'bucket' if scheme[0] == 's' else 'host'}")
    return Remote(f"{'s3' if scheme == 's3a' else scheme}://{rest.rstrip('/')}")


def on_disk(found: Place, key: str) -> Path:
    """The path of what is read or written on disk only. Raises InputError, naming the setting, for
    a file in a store."""
    if isinstance(found, Remote):
        raise InputError(f"{key}: is taken from a folder on disk only; copy {found} to disk")
    return found


def pinned(files: Sequence[Place]) -> list[Place]:
    """The files with those in stores as they are now, which are asked for many at a time; those
    that are not there as they were given."""

    def look(file: Place) -> Place:
        try:
            return file.pinned() if isinstance(file, Remote) else file
        except FileNotFoundError:
            return file

    if not any(isinstance(file, Remote) for file in files):
        return list(files)
    with ThreadPoolExecutor(LOOKS) as pool:
        return list(pool.map(look, files))


class _Raw(io.RawIOBase):
    """A file of a store that was looked at, each read of which is a request."""

    def __init__(self, remote: Remote):
        self._remote, self._size, self._at = remote, remote.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        n = max(0, min(len(buffer), self._size - self._at))
        if n:
            buffer[:n] = self._remote.bytes(self._at, self._at + n)
            self._at += n
        return n


def _part(store: Any, url: str, start: int, stop: int, condition: dict[str, str]) -> Any:
    """Bytes of a file on the condition that a header says."""
    if not url.startswith("s3:"):
        # A server that packs what it sends gives another range than was asked for.
        return store.cat_file(url, start, stop, headers={"Accept-Encoding": "identity"} | condition)
    from fsspec.asyn import sync

    async def read(body: Any) -> bytes:
        async with body:
            return await body.read()

    bucket, key, _ = store.split_path(url)
    more = {name.replace("-", ""): value for name, value in condition.items()}
    area = f"bytes={start}-{stop - 1}"
    answer = store.call_s3("get_object", Bucket=bucket, Key=key, Range=area, **more)
    return sync(store.loop, read, answer["Body"])


@cache
def _store(scheme: str) -> Any:
    """The library's access to stores of a kind, without its own repetitions and its memory of what
    lies where. Raises InputError where the library is not installed."""
    import fsspec

    # One try of each request: this module repeats. Two layers would multiply.
    once = {"retries": {"max_attempts": 0, "mode": "legacy"}}
    more: dict[str, Any] = {"config_kwargs": once} if scheme == "s3" else {}
    try:
        store = fsspec.filesystem(scheme, use_listings_cache=False, **more)
    except ImportError as error:
        raise StoreError(
            f"{scheme}://", f"{said(error)}; install the extra: pip install 'lensjax[s3]'"
        ) from None
    if scheme == "s3":
        store.retries = 1
    return store
