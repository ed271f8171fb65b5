"""What a request asks of the API server, in the words of its authorization."""

from urllib.parse import unquote

import msgspec

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

_OF_NAMESPACES = frozenset({"finalize", "status"})


class RequestInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Verb and target of a request; `path` alone is set when it is about no resource."""

    verb: str
    path: str
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""

    @classmethod
    def of(cls, method: str, path: str, *, is_watch: bool = False) -> "RequestInfo":
        """Read a request as the API server does (apiserver/pkg/endpoints/request)."""
        parts = _resource_parts(path)
        namespace = ""
        if len(parts) > 2 and parts[0] == "namespaces" and parts[2] not in _OF_NAMESPACES:
            namespace, parts = parts[1], parts[2:]
        resource, name, subresource = [*parts, "", "", ""][:3]
        return cls(
            verb=_verb(method, is_collection=bool(resource and not name), is_watch=is_watch),
            path=path,
            resource=resource,
            subresource=subresource,
            name=name,
            namespace=namespace,
        )

    def __str__(self) -> str:
        if not self.resource:
            return f"{self.verb} {self.path}"
        kind = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        name = f' "{self.name}"' if self.name else ""
        namespace = f' in namespace "{self.namespace}"' if self.namespace else ""
        return f"{self.verb} {kind}{name}{namespace}"

    @property
    def permission(self) -> str:
        """The arguments of `kubectl auth can-i` that ask for the permission it needs."""
        words = [self.verb, self.resource or self.path]
        words += [f"--subresource={self.subresource}"] if self.subresource else []
        words += [f"--namespace={self.namespace}"] if self.namespace else []
        return " ".join(words)


def _resource_parts(path: str) -> list[str]:
    parts = [unquote(part) for part in path.strip("/").split("/")]
    match parts:
        case ["api", _, *rest] | ["apis", _, _, *rest]:
            return rest
        case _:
            return []


def _verb(method: str, *, is_collection: bool, is_watch: bool) -> str:
    if method == "GET" and is_collection:
        return "watch" if is_watch else "list"
    if method == "DELETE" and is_collection:
        return "deletecollection"
    return _VERBS.get(method, "get")


def selection(label_selector: str, field_selector: str) -> dict[str, str]:
    """The query parameters that choose among the objects of a collection."""
    chosen = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in chosen.items() if value}
