"""Kubeconfigs of every sort for one sandbox, and a try to use them."""

import base64
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.kubeconfig import ConfigError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.sandbox.sandbox import Sandbox


class Files:
    """Writes kubeconfigs for one sandbox."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        self.directory = directory
        admin = yaml.safe_load(sandbox.kubeconfig.read_text())
        self.cluster: dict[str, Any] = admin["clusters"][0]["cluster"]
        self.admin: dict[str, Any] = admin["users"][0]["user"]

    def write(self, file: str, user: dict[str, Any], name: str = "main", **changes: Any) -> Path:
        """One context, cluster and user, all of one name; `changes` are keys of the document."""
        document = {
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "clusters": [{"name": name, "cluster": self.cluster}],
            "users": [{"name": name, "user": user}],
        }
        path = self.directory / file
        path.write_text(yaml.safe_dump(document | changes))
        return path

    def certificate(self, user: str, not_after: datetime | None = None) -> tuple[bytes, bytes]:
        """A client certificate and key of an administrator, both PEM."""
        issued = self.sandbox.issue_kubeconfig(user, ("system:masters",), not_after=not_after)
        login = yaml.safe_load(issued.read_text())["users"][0]["user"]
        return (
            base64.b64decode(login["client-certificate-data"]),
            base64.b64decode(login["client-key-data"]),
        )

    def plugin(self, script: str, **settings: Any) -> dict[str, Any]:
        """A user whose credentials come from a shell script beside the kubeconfigs."""
        path = self.directory / "login.sh"
        path.write_text(f"#!/bin/sh\necho run >> {self.directory}/runs\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        api = "client.authentication.k8s.io/v1"
        return {"exec": {"apiVersion": api, "command": "./login.sh"} | settings}

    @property
    def runs(self) -> int:
        """How often the plugin ran."""
        return len((self.directory / "runs").read_text().splitlines())


async def nodes(kubeconfig: Path | str = "", **options: Any) -> int:
    """Log in and count the nodes."""
    asked = ConnectionOptions(kubeconfig=str(kubeconfig), **options)
    async with connect(asked) as connection:
        return await count(connection)


async def count(connection: Connection) -> int:
    return len((await Reader(connection).list(NODES)).items)


async def refused(kubeconfig: Path | str = "", **options: Any) -> ConfigError:
    """The error of a configuration that cannot be used; its text is one line with a hint."""
    with pytest.raises(ConfigError) as caught:
        await nodes(kubeconfig, **options)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value
