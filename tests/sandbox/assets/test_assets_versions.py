"""What the user may ask for, and what it resolves to."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.errors import UsageError
from shipkeeper.sandbox.assets import NEWEST, OLDEST, resolve_version
from shipkeeper.sandbox.assets.versions import FITTING_ETCD, MINIMUM_ETCD, pairing, version_key

from .scenery import Mirror, make_engines

NUMBERS = st.tuples(st.just(1), st.integers(0, 999), st.integers(0, 999))


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        ("newest", NEWEST),
        ("oldest", OLDEST),
        ("1.37", NEWEST),
        ("v1.37", NEWEST),
        ("v1.37.2", "v1.37.2"),
        ("1.37.1", "v1.37.1"),
        ("1.20", OLDEST),
        ("v1.38.0-rc.1", "v1.38.0-rc.1"),
    ],
)
def test_names_and_full_versions_need_no_network(
    asked: str, version: str, no_mirror: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "off")
    assert resolve_version(asked) == version


def test_a_minor_is_the_newest_patch_that_its_publishers_name(mirror: Mirror) -> None:
    (mirror.root / "release").mkdir()
    (mirror.root / "release/stable-1.36.txt").write_text("v1.36.11\n")
    assert resolve_version("1.36") == "v1.36.11"


def test_an_answer_that_is_no_version_is_not_believed(
    mirror: Mirror, engines_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "off")
    (mirror.root / "release").mkdir()
    (mirror.root / "release/stable-1.36.txt").write_text("<html>log in first</html>")
    with pytest.raises(UsageError):
        resolve_version("1.36")


def test_a_minor_is_asked_of_the_go_module_proxy_next(no_mirror: None) -> None:
    version = resolve_version("1.36")
    assert version.startswith("v1.36.")
    assert version_key(version) >= (1, 36, 3)


def test_a_minor_that_nobody_answers_for_is_taken_from_the_cache(
    no_mirror: None, engines_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "off")
    for version in ("v1.36.2", "v1.36.10", "v1.35.11"):
        (make_engines(engines_dir / version) / "manifest.json").touch()
    assert resolve_version("1.36") == "v1.36.10"


@pytest.mark.parametrize("asked", ["", "1", "1.x", "2.0.0", "1.37.2.1", "v1.37.2; ls", "latest"])
def test_what_is_no_version_is_a_usage_error_that_says_what_can_be_had(asked: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolve_version(asked)
    assert repr(asked) in refused.value.message
    assert NEWEST in refused.value.hint
    assert OLDEST in refused.value.hint
    assert "1.36" in refused.value.hint


@pytest.mark.parametrize("asked", ["1.19", "v1.19.16", "1.5.0"])
def test_what_is_too_old_is_refused(asked: str) -> None:
    with pytest.raises(UsageError, match=r"older than 1\.20"):
        resolve_version(asked)


def test_a_minor_that_does_not_exist_is_refused(no_mirror: None, engines_dir: Path) -> None:
    with pytest.raises(UsageError, match=r"1\.199 can be had"):
        resolve_version("1.199")


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_versions_compare_as_numbers(
    one: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    first, second = (f"v{a}.{b}.{c}" for a, b, c in (one, other))
    assert (version_key(first) < version_key(second)) == (one < other)
    assert version_key(f"{first}-rc.1") == version_key(f"{first}+k3s1") == one


@settings(deadline=None)
@given(st.integers(0, 200))
def test_the_etcd_that_is_fetched_is_new_enough(minor: int) -> None:
    version = f"v1.{minor}.0"
    fitting, minimum = (pairing(version, rows) for rows in (FITTING_ETCD, MINIMUM_ETCD))
    assert version_key(fitting) >= version_key(minimum)
