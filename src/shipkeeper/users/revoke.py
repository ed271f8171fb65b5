"""Taking back what proves who somebody is; or, of a certificate, what it is good for.

A token is bound to a Secret and ends with it. No API server asks whether a client certificate was
revoked, so all that can be taken from its user are the bindings that name them.
"""

import asyncio
from contextlib import suppress

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.kube.errors import ConflictError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import Resource
from shipkeeper.kube.writer import Writer
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.rbac import Binding, Subject
from shipkeeper.users.create import How, is_login_of
from shipkeeper.users.objects import (
    CLUSTER_ROLE_BINDINGS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
)

_ATTEMPTS = 5


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be deleted, and the bindings that are to name the user no more."""

    name: str
    namespace: str = ""
    secrets: tuple[KubeObject, ...] = ()
    account: KubeObject | None = None
    bindings: tuple[Binding, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take back."""
        return not (self.secrets or self.account or self.bindings)

    def words(self) -> tuple[str, ...]:
        """What would be done, a line each."""
        return (
            *(f"delete Secret {each.key}: the tokens bound to it end" for each in self.secrets),
            *(
                f"delete ServiceAccount {each.key}: all of its tokens end, and pods miss it"
                for each in (self.account,)
                if each is not None
            ),
            *(f"take User {self.name} out of {each.label}" for each in self.bindings),
        )


async def plan_revocation(
    name: str, how: How, namespace: str, reader: Reader, *, account: bool
) -> Revocation:
    """Find what to take back; UsageError when there is no such ServiceAccount."""
    if how == "certificate":
        return Revocation(name=name, bindings=await _bindings_of(name, reader))
    try:
        found = await reader.get(SERVICE_ACCOUNTS, name, namespace)
    except NotFoundError as error:
        raise UsageError(
            f'serviceaccounts "{name}" not found in namespace {namespace}',
            reason="NoSuchUser",
            hint="name its namespace with -n",
        ) from error
    secrets = (await reader.list(SECRETS, namespace=namespace)).items
    return Revocation(
        name=name,
        namespace=namespace,
        secrets=tuple(each for each in secrets if is_login_of(each, name)),
        account=found if account else None,
    )


async def _bindings_of(name: str, reader: Reader) -> tuple[Binding, ...]:
    listings = await asyncio.gather(reader.list(CLUSTER_ROLE_BINDINGS), reader.list(ROLE_BINDINGS))
    return tuple(
        binding
        for listing in listings
        for binding in listing.items
        if any(_is(subject, name) for subject in binding.subjects or ())
    )


def _is(subject: Subject, name: str) -> bool:
    return (subject.kind, subject.name) == ("User", name)


async def revoke(revocation: Revocation, writer: Writer) -> None:
    """Take it back; what somebody else takes back at the same time is no reason to stop."""
    space = revocation.namespace
    for each in revocation.secrets:
        with suppress(NotFoundError):
            await writer.delete(SECRETS, each.name, namespace=space, uid=each.uid)
    if revocation.account is not None:
        account = revocation.account
        with suppress(NotFoundError):
            await writer.delete(SERVICE_ACCOUNTS, account.name, namespace=space, uid=account.uid)
    for binding in revocation.bindings:
        with suppress(NotFoundError):
            await _take_out(revocation.name, binding, writer)


async def _take_out(name: str, binding: Binding, writer: Writer) -> None:
    """Look and change until nobody came in between; ConflictError if somebody always does."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(ConflictError):
            return await _take_out_once(name, binding, writer)
    return await _take_out_once(name, binding, writer)


async def _take_out_once(name: str, binding: Binding, writer: Writer) -> None:
    kind: Resource[Binding] = ROLE_BINDINGS if binding.namespace else CLUSTER_ROLE_BINDINGS
    seen = await Reader(writer.connection).get_raw(kind, binding.name, binding.namespace)
    kept = [
        each
        for each in seen.get("subjects", ())
        if (each.get("kind"), each.get("name")) != ("User", name)
    ]
    patch = {
        "metadata": {"resourceVersion": seen["metadata"]["resourceVersion"]},
        "subjects": kept or None,
    }
    await writer.patch(kind, binding.name, patch, namespace=binding.namespace)
