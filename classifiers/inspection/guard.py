"""Who may talk to the page: programs on this machine that know its address, and pages of its own.

The server listens on loopback, but every web page that a grader visits can send requests there, and
a name of somebody else's can be made to point there (DNS rebinding). A request is therefore refused

- unless its Host header is one of the server's own addresses (421),
- when a browser says that it comes from another site: Origin, Sec-Fetch-Site (403),
- unless the first part of its path is the token, compared in constant time (404).

The answer to everything else carries a policy by which the page loads and connects to nothing but
itself, is in no frame, and tells no other site its address.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
SAME = ("same-origin", "none")
"""Values of Sec-Fetch-Site for requests of the page itself, and of somebody who types its
address."""


def addresses(port: int) -> frozenset[str]:
    """Host headers of a server on loopback."""
    return frozenset(f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]"))


class Guard:
    """An ASGI application in front of another one, which sees the path without the token."""

    def __init__(self, app: App, token: str, hosts: frozenset[str]) -> None:
        self.app, self.hosts = app, hosts
        self._token = token.encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it, as ASGI asks."""
        if scope["type"] != "http":
            return  # no web sockets, and nothing to do at start and end
        refused = self.refusal(scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message.get("headers", ())}
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                kept = [(k, v) for k, v in more if k not in own]
                message = {**message, "headers": [*message.get("headers", ()), *kept]}
            await send(message)

        if refused is not None:
            status, text = refused
            start = {"type": "http.response.start", "status": status}
            await answer({**start, "headers": [(b"content-type", b"text/plain; charset=utf-8")]})
            await answer({"type": "http.response.body", "body": text.encode()})
            return
        path = "/" + scope["path"].split("/", 2)[2]
        await self.app({**scope, "path": path, "raw_path": path.encode()}, receive, answer)

    def refusal(self, scope: Message) -> tuple[int, str] | None:
        """Status and words by which a request is refused; None where it is let through."""
        found: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            found.setdefault(name.lower(), []).append(value.decode("latin-1"))
        hosts = found.get(b"host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return 421, "This server answers to its own address only."
        origins, sites = found.get(b"origin", []), found.get(b"sec-fetch-site", [])
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return 403, "Requests of other sites are refused."
        allowed = SAME if scope["method"] in ("GET", "HEAD") else SAME[:1]
        if any(site not in allowed for site in sites):
            return 403, "Requests of other sites are refused."
        parts = scope["path"].split("/", 2)
        given = parts[1].encode("utf-8", "surrogatepass") if len(parts) == 3 else b""
        if not hmac.compare_digest(given, self._token):
            return 404, "No such page. Use the whole address that the program has printed."
        return None
