"""Quantities: amounts of resources as Kubernetes writes them (`500m`, `4Gi`, `1e3`)."""

from decimal import Decimal, InvalidOperation
from functools import lru_cache

_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


@lru_cache(maxsize=4096)
def parse_quantity(text: str) -> Decimal:
    """The amount in its base unit (cores, bytes, pieces); ValueError if it is none.

    The suffixes are those of apimachinery's resource.Quantity.
    """
    number, suffix = _split(text)
    try:
        return Decimal(number) * _SUFFIXES.get(suffix, Decimal(1))
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a quantity") from None


def in_millis(text: str) -> int:
    """The amount in thousandths of its base unit, rounded up as the scheduler does."""
    return -int(-parse_quantity(text) * 1000 // 1)


def format_millis(resource: str, millis: int) -> str:
    """An amount in thousandths as a person reads it: cores, mebibytes, or pieces."""
    if resource == "cpu":
        return f"{millis}m" if millis % 1000 else str(millis // 1000)
    if resource in ("memory", "ephemeral-storage"):
        mebibytes = -(-millis // (1000 * 2**20))
        return f"{mebibytes}Mi"
    return str(-(-millis // 1000))


def _split(text: str) -> tuple[str, str]:
    if text[-2:] in _SUFFIXES:
        return text[:-2], text[-2:]
    if text[-1:] in _SUFFIXES:
        return text[:-1], text[-1:]
    return text, ""
