"""The plan of an upgrade: hops, proven; what runs on which host; how far back one can go; pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.version import Version
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.fleet.plan import plan_fleet
from shipkeeper.upgrade import commands
from shipkeeper.upgrade.catalog import Catalog
from shipkeeper.upgrade.component import Name
from shipkeeper.upgrade.draft import CLUSTER, Draft
from shipkeeper.upgrade.first import First
from shipkeeper.upgrade.hops import CONTROL_PLANE, Stage, drains, hops_between, order_upgrade
from shipkeeper.upgrade.options import UpgradeOptions, as_request
from shipkeeper.upgrade.outlook import HostCommands, UpgradeOutlook, return_points
from shipkeeper.upgrade.policy import NO_WAY_DOWN
from shipkeeper.upgrade.proof import prove
from shipkeeper.upgrade.shape import Change, Shape, through
from shipkeeper.upgrade.versions import ClusterVersions, shape_of, violations

PROCEDURE = "upgrade"
# Since this minor, kubeadm takes kubelets three minors back without --force.
# Source: MaximumAllowedMinorVersionKubeletSkew of cmd/kubeadm at the tags 1.28 and 1.29.
_KUBEADM_LONG_SKEW_FROM = 29


def plan_upgrade(
    versions: ClusterVersions,
    state: FleetState,
    options: UpgradeOptions,
    catalog: Catalog,
    now: datetime,
    settings: Sequence[Verdict] = (),
) -> Plan:
    """Every step to the target, or the verdicts that say why there is none.

    `settings` is what is to be said of flags and feature gates, see refused_settings.
    """
    return _Planning(versions, state, options, catalog, now, settings).plan()


class _Planning:
    def __init__(
        self,
        versions: ClusterVersions,
        state: FleetState,
        options: UpgradeOptions,
        catalog: Catalog,
        now: datetime,
        settings: Sequence[Verdict],
    ) -> None:
        self._settings = settings
        self._versions = versions
        self._state = state
        self._options = options
        self._catalog = catalog
        self._now = now
        self._target = Version.parse(options.target)
        self._nodes = {node.name: node for node in state.cluster}
        self._draft = Draft()
        self._become: dict[tuple[str, Name], Version] = {}
        self._waves: list[tuple[str, ...]] = []
        self._limits: dict[str, int] = {}
        self._verdicts: list[Verdict] = []

    def plan(self) -> Plan:
        shape = shape_of(self._versions, shared=not self._options.pinned)
        refused = tuple(self._refusals(shape))
        if any(each.blocks for each in refused):
            return self._nothing(refused)
        minors, hops = self._hops(shape)
        outdated = self._outdated()
        stages = order_upgrade(shape, minors, outdated=outdated)
        proof = prove(shape, stages, self._target.minor)
        refutations = tuple(
            f"{each.breach.rule.name}: {each.breach.by}" for each in proof.refutations
        )
        if refutations:
            return self._nothing((*refused, _unproven(refutations)))
        steps = tuple(self._steps(shape, stages, hops))
        is_cut_short = any(each.reason == "NodesLeftBehind" for each in self._verdicts)
        outlook = UpgradeOutlook(
            hops=tuple(str(each) for each in hops),
            drains=drains(stages),
            states_proven=proof.states,
            refutations=refutations,
            node_waves=tuple(self._waves),
            commands=self._draft.commands,
            versions=self._draft.versions,
            return_points=tuple(return_points(steps, is_managed=self._is_awaited)),
        )
        return Plan(
            procedure=PROCEDURE,
            request=as_request(self._options),
            steps=() if is_cut_short else steps,
            verdicts=(*refused, *self._verdicts),
            limits=self._limits,
            max_failed=self._options.nodes.max_failed,
            outlook=msgspec.json.decode(msgspec.json.encode(outlook)),
        )

    def _nothing(self, verdicts: tuple[Verdict, ...]) -> Plan:
        return Plan(
            procedure=PROCEDURE, request=as_request(self._options), steps=(), verdicts=verdicts
        )

    def _refusals(self, shape: Shape) -> Iterator[Verdict]:
        """What forbids any order, and what is to be said beforehand."""
        # Who else upgrades the control plane chooses its patch.
        is_newer = not self._is_awaited and self._versions.server_version > self._target
        if is_newer or shape.newest > self._target.minor:
            message = f"the cluster runs {self._versions.server} already"
            yield _verdict(NO_WAY_DOWN.name, message, "restore a backup into an older cluster")
        for each in violations(self._versions, shared=not self._options.pinned):
            if each.component != Name.KUBECTL:
                where = ", ".join(each.where[:5])
                yield _verdict(each.rule, f"{each.message} (on {where})", each.remedy)
        yield from self._settings
        if self._target.is_prerelease:
            message = f"{self._target} is no release: kubeadm takes it with a flag only"
            remedy = "add --kubeadm-flag=--allow-release-candidate-upgrades"
            yield _verdict("PreRelease", message, remedy, Effect.WARN)

    def _hops(self, shape: Shape) -> tuple[tuple[int, ...], tuple[Version, ...]]:
        """The minors to go through, with the version of each: first the latest patch of today's."""
        minors = hops_between(shape, self._target.minor)
        here = self._version_of(shape.newest)
        servers = [
            version
            for each in self._versions.of(Name.API_SERVER)
            if (version := each.version) is not None
        ]
        is_behind = any(version < here for version in servers)
        if is_behind and shape.newest not in minors and not self._is_awaited:
            minors = (shape.newest, *minors)
        return minors, tuple(self._version_of(minor) for minor in minors)

    def _version_of(self, minor: int) -> Version:
        """The version of a hop: what was asked for, else the latest patch that is known."""
        if minor == self._target.minor:
            return self._target
        chosen = (version for text in self._options.via if (version := Version.parse(text)))
        wanted = next((each for each in chosen if each.minor == minor), None)
        return wanted or self._catalog.latest(minor) or Version(1, minor, 0)

    def _outdated(self) -> frozenset[str]:
        """Nodes whose kubelet is of the target's minor, but of an older patch that we replace."""
        if self._options.nodes.ssh is None:
            return frozenset()
        return frozenset(
            each.node
            for each in self._versions.of(Name.KUBELET)
            if (version := each.version) is not None
            and version.minor == self._target.minor
            and version < self._target
        )

    def _steps(
        self, shape: Shape, stages: Sequence[Stage], hops: Sequence[Version]
    ) -> Iterator[Step]:
        left = list(hops)
        last = ""
        has_hop = any(stage.kind == CONTROL_PLANE for stage in stages)
        first = First(self._draft, self._versions, self._options, self._members(), self._manager)
        for step in first.steps(has_hop=has_hop):
            last = step.id
            yield step
        self._verdicts += first.warnings(has_hop=has_hop)
        for number, stage in enumerate(stages, 1):
            is_last = number == len(stages)
            if stage.kind == CONTROL_PLANE:
                steps = self._control_plane(shape, stage, left.pop(0), last, number)
            else:
                version = self._version_of(stage.minor)
                steps = self._kubelets(stage, version, last, "" if is_last else f"-{number}")
            for step in steps:
                last = step.id
                yield step
            shape = through(shape, stage.moves)

    def _control_plane(
        self, shape: Shape, stage: Stage, version: Version, last: str, number: int
    ) -> Iterator[Step]:
        if self._is_awaited:
            self._draft.versions[f"{CLUSTER}/await-{number}"] = str(version)
            yield Step(
                id=f"{CLUSTER}/await-{number}",
                action="await",
                target=CLUSTER,
                effect=f"its provider has upgraded the control plane to 1.{version.minor}",
                after=(last,) if last else (),
            )
            return
        kubelets = (each.kubelet for each in shape.workers)
        lag = version.minor - min(kubelets, default=version.minor)
        is_forced = version.minor < _KUBEADM_LONG_SKEW_FROM and lag > 1
        moves = [move for chain in stage.chains for move in chain]
        if any(move.change is Change.PIN for move in moves):
            for name in self._members():
                step = self._pin(name, last, number)
                last = step.id
                yield step
        members = dict.fromkeys(
            move.target for move in moves if move.change in (Change.API_SERVER, Change.CONTROLLERS)
        )
        # kube-proxy alone may be left of an interrupted upgrade: applying it again mends that.
        for place, name in enumerate(members or self._members()[:1]):
            for step in self._member(
                name, version, last, number, is_first=not place, is_forced=is_forced
            ):
                last = step.id
                yield step
        self._draft.versions[f"{CLUSTER}/verify-{number}"] = str(version)
        yield Step(
            id=f"{CLUSTER}/verify-{number}",
            action="verify",
            target=CLUSTER,
            effect=f"every API server, controller manager and scheduler is {version}, "
            "the skew policy is kept, and every kind is served",
            after=(last,),
        )

    def _pin(self, name: str, last: str, number: int) -> Step:
        address = self._nodes[name].address("InternalIP")
        return self._draft.on_host(
            name,
            f"pin-{number}",
            "its controllers reach its own API server alone",
            commands.pin_controllers(address),
            after=(last,) if last else (),
        )

    def _member(
        self,
        name: str,
        version: Version,
        last: str,
        number: int,
        *,
        is_first: bool,
        is_forced: bool,
    ) -> Iterator[Step]:
        manager = self._manager(name)
        package = self._draft.on_host(
            name,
            f"kubeadm-{number}",
            f"kubeadm is {version}",
            commands.kubeadm_package(version, manager),
            action="kubeadm",
            undo=commands.kubeadm_back(self._replace(name, Name.API_SERVER, version), manager),
            after=(last,) if last else (),
        )
        self._draft.versions[package.id] = str(version)
        yield package
        flags = self._options.flags
        # Of a hop that was begun, too: what `apply` shares may be missing, and is written again.
        lines = (
            commands.apply_first(version, flags, is_forced=is_forced)
            if is_first
            else commands.apply_further(flags)
        )
        self._draft.versions[f"{name}/control-plane-{number}"] = str(version)
        yield self._draft.on_host(
            name,
            f"control-plane-{number}",
            f"its control plane is {version}",
            lines,
            action="control-plane",
            after=(package.id,),
            minutes=30,
        )

    def _kubelets(self, stage: Stage, version: Version, last: str, suffix: str) -> Iterator[Step]:
        """The waves of a maintenance, whose work is the packages of the kubelet."""
        names = {chain[0].target for chain in stage.chains}
        chosen = tuple(node for node in self._state.nodes if node.name in names)
        state = msgspec.structs.replace(
            self._state,
            nodes=chosen,
            pods=tuple(pod for pod in self._state.pods if pod.spec.node_name in names),
        )
        fleet = plan_fleet(state, self._options.nodes, self._now)
        self._limits |= fleet.limits
        self._verdicts += fleet.verdicts
        self._waves += [tuple(wave) for wave in fleet.outlook["waves"]]
        for step in fleet.steps:
            yield self._of_fleet(step, version, last, suffix)
        if not suffix and fleet.steps:
            yield self._end(fleet.steps, version)
        planned = {step.target for step in fleet.steps}
        behind = sorted(name for name in names if f"node/{name}" not in planned)
        if behind and suffix:
            self._verdicts.append(_left_behind(behind, stage))

    def _end(self, steps: Sequence[Step], version: Version) -> Step:
        """A last look at everything, with nodes that came meanwhile or were left out.

        A new kubelet starts its static pods again: our own control plane goes down a last time.
        """
        effect = f"everything is {version}, and the control plane has come to rest"
        if self._is_awaited:
            effect = f"every kubelet is of 1.{version.minor}"
        found = Step(
            id=f"{CLUSTER}/verify",
            action="kubelets" if self._is_awaited else "verify",
            target=CLUSTER,
            effect=effect,
            after=tuple(step.id for step in steps if step.action == "uncordon"),
        )
        self._draft.versions[found.id] = str(version)
        return found

    def _of_fleet(self, step: Step, version: Version, last: str, suffix: str) -> Step:
        """A step of the maintenance as one of the upgrade; first ones follow what was before."""

        def renamed(ids: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(f"{each}{suffix}" for each in ids)

        found = msgspec.structs.replace(
            step,
            id=f"{step.id}{suffix}",
            after=renamed(step.after) or ((last,) if last else ()),
            rollback=renamed(step.rollback),
            releases=renamed(step.releases),
        )
        if step.action != "update":
            return found
        self._draft.versions[found.id] = str(version)
        node = self._nodes[step.target.removeprefix("node/")]
        is_worker = not node.is_control_plane
        if self._options.nodes.ssh is None:
            effect = f"its provider has upgraded its kubelet to 1.{version.minor}"
            return msgspec.structs.replace(found, effect=effect)
        manager = self._manager(node.name)
        self._draft.commands[found.id] = HostCommands(
            host=node.name,
            lines=commands.kubelet_package(
                version, manager, self._options.flags, is_worker=is_worker
            ),
            undo=commands.kubelet_back(
                self._replace(node.name, Name.KUBELET, version),
                version,
                manager,
                is_worker=is_worker,
            ),
        )
        return msgspec.structs.replace(found, effect=f"its kubelet and kubectl are {version}")

    def _replace(self, node: str, name: Name, version: Version) -> Version:
        """What a node runs of a component before a step of the plan brings it to a version."""
        seen = (each.version for each in self._versions.of(name) if each.node == node)
        before = next((each for each in seen if each), self._versions.server_version)
        before = self._become.get((node, name), before)
        self._become[node, name] = version
        return before

    @property
    def _is_awaited(self) -> bool:
        """Whether somebody else upgrades the control plane: nobody logs in to its hosts."""
        return self._versions.is_managed or self._options.nodes.ssh is None

    def _members(self) -> list[str]:
        names = (each.node for each in self._versions.of(Name.API_SERVER) if each.node)
        return list(dict.fromkeys(names))

    def _manager(self, name: str) -> str:
        return commands.manager_of(self._nodes[name], self._options.packages)


def _verdict(reason: str, message: str, remedy: str, effect: Effect = Effect.BLOCK) -> Verdict:
    return Verdict(target=CLUSTER, effect=effect, reason=reason, message=message, remedy=remedy)


def _unproven(refutations: tuple[str, ...]) -> Verdict:
    return _verdict(
        "NotProven",
        f"no order could be proven: {'; '.join(refutations[:3])}",
        "bring what is named into the policy first",
    )


def _left_behind(nodes: Sequence[str], stage: Stage) -> Verdict:
    return _verdict(
        "NodesLeftBehind",
        f"{', '.join(nodes[:5])} cannot be upgraded to 1.{stage.minor}, and {stage.forced}",
        "clear what stands in the way of their drains, or delete them",
    )
