"""schemathesis over the gateway: whatever it makes up, nobody is let in and nothing breaks."""

from pathlib import Path
from typing import Any

from shipkeeper.login.gateway import KIND, LOGIN, RENEW, REVIEW, VERSIONS, Login, Review
from tests.fuzzing import document, let_loose, reference
from tests.login.slapd import PASSWORD
from tests.login.test_hostile import MOST_MEMORY, Running, running

__all__ = ["running"]

Json = dict[str, Any]
EXAMPLES = 40
ANSWERED = 3
BODIES = (Login, Review)
ANSWERS: Json = {"default": {"description": "an answer, or why there is none"}}


def posted(struct: type | None = None, example: Json | None = None) -> Json:
    """A path that takes a POST of such a body."""
    if struct is None:
        return {"post": {"responses": ANSWERS}}
    content = {"schema": reference(struct, BODIES), "example": example}
    body = {"required": True, "content": {"application/json": content}}
    return {"post": {"responses": ANSWERS, "requestBody": body}}


def described(version: str) -> Json:
    """The gateway's API, with TokenReviews of one version as an API server sends them."""
    spec = {"token": "shipkeeper1.a.b.c", "audiences": ["https://kubernetes.default.svc"]}
    sent = {"apiVersion": version, "kind": KIND, "metadata": {}, "spec": spec}
    paths = {
        REVIEW: posted(Review, sent),
        LOGIN: posted(Login, {"login": "ann", "password": "wrong"}),
        RENEW: posted(),
        "/healthz": {"get": {"responses": ANSWERS}},
    }
    found = document("the gateway", paths, BODIES)
    # The gateway reads any text there, and refuses what is not this.
    schema = found["components"]["schemas"]["Review"]
    schema["properties"] |= {"apiVersion": {"const": version}, "kind": {"const": KIND}}
    schema["required"] = ["apiVersion", "kind", "spec"]
    return found


async def test_nobody_is_let_in(running: Running, tmp_path: Path) -> None:
    for version in VERSIONS:
        exchanges = await let_loose(
            described(version),
            f"https://127.0.0.1:{running.port}",
            tmp_path,
            headers={"Authorization": "Bearer shipkeeper1.a.b.c"},
            examples=EXAMPLES,
        )
        reviews = [each for each in exchanges if each.request.url.endswith(REVIEW)]
        # Some are well-formed, and are answered with a no: else only the refusal would be tried.
        assert len([each for each in reviews if each.status == 200]) > ANSWERED
        for each in exchanges:
            assert 0 < each.status < 500, each
            assert '"authenticated":true' not in each.told, each
            assert '"token":' not in each.told, each
            assert PASSWORD not in each.told, each
    assert b'"allowed":true' not in running.audit.read_bytes()
    assert await running.is_well()
    assert running.mebibytes < MOST_MEMORY
