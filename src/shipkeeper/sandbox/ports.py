"""Free TCP ports on loopback."""

import secrets
import socket

from shipkeeper.sandbox.record import Ports

# Below the range from which Linux takes the ports of outgoing connections (32768 and up): a
# component that is restarted must find its port free.
_RANGE = range(20_000, 30_000)


def choose_ports() -> Ports:
    """Ports on which nobody listened a moment ago; another process may still be faster."""
    etcd, api_server, controller_manager, scheduler = free_ports(4)
    return Ports(
        etcd=etcd, api_server=api_server, controller_manager=controller_manager, scheduler=scheduler
    )


def free_ports(count: int) -> set[int]:
    """So many different ports on which nobody listened a moment ago."""
    found: set[int] = set()
    while len(found) < count:
        port = secrets.choice(_RANGE)
        if _is_free(port):
            found.add(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As Go's listeners do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
