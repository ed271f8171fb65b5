from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from shipkeeper.errors import UsageError
from shipkeeper.sandbox.certificates import create_authority, issue_client, issue_server
from shipkeeper.sandbox.keypair import KeyPair

AUTHORITY = create_authority("test")


def certificate(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate)


def verifiers(authority: KeyPair) -> verification.PolicyBuilder:
    return verification.PolicyBuilder().store(verification.Store([certificate(authority)]))


@pytest.mark.parametrize(
    "host", [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
)
def test_server_certificate_is_good_for_each_of_its_hosts(
    host: x509.DNSName | x509.IPAddress,
) -> None:
    server = issue_server(AUTHORITY, "server", ("localhost", "127.0.0.1"))
    verifiers(AUTHORITY).build_server_verifier(host).verify(certificate(server), [])


def test_server_certificate_is_not_good_for_another_host() -> None:
    server = certificate(issue_server(AUTHORITY, "server", ("localhost",)))
    verifier = verifiers(AUTHORITY).build_server_verifier(x509.DNSName("example.com"))
    with pytest.raises(verification.VerificationError):
        verifier.verify(server, [])


def test_certificate_of_another_authority_is_refused() -> None:
    server = certificate(issue_server(create_authority("test"), "server", ("localhost",)))
    verifier = verifiers(AUTHORITY).build_server_verifier(x509.DNSName("localhost"))
    with pytest.raises(verification.VerificationError):
        verifier.verify(server, [])


def test_client_certificate_names_user_and_groups() -> None:
    subject = certificate(issue_client(AUTHORITY, "ann", ("crew", "system:masters"))).subject
    users = [each.value for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [each.value for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    assert (users, groups) == (["ann"], ["crew", "system:masters"])


def test_expired_certificate_was_valid_once() -> None:
    expired = datetime.now(UTC) - timedelta(days=3)
    issued = certificate(issue_client(AUTHORITY, "ann", not_after=expired))
    assert (
        issued.not_valid_before_utc < issued.not_valid_after_utc == expired.replace(microsecond=0)
    )


@pytest.mark.parametrize("user", ["", "x" * 65])
def test_name_that_x509_cannot_hold_is_refused(user: str) -> None:
    with pytest.raises(UsageError, match="cannot hold"):
        issue_client(AUTHORITY, user)
