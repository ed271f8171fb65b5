"""How a status names another object."""

from shipkeeper.model.base import KubeStruct


class ObjectRef(KubeStruct, frozen=True, kw_only=True):
    """An object in a namespace."""

    namespace: str
    name: str
