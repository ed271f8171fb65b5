"""What stands in front of everything: which hosts and origins are answered, and with what headers.

A page of another origin, and a name that somebody made point at this machine (DNS rebinding), get
nothing, whatever cookies their visitor has.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shipkeeper.web.problem import RefusedError, problem_response

_SAFE = frozenset({"GET", "HEAD"})
# `none` is the address bar.
_OUR_SITES = frozenset({"same-origin", "none"})
_LARGEST_BODY = 256 * 1024
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_STRICT_TRANSPORT = "max-age=31536000"

IsOurs = Callable[[str], bool]
Report = Callable[[Exception], None]


class Guard:
    """An ASGI application around another; `is_ours` tells whether a host name means this server."""

    def __init__(self, app: ASGIApp, is_ours: IsOurs, report: Report, *, is_tls: bool) -> None:
        self._app = app
        self._report = report
        self._is_ours = is_ours
        self._is_tls = is_tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, and put the headers on either."""
        if scope["type"] != "http":
            return

        has_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                self._harden(MutableHeaders(scope=message))
            await send(message)

        try:
            self._check(scope["method"], scope["path"], Headers(scope=scope))
            await self._app(scope, _Limited(receive).receive, send_with_headers)
        except RefusedError as error:
            if not has_begun:
                await problem_response(error)(scope, receive, send_with_headers)
        except Exception as error:
            # A bug of one request ends that request, and is told to whoever runs the console.
            self._report(error)
            if not has_begun:
                await problem_response(_bug())(scope, receive, send_with_headers)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._is_ours(_name(host)):
            raise RefusedError(
                421,
                "the console does not answer by this name",
                reason="WrongHost",
                hint="use an address of its certificate, or on this machine 127.0.0.1",
            )
        site = headers.get("sec-fetch-site", "same-origin")
        # Who follows a link from elsewhere gets the empty page, and none of what it asks for.
        is_link = headers.get("sec-fetch-mode") == "navigate" and method in _SAFE
        if site not in _OUR_SITES and not (is_link and "/api/" not in path):
            raise _other_origin()
        origin = headers.get("origin")
        if method not in _SAFE and origin is None:
            raise _other_origin()
        if origin is not None and origin != f"{'https' if self._is_tls else 'http'}://{host}":
            raise _other_origin()

    def _harden(self, headers: MutableHeaders) -> None:
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")
        if self._is_tls:
            headers["Strict-Transport-Security"] = _STRICT_TRANSPORT


class _Limited:
    """A body that ends the request when it is too large."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > _LARGEST_BODY:
            raise RefusedError(413, "this is more than is ever needed", reason="TooLarge")
        return message


def _name(host: str) -> str:
    """The host of HOST, HOST:PORT or [IPV6]:PORT; empty for anything else."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _other_origin() -> RefusedError:
    return RefusedError(
        403,
        "this request comes from a page of another origin",
        reason="WrongOrigin",
        hint="open the console itself",
    )


def _bug() -> RefusedError:
    return RefusedError(
        500,
        "this is a bug in shipkeeper",
        reason="Bug",
        hint="whoever runs the console finds more in its output; please report it",
    )
