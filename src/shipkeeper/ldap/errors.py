"""What can go wrong between us and a directory server."""

from shipkeeper.errors import ShipkeeperError

# RFC 4511, A.2, as far as a user or an administrator meets them.
_NAMES = {
    1: "operationsError",
    2: "protocolError",
    3: "timeLimitExceeded",
    4: "sizeLimitExceeded",
    8: "strongerAuthRequired",
    10: "referral",
    11: "adminLimitExceeded",
    13: "confidentialityRequired",
    16: "noSuchAttribute",
    18: "inappropriateMatching",
    19: "constraintViolation",
    32: "noSuchObject",
    34: "invalidDNSyntax",
    48: "inappropriateAuthentication",
    49: "invalidCredentials",
    50: "insufficientAccessRights",
    51: "busy",
    52: "unavailable",
    53: "unwillingToPerform",
    80: "other",
}
_MAY_PASS = frozenset({51, 52})


class LdapError(ShipkeeperError):
    """A directory server gives no answer, or not the one that is needed."""


class LdapUnreachableError(LdapError):
    """A server cannot be reached, broke off, was too slow, or is not who it should be."""

    def __init__(self, message: str, *, reason: str, hint: str, took_too_long: bool) -> None:
        super().__init__(message, reason=reason, hint=hint)
        self.took_too_long = took_too_long


class LdapResultError(LdapError):
    """A server answered that it will not, or cannot."""

    def __init__(self, server: str, what: str, code: int, message: str) -> None:
        name = _NAMES.get(code, f"result {code}")
        said = f"{name}: {message}" if message else name
        super().__init__(
            f"{server} will not {what}: {said}",
            reason="LdapResult",
            hint="see the directory server's log, and what the reader's account may read",
        )
        self.code = code
        self.said = said

    @property
    def may_pass(self) -> bool:
        """Whether another server may well answer."""
        return self.code in _MAY_PASS
