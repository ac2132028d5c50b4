"""The page's server: a few addresses that answer in JSON and PNG, and three static files.

A grader is told nothing that the page does not show: no truth, no other grader's grade, no name,
position or score unless `show` names it. Objects are known to the page by their number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from classifiers.inspection import agreement, export
from classifiers.inspection.guard import App, Guard
from classifiers.inspection.neighbours import Neighbours
from classifiers.inspection.objects import Object
from classifiers.inspection.pictures import Pictures
from classifiers.inspection.store import GRADES, Store, name
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NO_PICTURE = "There is no picture of this object."
"""All that a grader is told: what is wrong with the file may name the object."""
LARGEST_BODY = 16_384
"""bytes of a request"""
STATIC = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
}


def application(
    store: Store,
    pictures: Pictures,
    token: str,
    hosts: frozenset[str],
    neighbours: Neighbours | None = None,
) -> App:
    """The whole server as an ASGI application. hosts: the Host headers that it answers to.
    neighbours: by the ids of objects."""
    page = _Page(store, pictures, neighbours or {})
    routes = [Route(f"/{path}", _static(*what)) for path, what in STATIC.items()]
    routes += [
        Route("/api/session", page.session),
        Route("/api/next", page.next),
        Route("/api/object/{number:int}", page.object),
        Route("/api/grade", page.grade, methods=["POST"]),
        Route("/api/undo", page.undo, methods=["POST"]),
        Route("/api/summary", page.summary),
        Route("/picture/{number:int}/{panel}.png", page.picture),
        Route("/neighbour/{number:int}/{place:int}.png", page.neighbour),
        Route("/export.csv", page.csv),
        Route("/export.parquet", page.parquet),
    ]
    handlers: Mapping[Any, Any] = {InputError: _refused}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), token, hosts)


def _static(file: str, kind: str) -> Callable[[Request], Response]:
    content = (resources.files(__package__) / file).read_bytes()
    return lambda request: Response(content, media_type=kind)


async def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


class _Page:
    """The answers. What is not `async` runs in a thread of its own."""

    def __init__(self, store: Store, pictures: Pictures, neighbours: Neighbours) -> None:
        self.store, self.pictures, self.neighbours = store, pictures, neighbours
        self.show = tuple(store.session.get("show", ()))

    def session(self, request: Request) -> Response:
        """What stays the same: grades, number of objects, arcsec per pixel; the graders so far."""
        return JSONResponse(
            {
                "title": self.store.session.get("title", "Inspection"),
                "count": self.store.count,
                "grades": GRADES,
                "pixel_scale": self.pictures.pixel_scale,
                "graders": list(self.store.progress()),
            }
        )

    def next(self, request: Request) -> Response:
        """Number of the next object without a grade of this grader; null: all have one."""
        grader = name(request.query_params.get("grader"))
        after = request.query_params.get("after", "0")
        if not after.isdecimal() or len(after) > 9:
            raise InputError("after: expected a number")
        return JSONResponse({"number": self.store.next(grader, int(after))})

    def object(self, request: Request) -> Response:
        """An object as this grader may see it, with the grade that he has given it."""
        found = self.store.object(request.path_params["number"])
        grader = name(request.query_params.get("grader"))
        given = self.store.graded(grader, found.number)
        problem = self.pictures.problem(found.id)
        panels = [
            {
                "title": p.title,
                "alt": f"Object {found.number}. {p.description}",
                "src": f"picture/{found.number}/{p.name}.png",
            }
            for p in self.pictures.panels
        ]
        return JSONResponse(
            {
                "number": found.number,
                "about": shown(found, self.show),
                "grade": given[0] if given else None,
                "note": given[1] if given else "",
                "panels": [] if problem else panels,
                "neighbours": self._near(found),
                "problem": NO_PICTURE if problem else "",
                "graded": self.store.number(grader),
            }
        )

    def _near(self, found: Object) -> list[dict[str, Any]]:
        """What the page shows of an object's neighbours; names only where it shows those of
        objects."""
        told = []
        for place, near in enumerate(self.neighbours.get(found.id, ()), 1):
            name = near.id if "id" in self.show else ""
            words = ", ".join(text for text in (str(place), near.label, name) if text)
            there = self.pictures.small(near.id) is not None
            told.append(
                {
                    "title": words,
                    "alt": f"Object {found.number}. Neighbour {words}",
                    "src": f"neighbour/{found.number}/{place}.png" if there else "",
                }
            )
        return told

    def neighbour(self, request: Request) -> Response:
        """The picture of a neighbour of an object, PNG."""
        found = self.store.object(request.path_params["number"])
        near, place = self.neighbours.get(found.id, ()), request.path_params["place"]
        content = self.pictures.small(near[place - 1].id) if 0 < place <= len(near) else None
        if content is None:
            raise InputError(NO_PICTURE)
        kept = {"cache-control": "private, max-age=600"}
        return Response(content, media_type="image/png", headers=kept)

    async def picture(self, request: Request) -> Response:
        """One picture, PNG. One that is made already is sent at once, because handing it to a
        thread would take most of the time of the answer."""
        panel = request.path_params["panel"]
        found = self.store.object(request.path_params["number"])
        content = self.pictures.ready(found.id, panel)
        if content is None:
            content = await run_in_threadpool(self._made, found, panel)
        kept = {"cache-control": "private, max-age=600"}
        return Response(content, media_type="image/png", headers=kept)

    def _made(self, found: Object, panel: str) -> bytes:
        if self.pictures.problem(found.id):
            raise InputError(NO_PICTURE)
        return self.pictures.of(found.id, panel)

    async def grade(self, request: Request) -> Response:
        """Notes a grade. The answer comes when it is on the disk."""
        said = await _body(request)
        number = said.get("number")
        if not isinstance(number, int) or isinstance(number, bool):
            raise InputError("number: expected one")
        who, letter, note, key = (said.get(k) for k in ("grader", "grade", "note", "key"))
        await run_in_threadpool(self.store.grade, who, number, letter, note, key)
        return JSONResponse({"saved": True})

    async def undo(self, request: Request) -> Response:
        """Takes back the grader's latest grade; the number of its object, or null."""
        said = await _body(request)
        undone = await run_in_threadpool(self.store.undo, said.get("grader"), said.get("key"))
        return JSONResponse({"number": undone})

    def summary(self, request: Request) -> Response:
        """Progress of every grader, and how well they agree."""
        found = agreement.table(self.store.grades())
        return JSONResponse(
            {
                "progress": self.store.progress(),
                "agreement": json.loads(found.to_json(orient="records")),
            }
        )

    def csv(self, request: Request) -> Response:
        content = export.csv(self._seen()).encode()
        return _download(content, "text/csv; charset=utf-8", "grades.csv")

    def parquet(self, request: Request) -> Response:
        content = export.parquet(self._seen())
        return _download(content, "application/vnd.apache.parquet", "grades.parquet")

    def _seen(self) -> pd.DataFrame:
        mixed = bool(self.store.session.get("mixed"))
        return export.seen(self.store.grades(), self.show, mixed)


def shown(found: Object, show: tuple[str, ...]) -> dict[str, Any]:
    """What the page shows of an object besides its pictures: name to number or text."""
    values = {"id": found.id, **found.about}
    return {name: values[name] for name in show if values.get(name) is not None}


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that a request carries. Raises InputError for anything else."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise InputError("expected JSON")
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LARGEST_BODY:
            raise InputError(f"more than {LARGEST_BODY} bytes")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError("not JSON") from None
    if not isinstance(found, dict):
        raise InputError("expected a JSON object")
    return found


def _download(content: bytes, kind: str, file: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{file}"'}
    return Response(content, media_type=kind, headers=headers)
