"""The shell programs that read and write files on a host, and what their ends mean. Pure."""

import shlex
from importlib import resources

import msgspec

from shipkeeper.errors import ShipkeeperError

STAGE = ".shipkeeper-restore"
"""The folder in a volume where a restore unpacks files; no backup takes it along."""

TAR_FLAGS = (
    "--format=posix",
    # Times of reading change by being read; they would make each backup another one.
    "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
    "--sort=name",
    "--sparse",
    "--xattrs",
    "--acls",
    "--numeric-owner",
    "--one-file-system",
    "--quoting-style=c",
    f"--exclude=./{STAGE}",
    "--exclude=./lost+found",
    "--anchored",
)
_UNPACK_FLAGS = (
    "--xattrs",
    "--xattrs-include=*",
    "--acls",
    "--numeric-owner",
    "--same-owner",
    "-p",
    "--warning=no-timestamp",
    "--quoting-style=c",
)
_ENDS = {
    71: ("VolumeNotThere", "the directory {path} is not there", "see where the volume is now"),
    72: ("TarMissing", "the host has no GNU tar", "install tar on the node"),
    73: (
        "RestoreUnfinished",
        "a restore of {path} was stopped while it exchanged the files",
        "run that restore again; its mark is {path}/" + STAGE + "/ready",
    ),
    74: ("NotRoot", "it needs root", "log in as root, or with --sudo"),
    75: (
        "NoSpace",
        "there is no room for the files beside those that are there",
        "free space on it, or restore elsewhere with --volume-map",
    ),
    76: (
        "NotEmpty",
        "{path} is not empty",
        "name another place with --volume-map, or restore with --volumes in-place",
    ),
}


class VolumeError(ShipkeeperError):
    """The files of a volume could not be saved, or not be brought back."""


class Root(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A directory on a host: a path, or where a kubelet mounted a volume for a pod.

    `pod` is the pod's UID and `volume` the volume's name to the kubelet.
    """

    path: str = ""
    kubelet: str = ""
    pod: str = ""
    volume: str = ""

    def __str__(self) -> str:
        return self.path or f"{self.kubelet}/pods/{self.pod}/volumes/*/{self.volume}"

    @property
    def enter(self) -> str:
        """The shell function that enters it."""
        if self.path:
            return f"find_root() {{ cd -- {shlex.quote(self.path)}; }}\n"
        volumes = shlex.quote(f"{self.kubelet}/pods/{self.pod}/volumes")
        # The kubelet keeps notes of its own beside the mounts of CSI drivers.
        return (
            f"find_root() {{ cd {volumes} && cd -- */{shlex.quote(self.volume)} && "
            "{ [ ! -e vol_data.json ] || cd mount; }; }\n"
        )

    @property
    def make(self) -> str:
        """The shell function that makes it, its parents included."""
        return f"make_root() {{ mkdir -p -- {shlex.quote(self.path)}; }}\n"


def save(root: Root, *, again: bool = False) -> str:
    """Write the files as a tar stream; `again` only those that its input names."""
    settings = f"flags={shlex.quote(' '.join(TAR_FLAGS))} again={_word(again)}\n"
    return root.enter + settings + _read("save.sh")


def stage(root: Root, of: str, attempt: str, needed_bytes: int, *, fresh: bool, makes: bool) -> str:
    """Unpack a tar stream beside what is there; no other attempt at it is called like this one."""
    made = makes and bool(root.path)
    settings = (
        f"flags={shlex.quote(' '.join(_UNPACK_FLAGS))} of={shlex.quote(of)} "
        f"attempt={shlex.quote(attempt)} "
        f"needed_kb={needed_bytes // 1024 + 1} fresh={_word(fresh)} make={_word(made)}\n"
    )
    return root.make * made + root.enter + settings + _read("stage.sh")


def exchange(root: Root, of: str) -> str:
    """Put what was unpacked in the place of what was there."""
    return f"{root.enter}of={shlex.quote(of)}\n{_read('exchange.sh')}"


def discard(root: Root) -> str:
    """Throw away what was unpacked, unless it is being exchanged."""
    return f"{root.enter}find_root && [ ! -e {STAGE}/ready ] && rm -rf {STAGE}\n"


def failure(host: str, root: Root, exit_code: int, errors: str) -> VolumeError:
    """The error of a program that ended with an exit code which is not 0."""
    where = f"{root} on {host}"
    if exit_code in _ENDS:
        reason, message, hint = _ENDS[exit_code]
        return VolumeError(
            f"{where}: {message.format(path=root)}", reason=reason, hint=hint.format(path=root)
        )
    last = errors.strip().splitlines()[-1:] or [f"exit code {exit_code}"]
    return VolumeError(
        f"{where}: {last[0]}", reason="CommandFailed", hint="look at that directory on the host"
    )


def _word(yes: bool) -> str:
    return "yes" if yes else "no"


def _read(name: str) -> str:
    return resources.files("shipkeeper.backup.volumes").joinpath(name).read_text("utf-8")
