"""The console served: on this machine by a link, anywhere else over TLS and with logins."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from cryptography import x509
from starlette.types import ASGIApp, Receive, Scope, Send

from shipkeeper.backup.opening import Place
from shipkeeper.engine.journal import Journal
from shipkeeper.errors import UsageError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.serving.https import Certificates, Listen, ServeError
from shipkeeper.web.app import Application
from shipkeeper.web.clusters import Clusters, Member, gathered, mark_of
from shipkeeper.web.console import a_few
from shipkeeper.web.files import Files
from shipkeeper.web.guard import Guard, IsOurs, Report
from shipkeeper.web.opening import Shared, Wanted, opened
from shipkeeper.web.presented import CertifiedProtocol

_CONNECTIONS = 512
_MOST_CLUSTERS = 32
_LAST_WORDS = 2  # seconds that answers under way may take at the end
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to serve, and which cluster; without a certificate on loopback alone.

    `flags` are those of the command line that say which cluster, and as whom. `directory` keeps
    what commands that are started from the console say. `place` is a repository of backups.
    `client_ca` is the authority whose certificates log in, as whom they name. With `contexts` a
    console of each is served, and `connection` and `flags` name none.
    """

    host: str
    port: int
    certificate: Path | None
    key: Path | None
    connection: ConnectionOptions
    flags: tuple[str, ...]
    directory: Path
    place: Place | None = None
    client_ca: Path | None = None
    contexts: tuple[str, ...] = ()


def require_safe(options: ServeOptions) -> bool:
    """Whether it is for this machine alone; UsageError where others could look without TLS."""
    _require_fitting(options)
    is_tls = options.certificate is not None and options.key is not None
    if is_tls:
        return False
    if options.client_ca is not None:
        raise UsageError(
            "client certificates are shown over TLS alone",
            reason="NoCertificate",
            hint="name a certificate with --tls-cert-file and --tls-private-key-file",
        )
    if (options.certificate is None) != (options.key is None):
        raise UsageError(
            "--tls-cert-file and --tls-private-key-file go together",
            reason="NoCertificate",
            hint="name both, or neither on this machine alone",
        )
    if _is_loopback(options.host):
        return True
    raise UsageError(
        f"{options.host} can be reached by others: that takes TLS, and everybody logs in",
        reason="NotLoopback",
        hint="name a certificate with --tls-cert-file and --tls-private-key-file, or stay at "
        "127.0.0.1 and use: ssh -L 7717:127.0.0.1:7717 HOST",
    )


def _require_fitting(options: ServeOptions) -> None:
    if len(options.contexts) > _MOST_CLUSTERS:
        raise UsageError(
            f"a console shows at most {_MOST_CLUSTERS} clusters, and these are "
            f"{len(options.contexts)}",
            reason="TooManyClusters",
            hint="name fewer with --context, and start another console for the rest",
        )
    if options.contexts and options.client_ca is not None:
        raise UsageError(
            "--client-ca-file is the authority of one cluster: its certificates must not log in "
            "to others",
            reason="SeveralClusters",
            hint="log in with tokens, or start a console for each cluster",
        )


@asynccontextmanager
async def serving(
    options: ServeOptions, journal: Journal, say: Callable[[str], None], report: Report
) -> AsyncGenerator[str]:
    """Serve the console until the block ends; yields the URL.

    `say` is told links and the like, `report` of bugs that ended a request.
    """
    is_local = require_safe(options)
    files = _built_files()
    async with _listening(options) as (server, url):
        shared = Shared(
            url=url,
            is_local=is_local,
            takes_certificates=options.client_ca is not None,
            files=files,
            journal=journal,
            directory=options.directory,
            place=options.place,
            planning=a_few(),
            say=say,
        )
        async with _consoles(options, shared, report) as served:
            server.begin(Guard(served.asgi, _names(options), report, is_tls=not is_local))
            if is_local:
                served.invite()
            try:
                yield url
            finally:
                await served.end()
                await server.end()


@asynccontextmanager
async def _consoles(
    options: ServeOptions, shared: Shared, report: Report
) -> AsyncGenerator[Application | Clusters]:
    """The console of the one cluster, or those of several."""
    if not options.contexts:
        wanted = Wanted(connection=options.connection, flags=options.flags)
        async with opened(wanted, shared) as application:
            yield application
        return
    clusters = Clusters(shared.files, is_local=shared.is_local)
    for each in options.contexts:
        clusters.add(_member(each, options, shared, clusters, report))
    async with gathered(clusters.members):
        yield clusters


def _member(
    context: str, options: ServeOptions, shared: Shared, clusters: Clusters, report: Report
) -> Member:
    wanted = Wanted(
        connection=msgspec.structs.replace(options.connection, context=context),
        flags=(*options.flags, f"--context={context}"),
        mark=mark_of(context),
    )

    def open_() -> AbstractAsyncContextManager[Application]:
        return opened(wanted, shared, clusters.sessions)

    return Member(context, open_, shared, report, clusters.is_owner)


def _built_files() -> Files:
    files = Files()
    if not files.are_built:
        raise ServeError(
            "the console's pages were not built when shipkeeper was installed (there was no npm)",
            reason="NotBuilt",
            hint="install Node.js 20.19 or newer with npm, then in the checkout: make console",
        )
    return files


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals: that is the command line's business."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone."""
        yield


class _Running:
    """A server on a socket that is bound already, so that its port is known before it serves."""

    def __init__(self, options: ServeOptions, listener: socket.socket, tls: Certificates | None):
        self._listener = listener
        self._tls = tls
        self._app: Any = None
        self._config = uvicorn.Config(
            self._answer,
            host=options.host,
            http=CertifiedProtocol,
            interface="asgi3",
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_LAST_WORDS,
            ssl_certfile=options.certificate if tls else None,
            ssl_context_factory=(lambda _config, _default: tls.context) if tls else None,
        )
        self._server = _Server(self._config)
        self._tasks: list[asyncio.Task[Any]] = []

    def begin(self, app: ASGIApp) -> None:
        """Answer by an application from now on."""
        self._app = app
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        self._tasks = [asyncio.create_task(self._server.serve(sockets=[self._listener]))]
        if self._tls is not None:
            self._tasks.append(asyncio.create_task(self._tls.follow()))

    async def end(self) -> None:
        """Finish what is under way, and listen no more."""
        self._server.should_exit = True
        for each in self._tasks[1:]:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


@asynccontextmanager
async def _listening(options: ServeOptions) -> AsyncGenerator[tuple[_Running, str]]:
    tls = None
    if options.certificate is not None and options.key is not None:
        # Whoever shows no certificate may still log in with a token.
        tls = Certificates(
            Listen(
                certificate=options.certificate,
                key=options.key,
                client_ca=options.client_ca,
                client_optional=True,
            )
        )
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family, backlog=512)
    except OSError as error:
        raise ServeError(
            f"cannot serve at {options.host}:{options.port}: {_words(error)}",
            reason="AddressTaken",
            hint="choose another with --address and --port",
        ) from error
    with closing(listener):
        host = f"[{options.host}]" if ":" in options.host else options.host
        scheme = "https" if tls else "http"
        running = _Running(options, listener, tls)
        yield running, f"{scheme}://{host}:{listener.getsockname()[1]}"


def _names(options: ServeOptions) -> IsOurs:
    """Whether a name is this server's: one of its certificate, or of loopback without one."""
    if options.certificate is None:
        return lambda host: host in _LOOPBACK or _is_loopback(host)
    exact, under = _certified(options.certificate)
    return lambda host: host in exact or host.partition(".")[2] in under


def _certified(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The names and addresses of a certificate, and the domains of its wildcards."""
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise UsageError(
            f"the certificate {path} is made out to no name (it has no SubjectAlternativeName)",
            reason="BadCertificate",
            hint="have one made with the names that the console is opened by",
        ) from error
    dns = [each.casefold() for each in names.get_values_for_type(x509.DNSName)]
    addresses = [str(each) for each in names.get_values_for_type(x509.IPAddress)]
    wild = frozenset(each.removeprefix("*.") for each in dns if each.startswith("*."))
    return frozenset((*dns, *addresses)), wild


def _is_loopback(host: str) -> bool:
    if host in _LOOPBACK:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _words(error: OSError) -> str:
    """What went wrong; of an unknown name the resolver's words, else the system's."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
