"""Configurations: read, or refused with the line that is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shipkeeper.errors import UsageError
from shipkeeper.login.settings import read_settings
from shipkeeper.sandbox.certificates import create_authority
from tests.login.world import document

DOCUMENTED = (Path(__file__).parents[2] / "docs/login.md").read_text()
TEXT = DOCUMENTED.partition("```yaml\n")[2].partition("```")[0]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a configuration beside every file that the documented one names."""
    authority = tmp_path / "ldap-ca.crt"
    authority.write_bytes(create_authority("directory-ca").certificate)
    document(tmp_path, (), authority)
    for made, named in (
        ("gateway.crt", "tls.crt"),
        ("gateway.key", "tls.key"),
        ("gateway-ca.crt", "clients.crt"),
    ):
        (tmp_path / made).rename(tmp_path / named)

    def put(text: str) -> Path:
        path = tmp_path / "login.yaml"
        path.write_text(text)
        return path

    return put


def test_the_documented_one_can_be_used(write: Callable[[str], Path]) -> None:
    settings = read_settings(write(TEXT))
    assert [str(server) for server in settings.pool.servers] == [
        "ldaps://one.example.org:636",
        "ldap://two.example.org:389",
    ]
    assert settings.cache.total_seconds() == 30


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("cache: 30s", "cache: 30x", "'30x' is not a duration"),
        ("cache: 30s", "cache: 3h", "not between"),
        ("cache: 30s", "cash: 30s", "unknown field `cash`"),
        ("cache: 30s", "url: https://x", "there twice"),
        ("ldaps://one.", "http://one.", "is not ldaps://"),
        ("https://login", "http://login", "is not https://"),
        ("(uid={login})", "(uid=ann)", "must have {login}"),
        ("(uid={login})", "(uid={login}{dn})", "must have {login}"),
        ("(member={dn})", "(member={dn}", "( is missing before: the end"),
        ("(pwdAccountLockedTime=*)", "(x=\\\\zz)", "two hexadecimal digits"),
        ("(pwdAccountLockedTime=*)", "nothing", "( is missing"),
        ("name: uid", "name: u id", "not the name of an attribute"),
        ("binds: 8", "binds: eight", "Expected `int`"),
        ("binds: 8", "binds: 0", "not between 1"),
        ("user: 'ldap:'", "user: 'system:'", "Kubernetes' own"),
        ("ca: ldap-ca.crt", "ca: not-there.crt", "No such file"),
        ("ca: ldap-ca.crt", "ca: tokens.key", "no certificate"),
        ("keyFile: tokens.key", "keyFile: reader.password", "must be a random key"),
        ("address: 0.0.0.0:8443", "address: here", "not an address"),
        ("address: 0.0.0.0:8443", "address: [", "this is no YAML"),
        ("base: ou=people,dc=example,dc=org", "scope: one", "missing required field `base`"),
        ("timeout: 5s", "timeout: 5s\n  timeout: 6s", "there twice"),
        ("failures: 5,", "failures: 0,", "not between 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    write: Callable[[str], Path], right: str, wrong: str, says: str
) -> None:
    assert TEXT.count(right) == 1 or right.startswith("base")
    text = TEXT.replace(right, wrong, 1)
    with pytest.raises(UsageError) as caught:
        read_settings(write(text))
    message = caught.value.message
    assert says in message
    line = int(message.split(":")[1])
    # A field that is missing is told with the line of its section.
    found = text.splitlines()[line - 1]
    assert wrong.splitlines()[-1].strip() in found or "users:" in found or "[" in wrong
