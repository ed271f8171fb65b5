"""One kind of custom resource, its CustomResourceDefinition, and how its objects are read."""

from typing import Any, Generic, TypeVar

import msgspec

from shipkeeper.kube.resources import Resource
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.version import Version
from shipkeeper.operator.api.fields import Rule
from shipkeeper.operator.api.schema import schema_of, validations

GROUP = "shipkeeper.dev"
VERSION = "v1alpha1"
CATEGORY = "shipkeeper"
# Rules are evaluated by default from here on (KEP-2876).
CEL_SINCE = Version(1, 25, 0)

SpecT = TypeVar("SpecT", bound=msgspec.Struct)


class CustomObject(KubeObject, frozen=True, kw_only=True):
    """An object of ours, its spec and status as they came.

    They are read one by one: an object that an older server let pass with nonsense in it must not
    keep all others from being seen.
    """

    spec: msgspec.Raw = msgspec.Raw(b"{}")
    status: msgspec.Raw = msgspec.Raw(b"{}")


class Column(msgspec.Struct, frozen=True):
    """A column of `kubectl get`; with a priority above 0 only of `-o wide`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


class Kind(msgspec.Struct, Generic[SpecT], frozen=True, kw_only=True):
    """A kind: its names, what its spec and status are made of, and its columns.

    `plural` and `short` are what kubectl takes; `rules` are over spec and status together. All
    kinds belong to the cluster, not to namespaces.
    """

    kind: str
    plural: str
    short: tuple[str, ...]
    spec: type[SpecT]
    status: type[msgspec.Struct]
    columns: tuple[Column, ...]
    text: str
    rules: tuple[Rule, ...] = ()

    @property
    def resource(self) -> Resource[CustomObject]:
        """Where its objects live."""
        return Resource(GROUP, VERSION, self.plural, self.kind, CustomObject, namespaced=False)

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{GROUP}/{VERSION}"

    def read(self, found: CustomObject) -> SpecT:
        """What an object asks for; msgspec.DecodeError if that is nonsense."""
        return msgspec.json.decode(found.spec, type=self.spec)

    def definition(self, version: Version) -> dict[str, Any]:
        """The CustomResourceDefinition, for a server of this version."""
        with_rules = not version < CEL_SINCE
        age = Column("Age", ".metadata.creationTimestamp", "date")
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.{GROUP}"},
            "spec": {
                "group": GROUP,
                "scope": "Cluster",
                "names": {
                    "kind": self.kind,
                    "listKind": f"{self.kind}List",
                    "plural": self.plural,
                    "singular": self.kind.lower(),
                    "shortNames": list(self.short),
                    "categories": [CATEGORY],
                },
                "versions": [
                    {
                        "name": VERSION,
                        "served": True,
                        "storage": True,
                        "subresources": {"status": {}},
                        "additionalPrinterColumns": [
                            _printed(each) for each in (*self.columns, age)
                        ],
                        "schema": {"openAPIV3Schema": self._schema(with_rules=with_rules)},
                    }
                ],
            },
        }

    def _schema(self, *, with_rules: bool) -> dict[str, Any]:
        return {
            "type": "object",
            "description": self.text,
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"type": "object"},
                "spec": schema_of(self.spec, with_rules=with_rules),
                "status": schema_of(self.status, with_rules=with_rules),
            },
            "required": ["spec"],
            **(validations(self.rules) if with_rules else {}),
        }


def _printed(column: Column) -> dict[str, Any]:
    shown = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return {**shown, "priority": column.priority} if column.priority else shown
