"""`shipkeeper access can-i|who-can|explain|matrix`: questions, answered without a review."""

from typing import Annotated, Literal

from cyclopts import Parameter

from shipkeeper.access.chain import Chain
from shipkeeper.access.explain import Explanation
from shipkeeper.access.explain import explain as explain_answer
from shipkeeper.access.heat import heat_page, heat_text
from shipkeeper.access.matrix import RESOURCES, VERBS
from shipkeeper.access.matrix import matrix as make_matrix
from shipkeeper.access.observe import DECISIVE
from shipkeeper.access.policy import AUTHORIZERS, Policy
from shipkeeper.access.report import (
    explanation_report,
    holders_report,
    matrix_report,
    yes_no,
)
from shipkeeper.access.who_can import who_can as find_holders
from shipkeeper.access.words import Question, ResourceName, is_known, question, resource_name
from shipkeeper.cli.access_flags import (
    LIVE,
    ONESELF,
    Namespace,
    PolicyFlags,
    Subresource,
    WhoFlags,
    asked_user,
)
from shipkeeper.cli.access_sources import opened_policy
from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.flags import Output
from shipkeeper.cli.output import say, show, write
from shipkeeper.errors import EXIT_ERROR, EXIT_OK

Quiet = Annotated[bool, Parameter(name=("--quiet", "-q"), help="Exit code alone.")]


async def can_i(
    verb: str,
    resource: str,
    name: str = "",
    /,
    *,
    who: WhoFlags = ONESELF,
    namespace: Namespace = "default",
    subresource: Subresource = "",
    all_namespaces: Annotated[
        bool, Parameter(name=("--all-namespaces", "-A"), help="In every namespace.")
    ] = False,
    quiet: Quiet = False,
    output: Output = None,
    policy: PolicyFlags = LIVE,
    repository: RepositoryFlags = HERE,
) -> int:
    """Tell whether somebody may do something, by the cluster's own authorizers.

    Exit code 0 for yes, 1 for no.
    """
    where = "" if all_namespaces else namespace
    asked = question(verb, _with_subresource(resource, subresource), name, where)
    found = await _explained(asked, who, policy, repository)
    if not quiet:
        for webhook in found.answer.unasked:
            say(f"not known: what webhook {webhook} would say, which was not asked")
        show(yes_no(found), output)
    return EXIT_OK if found.answer.allowed else EXIT_ERROR


async def explain(
    verb: str,
    resource: str,
    name: str = "",
    /,
    *,
    who: WhoFlags = ONESELF,
    namespace: Namespace = "default",
    subresource: Subresource = "",
    output: Output = None,
    policy: PolicyFlags = LIVE,
    repository: RepositoryFlags = HERE,
) -> int:
    """Explain which authorizer, binding, role and rule say yes; on a no, what comes near.

    Exit code 0 for yes, 1 for no.
    """
    asked = question(verb, _with_subresource(resource, subresource), name, namespace)
    found = await _explained(asked, who, policy, repository)
    show(explanation_report(found), output)
    return EXIT_OK if found.answer.allowed else EXIT_ERROR


async def _explained(
    asked: Question, who: WhoFlags, flags: PolicyFlags, repository: RepositoryFlags
) -> Explanation:
    async with opened_policy(flags, repository) as (policy, connection):
        user = await asked_user(who, connection)
    tell_gaps(policy)
    _tell_unknown(asked.target)
    return explain_answer(Chain(policy), asked.of(user))


async def who_can(
    verb: str,
    resource: str,
    name: str = "",
    /,
    *,
    namespace: Namespace = "default",
    all_namespaces: Annotated[
        bool, Parameter(name=("--all-namespaces", "-A"), help="In any namespace.")
    ] = False,
    subresource: Subresource = "",
    output: Output = None,
    policy: PolicyFlags = LIVE,
    repository: RepositoryFlags = HERE,
) -> None:
    """List everybody who may do something, over all authorizers and with implicit groups."""
    async with opened_policy(policy, repository) as (found, _):
        pass
    tell_gaps(found)
    where = "" if all_namespaces else namespace
    asked = question(verb, _with_subresource(resource, subresource), name, where)
    _tell_unknown(asked.target)
    show(holders_report(find_holders(Chain(found), asked, everywhere=all_namespaces)), output)


async def matrix(
    *resources: str,
    namespace: Namespace = "",
    verb: Annotated[tuple[str, ...], Parameter(help="Only these verbs.")] = (),
    subject: Annotated[
        tuple[str, ...], Parameter(help="Only these, as KIND/NAME; all that are bound otherwise.")
    ] = (),
    output: Annotated[
        Literal["json", "yaml", "wide", "name", "heat", "html"] | None,
        Parameter(name=("--output", "-o"), help="Output format; heat is a map in colours."),
    ] = None,
    policy: PolicyFlags = LIVE,
    repository: RepositoryFlags = HERE,
) -> None:
    """Show what each subject may do with resources: a letter for each verb, the mighty first."""
    async with opened_policy(policy, repository) as (found, _):
        pass
    tell_gaps(found)
    chosen = [(kind or "User", name) for kind, _, name in (each.partition("/") for each in subject)]
    columns: list[ResourceName] = [resource_name(each) for each in resources or RESOURCES]
    for each in columns:
        _tell_unknown(each)
    made = make_matrix(
        Chain(found), columns, namespace=namespace, verbs=verb or VERBS, subjects=chosen
    )
    match output:
        case "heat":
            write(heat_text(made))
        case "html":
            write(heat_page(made, found.source))
        case _:
            show(matrix_report(made), output)


def tell_gaps(policy: Policy) -> None:
    """Say what could not be read of what decides, for an answer without it may be wrong."""
    deciding = {AUTHORIZERS, *(kind.kind for kind in DECISIVE)}
    for each in policy.unread:
        if each.what in deciding:
            say(f"not known: {each.what}: {each.why}")


def _tell_unknown(target: ResourceName | None) -> None:
    """A slip of the pen would be answered with a no that is true of nothing."""
    if target is not None and not is_known(target):
        say(f"{target} is no resource of Kubernetes; a custom one is asked about as PLURAL.GROUP")


def _with_subresource(resource: str, subresource: str) -> str:
    return f"{resource}/{subresource}" if subresource else resource
