"""How long an API server is borne with that an upgrade stopped and may have left dead."""

import time
from collections.abc import Callable

from shipkeeper.kube.connection import is_transient
from shipkeeper.kube.errors import ApiError, ForbiddenError, UnreachableError

_DEAD = (
    "kubeadm puts an API server that does not start back within minutes; if kubeadm itself was "
    "killed, see on the host why it does not start (/var/log/pods), move what is in the newest "
    "/etc/kubernetes/tmp/kubeadm-backup-manifests-* back to /etc/kubernetes/manifests, and resume"
)


class Absence:
    """An API server's being away: it may last so many seconds from the first sign of it.

    Another one begins only after the server was there for as long; else one that comes and goes
    would be borne with for ever.
    """

    def __init__(self, limit: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._began: float | None = None
        self._there_since: float | None = None
        self._was_away = False

    def note_there(self) -> None:
        """The API server is there, and knows its roles."""
        self._there_since = self._clock()
        self._was_away = False

    def require_bearable(self, error: ApiError | UnreachableError) -> None:
        """Raise the error unless it may pass; UnreachableError with a way out after the limit."""
        is_away = isinstance(error, UnreachableError) and error.reason == "Unreachable"
        is_starting = isinstance(error, ApiError) and is_transient(error)
        # One that has just started does not know its roles yet.
        is_starting = is_starting or (self._was_away and isinstance(error, ForbiddenError))
        self._was_away = self._was_away or is_away
        if not (is_away or is_starting):
            raise error
        if self._lasts() <= self._limit:
            return
        if not is_away:
            raise error
        raise UnreachableError(
            error.message, reason=error.reason, hint=_DEAD, was_sent=False
        ) from error

    def _lasts(self) -> float:
        """For how long the absence lasts that a failure now belongs to."""
        now = self._clock()
        since, self._there_since = self._there_since, None
        if self._began is None or (since is not None and now - since > self._limit):
            self._began = now
        return now - self._began
