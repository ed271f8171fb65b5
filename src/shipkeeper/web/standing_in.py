"""Somebody with a client certificate: the console acts as them, by impersonation, if it may."""

from collections.abc import Callable
from typing import Any

from shipkeeper.errors import UsageError
from shipkeeper.kube.access import Permission, is_permitted
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.identity import Identity, who_am_i
from shipkeeper.kube.resources import GROUPS, USERS, Resource
from shipkeeper.web.person import Person
from shipkeeper.web.presented import Presented
from shipkeeper.web.problem import RefusedError

_EVERYBODY = "system:authenticated"
_MASTERS = "system:masters"
_SERVICE_ACCOUNT = "system:serviceaccount:"


async def require_standing_in(own: Connection, say: Callable[[str], None]) -> None:
    """UsageError if the console acts as somebody itself; it is said if it may act as anybody."""
    if own.credentials.impersonation.user:
        raise UsageError(
            "a console that acts as somebody (--as) cannot act as others for their certificates",
            reason="AlreadyImpersonating",
            hint="leave out --as, or --client-ca-file",
        )
    if any([await _may_act_as_any(own, each) for each in (USERS, GROUPS)]):
        say(
            "the console may act as anybody, so whoever takes its machine may, too: let it "
            "impersonate the users and groups that log in, by name (resourceNames)"
        )


async def _may_act_as_any(own: Connection, resource: Resource[Any]) -> bool:
    permission = Permission(verb="impersonate", resource=resource)
    return await is_permitted(own, permission, if_not_told=False)


async def stand_in(own: Connection, shown: Presented) -> Person:
    """Whom a certificate names; RefusedError if the console may not, or must not, act as them."""
    _require_person(shown)
    needed = (
        Permission(verb="impersonate", resource=USERS, name=shown.user),
        *(Permission(verb="impersonate", resource=GROUPS, name=each) for each in shown.groups),
    )
    for permission in needed:
        if not await is_permitted(own, permission, if_not_told=False):
            raise RefusedError(
                403,
                f"the console may not act as {permission.resource.kind.lower()} {permission.name}, "
                "so your certificate does not log in here",
                reason="MayNotImpersonate",
                hint=f"the console's own account needs: kubectl auth can-i {permission.question}; "
                "or log in with a token",
            )
    credentials = own.credentials.acting_as(shown.user, shown.groups)
    await credentials.log_in()
    connection = Connection(credentials, page_size=own.page_size)
    known = Identity(username=shown.user, groups=(*shown.groups, _EVERYBODY))
    try:
        identity = await who_am_i(connection) or known
    except BaseException:
        await connection.close()
        raise
    return Person(identity, connection, certificate=shown.content)


def _require_person(shown: Presented) -> None:
    """RefusedError for whom no console acts: administrators past all rules, and what is no user."""
    if _MASTERS in shown.groups or shown.user.startswith(_SERVICE_ACCOUNT):
        who = f"group {_MASTERS}" if _MASTERS in shown.groups else shown.user
        raise RefusedError(
            403,
            f"the console acts as nobody of {who}, so your certificate does not log in here",
            reason="NeverImpersonated",
            hint="log in with a certificate of a person, or with a token",
        )
