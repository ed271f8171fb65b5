"""Running hooks in pods."""

import asyncio
from collections.abc import Callable

from shipkeeper.backup.volumes.hooks import Hook
from shipkeeper.errors import ShipkeeperError
from shipkeeper.hosts.masking import Masking
from shipkeeper.kube.connection import Requests
from shipkeeper.kube.exec import Container, execute

_LAST_BYTES = 2000


class HookError(ShipkeeperError):
    """A command in a pod did not end well, or could not be run."""


async def run_hook(connection: Requests, hook: Hook, when: str) -> None:
    """Run it to its end; HookError."""
    said = bytearray()
    try:
        async with asyncio.timeout(hook.timeout):
            result = await execute(
                connection,
                Container(namespace=hook.pod.namespace, pod=hook.pod.name, name=hook.container),
                hook.command,
                output=_keep_last(said),
                inactivity=hook.timeout,
            )
    except TimeoutError as error:
        raise _failed(hook, when, f"took longer than {hook.timeout:g} s") from error
    except ShipkeeperError as error:
        raise _failed(hook, when, error.message) from error
    if result.exit_code != 0:
        text = (result.errors or bytes(said)).decode("utf-8", "replace").strip()
        last = text.splitlines()[-1:] or ["it printed nothing"]
        raise _failed(hook, when, f"exit code {result.exit_code}: {Masking(()).line(last[0])}")


def _keep_last(said: bytearray) -> Callable[[bytes], None]:
    def keep(chunk: bytes) -> None:
        said.extend(chunk)
        del said[:-_LAST_BYTES]

    return keep


def _failed(hook: Hook, when: str, why: str) -> HookError:
    return HookError(
        f"the hook {when} in pod {hook.pod.key} failed: {why}",
        reason="HookFailed",
        hint=f"try it there: kubectl -n {hook.pod.namespace} exec {hook.pod.name} "
        f"-c {hook.container} -- …",
    )
