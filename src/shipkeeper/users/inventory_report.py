"""How an inventory of identities looks. Pure."""

from datetime import datetime

from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.model.duration import format_age
from shipkeeper.users.inventory import Anonymous, How, Identity, Inventory

_COLUMNS = (
    *(Column(title) for title in ("NAME", "BY", "GROUPS", "MAY REACH", "ENDS", "REVOCABLE")),
    *(Column(title, wide=True) for title in ("ORIGIN", "HOW TO REVOKE")),
)
_SHOWN = 3


def inventory_report(found: Inventory, now: datetime) -> Report:
    """A table of identities; what anybody may do; what could not be looked at."""
    return Report(
        value=found,
        body=(
            Table(_COLUMNS, tuple(_cells(each, now) for each in found.items)),
            _everybody(found),
            _anonymous(found.anonymous),
            Table(
                (Column("NOT CHECKED"), Column("WHY")),
                tuple((each.what, each.why) for each in found.unchecked),
            ),
            f"{len(found.items)} identities, "
            f"{sum(not each.is_revocable for each in found.items)} that cannot be revoked",
        ),
        names=tuple(f"{each.how}/{each.name or each.groups[0]}" for each in found.items),
    )


def _cells(each: Identity, now: datetime) -> tuple[str, ...]:
    return (
        each.name or "-",
        each.how,
        _some(each.groups),
        _some(each.reach) or "nothing of its own",
        _ends(each, now),
        "yes" if each.is_revocable else "no",
        each.origin,
        each.revocation,
    )


def _ends(each: Identity, now: datetime) -> str:
    if each.ends is None:
        return "?" if each.how is How.UNKNOWN else "never"
    left = each.ends - now
    return format_age(left) if left.total_seconds() >= 0 else f"{format_age(-left)} ago"


def _some(words: tuple[str, ...]) -> str:
    more = f" (+{len(words) - _SHOWN})" if len(words) > _SHOWN else ""
    return f"{', '.join(words[:_SHOWN])}{more}"


def _everybody(found: Inventory) -> str:
    return "\n".join(("Everybody who is let in may:", *(f"  {each}" for each in found.everybody)))


def _anonymous(found: Anonymous) -> str:
    words = {None: "not known to be", True: "", False: "not"}[found.is_let_in]
    answers = ", ".join(f"{path} {status}" for path, status in found.answers.items())
    head = f"Anonymous requests are {words} let in".replace("  ", " ")
    return "\n".join(
        (
            f"{head} ({answers})" if answers else head,
            *(f"  by RBAC they may: {each}" for each in found.rules),
        )
    )
