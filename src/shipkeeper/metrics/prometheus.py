"""Asking a Prometheus, or what speaks its HTTP API (Thanos, Mimir, VictoriaMetrics)."""

import ssl
from pathlib import Path
from typing import Self

import aiohttp
import msgspec

from shipkeeper import __version__
from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.model.sample import Sample

_SECONDS = 30.0


class MetricsError(ShipkeeperError):
    """The metrics server gave no result."""


class PrometheusOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is: the URL before `/api/v1`; a file with a bearer token, and its CA's certificate.

    The token's file is read anew for each query.
    """

    url: str
    token_file: str = ""
    ca_file: str = ""


class _Data(msgspec.Struct, rename="camel"):
    result_type: str = ""
    result: msgspec.Raw = msgspec.Raw(b"[]")


class _Answer(msgspec.Struct, rename="camel"):
    status: str
    data: _Data = msgspec.field(default_factory=_Data)
    error: str = ""


class _Series(msgspec.Struct):
    value: tuple[float, str]
    metric: dict[str, str] = {}


class Prometheus:
    """Instant queries to one server, for the length of its context."""

    def __init__(self, options: PrometheusOptions) -> None:
        self._options = options
        self._session: aiohttp.ClientSession | None = None
        if not options.url.startswith(("http://", "https://")):
            raise UsageError(
                f"{options.url!r} is not the URL of a metrics server",
                reason="InvalidUrl",
                hint="write it like http://prometheus.monitoring:9090",
            )

    async def __aenter__(self) -> Self:
        """Open a connection pool; MetricsError when the CA's certificate cannot be read."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls()),
            timeout=aiohttp.ClientTimeout(total=_SECONDS),
            headers={"User-Agent": f"shipkeeper/{__version__}"},
        )
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    async def query(self, expression: str) -> tuple[Sample, ...]:
        """The value of an expression now: the samples of a vector, or the one of a scalar.

        MetricsError when there is no answer, or one that says no.
        """
        code, body = await self._get(expression)
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except msgspec.DecodeError:
            raise self._refused(code, body[:200].decode("utf-8", "replace")) from None
        if answer.status != "success":
            raise self._refused(code, answer.error)
        return _samples(answer.data, expression)

    async def _get(self, expression: str) -> tuple[int, bytes]:
        if self._session is None:
            raise MetricsError("the metrics server was not opened", reason="Closed")
        url = f"{self._options.url.rstrip('/')}/api/v1/query"
        try:
            headers = self._credentials()
            async with self._session.get(
                url, params={"query": expression}, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            words = str(error) or f"no answer within {_SECONDS:.0f}s"
            raise MetricsError(
                f"cannot ask the metrics server {self._options.url}: {words}",
                reason="MetricsUnreachable",
                hint="is the URL right, and can this machine reach it?",
            ) from error

    def _credentials(self) -> dict[str, str]:
        if not self._options.token_file:
            return {}
        token = Path(self._options.token_file).read_text(encoding="utf-8").strip()
        return {"Authorization": f"Bearer {token}"}

    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._options.ca_file or None)
        except OSError as error:
            raise MetricsError(
                f"cannot use the certificate {self._options.ca_file}: {error}",
                reason="InvalidCertificate",
                hint="it must be PEM",
            ) from error

    def _refused(self, code: int, words: str) -> MetricsError:
        hint = "try the query in its web page"
        if code in (401, 403):
            hint = "give it a token that it accepts"
        elif code == 404 or 300 <= code < 400:
            hint = "the URL ends before /api/v1"
        return MetricsError(
            f"the metrics server {self._options.url} answered {code}: {words.strip()}",
            reason="MetricsRefused",
            hint=hint,
        )


def _samples(data: _Data, expression: str) -> tuple[Sample, ...]:
    try:
        if data.result_type == "scalar":
            pair = msgspec.json.decode(data.result, type=tuple[float, str])
            return (Sample(value=float(pair[1])),)
        if data.result_type == "vector":
            series = msgspec.json.decode(data.result, type=tuple[_Series, ...])
            return tuple(Sample(labels=each.metric, value=float(each.value[1])) for each in series)
    except (msgspec.DecodeError, ValueError) as error:
        raise _unusable(expression, f"cannot be read: {error}") from error
    raise _unusable(expression, f"is a {data.result_type or 'nothing'}, not a vector or scalar")


def _unusable(expression: str, words: str) -> MetricsError:
    return MetricsError(
        f"the result of {expression!r} {words}",
        reason="MetricsMalformed",
        hint="ask for an instant vector or a scalar, such as sum(up) > 3",
    )
