"""What can be done on a host without writing a script oneself, and what its end means."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import msgspec

from shipkeeper.errors import UsageError


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an exit code means; `reboots`: the host will go down, or is down, because of it."""

    reason: str
    ok: bool
    message: str
    hint: str = ""
    reboots: bool = False


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A shell script (or one with an interpreter of its own) for a host."""

    text: str
    description: str
    expects_reboot: bool = False
    outcomes: Mapping[int, Outcome] = {}

    def outcome(self, exit_code: int | None) -> Outcome:
        """What its end means; None is an end by reboot."""
        if exit_code is None:
            return Outcome(
                reason="Rebooted", ok=True, message="the host was rebooted", reboots=True
            )
        if exit_code in self.outcomes:
            return self.outcomes[exit_code]
        if exit_code == 0:
            return Outcome(
                reason="Done",
                ok=True,
                message="the script ended well",
                reboots=self.expects_reboot,
            )
        return Outcome(
            reason="CommandFailed",
            ok=False,
            message=f"it ended with exit code {exit_code}",
            hint="look at its output",
        )


def _failure(reason: str, message: str, hint: str) -> Outcome:
    return Outcome(reason=reason, ok=False, message=message, hint=hint)


_NOT_ROOT = _failure("NotRoot", "it needs root", "log in as root, or with --sudo")
_OS_UPDATE = {
    0: Outcome(reason="Updated", ok=True, message="its packages are up to date"),
    80: _failure(
        "PackageManagerUnknown",
        "it has none of apt, dnf, yum, zypper and transactional-update, or is updated as an image",
        "give a script of your own instead of os-update",
    ),
    81: _failure(
        "PackageLockHeld",
        "another process held the package lock all the time",
        "see which package manager runs there (ps), or wait longer",
    ),
    82: _failure("DiskFull", "its disk is full", "free space there; see df -h"),
    83: _failure("UpgradeFailed", "the package manager failed", "look at the last lines of output"),
    84: _failure(
        "HoldsNotRestored",
        "it is up to date, but Kubernetes packages are still held back by us",
        "run it again, or see /var/lib/shipkeeper/os-update.holds there",
    ),
    85: _failure(
        "RepositoriesUnavailable",
        "its package lists cannot be fetched",
        "check its network, proxy and repositories",
    ),
    86: _NOT_ROOT,
    87: _failure(
        "PackagesBroken",
        "an installation that was interrupted earlier cannot be finished",
        "see dpkg --audit there",
    ),
}
_REBOOT = {
    0: Outcome(reason="RebootScheduled", ok=True, message="it reboots", reboots=True),
    86: _NOT_ROOT,
    90: Outcome(reason="RebootNotNeeded", ok=True, message="it needs no reboot"),
    91: _failure(
        "RebootUnavailable",
        "it has neither systemctl nor shutdown nor reboot",
        "reboot it by other means",
    ),
}


def os_update(*, lock_wait: int = 600) -> Script:
    """Bring packages up to date but for those of Kubernetes; wait for a held lock in seconds."""
    return Script(
        text=f"lock_wait={lock_wait:d} lock_poll=5\n{_read('os-update.sh')}",
        description="update the packages, but not those of Kubernetes",
        outcomes=_OS_UPDATE,
    )


def reboot(*, always: bool = False) -> Script:
    """Reboot the host, if it must or `always`."""
    return Script(
        text=f"always={'yes' if always else 'no'}\n{_read('reboot.sh')}",
        description="reboot" if always else "reboot if a reboot is needed",
        expects_reboot=True,
        outcomes=_REBOOT,
    )


def script(path: Path, *, expects_reboot: bool = False) -> Script:
    """A script of the user's own."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read the script {path}: {error}",
            reason="ScriptUnreadable",
            hint="name a text file that can be read",
        ) from error
    if "\0" in text or not text.strip():
        raise UsageError(
            f"{path} is not a script", reason="ScriptUnreadable", hint="name a script, not a binary"
        )
    return Script(text=text, description=f"run {path.name}", expects_reboot=expects_reboot)


def _read(name: str) -> str:
    return resources.files("shipkeeper.hosts").joinpath("presets", name).read_text("utf-8")
