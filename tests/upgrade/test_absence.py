"""How long a resumed upgrade bears with an API server that is away, and what it says then."""

import pytest

from shipkeeper.kube.errors import ApiError, ForbiddenError, Status, UnreachableError
from shipkeeper.upgrade.absence import Absence

AWAY = UnreachableError("away", reason="Unreachable", hint="", was_sent=False)
UNTRUSTED = UnreachableError("untrusted", reason="Untrusted", hint="", was_sent=False)
STARTING = ApiError("starting", Status(code=503))
DENIED = ForbiddenError("denied", Status(code=403))
LIMIT = 600.0


class Server:
    """An API server seen at moments that the test chooses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.absence = Absence(LIMIT, lambda: self.now)

    def answers(self, error: ApiError | UnreachableError, after: float = 0.0) -> None:
        self.now += after
        self.absence.require_bearable(error)

    def is_there(self, after: float) -> None:
        self.now += after
        self.absence.note_there()


def test_one_that_does_not_come_back_is_given_up_with_a_way_out() -> None:
    server = Server()
    server.answers(AWAY)
    server.answers(AWAY, after=LIMIT)
    with pytest.raises(UnreachableError) as raised:
        server.answers(AWAY, after=1)
    assert "kubeadm-backup-manifests" in raised.value.hint


def test_after_a_long_good_run_a_short_absence_is_borne_with() -> None:
    server = Server()
    server.is_there(after=0)
    server.answers(AWAY, after=3600)
    server.is_there(after=60)
    server.answers(AWAY, after=3600)
    server.answers(STARTING, after=LIMIT)


def test_one_that_comes_and_goes_is_not_borne_with_for_ever() -> None:
    server = Server()
    server.answers(AWAY)
    server.is_there(after=LIMIT)
    with pytest.raises(UnreachableError):
        server.answers(AWAY, after=1)


@pytest.mark.parametrize("error", [DENIED, STARTING])
def test_what_stays_is_told_as_it_is(error: ApiError) -> None:
    server = Server()
    server.answers(AWAY)
    server.answers(error, after=LIMIT)
    with pytest.raises(type(error)) as raised:
        server.answers(error, after=1)
    assert raised.value is error


def test_roles_are_unknown_only_until_the_run_goes_on() -> None:
    server = Server()
    with pytest.raises(ForbiddenError):
        server.answers(DENIED)
    server.answers(AWAY)
    server.answers(DENIED)
    server.is_there(after=1)
    with pytest.raises(ForbiddenError):
        server.answers(DENIED)


def test_what_waiting_does_not_mend_is_told_at_once() -> None:
    with pytest.raises(UnreachableError, match="untrusted"):
        Server().answers(UNTRUSTED)
