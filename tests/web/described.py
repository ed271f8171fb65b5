"""The console's API as an OpenAPI document: its own routes, and the structs that they read."""

from collections.abc import Callable
from typing import Any

from starlette.routing import Route

from shipkeeper.web.doors import Nobody, Token
from shipkeeper.web.form import MaintenanceForm
from shipkeeper.web.pages import access, backups, fleet, journal, planning, run, upgrade
from shipkeeper.web.registry import PAGES
from shipkeeper.web.stream import Look
from shipkeeper.web.upgrade_form import UpgradeForm
from tests.fuzzing import document, reference

Json = dict[str, Any]
STREAM = "/api/stream/{page}"
# What each route reads, from the query or for POST from the body; a stream what any page reads.
READS: dict[str, tuple[type, ...]] = {
    "/api/door": (),
    "/api/session": (),
    "/api/login": (Token,),
    "/api/login/certificate": (Nobody,),
    "/api/login/elsewhere": (Nobody,),
    "/api/logout": (),
    STREAM: (fleet.FleetQuery, run.RunQuery, journal.JournalQuery),
    "/api/look": (Look,),
    "/api/fleet/plan": (MaintenanceForm,),
    "/api/fleet/rehearse": (planning.Shown,),
    "/api/fleet/start": (planning.Shown,),
    "/api/run/pause": (run.RunWish,),
    "/api/run/resume": (run.RunWish,),
    "/api/run/abort": (run.RunWish,),
    "/api/run/{run}/plan": (),
    "/api/run/{run}/export.html": (),
    "/api/upgrade/versions": (),
    "/api/upgrade/check": (upgrade.TargetQuery,),
    "/api/upgrade/plan": (UpgradeForm,),
    "/api/upgrade/start": (upgrade.Start,),
    "/api/backups/list": (),
    "/api/backups/verify": (backups.Nothing,),
    "/api/backups/objects": (backups.ObjectsQuery,),
    "/api/backups/object": (backups.ObjectQuery,),
    "/api/backups/diff": (backups.DiffQuery,),
    "/api/backups/plan": (backups.Wish,),
    "/api/backups/restore": (backups.Start,),
    "/api/access/policy": (access.AnewQuery,),
    "/api/access/who-can": (access.QuestionQuery,),
    "/api/access/explain": (access.ExplainQuery,),
    "/api/access/escalation": (access.EscalationQuery,),
    "/api/access/place": (access.PlaceQuery,),
    "/api/access/matrix": (access.MatrixQuery,),
    "/api/access/certificates": (access.AnewQuery,),
}
_IN_PATHS: dict[str, Json] = {
    "page": {"schema": {"enum": [each.info.name for each in PAGES]}, "example": "fleet"},
    "run": {"schema": {"type": "string"}, "example": "maintain-1"},
}


def described(routes: list[Route], example: Callable[[str], Json]) -> Json:
    """The document; `example` has for each path what a page would ask there."""
    found = {each.path: each for each in routes if each.path != "/{path:path}"}
    assert found.keys() == READS.keys()
    bodies = [READS[path][0] for path, each in found.items() if _posts(each) and READS[path]]
    paths = {path: _operation(each, bodies, example(path)) for path, each in found.items()}
    return document("the console", paths, list(dict.fromkeys(bodies)))


def _operation(route: Route, bodies: list[type], example: Json) -> Json:
    reads = READS[route.path]
    told: Json = {
        "operationId": route.path,
        "parameters": [
            {"name": name, "in": "path", "required": True, **_IN_PATHS[name]}
            for name in route.param_convertors
        ],
        "responses": {"default": {"description": "an answer, or what went wrong"}},
    }
    if not _posts(route):
        told["parameters"] += [each for struct in reads for each in _in_query(struct, example)]
        return {"get": told}
    if reads:
        structs = list(dict.fromkeys(bodies))
        content = {"schema": reference(reads[0], structs), "example": example}
        told["requestBody"] = {"required": True, "content": {"application/json": content}}
    return {"post": told}


def _in_query(struct: type, example: Json) -> list[Json]:
    (schema,) = document("", {}, [struct])["components"]["schemas"].values()
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": inner,
            **({"example": example[name]} if name in example else {}),
        }
        for name, inner in schema["properties"].items()
    ]


def _posts(route: Route) -> bool:
    return "POST" in (route.methods or ())
