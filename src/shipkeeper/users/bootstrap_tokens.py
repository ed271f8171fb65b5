"""Bootstrap tokens: Secrets that let a node, or whoever has them, join. Pure."""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from shipkeeper.engine.finding import Finding, Severity
from shipkeeper.model.duration import format_age
from shipkeeper.users.objects import SecretData

TYPE = "bootstrap.kubernetes.io/token"
_SPACE = "kube-system"
_PREFIX = "bootstrap-token-"
_ID = re.compile(r"[a-z0-9]{6}")
_SECRET = re.compile(r"[a-z0-9]{16}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")
# kubeadm's own last a day: that is enough for a node to join.
_LONGEST = timedelta(days=1)


def expiry(secret: SecretData) -> datetime | None:
    """When a token ends; None if it never does. ValueError if that is no time."""
    said = _value(secret, "expiration")
    if not said:
        return None
    if not _TIME.fullmatch(said):
        raise ValueError("not RFC 3339")
    return datetime.fromisoformat(said)


def groups(secret: SecretData) -> tuple[str, ...]:
    """The groups that it is in besides system:bootstrappers."""
    return tuple(each for each in _value(secret, "auth-extra-groups").split(",") if each)


def lint_bootstrap_tokens(secrets: Iterable[SecretData], now: datetime) -> Iterator[Finding]:
    """Every fault of the Secrets of that type, without a token in it."""
    for secret in secrets:
        if secret.type == TYPE:
            yield from (
                Finding(
                    rule=rule,
                    severity=severity,
                    target=f"secret/{secret.key}",
                    message=message,
                    remedy=remedy,
                )
                for rule, severity, message, remedy in (
                    *_unusable(secret),
                    *_lasting(secret, now),
                    *_powers(secret),
                )
            )


_Fault = tuple[str, Severity, str, str]


def _unusable(secret: SecretData) -> Iterator[_Fault]:
    remedy = "delete it, and make another: kubeadm token create"
    token_id = _value(secret, "token-id")
    if secret.namespace != _SPACE:
        yield (
            "bootstrap-namespace",
            Severity.LOW,
            f"outside of {_SPACE}: it is never looked at",
            remedy,
        )
    if not _ID.fullmatch(token_id) or secret.name != f"{_PREFIX}{token_id}":
        yield (
            "bootstrap-id",
            Severity.LOW,
            "its name is not that of its token-id: it lets nobody in",
            remedy,
        )
    if not _SECRET.fullmatch(_value(secret, "token-secret")):
        yield (
            "bootstrap-secret",
            Severity.MEDIUM,
            "its token-secret is not of 16 letters: it lets nobody in",
            remedy,
        )


def _lasting(secret: SecretData, now: datetime) -> Iterator[_Fault]:
    try:
        ends = expiry(secret)
    except ValueError:
        yield (
            "bootstrap-expiration",
            Severity.MEDIUM,
            "its expiration is no time: it lets nobody in",
            "write it as RFC 3339, such as 2030-01-31T12:00:00Z",
        )
        return
    if ends is None:
        yield (
            "bootstrap-endless",
            Severity.HIGH,
            "it never ends",
            "give it an expiration, or delete it: kubeadm token delete",
        )
    elif ends <= now:
        yield (
            "bootstrap-expired",
            Severity.LOW,
            f"it ended {format_age(now - ends)} ago and is still there",
            "see whether the controller manager runs tokencleaner; delete it",
        )
    elif ends - now > _LONGEST:
        yield (
            "bootstrap-long",
            Severity.MEDIUM,
            f"it goes on for {format_age(ends - now)}",
            "a node joins within a day: make it when it is needed",
        )


def _powers(secret: SecretData) -> Iterator[_Fault]:
    for group in groups(secret):
        if not _GROUP.fullmatch(group):
            yield (
                "bootstrap-group",
                Severity.HIGH,
                f"the group {group!r} is not below system:bootstrappers: it lets nobody in",
                "name groups system:bootstrappers:…",
            )
    uses = {
        key
        for key in secret.data
        if key.startswith("usage-bootstrap-") and _value(secret, key) == "true"
    }
    if not uses:
        yield ("bootstrap-useless", Severity.LOW, "it is good for nothing", "delete it")


def _value(secret: SecretData, key: str) -> str:
    # An API server keeps no value that is not base64.
    return b64decode(secret.data.get(key, "")).decode(errors="replace")
