"""Takes secrets out of what hosts print, before anybody sees or stores it."""

import re
from collections.abc import Iterable

MASK = "•••"

# A shorter value is no secret, and would blot out half of the output.
_SHORTEST = 4

# Every repetition has a bound, so that no line, however odd, takes long.
_WORDS = (
    r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|private[_-]?key|credential)s?"
    r"(?:[_-]\w{1,32}){0,3}"
)
_RULES = (
    # https://user:password@host
    (
        re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@'\"]{1,512}@", re.IGNORECASE),
        rf"\1{MASK}@",
    ),
    # Authorization: Bearer abc, Basic abc
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,4096}", re.IGNORECASE), rf"\1 {MASK}"),
    # password=abc, "token": "abc", --secret abc
    (
        re.compile(
            rf"""({_WORDS}["']?\s{{0,8}}[=:]\s{{0,8}}|--[\w-]{{0,32}}?{_WORDS}\s{{1,8}}"""
            r"""|\btoken\s{1,8}(?=\S{0,256}\d))"""
            r"""(?!•)("[^"]{0,4096}"|'[^']{0,4096}'|["']?[^\s,;"'&}]{1,4096})""",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # JSON web tokens and the tokens of kubeadm (bootstrap tokens)
    (re.compile(r"\beyJ[\w-]{8,1024}\.[\w-]{1,4096}\.[\w-]{0,1024}"), MASK),
    (re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"), MASK),
)
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")


class Masking:
    """Masks line after line of one output; as many lines come out as went in."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        parts = {line.strip() for secret in secrets for line in secret.splitlines()}
        longest_first = sorted((part for part in parts if len(part) >= _SHORTEST), key=len)[::-1]
        self._secrets = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._in_key = False

    def line(self, text: str) -> str:
        """One line without its secrets."""
        if self._in_key:
            self._in_key = not _KEY_ENDS.search(text)
            return MASK
        if begin := _KEY_BEGINS.search(text):
            self._in_key = not _KEY_ENDS.search(text, begin.end())
            return f"{self._plain(text[: begin.start()])}{MASK}"
        return self._plain(text)

    def _plain(self, text: str) -> str:
        text = self._secrets.sub(MASK, text)
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        return text
