"""A real directory server on loopback, over LDAPS and StartTLS."""

import os
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shipkeeper.sandbox.certificates import create_authority, issue_server
from shipkeeper.sandbox.keypair import KeyPair
from shipkeeper.sandbox.ports import free_ports
from tests.debian import unpacked

BASE = "dc=example,dc=org"
PEOPLE, TEAMS = f"ou=people,{BASE}", f"ou=teams,{BASE}"
READER, READER_PASSWORD = f"cn=reader,{BASE}", "reads everything"
ROOT, ROOT_PASSWORD = f"cn=root,{BASE}", "changes everything"
PASSWORD = "correct horse"

# slapd, its clients, and what of their libraries a machine may lack.
_PACKAGES = (
    "slapd",
    "ldap-utils",
    "libldap-2.5-0",
    "libsasl2-2",
    "libltdl7",
    "libodbc2",
    "libargon2-1",
    "libwrap0",
)
_CONFIGURATION = """\
{schemas}
modulepath {tree}/usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
TLSCACertificateFile {home}/ca.crt
TLSCertificateFile {home}/server.crt
TLSCertificateKeyFile {home}/server.key
security ssf=128
sizelimit 600
threads 4
database mdb
suffix "{base}"
rootdn "{root}"
rootpw "{root_password}"
directory {home}/data
maxsize 268435456
dbnosync
index objectClass,uid,member,entryUUID eq
limits dn.exact="{reader}" size.prtotal=unlimited
overlay ppolicy
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by * none
"""

Attributes = Mapping[str, str | Iterable[str]]


class Slapd:
    """One server with files of its own under `home`; started and stopped at will."""

    def __init__(self, home: Path, *, not_after: datetime | None = None) -> None:
        self.home = home
        self._tree, self._libraries = unpacked("slapd", _PACKAGES)
        self.ldaps_port, self.ldap_port = free_ports(2)
        (home / "data").mkdir(parents=True)
        self.authority = create_authority("directory-ca")
        (home / "ca.crt").write_bytes(self.authority.certificate)
        self.certify(not_after)
        schemas = ("core", "cosine", "inetorgperson")
        (home / "slapd.conf").write_text(
            _CONFIGURATION.format(
                schemas="\n".join(
                    f"include {self._tree}/etc/ldap/schema/{s}.schema" for s in schemas
                ),
                home=home,
                tree=self._tree,
                base=BASE,
                root=ROOT,
                root_password=ROOT_PASSWORD,
                reader=READER,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ldaps(self) -> str:
        return f"ldaps://127.0.0.1:{self.ldaps_port}"

    @property
    def start_tls(self) -> str:
        return f"ldap://127.0.0.1:{self.ldap_port}"

    def certify(self, not_after: datetime | None = None) -> None:
        """Give it a new certificate; it is served from the next start on."""
        expires = not_after or datetime.now(UTC) + timedelta(days=1)
        pair: KeyPair = issue_server(self.authority, "directory", ("127.0.0.1",), expires)
        (self.home / "server.crt").write_bytes(pair.certificate)
        (self.home / "server.key").write_bytes(pair.key)

    def fill(self, entries: Iterable[str]) -> None:
        """Put entries in while it does not run."""
        ldif = "\n".join(entries)
        command = ("-T", "add", "-q", "-f", str(self.home / "slapd.conf"))
        self._run("usr/sbin/slapd", *command, text=ldif)

    def change(self, ldif: str) -> None:
        """Change entries while it runs."""
        self._run(
            "usr/bin/ldapmodify",
            "-x",
            "-H",
            self.ldaps,
            "-D",
            ROOT,
            "-w",
            ROOT_PASSWORD,
            "-e",
            "!relax",
            text=ldif,
        )

    def start(self) -> "Slapd":
        urls = f"{self.ldaps} {self.start_tls}"
        configuration = self.home / "slapd.conf"
        with (self.home / "slapd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._tree / "usr/sbin/slapd", "-d", "0", "-h", urls, "-f", configuration],
                stdout=log,
                stderr=log,
                env=self._environment(),
            )
        limit = time.monotonic() + 60
        while not (_accepts(self.ldaps_port) and _accepts(self.ldap_port)):
            assert self._process.poll() is None, (self.home / "slapd.log").read_text()
            assert time.monotonic() < limit, "slapd does not start"
            time.sleep(0.02)
        return self

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _run(self, program: str, *arguments: str, text: str) -> None:
        done = subprocess.run(
            [self._tree / program, *arguments],
            input=text.encode(),
            capture_output=True,
            check=False,
            env=self._environment() | {"LDAPTLS_CACERT": str(self.home / "ca.crt")},
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "LD_LIBRARY_PATH": str(self._libraries)} | {
            "LDAPTLS_CACERT": str(self.home / "ca.crt")
        }


def entry(dn: str, *classes: str, **attributes: str | Iterable[str]) -> str:
    """An entry as LDIF, every value in base64."""
    lines = [_line("dn", dn), *(f"objectClass: {each}" for each in classes)]
    for name, values in attributes.items():
        lines += [_line(name, value) for value in ([values] if isinstance(values, str) else values)]
    return "\n".join((*lines, ""))


def person(uid: str, *, dn: str = "", **attributes: str | Iterable[str]) -> str:
    """A user whose password is PASSWORD."""
    given: dict[str, str | Iterable[str]] = {"sn": "x", "cn": uid, "userPassword": PASSWORD}
    name = dn or f"uid={escaped(uid)},{PEOPLE}"
    return entry(name, "inetOrgPerson", uid=uid, **(given | attributes))


def team(cn: str, *members: str) -> str:
    """A group of these DNs."""
    return entry(f"cn={escaped(cn)},{TEAMS}", "groupOfNames", cn=cn, member=members)


def user_dn(uid: str) -> str:
    return f"uid={escaped(uid)},{PEOPLE}"


def team_dn(cn: str) -> str:
    return f"cn={escaped(cn)},{TEAMS}"


def escaped(value: str) -> str:
    """A value within a DN (RFC 4514)."""
    return "".join(f"\\{char}" if char in ',+"\\<>;=#' else char for char in value)


def foundation() -> list[str]:
    """What every directory here begins with."""
    return [
        entry(BASE, "dcObject", "organization", dc="example", o="example"),
        entry(PEOPLE, "organizationalUnit", ou="people"),
        entry(TEAMS, "organizationalUnit", ou="teams"),
        entry(
            READER,
            "organizationalRole",
            "simpleSecurityObject",
            cn="reader",
            userPassword=READER_PASSWORD,
        ),
    ]


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _line(name: str, value: str) -> str:
    return f"{name}:: {b64encode(value.encode()).decode()}"
