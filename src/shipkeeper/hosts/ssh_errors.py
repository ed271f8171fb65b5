"""What went wrong while logging in, said in our words."""

import socket

import asyncssh

from shipkeeper.hosts.errors import (
    AuthenticationFailedError,
    HostError,
    HostKeyError,
    HostUnreachableError,
    IdentityError,
)
from shipkeeper.hosts.handshakes import TurnedAwayError
from shipkeeper.hosts.known import KnownHosts
from shipkeeper.hosts.options import Login, SshOptions

_NO_HOST_KEY_ALGORITHM = "No matching server host key algorithm"


def explain(
    error: Exception, login: Login, options: SshOptions, known: KnownHosts, offered: str
) -> HostError:
    """The error of a failed login; `offered` is the fingerprint of the key the host showed."""
    match error:
        case asyncssh.HostKeyNotVerifiable():
            return _host_key(login, options, known, offered)
        case asyncssh.KeyExchangeFailed() if str(error).startswith(_NO_HOST_KEY_ALGORITHM):
            return _host_key(login, options, known, "of another type")
        case asyncssh.PermissionDenied():
            return _refused(login, options)
        case asyncssh.KeyImportError() | asyncssh.KeyEncryptionError():
            return _identity(login, options, error)
        case asyncssh.ChannelOpenError():
            return _unreachable(login, f"the jump host cannot reach it: {error.reason}")
        case TurnedAwayError():
            return HostUnreachableError(
                f"{login} closes every connection before it says who it is",
                reason="HostBusy",
                hint="raise MaxStartups in its sshd_config, or look at its sshd's log",
            )
        case TimeoutError():
            return _unreachable(login, f"no answer within {options.connect_timeout:g} s")
        case socket.gaierror():
            return _unreachable(login, f"its name is not known: {error.strerror}")
        case OSError():
            return _unreachable(login, error.strerror or str(error))
        case _:
            return _unreachable(login, str(error) or type(error).__name__)


def _unreachable(login: Login, why: str) -> HostUnreachableError:
    return HostUnreachableError(
        f"cannot connect to {login}: {why}",
        reason="HostUnreachable",
        hint=f"check that sshd answers: ssh -p {login.port} {login.address}",
    )


def _host_key(login: Login, options: SshOptions, known: KnownHosts, offered: str) -> HostKeyError:
    name = login.address if login.port == 22 else f"[{login.address}]:{login.port}"
    if known.knows(login):
        return HostKeyError(
            f"{login} shows another host key ({offered}) than {options.known_hosts} says:"
            " it was installed anew, or somebody is in between",
            reason="HostKeyMismatch",
            hint="if you know why it changed:"
            f" ssh-keygen -R '{name}' -f {options.known_hosts}, then add the new key",
        )
    return HostKeyError(
        f"the host key of {login} ({offered}) is not in {options.known_hosts}",
        reason="HostUnknown",
        hint="compare the fingerprint with the host's own (ssh-keygen -lf"
        " /etc/ssh/ssh_host_ed25519_key.pub), then:"
        f" ssh-keyscan -p {login.port} {login.address} >> {options.known_hosts}",
    )


def _refused(login: Login, options: SshOptions) -> AuthenticationFailedError:
    files = ", ".join(map(str, options.identities)) or "the keys in ~/.ssh"
    return AuthenticationFailedError(
        f"{login} refuses {files}{' and the agent' * options.use_agent}",
        reason="AuthenticationFailed",
        hint="check the user and the key, or install the key there:"
        f" ssh-copy-id -p {login.port} {login.user + '@' if login.user else ''}{login.address}",
    )


def _identity(login: Login, options: SshOptions, error: Exception) -> IdentityError:
    # The library's words about a key file may quote from it.
    encrypted = isinstance(error, asyncssh.KeyEncryptionError) or "assphrase" in str(error)
    files = ", ".join(map(str, options.identities))
    return IdentityError(
        f"cannot use the private key for {login} ({files}):"
        f" {'it has a passphrase' if encrypted else 'it is not a private key'}",
        reason="IdentityUnreadable",
        hint="load it into the agent: ssh-add FILE" if encrypted else "name another key file",
    )
