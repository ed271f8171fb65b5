"""Objects of which only their outline is known: a spec and a status of any shape."""

from typing import Any

from shipkeeper.model.meta import KubeObject


class LooseObject(KubeObject, frozen=True, kw_only=True):
    """An object whose spec and status are taken as they come; of Secrets only the type is read."""

    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}
    type: str = ""
    automount_service_account_token: bool | None = None
