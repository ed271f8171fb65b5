"""How the health of etcd looks. Pure."""

from collections.abc import Sequence
from datetime import datetime

from shipkeeper.engine.report import Column, Report, Table, describe
from shipkeeper.engine.verdict import Verdict
from shipkeeper.etcd.members import Observed, State
from shipkeeper.etcd.status_report import human_size

_COLUMNS = (
    Column("ENDPOINT"),
    Column("NAME"),
    Column("STATE"),
    Column("ROLE"),
    Column("VERSION"),
    Column("DB-SIZE"),
    Column("IN-USE"),
    Column("QUOTA", wide=True),
    Column("LAG", wide=True),
    Column("REVISION", wide=True),
    Column("MEMBER-ID", wide=True),
)


def health_report(observed: Observed, verdicts: Sequence[Verdict], now: datetime) -> Report:
    """The members and what is to be said of them."""
    names = {member.id: member.name for member in observed.members}
    rows = tuple(_row(state, names.get(state.member, "-")) for state in observed.states)
    said = "\n".join(describe(verdict, now) for verdict in verdicts)
    return Report(
        value={**_value(observed), "verdicts": list(verdicts)},
        body=(Table(_COLUMNS, rows), said),
        names=tuple(f"member/{names.get(each.member, each.endpoint)}" for each in observed.states),
    )


def _value(observed: Observed) -> dict[str, object]:
    return {
        "states": observed.states,
        "members": observed.members,
        "alarms": observed.alarms,
        "certificateExpires": observed.certificate_expires,
    }


def _row(state: State, name: str) -> tuple[str, ...]:
    if state.failure:
        return (state.endpoint, name, "Unhealthy", *("-" for _ in _COLUMNS[3:]))
    role = "learner" if state.is_learner else "leader" if _leads(state) else "follower"
    return (
        state.endpoint,
        name,
        "Healthy" if state.leader and not state.errors else "Unhealthy",
        role,
        state.version,
        human_size(state.db_size),
        human_size(state.in_use) if state.in_use else "-",
        human_size(state.quota) if state.quota else "-",
        str(state.index - state.applied),
        str(state.revision),
        f"{state.member:x}",
    )


def _leads(state: State) -> bool:
    return state.leader == state.member
