"""Who may speak to a web server: a browser's own tab on it, and programs; no other web page.

Neither the gallery nor Dagster's server has a login, and Dagster's runs mutations for whoever asks,
by POST and even by GET. A page of a stranger's in the same browser could ask in the user's name,
across sites or by a name that it points at 127.0.0.1 (DNS rebinding). So the name in `Host` has to
be one of the server's own, a request that says where it comes from has to come from there, and GET
runs no query.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names by which a machine calls itself."""

GRAPHQL = "/graphql"
_FROM_HERE = frozenset({"same-origin", "none"})
_REFUSED_POLICY = 1008


class Guard:
    """ASGI middleware that answers 403, with a reason, to what another page sends.

    Args:
        app: What is guarded.
        names: Host names of the server beside those of loopback; ports do not matter.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = ()) -> None:
        self._app = app
        self._names = LOOPBACK | {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        if (why := self._refusal(scope)) is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(_REFUSED_POLICY, why)(scope, receive, send)
        else:
            await PlainTextResponse(f"{why}\n", 403)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name(host) not in self._names:
            return "This server does not go by that name; if it should: --allow-host NAME"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "Requests from another web page are refused."
        if not self._is_from_here(scope, headers):
            return "Requests from another web page are refused."
        is_page = "text/html" in headers.get("accept", "")
        if scope.get("method") == "GET" and _ends_in_graphql(scope) and not is_page:
            return "Queries are sent by POST."
        return None

    @staticmethod
    def _is_from_here(scope: Scope, headers: Headers) -> bool:
        """A link on another page may lead here; nothing else of it may."""
        site = headers.get("sec-fetch-site", "none")
        is_link = scope.get("method") == "GET" and headers.get("sec-fetch-mode") == "navigate"
        return site in _FROM_HERE or is_link


def _name(host: str) -> str:
    """`[::1]:3000` to `[::1]`, `Localhost:3000` to `localhost`."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()


def _ends_in_graphql(scope: Scope) -> bool:
    return str(scope["path"]).rstrip("/").endswith(GRAPHQL)
