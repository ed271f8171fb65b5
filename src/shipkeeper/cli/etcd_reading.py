"""Flags of whatever reads a snapshot file, and the snapshot opened by them."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.errors import UsageError
from shipkeeper.etcd.browse import Browser
from shipkeeper.etcd.encrypted import Keys
from shipkeeper.etcd.snapshot import open_snapshot


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReadingFlags:
    """What is needed to read stored objects."""

    encryption_provider_config: Annotated[
        str, Parameter(help="The API server's EncryptionConfiguration, to open encrypted values.")
    ] = ""
    kubernetes_version: Annotated[
        str, Parameter(help="Of the snapshot's cluster (1.30); by default told by its nodes.")
    ] = ""

    def keys(self) -> Keys:
        """The keys of the configuration; none if none is named."""
        if not self.encryption_provider_config:
            return Keys()
        from shipkeeper.etcd.encryption import decode_keys

        path = Path(self.encryption_provider_config)
        try:
            return decode_keys(path.read_text())
        except OSError as error:
            raise UsageError(
                f"cannot read {path}: {error.strerror}",
                reason="ConfigurationUnreadable",
                hint="name the file that kube-apiserver's --encryption-provider-config names",
            ) from error

    def minor(self) -> int | None:
        """The minor version, if one is given; UsageError if it is none."""
        if not self.kubernetes_version:
            return None
        parts = self.kubernetes_version.removeprefix("v").split(".")
        if len(parts) < 2 or not parts[1].isdigit():
            raise UsageError(
                f"{self.kubernetes_version!r} is no version",
                reason="InvalidVersion",
                hint="a version looks like 1.30",
            )
        return int(parts[1])


PLAIN = ReadingFlags()


@contextmanager
def browsing(file: Path, reading: ReadingFlags = PLAIN) -> Generator[Browser]:
    """A snapshot opened to be looked into."""
    with open_snapshot(file) as snapshot:
        yield Browser(snapshot, reading.keys(), reading.minor())
