"""Which authorizers an API server asks, in which order: from its flags or its file. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from shipkeeper.access.conditions import check_condition
from shipkeeper.errors import UsageError
from shipkeeper.model.documents import document

MODES = ("AlwaysAllow", "AlwaysDeny", "ABAC", "Webhook", "RBAC", "Node")
_FILE_VERSIONS = {f"apiserver.config.k8s.io/{version}" for version in ("v1alpha1", "v1beta1", "v1")}
_MOST_CONDITIONS = 64
_LONGEST_TIMEOUT = 30.0
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class ChainError(UsageError):
    """An API server does not start with these flags, or this file."""


class WebhookConfig(msgspec.Struct, frozen=True, kw_only=True):
    """When a webhook is asked, and what holds when it does not answer."""

    conditions: tuple[str, ...] = ()
    denies_on_failure: bool = False
    kubeconfig: str = ""


class AuthorizerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One authorizer of a chain."""

    type: str
    name: str
    webhook: WebhookConfig | None = None


class ChainConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The authorizers in their order, and the text of the ABAC policy file if one is among them."""

    authorizers: tuple[AuthorizerConfig, ...]
    abac: str | None = None
    abac_path: str = ""

    @property
    def types(self) -> tuple[str, ...]:
        """The authorizers' types, in order."""
        return tuple(each.type for each in self.authorizers)


def from_modes(modes: Iterable[str], *, abac: str | None = None) -> ChainConfig:
    """The chain of `--authorization-mode`; ChainError for what no API server starts with."""
    wanted = tuple(modes)
    if not wanted:
        raise _refused("at least one authorization mode must be passed")
    for mode in wanted:
        if mode not in MODES:
            raise _refused(f"authorization mode {mode!r} is not a valid mode")
    if len(set(wanted)) != len(wanted):
        raise _refused(f"an authorization mode is given more than once: {','.join(wanted)}")
    authorizers = tuple(
        AuthorizerConfig(
            type=mode,
            name=mode.lower(),
            webhook=WebhookConfig() if mode == "Webhook" else None,
        )
        for mode in wanted
    )
    return ChainConfig(authorizers=authorizers, abac=abac)


def from_flags(flags: Mapping[str, str], files: Mapping[str, str]) -> ChainConfig:
    """The chain of an API server's flags (without dashes) and of the files that they name.

    A file that is not among `files` is not known, which only matters to whoever asks ABAC.
    ChainError for what no API server starts with.
    """
    configuration = flags.get("authorization-config", "")
    if configuration:
        if any(f.startswith(("authorization-mode", "authorization-webhook-")) for f in flags):
            raise _refused("--authorization-config goes with no other flag for authorization modes")
        if configuration not in files:
            raise _refused(f"{configuration}, which --authorization-config names, is not at hand")
        chain = parse_configuration(files[configuration])
    else:
        modes = flags.get("authorization-mode") or "AlwaysAllow"
        chain = from_modes(each.strip() for each in modes.split(","))
    path = flags.get("authorization-policy-file", "")
    _require_file(chain, "ABAC", path, "--authorization-policy-file")
    if not configuration:
        webhook = flags.get("authorization-webhook-config-file", "")
        _require_file(chain, "Webhook", webhook, "--authorization-webhook-config-file")
    return msgspec.structs.replace(chain, abac=files.get(path), abac_path=path)


def _require_file(chain: ChainConfig, type_: str, path: str, flag: str) -> None:
    if (type_ in chain.types) != bool(path):
        verb = "needs" if type_ in chain.types else "is not on, so it does not go with"
        raise _refused(f"authorization mode {type_} {verb} {flag}")


def parse_configuration(text: str) -> ChainConfig:
    """Read an AuthorizationConfiguration; ChainError for what no API server starts with."""
    try:
        found = msgspec.convert(document(text), type=_Configuration)
    except ValueError as error:
        raise _refused(str(error)) from error
    if found.api_version not in _FILE_VERSIONS or found.kind != "AuthorizationConfiguration":
        raise _refused(f"{found.api_version} {found.kind} is no AuthorizationConfiguration")
    if not found.authorizers:
        raise _refused("at least one authorizer must be defined")
    names: set[str] = set()
    types: set[str] = set()
    for each in found.authorizers:
        _check_authorizer(each, names, types)
        names.add(each.name)
        types.add(each.type)
    return ChainConfig(authorizers=tuple(_authorizer(each) for each in found.authorizers))


class _Strict(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Unknown fields are errors to the server, too."""


class _Condition(_Strict):
    expression: str = ""


class _Connection(_Strict):
    type: str = ""
    kube_config_file: str | None = None


class _Webhook(_Strict):
    authorized_ttl: str = msgspec.field(default="5m", name="authorizedTTL")
    unauthorized_ttl: str = msgspec.field(default="30s", name="unauthorizedTTL")
    cache_authorized_requests: bool = True
    cache_unauthorized_requests: bool = True
    timeout: str = ""
    subject_access_review_version: str = ""
    match_condition_subject_access_review_version: str = ""
    failure_policy: str = ""
    connection_info: _Connection = msgspec.field(default_factory=_Connection)
    match_conditions: tuple[_Condition, ...] = ()


class _Authorizer(_Strict):
    type: str = ""
    name: str = ""
    webhook: _Webhook | None = None


class _Configuration(_Strict):
    api_version: str = ""
    kind: str = ""
    authorizers: tuple[_Authorizer, ...] = ()


def _check_authorizer(each: _Authorizer, names: set[str], types: set[str]) -> None:
    if each.type not in MODES:
        raise _refused(f"authorizer type {each.type!r} is not one of {', '.join(sorted(MODES))}")
    if each.type in types and each.type != "Webhook":
        raise _refused(f"there is more than one authorizer of type {each.type}")
    if not each.name or each.name in names:
        raise _refused(f"each authorizer needs a name of its own, not {each.name!r}")
    if len(each.name) > 253 or not _DNS_SUBDOMAIN.fullmatch(each.name):
        raise _refused(f"authorizer name {each.name!r} is no DNS subdomain")
    if each.type != "Webhook":
        if each.name != each.type.lower():
            raise _refused(f"the authorizer of type {each.type} is named {each.type.lower()}")
        if each.webhook is not None:
            raise _refused(f"authorizer {each.name} is no webhook and has one")
    elif each.webhook is None:
        raise _refused(f"authorizer {each.name} is a webhook and does not say which")
    else:
        _check_webhook(each.name, each.webhook)


def _check_webhook(name: str, webhook: _Webhook) -> None:
    timeout = _seconds(webhook.timeout)
    if not 0 < timeout <= _LONGEST_TIMEOUT:
        raise _refused(f"webhook {name}: the timeout must be above 0s and at most 30s")
    if min(_seconds(webhook.authorized_ttl), _seconds(webhook.unauthorized_ttl)) <= 0:
        raise _refused(f"webhook {name}: authorizedTTL and unauthorizedTTL must be above 0s")
    if webhook.subject_access_review_version not in ("v1", "v1beta1"):
        raise _refused(f"webhook {name}: subjectAccessReviewVersion must be v1 or v1beta1")
    if webhook.failure_policy not in ("NoOpinion", "Deny"):
        raise _refused(f"webhook {name}: failurePolicy must be NoOpinion or Deny")
    _check_connection(name, webhook.connection_info)
    version = webhook.match_condition_subject_access_review_version
    if version not in ("", "v1") or (webhook.match_conditions and not version):
        raise _refused(f"webhook {name}: matchConditionSubjectAccessReviewVersion must be v1")
    if len(webhook.match_conditions) > _MOST_CONDITIONS:
        raise _refused(f"webhook {name}: more than {_MOST_CONDITIONS} matchConditions")
    expressions = [each.expression for each in webhook.match_conditions]
    if len(set(expressions)) != len(expressions):
        raise _refused(f"webhook {name}: a matchCondition is given twice")
    for expression in expressions:
        why = check_condition(expression)
        if why:
            raise _refused(f"webhook {name}: {why}")


def _check_connection(name: str, connection: _Connection) -> None:
    match connection.type:
        case "InClusterConfig":
            if connection.kube_config_file is not None:
                raise _refused(f"webhook {name}: InClusterConfig takes no kubeConfigFile")
        case "KubeConfigFile":
            if not (connection.kube_config_file or "").startswith("/"):
                raise _refused(f"webhook {name}: kubeConfigFile must be an absolute path")
        case _:
            raise _refused(f"webhook {name}: connectionInfo needs the type of the connection")


def _authorizer(each: _Authorizer) -> AuthorizerConfig:
    webhook = None
    if each.webhook is not None:
        webhook = WebhookConfig(
            conditions=tuple(condition.expression for condition in each.webhook.match_conditions),
            denies_on_failure=each.webhook.failure_policy == "Deny",
            kubeconfig=each.webhook.connection_info.kube_config_file or "",
        )
    return AuthorizerConfig(type=each.type, name=each.name, webhook=webhook)


def _seconds(duration: str) -> float:
    """A Go duration in seconds, 0 if it is none."""
    parts = _DURATION.findall(duration)
    if "".join(number + unit for number, unit in parts) != duration:
        return 0.0
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def flags_of(command: Iterable[str]) -> dict[str, str]:
    """The flags of a command line, without dashes; the last of the same name counts."""
    words = list(command)
    found: dict[str, str] = {}
    for index, word in enumerate(words):
        if not word.startswith("--"):
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        following = words[index + 1] if index + 1 < len(words) else ""
        bare = "true" if not following or following.startswith("-") else following
        found[name] = value if equals else bare
    return found


def chain_of_pod(spec: Mapping[str, Any], files: Mapping[str, str]) -> ChainConfig:
    """The chain of an API server's (static) pod; ChainError for a pod that tells no flags."""
    flags = flags_of(command_of(spec))
    if not flags:
        # Without any it would not start, and least of all allow everything.
        raise _refused("its pod tells no flags")
    return from_flags(flags, files)


class _Container(msgspec.Struct):
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None


class _PodSpec(msgspec.Struct):
    containers: tuple[_Container, ...] | None = None


def command_of(spec: object) -> list[str]:
    """The words that a pod's containers are started with; none of what is no spec of a pod."""
    try:
        containers = msgspec.convert(spec, type=_PodSpec).containers or ()
    except msgspec.ValidationError:
        return []
    return [word for each in containers for word in (*(each.command or ()), *(each.args or ()))]


def _refused(why: str) -> ChainError:
    return ChainError(
        f"an API server does not start with this authorization: {why}",
        reason="BadAuthorization",
        hint="see the authorizers in its flags, or in the file of --authorization-config",
    )
