"""A node's host, entered through a privileged pod that stands on the node."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import resources

from shipkeeper.errors import ShipkeeperError
from shipkeeper.hosts.errors import ConnectionLostError, HostUnfitError, HostUnreachableError
from shipkeeper.hosts.host import Answer, Feed, Take
from shipkeeper.kube.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)
from shipkeeper.kube.exec import Container, ExecFailedError, ExecResult, execute, stream
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import NODES, PODS, STARTED_PODS
from shipkeeper.kube.writer import Writer
from shipkeeper.model.container import StartedPod
from shipkeeper.nodes.options import PodAccess
from shipkeeper.nodes.work_pod import (
    CONTAINER,
    is_hopeless,
    is_up,
    manifest,
    pod_name,
    run_selector,
    why_not_up,
)

# More than twice what a program of ours ever takes without a word (hosts/remote.py).
_SILENCE_SECONDS = 60.0
# A stream may be silent while the host looks through the holes of a file, or syncs its disks.
_STREAM_SILENCE_SECONDS = 900.0
_REJECTIONS = 3
_LASTING = (ForbiddenError, UnauthorizedError)
_PASSING = (ApiError, UnreachableError, ExecFailedError)


class PodSession:
    """Runs each program by an exec of its own in the pod."""

    def __init__(self, reader: Reader, node: str, container: Container) -> None:
        self._reader = reader
        self._node = node
        self._container = container

    async def execute(self, program: str, output: Callable[[bytes], None]) -> Answer:
        """Feed `program` to the host's shell; nothing of it shows in the host's process list."""
        with _explained(self._node):
            return await self.enter(program, output)

    async def stream(self, program: str, output: Take, feed: Feed | None = None) -> Answer:
        """Run `program` with any amount of input and output."""
        given = feed or Feed(size=0, chunks=_nothing())
        with _explained(self._node):
            result = await stream(
                self._reader.connection,
                self._container,
                ("sh", "-c", _entering(), "sh", str(given.size), program),
                feed=given.chunks,
                output=output,
                inactivity=_STREAM_SILENCE_SECONDS,
            )
        return _answer(result)

    async def enter(self, program: str, output: Callable[[bytes], None]) -> Answer:
        """As `execute`, with the errors of the API server as they are."""
        feed = program.encode("utf-8", "surrogateescape")
        result = await execute(
            self._reader.connection,
            self._container,
            ("sh", "-c", _entering(), "sh", str(len(feed)), ""),
            feed=feed,
            output=output,
            inactivity=_SILENCE_SECONDS,
        )
        return _answer(result)


def _entering() -> str:
    return resources.files("shipkeeper.nodes").joinpath("enter.sh").read_text("utf-8")


def _answer(result: ExecResult) -> Answer:
    return Answer(exit_code=result.exit_code, errors=result.errors.decode("utf-8", "replace"))


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield


@contextmanager
def _explained(node: str) -> Generator[None]:
    """What may pass by itself is a lost connection."""
    try:
        yield
    except _LASTING:
        raise
    except _PASSING as error:
        raise ConnectionLostError(
            f"the way to {node} is gone: {error.message}",
            reason="ConnectionLost",
            hint="what was started there goes on; run the same command again to follow it",
        ) from error


class PodHost:
    """The host of a node; its pod is made when it is needed, also anew, and `remove` ends it."""

    def __init__(
        self, reader: Reader, writer: Writer, node: str, run: str, access: PodAccess
    ) -> None:
        self.name = node
        self._reader = reader
        self._writer = writer
        self._run = run
        self._access = access
        self._pod = pod_name(run, node)

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[PodSession]:
        """Have the pod running and see that the host can be entered; HostError says why not."""
        try:
            await self._stand()
            container = Container(namespace=self._access.namespace, pod=self._pod, name=CONTAINER)
            session = PodSession(self._reader, self.name, container)
            answer = await session.enter("exit 0\n", lambda chunk: None)
        except _LASTING:
            raise
        except _PASSING as error:
            raise HostUnreachableError(
                f"cannot enter {self.name}: {error.message}",
                reason="HostUnreachable",
                hint=error.hint
                or "check that its kubelet answers: kubectl get --raw "
                f"/api/v1/nodes/{self.name}/proxy/healthz",
            ) from error
        if answer.exit_code != 0:
            raise _unfit(self.name, answer)
        yield session

    async def remove(self) -> None:
        """Remove the pod, if there is one."""
        await remove_pods(self._reader, self._writer, self._run, self._access, self.name)

    async def _stand(self) -> None:
        """Return when the pod runs; one that its kubelet gave up is replaced."""
        # Too late or too often rejected: what the pod itself says of it is the better error.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._access.start_timeout):
                for _ in range(_REJECTIONS):
                    if await self._came_up():
                        return
        with suppress(NotFoundError):
            await self._blame(
                await self._reader.get(STARTED_PODS, self._pod, self._access.namespace)
            )
        await self._blame(None)

    async def _came_up(self) -> bool:
        """Wait until the pod runs; False if it never will, and was removed unless by fault."""
        await self._create()
        name = f"metadata.name={self._pod}"
        async with Reflector(
            self._reader, STARTED_PODS, namespace=self._access.namespace, field_selector=name
        ) as pods:
            await pods.wait_for(lambda found: all(map(_is_decided, found.values())))
            pod = next(iter(pods.objects.values()), None)
            if pod is None:
                return False
            if is_hopeless(pod):
                await self._blame(pod)
            if not pod.is_finished:
                return True
            rejected = pod
            with suppress(NotFoundError, ConflictError):
                await self._writer.delete(
                    PODS, pod.name, namespace=pod.namespace, uid=pod.uid, grace_period_seconds=0
                )
            await pods.wait_for(lambda found: all(p.uid != rejected.uid for p in found.values()))
        return False

    async def _create(self) -> None:
        with suppress(ConflictError):
            await create_pod(self._writer, self._run, self.name, self._access)

    async def _blame(self, pod: StartedPod | None) -> None:
        node = await self._reader.get(NODES, self.name)
        reason, message, hint = why_not_up(pod, node)
        raise HostUnreachableError(
            f"cannot enter {self.name} through a pod: {message}", reason=reason, hint=hint
        )


async def create_pod(writer: Writer, run: str, node: str, access: PodAccess) -> None:
    """Create the pod of a run on a node; a refusal that is not one of permissions is explained."""
    pod = manifest(run, node, access.namespace, access.image, access.lifetime)
    try:
        await writer.create(PODS, pod, namespace=access.namespace)
    except ForbiddenError as error:
        if " cannot create resource " in error.status.message:
            raise
        raise PodRefusedError(
            f"the cluster does not admit a privileged pod in namespace {access.namespace}:"
            f" {error.status.message}",
            reason="PodRefused",
            hint="name a namespace with --pod-namespace whose label"
            " pod-security.kubernetes.io/enforce is privileged, or exempt it from that policy",
        ) from error
    except NotFoundError as error:
        raise PodRefusedError(
            f"there is no namespace {access.namespace} for the pod: {error.message}",
            reason="NamespaceNotFound",
            hint="create it, or name another one with --pod-namespace",
        ) from error


async def try_pod(dry: Writer, node: str, access: PodAccess) -> None:
    """See whether the cluster would admit a pod on a node, with a writer that writes nothing."""
    try:
        with suppress(ConflictError):
            await create_pod(dry, "trial", node, access)
    except ApiError as error:
        # A webhook that cannot be asked without effect will be asked by the pod itself.
        if "does not support dry run" not in error.status.message:
            raise


async def remove_pods(
    reader: Reader, writer: Writer, run: str, access: PodAccess, node: str = ""
) -> None:
    """Remove the pods of a run, all of them or those on one node."""
    selection = f"spec.nodeName={node}" if node else ""
    found = await reader.list(
        PODS,
        namespace=access.namespace,
        label_selector=run_selector(run),
        field_selector=selection,
    )
    for pod in found.items:
        with suppress(NotFoundError, ConflictError):
            await writer.delete(PODS, pod.name, namespace=pod.namespace, uid=pod.uid)


class PodRefusedError(ShipkeeperError):
    """The API server does not take the pod, whoever asks."""


def _is_decided(pod: StartedPod) -> bool:
    return is_up(pod) or is_hopeless(pod) or (pod.is_finished and not pod.is_deleting)


def _unfit(node: str, answer: Answer) -> HostUnfitError:
    last = answer.errors.strip().splitlines()[-1:] or [f"exit code {answer.exit_code}"]
    return HostUnfitError(
        f"the pod on {node} cannot enter its host: {last[0]}",
        reason="HostNotEntered",
        hint="the image needs sh and nsenter (see --pod-image), the host a shell and head",
    )
