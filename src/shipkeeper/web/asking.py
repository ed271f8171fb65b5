"""What is typed into the boxes of the access page: questions and people, as kubectl writes them."""

import msgspec

from shipkeeper.access.attributes import NODE_PREFIX, NODES, User, authenticated
from shipkeeper.access.matrix import as_user
from shipkeeper.access.words import Question, question
from shipkeeper.errors import UsageError

_LONGEST = 1_000  # characters
_HINT = "for example: get secrets -n shop, or: create pods/exec, or: get /metrics"
_KINDS = ("user", "group", "serviceaccount", "node")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question; without `-n` it is about every namespace."""

    question: Question
    is_everywhere: bool


def parse_question(text: str) -> Asked:
    """`VERB RESOURCE[/SUBRESOURCE] [NAME] [-n NAMESPACE]`, or `VERB /PATH`."""
    if len(text) > _LONGEST:
        raise _nonsense("this question is too long")
    namespace, words = _split(text)
    if len(words) < 2:
        raise _nonsense("a question has a verb and a resource")
    if len(words) > 3:
        raise _nonsense(f"there is more than a verb, a resource and a name: {words[3]}")
    verb, what, *name = words
    return Asked(
        question=question(verb, what, name[0] if name else "", namespace),
        is_everywhere=not namespace,
    )


def _split(text: str) -> tuple[str, list[str]]:
    """The namespace, empty if none is named, and the other words."""
    namespace, words = "", list[str]()
    rest = iter(text.split())
    for word in rest:
        flag, has_value, value = word.partition("=")
        if flag in ("-n", "--namespace"):
            namespace = value if has_value else next(rest, "")
            if not namespace:
                raise _nonsense(f"{flag} names no namespace")
        elif word in ("-A", "--all-namespaces"):
            namespace = ""
        elif word.startswith("-"):
            raise _nonsense(f"{word} is nothing that can be asked here")
        else:
            words.append(word)
    return namespace, words


def parse_who(text: str, groups: str, oneself: User) -> User:
    """`NAME`, or `KIND/NAME` as tables name subjects, with further groups; oneself if empty."""
    more = tuple(each for each in groups.replace(",", " ").split() if each)
    if not text.strip():
        return msgspec.structs.replace(oneself, groups=(*oneself.groups, *more))
    kind, slash, name = text.strip().partition("/")
    if not slash or kind.casefold() not in _KINDS:
        kind, name = "user", text.strip()
    if not name:
        raise UsageError("nobody is named", reason="NoSubject", hint="for example: alice")
    if kind.casefold() == "group":
        found = as_user("Group", name)
        return msgspec.structs.replace(found, groups=tuple(dict.fromkeys((*found.groups, *more))))
    is_node = name.startswith(NODE_PREFIX)
    return authenticated(name, (NODES, *more) if is_node else more)


def _nonsense(what: str) -> UsageError:
    return UsageError(what, reason="InvalidQuestion", hint=_HINT)
