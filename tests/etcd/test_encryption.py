"""Encrypted values of a real API server under each provider, and such as do not open."""

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.etcd.encrypted import Keys
from shipkeeper.etcd.encryption import EncryptionError, decode_keys, decrypt
from shipkeeper.etcd.secretbox import NotSealedError, open_secretbox
from shipkeeper.kube.connection import connect
from shipkeeper.sandbox import names
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.bring_up import start_component
from shipkeeper.sandbox.health import wait_healthy
from shipkeeper.sandbox.record import read_record
from shipkeeper.sandbox.sandbox import Sandbox
from tests.backup.cluster import Cluster, Manifest, config_map, manifest
from tests.etcd.test_objects import members_of
from tests.etcd.world import run
from tests.nodes.world import options_of

KEY = "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389"
NONCE = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37"
PROVIDERS = {"aescbc": "secrets", "aesgcm": "configmaps", "secretbox": "services"}


def configuration() -> dict[str, Any]:
    """Each provider for a resource of its own."""
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [
            {
                "resources": [resource],
                "providers": [{provider: {"keys": [_key(provider)]}}, {"identity": {}}],
            }
            for provider, resource in PROVIDERS.items()
        ],
    }


def _key(provider: str) -> dict[str, str]:
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    return {"name": f"{provider}-1", "secret": secret}


@pytest.fixture(scope="module")
def encrypting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Path]]:
    """A control plane that encrypts, and its configuration."""
    file = tmp_path_factory.mktemp("encryption") / "configuration.yaml"
    file.write_bytes(msgspec.yaml.encode(configuration()))
    sandbox = Sandbox.up(f"test-encryption-{secrets.token_hex(3)}", NEWEST, lambda _: None)
    try:
        name = names.API_SERVER
        command = read_record(sandbox.layout).components[name].command
        sandbox.stop_component(name)
        flag = f"--encryption-provider-config={file}"
        start_component(sandbox.layout, name, (*command, flag))
        wait_healthy(sandbox.layout, read_record(sandbox.layout), name)
        yield sandbox, file
    finally:
        sandbox.down()


async def test_values_of_every_provider_are_what_the_api_server_shows(
    encrypting: tuple[Sandbox, Path], tmp_path: Path
) -> None:
    sandbox, keys = encrypting
    objects: list[Manifest] = [
        manifest("v1 Secret", "sealed", "default", stringData={"password": "open sesame"}),
        config_map("sealed", "default", text="x" * 5000),
        manifest("v1 Service", "sealed", "default", spec={"ports": [{"port": 80}]}),
    ]
    file = tmp_path / "snapshot.db"
    async with connect(options_of(sandbox)) as connection:
        cluster = Cluster(connection)
        await cluster.create(*objects)
        assert run("save", str(file), *members_of(sandbox)).returncode == 0
        assert b"sesame" not in file.read_bytes()
        for each in objects:
            words = (each["kind"].lower(), "sealed", "-n", "default", "-o", "json")
            opened = run("get", str(file), *words, f"--encryption-provider-config={keys}")
            assert opened.returncode == 0, opened.stderr
            assert msgspec.json.decode(opened.stdout) == await cluster.get(each)
            closed = run("get", str(file), *words)
            assert closed.returncode == 1
            assert "is encrypted by" in closed.stderr


def test_a_box_that_was_tampered_with_does_not_open() -> None:
    sealed = bytes.fromhex(NONCE) + bytes(100)
    with pytest.raises(NotSealedError):
        open_secretbox(sealed, bytes.fromhex(KEY))


def test_kms_and_unknown_keys_are_named() -> None:
    with pytest.raises(EncryptionError, match="kms"):
        decrypt(b"k8s:enc:kms:v2:one:xyz", b"/registry/secrets/a/b", Keys())
    with pytest.raises(EncryptionError, match="with key 'k1'"):
        decrypt(b"k8s:enc:aescbc:v1:k1:xyz", b"/registry/secrets/a/b", Keys())
    with pytest.raises(EncryptionError, match="cannot be read"):
        decode_keys("kind: [")
