import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.hosts.masking import MASK, Masking


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("password=hunter22 user=me", f"password={MASK} user=me"),
        ("Password: hunter22", f"Password: {MASK}"),
        ('{"db_password": "a b", "port": 1}', f'{{"db_password": {MASK}, "port": 1}}'),
        ("AWS_SECRET_ACCESS_KEY=abc/def", f"AWS_SECRET_ACCESS_KEY={MASK}"),
        ('password="cut off', f"password={MASK} off"),
        ("mysql --password hunter22 -e x", f"mysql --password {MASK} -e x"),
        ("using token 9f8e7d6c", f"using token {MASK}"),
        ("api-key: 123", f"api-key: {MASK}"),
        ("Authorization: Bearer abcdefgh.ijkl", f"Authorization: Bearer {MASK}"),
        ("authorization: basic dXNlcjpwYXNz", f"authorization: basic {MASK}"),
        ("get https://me:pw@host.example/x", f"get https://{MASK}@host.example/x"),
        ("kubeadm join --token abcdef.0123456789abcdef", f"kubeadm join --token {MASK}"),
        ("is abcdef.0123456789abcdef good", f"is {MASK} good"),
        ("jwt eyJhbGciOiJI.eyJzdWIi.abc_-1", f"jwt {MASK}"),
    ],
)
def test_secrets_that_can_be_recognized(line: str, masked: str) -> None:
    assert Masking().line(line) == masked


@pytest.mark.parametrize(
    "line",
    [
        "Setting up passwd (1:4.13+dfsg1-1) ...",
        "Get:1 http://deb.example/debian bookworm/main amd64 libsecret-1-0 [103 kB]",
        "a token is needed",
        "see https://host.example/path?x=1",
        "basic setup of the bearer",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert Masking().line(line) == line


def test_given_values_are_masked_wherever_they_are() -> None:
    masking = Masking(["swordfish", "line one\nline two", "", "abc"])
    assert masking.line("a swordfish, swordfish2") == f"a {MASK}, {MASK}2"
    assert masking.line("x line two y") == f"x {MASK} y"
    assert masking.line("abc stays") == "abc stays"


def test_the_longest_value_goes_first() -> None:
    assert Masking(["sword", "swordfish"]).line("swordfish") == MASK


def test_private_keys_are_masked_line_by_line() -> None:
    lines = [
        "before -----BEGIN OPENSSH PRIVATE KEY-----",
        "b3BlbnNzaC1rZXktdjEA",
        "-----END OPENSSH PRIVATE KEY-----",
        "after",
    ]
    masking = Masking()
    assert [masking.line(line) for line in lines] == [f"before {MASK}", MASK, MASK, "after"]


def test_a_private_key_on_one_line() -> None:
    masking = Masking()
    line = "-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----"
    assert masking.line(line) == MASK
    assert masking.line("after") == "after"


@settings(deadline=None)
@given(st.text(min_size=4).filter(lambda text: text.strip() == text and len(text) >= 4), st.text())
def test_no_given_value_ever_comes_through(secret: str, around: str) -> None:
    if len(secret.splitlines()) == 1:
        assert secret not in Masking([secret]).line(f"{around}{secret}{around}").replace(MASK, "")
