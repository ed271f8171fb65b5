"""How many pods of a kind are in each domain: what affinity and spread rules ask for; pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from shipkeeper.model.node import Node
from shipkeeper.model.scheduling import PodAffinityTerm, SchedulablePod


class Rule(msgspec.Struct, frozen=True):
    """A rule about other pods, and the namespace of the pod that has it."""

    namespace: str
    term: PodAffinityTerm

    def covers(self, pod: SchedulablePod) -> bool:
        """Whether it is about a pod."""
        return self.term.covers(pod, self.namespace)

    def domain(self, node: Node) -> str | None:
        """The domain of a node; None if the node has no such label, and so is in none."""
        return node.metadata.labels.get(self.term.topology_key)


class Domains:
    """Counts of pods by rule and domain, kept up to date as pods come and go."""

    def __init__(self, pods: Iterable[SchedulablePod]) -> None:
        self._rules: dict[bytes, Rule] = {}
        self._covered: defaultdict[bytes, Counter[str | None]] = defaultdict(Counter)
        self._holders: defaultdict[bytes, Counter[str | None]] = defaultdict(Counter)
        self._keys_about: dict[tuple[str, frozenset[tuple[str, str]]], tuple[bytes, ...]] = {}
        for pod in pods:
            for rule in _rules_of(pod):
                self._rules[_key(rule)] = rule

    def add(self, pod: SchedulablePod, node: Node, amount: int = 1) -> None:
        """Count a pod on a node; with -1 it leaves."""
        for key in self._about(pod):
            self._covered[key][self._rules[key].domain(node)] += amount
        for term in pod.spec.anti_affinity:
            rule = Rule(pod.namespace, term)
            self._holders[_key(rule)][rule.domain(node)] += amount

    def allow(self, pod: SchedulablePod, node: Node) -> bool:
        """Whether no rule, of the pod itself or of others, keeps it off a node."""
        return (
            self._others_bear(pod, node)
            and all(
                self._covered[_key(rule)][rule.domain(node)] == 0
                for rule in _rules(pod, pod.spec.anti_affinity)
                if rule.domain(node) is not None
            )
            and all(self._is_near(rule, pod, node) for rule in _rules(pod, pod.spec.near))
            and all(self._is_even(rule, skew, node) for rule, skew in _spread(pod))
        )

    def _others_bear(self, pod: SchedulablePod, node: Node) -> bool:
        for key in self._about(pod):
            holders = self._holders.get(key)
            if holders:
                domain = self._rules[key].domain(node)
                if domain is not None and holders[domain] > 0:
                    return False
        return True

    def _is_near(self, rule: Rule, pod: SchedulablePod, node: Node) -> bool:
        """Whether a pod that it must be near is there; the first of a kind may be anywhere."""
        counts, domain = self._covered[_key(rule)], rule.domain(node)
        if domain is None:
            return False
        return counts[domain] > 0 or (counts.total() == 0 and rule.covers(pod))

    def _is_even(self, rule: Rule, skew: int, node: Node) -> bool:
        counts, domain = self._covered[_key(rule)], rule.domain(node)
        if domain is None:
            return False
        least = min((n for value, n in counts.items() if value is not None), default=0)
        return counts[domain] + 1 - least <= skew

    def know(self, node: Node) -> None:
        """Let a node's domains count as there, even while no pod is in them."""
        for key, rule in self._rules.items():
            self._covered[key].setdefault(rule.domain(node), 0)

    def _about(self, pod: SchedulablePod) -> tuple[bytes, ...]:
        """The keys of the rules that are about a pod; like pods share the answer."""
        if not self._rules:
            return ()
        like = (pod.namespace, frozenset(pod.metadata.labels.items()))
        if like not in self._keys_about:
            self._keys_about[like] = tuple(
                key for key, rule in self._rules.items() if rule.covers(pod)
            )
        return self._keys_about[like]


def _rules(pod: SchedulablePod, terms: Iterable[PodAffinityTerm]) -> list[Rule]:
    return [Rule(pod.namespace, term) for term in terms]


def _spread(pod: SchedulablePod) -> list[tuple[Rule, int]]:
    return [
        (
            Rule(
                pod.namespace,
                PodAffinityTerm(topology_key=each.topology_key, label_selector=each.label_selector),
            ),
            each.max_skew,
        )
        for each in pod.spec.strict_spread
    ]


def _rules_of(pod: SchedulablePod) -> list[Rule]:
    spread = [rule for rule, _ in _spread(pod)]
    return [*_rules(pod, pod.spec.anti_affinity), *_rules(pod, pod.spec.near), *spread]


def _key(rule: Rule) -> bytes:
    return msgspec.json.encode(rule)
