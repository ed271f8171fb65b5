"""ConfigMaps (v1): text and bytes by key."""

from shipkeeper.model.meta import KubeObject


class ConfigMap(KubeObject, frozen=True, kw_only=True):
    """A bundle of texts, and of bytes in base64."""

    data: dict[str, str] = {}
    binary_data: dict[str, str] = {}
