"""A server that speaks Prometheus's HTTP API, with answers as a real one (2.42) gives them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class MetricsServer:
    """Answers each query with what was set for it; without, with an empty vector."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, web.Response] = {}
        self.asked: list[str] = []
        self.tokens: list[str] = []

    def vector(self, query: str, *values: tuple[dict[str, str], str]) -> None:
        """Let a query find these series and values."""
        found = [{"metric": metric, "value": [1795420401.093, value]} for metric, value in values]
        self.answer(query, {"resultType": "vector", "result": found})

    def scalar(self, query: str, value: str) -> None:
        """Let a query be a number."""
        self.answer(query, {"resultType": "scalar", "result": [1795420401.105, value]})

    def answer(self, query: str, data: Any) -> None:
        """Let a query have any data."""
        self.answers[query] = web.json_response({"status": "success", "data": data})

    def refuse(self, query: str, code: int, message: str) -> None:
        """Let a query be an error."""
        body = {"status": "error", "errorType": "bad_data", "error": message}
        self.answers[query] = web.json_response(body, status=code)

    def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        query = request.query["query"]
        self.asked.append(query)
        self.tokens.append(request.headers.get("Authorization", ""))
        empty: dict[str, Any] = {
            "status": "success",
            "data": {"resultType": "vector", "result": []},
        }
        # A response can be sent once only.
        set_ = self.answers.get(query) or web.json_response(empty)
        return web.Response(body=set_.body, status=set_.status, content_type=set_.content_type)


@asynccontextmanager
async def metrics_server() -> AsyncGenerator[MetricsServer]:
    """A server on loopback for as long as the context."""
    server = MetricsServer()

    async def handle(request: web.Request) -> web.Response:
        return server.handle(request)

    application = web.Application()
    application.router.add_get("/prefix/api/v1/query", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/prefix/"
    try:
        yield server
    finally:
        await runner.cleanup()
