"""The host keys that are trusted: a known_hosts file, read once."""

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import asyncssh
from asyncssh.public_key import get_default_public_key_algs

from shipkeeper.hosts.errors import IdentityError
from shipkeeper.hosts.options import Login


class KnownHosts:
    """A known_hosts file; one that does not exist knows no host."""

    def __init__(self, path: Path) -> None:
        try:
            self.keys = asyncssh.import_known_hosts(_read(path.expanduser()))
        except (OSError, ValueError) as error:
            raise IdentityError(
                f"cannot read {path}: {error}",
                reason="KnownHostsUnreadable",
                hint="mend the file, or name another one",
            ) from error

    def knows(self, login: Login) -> bool:
        """Whether it has any key or authority for this host."""
        return any(self._match(login))

    def algorithms(self, login: Login) -> Sequence[str]:
        """The kinds of host keys to ask for: known ones first; empty for the library's choice.

        The others are asked for too, so that a host with another kind of key can show it.
        """
        hosts, authorities, _ = self._match(login)
        if authorities:
            return ()
        known = [kind for key in hosts for kind in key.sig_algorithms]
        return [kind.decode() for kind in (*known, *get_default_public_key_algs())]

    def _match(
        self, login: Login
    ) -> tuple[Sequence[asyncssh.SSHKey], Sequence[asyncssh.SSHKey], Sequence[asyncssh.SSHKey]]:
        port = None if login.port == 22 else login.port
        # Only an address may be given as one; a name is matched as such alone.
        address = login.address if _is_ip(login.address) else ""
        hosts, authorities, revoked, *_ = asyncssh.match_known_hosts(
            self.keys, login.address, address, port
        )
        return hosts, authorities, revoked


def _is_ip(address: str) -> bool:
    try:
        ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
