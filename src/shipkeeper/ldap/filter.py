"""Search filters (RFC 4515), read once, with places that values are put into afterwards. Pure.

A value never passes through the text of a filter: it is put into what was read already, so that
nothing in it can become a part of the filter.
"""

import re
from collections.abc import Mapping

import msgspec

from shipkeeper.ldap import ber

_SETS = {"&": 0xA0, "|": 0xA1}
_NOT = 0xA2
_EQUAL, _SUBSTRINGS, _PRESENT, _EXTENSIBLE = 0xA3, 0xA4, 0x87, 0xA9
_OPERATORS = {"=": _EQUAL, ">=": 0xA5, "<=": 0xA6, "~=": 0xA8}
_INITIAL, _ANY, _FINAL = 0x80, 0x81, 0x82
_RULE, _TYPE, _VALUE, _DN = 0x81, 0x82, 0x83, 0x84
_ITEM = re.compile(r"(?P<left>[A-Za-z0-9.;:_-]+?)(?P<operator>[:<>~]?=)(?P<value>.*)", re.DOTALL)
_PLACE = re.compile(r"\{(\w+)\}")
_ESCAPE = re.compile(rb"\\([0-9a-fA-F]{2})")
_SPECIAL = re.compile(rb"[\x00-\x1f()*\\\x7f-\xff]")
_DEEPEST = 32

Values = Mapping[str, str]


class FilterError(ValueError):
    """A filter that is none; the message says where."""


class Text(msgspec.Struct, frozen=True):
    """A value: octets, and names of values that are put between them."""

    parts: tuple[bytes | str, ...]

    def fill(self, values: Values) -> bytes:
        """The octets with the values in their places."""
        return b"".join(
            part if isinstance(part, bytes) else values[part].encode() for part in self.parts
        )


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An attribute compared with a value; of substrings the texts between the stars."""

    tag: int
    attribute: str
    texts: tuple[Text, ...] = ()
    rule: str = ""
    of_dn: bool = False


class Group(msgspec.Struct, frozen=True):
    """Filters joined by and, or, or not."""

    tag: int
    members: tuple["Filter", ...]


Filter = Item | Group


def parse_filter(text: str) -> Filter:
    """Read a filter; `{name}` within a value is a place for one. FilterError otherwise."""
    found, end = _parse(text, 0, 0)
    if end != len(text):
        raise FilterError(f"after {text[:end]} there is more: {text[end:]}")
    return found


def places(filter_: Filter) -> frozenset[str]:
    """The names of the values that must be put in."""
    if isinstance(filter_, Group):
        return frozenset(name for member in filter_.members for name in places(member))
    return frozenset(part for text in filter_.texts for part in text.parts if isinstance(part, str))


def either(members: tuple[Filter, ...]) -> Filter:
    """What any of them matches."""
    return members[0] if len(members) == 1 else Group(_SETS["|"], members)


def filled(filter_: Filter, values: Values) -> Filter:
    """The filter with values in its places."""
    if isinstance(filter_, Group):
        return Group(filter_.tag, tuple(filled(member, values) for member in filter_.members))
    texts = tuple(Text((text.fill(values),)) for text in filter_.texts)
    return msgspec.structs.replace(filter_, texts=texts)


def encode_filter(filter_: Filter, values: Values) -> bytes:
    """The filter as it is sent."""
    if isinstance(filter_, Group):
        encoded = (encode_filter(member, values) for member in filter_.members)
        return ber.sequence(*encoded, tag=filter_.tag)
    attribute = filter_.attribute.encode()
    if filter_.tag == _PRESENT:
        return ber.octets(attribute, _PRESENT)
    if filter_.tag == _SUBSTRINGS:
        return ber.sequence(
            ber.octets(attribute), ber.sequence(*_pieces(filter_, values)), tag=_SUBSTRINGS
        )
    value = filter_.texts[0].fill(values)
    if filter_.tag == _EXTENSIBLE:
        return ber.sequence(
            *((ber.octets(filter_.rule.encode(), _RULE),) if filter_.rule else ()),
            *((ber.octets(attribute, _TYPE),) if attribute else ()),
            ber.octets(value, _VALUE),
            *((ber.boolean(True, _DN),) if filter_.of_dn else ()),
            tag=_EXTENSIBLE,
        )
    return ber.sequence(ber.octets(attribute), ber.octets(value), tag=filter_.tag)


def describe_filter(filter_: Filter, values: Values) -> str:
    """The filter as text, with the values escaped."""
    if isinstance(filter_, Group):
        sign = "!" if filter_.tag == _NOT else "&" if filter_.tag == _SETS["&"] else "|"
        return f"({sign}{''.join(describe_filter(member, values) for member in filter_.members)})"
    if filter_.tag == _PRESENT:
        return f"({filter_.attribute}=*)"
    value = "*".join(_escaped(text.fill(values)) for text in filter_.texts)
    if filter_.tag == _EXTENSIBLE:
        dn = ":dn" if filter_.of_dn else ""
        rule = f":{filter_.rule}" if filter_.rule else ""
        return f"({filter_.attribute}{dn}{rule}:={value})"
    sign = next((sign for sign, tag in _OPERATORS.items() if tag == filter_.tag), "=")
    return f"({filter_.attribute}{sign}{value})"


def _pieces(item: Item, values: Values) -> list[bytes]:
    last = len(item.texts) - 1
    pieces: list[bytes] = []
    for index, text in enumerate(item.texts):
        tag = _INITIAL if index == 0 else _FINAL if index == last else _ANY
        if value := text.fill(values):
            pieces.append(ber.octets(value, tag))
    return pieces


def _parse(text: str, at: int, depth: int) -> tuple[Filter, int]:
    if depth > _DEEPEST:
        raise FilterError(f"filters within filters, more than {_DEEPEST} deep")
    if text[at : at + 1] != "(":
        raise FilterError(f"( is missing before: {text[at:] or 'the end'}")
    sign = text[at + 1 : at + 2]
    if sign in {*_SETS, "!"} and sign:
        return _parse_group(text, at + 2, sign, depth)
    end = text.find(")", at)
    if end < 0:
        raise FilterError(f") is missing after: {text[at:]}")
    return _parse_item(text[at + 1 : end]), end + 1


def _parse_group(text: str, at: int, sign: str, depth: int) -> tuple[Filter, int]:
    members: list[Filter] = []
    while text[at : at + 1] != ")":
        member, at = _parse(text, at, depth + 1)
        members.append(member)
    if not members or (sign == "!" and len(members) > 1):
        raise FilterError(f"({sign} has {len(members) or 'no'} filters behind it")
    return Group(_SETS.get(sign, _NOT), tuple(members)), at + 1


def _parse_item(text: str) -> Item:
    found = _ITEM.fullmatch(text)
    if found is None:
        raise FilterError(f"({text}) is not ATTRIBUTE=VALUE")
    left, operator, value = found.group("left", "operator", "value")
    if operator == ":=":
        attribute, *rest = left.split(":")
        rules = [each for each in rest if each.lower() != "dn"]
        return Item(
            tag=_EXTENSIBLE,
            attribute=attribute,
            texts=(_text(value),),
            rule=rules[0] if rules else "",
            of_dn=len(rules) < len(rest),
        )
    if operator != "=" or "*" not in value:
        return Item(tag=_OPERATORS[operator], attribute=left, texts=(_text(value),))
    if value == "*":
        return Item(tag=_PRESENT, attribute=left)
    return Item(tag=_SUBSTRINGS, attribute=left, texts=tuple(map(_text, value.split("*"))))


def _text(value: str) -> Text:
    parts: list[bytes | str] = []
    for index, part in enumerate(_PLACE.split(value)):
        if index % 2:
            parts.append(part)
        elif part:
            if re.search(r"\\(?![0-9a-fA-F]{2})", part):
                raise FilterError(f"\\ in {part} is not followed by two hexadecimal digits")
            parts.append(_ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), part.encode()))
    return Text(tuple(parts))


def _escaped(value: bytes) -> str:
    """RFC 4515, 3; letters beyond ASCII stay as they are where they are UTF-8."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return _SPECIAL.sub(lambda m: b"\\%02x" % m[0][0], value).decode()
    return re.sub(r"[\x00-\x1f()*\\\x7f]", lambda m: f"\\{ord(m[0]):02x}", text)
