"""An object as it is right now: what waited for its turn, or took long, heeds no old spec."""

from typing import Any

from shipkeeper.kube.errors import ConflictError, NotFoundError, Status
from shipkeeper.kube.reader import Reader
from shipkeeper.operator.api.kind import CustomObject, Kind


async def as_it_is(reader: Reader, kind: Kind[Any], seen: CustomObject) -> CustomObject:
    """The object now; NotFoundError or ConflictError unless it asks for what it was seen to."""
    # The operator may list its own kinds, and need not be allowed to get them.
    listing = await reader.list(kind.resource, field_selector=f"metadata.name={seen.name}")
    found = next((each for each in listing.items if each.uid == seen.uid), None)
    called = f"{kind.kind} {seen.name}"
    if found is None:
        raise NotFoundError(f"{called} is gone", Status())
    if found.metadata.generation != seen.metadata.generation:
        raise ConflictError(f"the spec of {called} has changed", Status())
    return found
