"""Certificates as somebody who is logged in may see them; looking takes seconds, so it is kept."""

import asyncio
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

import msgspec

from shipkeeper.access.certs.judge import judge
from shipkeeper.access.certs.observe import Wanted, gather
from shipkeeper.access.certs.report import Listed, listed
from shipkeeper.access.certs.survey import Survey
from shipkeeper.engine.finding import Findings
from shipkeeper.web.person import Person

_KEPT = 300.0  # seconds


class Seen(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The certificates of one moment and what is to be said of them."""

    seen_at: datetime
    listed: Listed
    findings: Findings


class Certificates:
    """One survey for each who asks, by the API and the ports alone: hosts take the CLI's --ssh."""

    def __init__(self) -> None:
        self._found: WeakKeyDictionary[Person, tuple[float, Survey]] = WeakKeyDictionary()
        self._locks: WeakKeyDictionary[Person, asyncio.Lock] = WeakKeyDictionary()

    async def of(self, person: Person, horizon: timedelta, *, anew: bool = False) -> Seen:
        """What there is to see, at most some minutes old."""
        began = asyncio.get_running_loop().time()
        async with self._locks.setdefault(person, asyncio.Lock()):
            at, survey = self._found.get(person, (-_KEPT, None))
            is_fresh = at >= began if anew else began - at < _KEPT
            if survey is None or not is_fresh:
                survey = await gather(person.connection, Wanted())
                self._found[person] = (asyncio.get_running_loop().time(), survey)
        return Seen(seen_at=survey.seen_at, listed=listed(survey), findings=judge(survey, horizon))
