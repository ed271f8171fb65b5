"""The steps about volumes: they leave with their pods, and are in use elsewhere before the next."""

from collections.abc import Mapping
from datetime import timedelta

from shipkeeper.engine.action import Action, SelfEvident, StepRecord
from shipkeeper.engine.plan import Step
from shipkeeper.engine.progress import Note, Sink
from shipkeeper.errors import ShipkeeperError
from shipkeeper.model.duration import format_duration
from shipkeeper.nodes.options import VolumeOptions
from shipkeeper.nodes.steps import node_of
from shipkeeper.nodes.volume_watch import VolumeWatch
from shipkeeper.nodes.volumes import Trouble


class VolumeError(ShipkeeperError):
    """A volume did not leave a node, or did not come to another, in time."""


class Detach(SelfEvident):
    """Let nothing be done to a node while it holds volumes of pods that left it."""

    def __init__(self, watch: VolumeWatch, options: VolumeOptions, tell: Sink) -> None:
        self._watch = watch
        self._options = options
        self._tell = tell

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Wait for the detachments; VolumeError when they take too long, unless told to go on."""
        timeout = self._options.detach_timeout
        troubles = await self._watch.detached(node_of(step), timeout)
        if troubles and self._options.go_on:
            self._tell(Note(f"going on: {_words(troubles, timeout)}"))
        elif troubles:
            raise _error("StillAttached", troubles, timeout)


class Attach(Detach):
    """Let no other node be begun before the volumes that left this one are where they are used."""

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Wait for the attachments; VolumeError when they take too long."""
        timeout = self._options.attach_timeout
        if troubles := await self._watch.attached(node_of(step), timeout):
            raise _error("NotAttached", troubles, timeout)


def volume_actions(watch: VolumeWatch, options: VolumeOptions, tell: Sink) -> Mapping[str, Action]:
    """What the steps about volumes are done by."""
    return {"detach": Detach(watch, options, tell), "attach": Attach(watch, options, tell)}


def _error(reason: str, troubles: tuple[Trouble, ...], timeout: float) -> VolumeError:
    return VolumeError(_words(troubles, timeout), reason=reason, hint=troubles[0].remedy)


def _words(troubles: tuple[Trouble, ...], timeout: float) -> str:
    limit = format_duration(timedelta(seconds=timeout))
    return f"after {limit}: " + "; ".join(each.message for each in troubles)
