"""What every request passes: whose browser may ask, headers of the response, the log."""

import ipaddress
import re
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from charrnn.core.console import Console
from charrnn.core.errors import printable
from charrnn.server.fields import RequestError
from charrnn.server.web_app import error_object

HOST = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::[0-9]{1,5})?", re.ASCII)

OURS = ("localhost", "local", "internal")
"""Last parts of names that no stranger can register."""

HEADERS = {
    "content-security-policy": "frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Guard:
    """Passes requests on, unless a page of another site sent them.

    A name that a stranger can register may lead to this machine (DNS rebinding), and a page of
    another site may send requests here (CSRF): both are refused by their headers Host and Origin.

    Args:
        app: The application.
        names: Names of this server, in small letters.
        console: Gets a line for each request at -v, and a warning for each failure.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], console: Console) -> None:
        self._app, self._names, self._console = app, names, console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        begin, status = time.monotonic(), 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        scope.setdefault("state", {})
        try:
            refusal = self._refusal(Headers(scope=scope))
            if refusal:
                answer = JSONResponse(
                    error_object(refusal), refusal.status, {"connection": "close"}
                )
                await answer(scope, receive, send_guarded)
            else:
                await self._app(scope, receive, send_guarded)
        except ClientDisconnect:
            pass
        except Exception as error:  # noqa: BLE001 - a bug must not end the server
            self._console.warn(f"{scope['path']}: {type(error).__name__}: {error}")
        self._log(scope, status, time.monotonic() - begin)

    def _refusal(self, headers: Headers) -> RequestError | None:
        """Return why a request is refused."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.knows(hosts[0]):
            return RequestError(
                403, f"this server is not {printable(', '.join(hosts))[:80]!r}; call it by its "
                "address, or start it with --host NAME",
            )  # fmt: skip
        for origin in headers.getlist("origin"):
            if origin.lower() not in (f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}"):
                return RequestError(403, "pages of other sites may not use this server")
        return None

    def knows(self, host: str) -> bool:
        """Return whether a Host header has an address, a name of this server or a private name."""
        match = HOST.fullmatch(host.lower())
        if match is None:
            return False
        name = match[1] or match[2]
        if name in self._names or name.rpartition(".")[2] in OURS:
            return True
        return is_address(name) or (match[2] is not None and "." not in name)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        if self._console.verbosity > 0:
            client = (scope.get("client") or ("?",))[0]
            note = f", {scope['state']['note']}" if "note" in scope["state"] else ""
            what = f"{scope['method']} {scope['path']}"
            result = status or "client left"
            self._console.line(printable(f"{client} {what[:200]} {result}{note}, {seconds:.2f} s"))


def is_address(name: str) -> bool:
    """Return whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
