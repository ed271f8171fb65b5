"""Which objects are meant: namespaces, kinds, labels and names, in and out. Pure."""

from collections.abc import Iterable, Sequence

import msgspec

from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.manifest import Manifest, labels
from shipkeeper.errors import UsageError
from shipkeeper.model.selector import parse_selector


class Selection(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A choice among objects; what is empty chooses everything.

    `names` are `kind/name` or `kind/namespace/name`. Naming namespaces leaves cluster-scoped
    objects out, except the namespaces themselves; `cluster_scoped` overrules that either way.
    """

    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    not_kinds: tuple[str, ...] = ()
    selector: str = ""
    names: tuple[str, ...] = ()
    not_names: tuple[str, ...] = ()
    cluster_scoped: bool | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()

    def chosen_kinds(self, kinds: Iterable[Kind]) -> tuple[Kind, ...]:
        """The kinds of which anything can be meant."""
        return tuple(kind for kind in kinds if self.has_kind(kind))

    def has_kind(self, kind: Kind) -> bool:
        """Whether any object of this kind can be meant."""
        if any(kind.is_called(word) for word in self.not_kinds):
            return False
        if self.kinds and not any(kind.is_called(word) for word in self.kinds):
            return False
        if self.names and not any(kind.is_called(name.partition("/")[0]) for name in self.names):
            return False
        return kind.namespaced or self._has_cluster_scoped(kind)

    def has_key(self, kind: Kind, namespace: str, name: str) -> bool:
        """Whether an object of a chosen kind is meant, as far as its name tells."""
        where = name if kind.group_kind == ("", "Namespace") else namespace
        if where and (kind.namespaced or self.namespaces):
            if self.namespaces and where not in self.namespaces:
                return False
            if where in self.not_namespaces:
                return False
        if any(is_named(pattern, kind, namespace, name) for pattern in self.not_names):
            return False
        return not self.names or any(is_named(each, kind, namespace, name) for each in self.names)

    def has_labels(self, manifest: Manifest) -> bool:
        """Whether its labels are those that were asked for."""
        return parse_selector(self.selector).matches(labels(manifest))

    def _has_cluster_scoped(self, kind: Kind) -> bool:
        if self.cluster_scoped is not None:
            return self.cluster_scoped
        return not self.namespaces or kind.group_kind == ("", "Namespace")


def is_named(pattern: str, kind: Kind, namespace: str, name: str) -> bool:
    """Whether KIND/NAME or KIND/NAMESPACE/NAME means an object; a bare KIND means them all."""
    called, *rest = pattern.split("/")
    if not rest:
        return kind.is_called(called)
    return kind.is_called(called) and rest in ([name], [namespace, name])


def require_known_kinds(selection: Selection, kinds: Sequence[Kind]) -> None:
    """UsageError when a word of the selection is no kind of these, or names nothing at all."""
    parse_selector(selection.selector)
    for name in (*selection.names, *selection.not_names):
        if not 2 <= len(name.split("/")) <= 3:
            raise UsageError(
                f"{name!r} names no object",
                reason="InvalidName",
                hint="write KIND/NAME or KIND/NAMESPACE/NAME, for example secret/shop/db",
            )
    words = [*selection.kinds, *selection.not_kinds]
    words += [name.partition("/")[0] for name in (*selection.names, *selection.not_names)]
    for word in words:
        if not any(kind.is_called(word) for kind in kinds):
            raise UsageError(
                f"there is no kind {word!r} here",
                reason="UnknownKind",
                hint="write it as kubectl does: configmaps, deploy, widgets.example.com",
            )
