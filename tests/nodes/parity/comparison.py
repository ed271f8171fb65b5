"""What two tools made of the same cluster, side by side; pure.

The differences that the facts about node maintenance list are named functions here, each with the
fact that it goes by. Every other difference is a failure.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from tests.nodes.parity.clusters import Cluster, PodState

STAYS = "stays"
GONE = "is gone"
_VIE = frozenset({PodState.READY, PodState.UNREADY})


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What one tool made of a cluster, by the names of its pods.

    `refused` and `foreseen` are what it said (see draining.Answer), `asked` the requests that the
    API server granted it, `fates` what became of each pod.
    """

    refused: Mapping[str, str]
    foreseen: Mapping[str, str]
    asked: Mapping[str, str]
    fates: Mapping[str, str]
    is_drained: bool
    is_cordoned: bool


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster, and what kubectl and ours made of it."""

    cluster: Cluster
    theirs: Ending
    ours: Ending


class Difference(msgspec.Struct, frozen=True):
    """One aspect in which the endings of one subject differ; an empty text is nothing at all."""

    aspect: str
    subject: str
    theirs: str
    ours: str

    def __str__(self) -> str:
        """Both sides in a line."""
        return f"{self.subject} {self.aspect}: kubectl {self.theirs!r}, ours {self.ours!r}"


def differences(pair: Pair) -> list[Difference]:
    """Everything in which the two endings differ."""
    theirs, ours = _aspects(pair.cluster, pair.theirs), _aspects(pair.cluster, pair.ours)
    return [
        Difference(aspect, subject, theirs[aspect].get(subject, ""), ours[aspect].get(subject, ""))
        for aspect in theirs
        for subject in sorted(theirs[aspect].keys() | ours[aspect].keys())
        if theirs[aspect].get(subject) != ours[aspect].get(subject)
    ]


def _aspects(cluster: Cluster, ending: Ending) -> dict[str, Mapping[str, str]]:
    return {
        "refused": ending.refused,
        "foreseen": ending.foreseen,
        "asked": _as_chance_has_it(cluster, ending.asked),
        "fate": _as_chance_has_it(cluster, ending.fates),
        "drained": {"node": str(ending.is_drained)},
        "cordoned": {"node": str(ending.is_cordoned)},
    }


def _as_chance_has_it(cluster: Cluster, said: Mapping[str, str]) -> dict[str, str]:
    """Only numbers of those pods of which a budget lets some go, whichever come first."""
    found = dict(said)
    for application in cluster.applications:
        if application.is_rationed:
            vying = [name for name, state in application.pods.items() if state in _VIE]
            counts = Counter(found.pop(name, "") for name in vying)
            found[f"{application.name}-*"] = str(sorted(counts.items()))
    return found


def refused_before_the_cordon(pair: Pair, difference: Difference) -> bool:
    """PDB pre-check: what cannot be drained is refused before anything is touched.

    kubectl cordons first and looks at the pods then.
    """
    refuses = bool(pair.ours.refused or pair.ours.foreseen)
    return difference.aspect == "cordoned" and pair.theirs.is_cordoned and refuses


def budget_foreseen(pair: Pair, difference: Difference) -> bool:
    """PDB pre-check, and rule 13's "never succeeds, fail fast, name the PDBs".

    Two budgets over one pod, a budget that can never be met, and a broken one are named
    beforehand, and ours touches nothing. kubectl moves the node's other pods, and fails: what was
    foreseen must have come true, or it was no reason to refuse.
    """
    foreseen = pair.ours.foreseen
    comes_true = not pair.theirs.is_drained and all(pair.theirs.fates[p] == STAYS for p in foreseen)
    is_of_pods = difference.aspect in ("foreseen", "asked", "fate")
    return is_of_pods and bool(foreseen) and comes_true and not pair.ours.asked


def not_asked_again(pair: Pair, difference: Difference) -> bool:
    """Rules 13 and 18: a pod whose deletion is under way is waited for.

    kubectl asks for it once more, which changes nothing unless its time is shortened.
    """
    pod = difference.subject
    was_deleting = pod in pair.cluster.states and pair.cluster.states[pod].is_deleting
    same_fate = pair.theirs.fates.get(pod) == pair.ours.fates.get(pod)
    return difference.aspect == "asked" and was_deleting and same_fate and not difference.ours


LISTED: tuple[Callable[[Pair, Difference], bool], ...] = (
    refused_before_the_cordon,
    budget_foreseen,
    not_asked_again,
)


def unlisted(pair: Pair) -> list[Difference]:
    """The differences that nothing allows."""
    return [
        difference
        for difference in differences(pair)
        if not any(is_listed(pair, difference) for is_listed in LISTED)
    ]


def sights(pair: Pair) -> set[str]:
    """What is to be seen in a pair, so that a test can tell whether everything was."""
    endings = (pair.theirs, pair.ours)
    return {
        *(rule.__name__ for each in differences(pair) for rule in LISTED if rule(pair, each)),
        *(word for ending in endings for word in ending.refused.values()),
        *(word for ending in endings for word in ending.foreseen.values()),
        *(word for ending in endings for word in ending.asked.values()),
        *(word for ending in endings for word in ending.fates.values()),
        *(f"drained {ending.is_drained}" for ending in endings),
        *(f"reachable {pair.cluster.is_reachable}",),
        *(f"rationed {app.is_rationed}" for app in pair.cluster.applications),
    }


def describe(pair: Pair) -> str:
    """The unlisted differences of a pair, how it was drained, and all that is in the cluster."""
    cluster = pair.cluster
    return "\n".join(
        [
            f"cluster {cluster.number}, drained with {cluster.options}:",
            *(f"  {difference}" for difference in unlisted(pair)),
            *(f"  in {application}" for application in cluster.applications),
            f"  reachable {cluster.is_reachable}, wide budget {cluster.has_wide_budget}",
        ]
    )
