"""An S3 server in this process, which counts what it gives and can turn requests away."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

BUCKET = "surveys"
SECRET = "a-secret-of-nobody"


@dataclass
class Server:
    """address: of the server. refusals: (status, code) of answers, after `spare` good ones. asked:
    method and path of every request so far. given: bytes of objects so far."""

    address: str = ""
    spare: int = 0
    refusals: list[tuple[int, str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    given: int = 0

    def wrapped(self, app: Any) -> Any:
        """The application with the faults before it."""

        def answer(environ: dict[str, Any], start: Any) -> Any:
            self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            self.spare -= 1
            if self.refusals and self.spare < 0:
                status, code = self.refusals.pop(0)
                text = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
                start(f"{status} No", [("Content-Type", "text/xml")])
                return [b"" if environ["REQUEST_METHOD"] == "HEAD" else text]

            def counted(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                if environ["REQUEST_METHOD"] == "GET":
                    self.given += int(dict(headers).get("Content-Length", 0))
                return start(status, headers, *more)

            return app(environ, counted)

        return answer


def needed() -> None:
    """Skips, by their names, where packages are missing without which there is no server."""
    if absent := [m for m in ("moto", "s3fs", "flask") if importlib.util.find_spec(m) is None]:
        pytest.skip(f"{', '.join(absent)} not installed (extra s3, moto)", allow_module_level=True)


@contextmanager
def running() -> Iterator[Server]:
    """The server with the empty bucket BUCKET, and an environment in which it is the one that is
    asked, with the secret key SECRET. Connections are kept for a whole process, so those to another
    server are given up before and after."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from s3fs import S3FileSystem
    from werkzeug.serving import make_server

    from data import stores

    def forget() -> None:
        stores._store.cache_clear()
        S3FileSystem.clear_instance_cache()

    found = Server()
    app = found.wrapped(DomainDispatcherApplication(create_backend_app))
    listening = make_server("127.0.0.1", 0, app, threaded=True)
    found.address = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_S3", found.address)
            patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
            patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            httpx.post(f"{found.address}/moto-api/reset").raise_for_status()
            forget()
            stores._store("s3").mkdir(BUCKET)
            found.asked.clear()
            yield found
    finally:
        forget()
        listening.shutdown()
        thread.join()


def upload(folder: Path, url: str) -> None:
    """Stores every file of a folder."""
    from data.stores import place

    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        (place(url) / path.relative_to(folder)).put(path)
