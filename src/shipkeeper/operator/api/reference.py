"""How a status names another object."""

from typing import Annotated

from msgspec import Meta

from shipkeeper.model.base import KubeStruct


class ObjectRef(KubeStruct, frozen=True, kw_only=True):
    """An object in a namespace."""

    namespace: Annotated[str, Meta(description="Its namespace.")]
    name: Annotated[str, Meta(description="Its name.")]
