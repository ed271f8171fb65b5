"""Access: who can do what and why, the ways to more power, and when certificates end."""

from collections.abc import Hashable
from datetime import timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shipkeeper.access.attributes import User
from shipkeeper.access.escalation.findings import escalation_findings
from shipkeeper.access.escalation.walk import crossing
from shipkeeper.access.explain import explain
from shipkeeper.access.heat import heat
from shipkeeper.access.legs import legs
from shipkeeper.access.matrix import RESOURCES, VERBS, Matrix, bound_subjects, matrix
from shipkeeper.access.observe import DECISIVE
from shipkeeper.access.policy import AUTHORIZERS
from shipkeeper.access.report import legend_of, verb_letters
from shipkeeper.access.who_can import who_can
from shipkeeper.access.words import resource_name
from shipkeeper.engine.finding import in_order
from shipkeeper.web.answers import json_response, read_query
from shipkeeper.web.asking import parse_question, parse_who
from shipkeeper.web.certificates import Certificates
from shipkeeper.web.console import Console
from shipkeeper.web.page import PageInfo, Query
from shipkeeper.web.person import Person
from shipkeeper.web.policies import Policies, Reading
from shipkeeper.web.problem import RefusedError
from shipkeeper.web.view import View

_SUGGESTED = 1_000
_SHOWN = 300
_ROWS = 200
_COLUMNS = 30
_HORIZON = timedelta(days=30)
_DECIDING = frozenset({AUTHORIZERS, *(kind.kind for kind in DECISIVE)})


class QuestionQuery(msgspec.Struct, frozen=True):
    """A question as it was typed, and a part of the names that are wanted."""

    q: str
    find: str = ""


class ExplainQuery(msgspec.Struct, frozen=True):
    """A question, about whom, and with which groups besides."""

    q: str
    who: str = ""
    groups: str = ""


class EscalationQuery(msgspec.Struct, frozen=True):
    """Whether what Kubernetes grants itself is told, too; words that must be found."""

    system: bool = False
    find: str = ""


class PlaceQuery(msgspec.Struct, frozen=True):
    """A place of the graph."""

    kind: str
    name: str


class MatrixQuery(msgspec.Struct, frozen=True):
    """Which namespace, resources (by commas) and subjects (whose name has these letters)."""

    namespace: str = ""
    resources: str = ""
    q: str = ""


class AnewQuery(msgspec.Struct, frozen=True):
    """Whether what is known already will not do; words that must be found."""

    anew: bool = False
    find: str = ""


class AccessPage:
    """The page: it has no stream, every answer tells of when it is."""

    info = PageInfo(name="access", title="Access")

    def __init__(self, console: Console) -> None:
        self._console = console
        self._policies = Policies()
        self._certificates = Certificates()

    def routes(self) -> list[Route]:
        """The questions."""
        return [
            Route("/api/access/policy", self.policy),
            Route("/api/access/who-can", self.who_can),
            Route("/api/access/explain", self.explain),
            Route("/api/access/escalation", self.escalation),
            Route("/api/access/place", self.place),
            Route("/api/access/matrix", self.matrix),
            Route("/api/access/certificates", self.certificates),
        ]

    def parse(self, query: Query) -> None:
        """Nothing is followed here."""

    def version(self, person: Person, asked: Any) -> Hashable:
        """Nothing is followed here."""
        return 0

    async def look(self, person: Person, asked: Any) -> View:
        """Nothing is followed here."""
        return View()

    async def policy(self, request: Request) -> Response:
        """What questions can be asked about, and what could not be read of what decides them."""
        person = self._console.sessions.of(request).person
        anew = read_query(request, AnewQuery).anew
        reading = await self._policies.of(person, anew=anew)
        policy = reading.policy
        subjects = bound_subjects(policy)
        return json_response(
            {
                **_head(reading),
                "version": str(policy.version),
                "authorizers": [each.type for each in policy.chain.authorizers],
                "isChainKnown": policy.is_chain_known,
                "bindings": len(policy.bindings),
                "roles": len(policy.roles),
                "namespaces": reading.graph.terrain.namespaces[:_SUGGESTED],
                "subjects": [f"{kind.lower()}/{name}" for kind, name in subjects[:_SUGGESTED]],
                "resources": RESOURCES,
            }
        )

    async def who_can(self, request: Request) -> Response:
        """Everybody who may do something."""
        person = self._console.sessions.of(request).person
        query = read_query(request, QuestionQuery)
        asked = parse_question(query.q)

        def answer(reading: Reading) -> dict[str, Any]:
            found = who_can(reading.chain, asked.question, everywhere=asked.is_everywhere)
            matching = [
                each for each in found.holders if _has(query.find, each.kind, each.name, each.by)
            ]
            return {
                "question": found.question,
                "webhooks": found.webhooks,
                "total": len(found.holders),
                "matching": len(matching),
                "holders": matching[:_SHOWN],
            }

        reading, found = await self._policies.ask(person, answer)
        return json_response({**_head(reading), **found})

    async def explain(self, request: Request) -> Response:
        """Why somebody may or may not, and the way to the yes."""
        person = self._console.sessions.of(request).person
        query = read_query(request, ExplainQuery)
        oneself = User(name=person.identity.username, groups=person.identity.groups)
        asked = parse_question(query.q).question.of(parse_who(query.who, query.groups, oneself))

        def answer(reading: Reading) -> object:
            found = explain(reading.chain, asked)
            return {
                "found": found,
                "allowed": found.answer.allowed,
                "known": found.answer.is_known,
                "path": legs(reading.chain, asked),
            }

        reading, found = await self._policies.ask(person, answer)
        return json_response({**_head(reading), "explained": found})

    async def escalation(self, request: Request) -> Response:
        """Who can come to more power, by which way, and where it is cut."""
        person = self._console.sessions.of(request).person
        query = read_query(request, EscalationQuery)

        def answer(reading: Reading) -> dict[str, Any]:
            found = in_order(escalation_findings(reading.chain, with_system=query.system))
            matching = [
                each
                for each in found
                if _has(query.find, each.message, each.remedy, *each.evidence)
            ]
            return {
                "total": len(found),
                "matching": len(matching),
                "findings": matching[:_SHOWN],
            }

        reading, found = await self._policies.ask(person, answer)
        return json_response({**_head(reading), **found})

    async def place(self, request: Request) -> Response:
        """Where one place of the graph leads."""
        person = self._console.sessions.of(request).person
        query = read_query(request, PlaceQuery)

        def answer(reading: Reading) -> object:
            return crossing(reading.graph, (query.kind, query.name))

        reading, found = await self._policies.ask(person, answer)
        return json_response({**_head(reading), "crossing": found})

    async def matrix(self, request: Request) -> Response:
        """What subjects may do with resources."""
        person = self._console.sessions.of(request).person
        query = read_query(request, MatrixQuery)
        words = query.resources.replace(",", " ").split() or RESOURCES
        if len(words) > _COLUMNS:
            raise RefusedError(400, f"at most {_COLUMNS} resources fit", reason="TooMany")

        def answer(reading: Reading) -> object:
            subjects = [
                (kind, name)
                for kind, name in bound_subjects(reading.policy)
                if _has(query.q, f"{kind}/{name}")
            ]
            if not subjects:
                return {"subjects": 0, "rows": [], "resources": [], "legend": ""}
            made = matrix(
                reading.chain,
                [resource_name(each) for each in words],
                namespace=query.namespace,
                subjects=subjects[:_ROWS],
            )
            return {"subjects": len(subjects), **_heat(made)}

        reading, found = await self._policies.ask(person, answer)
        return json_response({**_head(reading), "matrix": found})

    async def certificates(self, request: Request) -> Response:
        """Every certificate that can be seen from here, and what is wrong with them."""
        person = self._console.sessions.of(request).person
        query = read_query(request, AnewQuery)
        seen = await self._certificates.of(person, _HORIZON, anew=query.anew)
        rows = seen.listed.items
        matching = [
            each
            for each in rows
            if _has(query.find, each.kind, each.target, each.subject, each.issuer, *each.names)
        ]
        return json_response(
            {
                "seenAt": seen.seen_at,
                "total": len(rows),
                "matching": len(matching),
                "rows": matching[:_SHOWN],
                "findings": seen.findings,
            }
        )


def _has(wanted: str, *texts: str) -> bool:
    """Whether every word that is wanted is in one of the texts."""
    text = "\n".join(texts).casefold()
    return all(word in text for word in wanted.casefold().split())


def _head(reading: Reading) -> dict[str, Any]:
    """Of when an answer is, and what it does not take into account."""
    return {
        "readAt": reading.read_at,
        "missing": reading.missing,
        "gaps": [each for each in reading.policy.unread if each.what in _DECIDING],
        "unread": [each for each in reading.policy.unread if each.what not in _DECIDING],
    }


def _heat(made: Matrix) -> dict[str, Any]:
    return {
        "resources": made.resources,
        "legend": legend_of(made),
        "rows": [
            {
                "kind": row.kind,
                "name": row.name,
                "cells": [
                    {
                        "heat": heat(row, each, made),
                        "letters": verb_letters(row.verbs[each], VERBS),
                        "verbs": row.verbs[each],
                    }
                    for each in made.resources
                ],
            }
            for row in made.rows
        ],
    }
