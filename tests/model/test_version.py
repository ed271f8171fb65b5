import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.errors import UsageError
from shipkeeper.model.version import Version

VERSIONS = st.builds(
    Version,
    st.integers(0, 2),
    st.integers(0, 40),
    st.integers(0, 30),
    st.sampled_from(["alpha", "beta", "rc", ""]),
    st.just(0),
)


def test_stages_come_before_the_release() -> None:
    ordered = ["v1.37.0-alpha.1", "v1.37.0-alpha.2", "v1.37.0-beta.0", "v1.37.0-rc.1", "v1.37.0"]
    versions = [Version.parse(text) for text in ordered]
    shuffled = versions[3:] + versions[:3]
    assert sorted(shuffled) == versions
    assert [str(version) for version in versions] == ordered


def test_a_vendors_suffix_does_not_order() -> None:
    assert Version.parse("v1.29.1-gke.100") == Version.parse("1.29.1")
    assert Version.parse("v1.29.1-eks-508b6b3").suffix == "-eks-508b6b3"


@given(VERSIONS)
def test_what_is_written_can_be_read(version: Version) -> None:
    assert Version.parse(str(version)) == version


@pytest.mark.parametrize("text", ["", "1.37", "v1", "1.37.x", "one"])
def test_a_bad_version_is_named(text: str) -> None:
    with pytest.raises(UsageError):
        Version.parse(text)
