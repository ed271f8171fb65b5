"""What members of etcd tell about themselves: their answers taken apart."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.etcd.probe import expiry_of
from shipkeeper.etcd.rpc import CLUSTER, MAINTENANCE, Credentials, MemberClient, open_member
from shipkeeper.etcd.wire import fields, number_field, signed

NO_SPACE: Final = 1
CORRUPT: Final = 2
DEFRAGMENT_SECONDS: Final = 600.0
_HASH_SECONDS: Final = 120.0


class Member(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A member as the cluster knows it."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool = False


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a member cannot get over by itself."""

    member: int
    kind: int


class DataHash(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A checksum over all keys of a member from its compaction up to a revision."""

    hash: int
    compacted: int
    revision: int


class State(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a member is; sizes in bytes, the quota 0 where etcd does not tell it (before 3.6)."""

    endpoint: str
    member: int = 0
    cluster: int = 0
    version: str = ""
    revision: int = 0
    leader: int = 0
    term: int = 0
    index: int = 0
    applied: int = 0
    db_size: int = 0
    in_use: int = 0
    quota: int = 0
    is_learner: bool = False
    errors: tuple[str, ...] = ()
    failure: str = ""
    data: DataHash | None = None


class Observed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A cluster of etcd at one moment."""

    states: tuple[State, ...]
    members: tuple[Member, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    certificate_expires: str = ""


def observe(
    endpoints: Sequence[str],
    credentials: Credentials,
    *,
    whole: bool = False,
    data: bool = False,
) -> Observed:
    """Ask each endpoint how it is; with `whole`, every member that the first answer names.

    With `data`, each also sums up its keys, up to the revision that all of them have.
    """
    states = [_state(endpoint, credentials) for endpoint in endpoints]
    # Learners answer to nothing but how they are.
    answering = next((each for each in states if not (each.failure or each.is_learner)), None)
    members: tuple[Member, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    if answering:
        with open_member(answering.endpoint, credentials) as client:
            members = list_members(client)
            alarms = list_alarms(client)
        if whole:
            asked = {state.member for state in states}
            missing = [each for each in members if each.id not in asked and each.client_urls]
            states += [_state(each.client_urls[0], credentials) for each in missing]
    if data:
        states = _with_data(states, credentials)
    expires = expiry_of(credentials.cert) if credentials.cert else None
    return Observed(
        states=tuple(states),
        members=members,
        alarms=alarms,
        certificate_expires=expires.isoformat() if expires else "",
    )


def _state(endpoint: str, credentials: Credentials) -> State:
    try:
        with open_member(endpoint, credentials) as client:
            return decode_state(endpoint, client.call(MAINTENANCE + "Status"))
    except ShipkeeperError as error:
        return State(endpoint=endpoint, failure=error.message)


def _with_data(states: list[State], credentials: Credentials) -> list[State]:
    common = min((state.revision for state in states if not state.failure), default=0)
    return [
        state
        if state.failure
        else msgspec.structs.replace(state, data=_data_hash(state.endpoint, credentials, common))
        for state in states
    ]


def _data_hash(endpoint: str, credentials: Credentials, revision: int) -> DataHash:
    with open_member(endpoint, credentials) as client:
        request = number_field(1, revision)
        found = _collect(client.call(MAINTENANCE + "HashKV", request, timeout=_HASH_SECONDS))
    return DataHash(hash=_one(found, 2, 0), compacted=signed(_one(found, 3, 0)), revision=revision)


def decode_state(endpoint: str, answer: bytes) -> State:
    """A StatusResponse."""
    found = _collect(answer)
    header = _collect(_one(found, 1, b""))
    return State(
        endpoint=endpoint,
        cluster=_one(header, 1, 0),
        member=_one(header, 2, 0),
        revision=signed(_one(header, 3, 0)),
        version=_one(found, 2, b"").decode(),
        db_size=_one(found, 3, 0),
        leader=_one(found, 4, 0),
        index=_one(found, 5, 0),
        term=_one(found, 6, 0),
        applied=_one(found, 7, 0),
        errors=tuple(each.decode() for each in found.get(8, ())),
        in_use=_one(found, 9, 0),
        is_learner=bool(_one(found, 10, 0)),
        quota=_one(found, 12, 0),
    )


def list_members(client: MemberClient) -> tuple[Member, ...]:
    """Every member that the cluster has."""
    answer = _collect(client.call(CLUSTER + "MemberList"))
    return tuple(_member(_collect(each)) for each in answer.get(2, ()))


def _member(found: dict[int, list[Any]]) -> Member:
    return Member(
        id=_one(found, 1, 0),
        name=_one(found, 2, b"").decode(),
        peer_urls=tuple(each.decode() for each in found.get(3, ())),
        client_urls=tuple(each.decode() for each in found.get(4, ())),
        is_learner=bool(_one(found, 5, 0)),
    )


def list_alarms(client: MemberClient) -> tuple[Alarm, ...]:
    """Every alarm that is raised."""
    answer = _collect(client.call(MAINTENANCE + "Alarm"))
    raised = (_collect(each) for each in answer.get(2, ()))
    return tuple(Alarm(member=_one(each, 1, 0), kind=_one(each, 2, 0)) for each in raised)


def defragment(endpoint: str, credentials: Credentials) -> None:
    """Have a member rewrite its database without holes; it answers nobody meanwhile."""
    with open_member(endpoint, credentials) as client:
        client.call(MAINTENANCE + "Defragment", timeout=DEFRAGMENT_SECONDS)


def _collect(data: bytes) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for number, _, value in fields(data):
        found.setdefault(number, []).append(value)
    return found


def _one(found: dict[int, list[Any]], number: int, default: Any) -> Any:
    return found[number][-1] if number in found else default
