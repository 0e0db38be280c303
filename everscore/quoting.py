"""What may be said of a text that somebody else wrote: it can be written anywhere, and holds no secret."""

from __future__ import annotations

import re

_LIMIT = 300
# In this order: who signs in at an address; what stands behind a name of secrets; what an Authorization
# header holds, and JSON Web Tokens; keys and signatures, which are base64, or its URL form, and end as 32 and
# 64 bytes do. Each run of characters is read once, so that the time is in proportion to the text.
_SECRET = re.compile(
    r"""
    (?P<kept>
        ://(?=[^/?\#\s]*@)
        | (?:account_?key|access_?key|api[-_]?key|pass(?:word|wd)?|pwd|secret|token|sig(?:nature)?)
          (?:\s?=\s?|["']:\s*["'])
        | \b(?:bearer|basic)\s+(?=\S{16})
    )
    (?: (?<=://) [^/?\#\s]* (?=@) | (?<!://) [^\s&;,"']+ )
    | (?<![\w+/.-]) eyJ[\w-]+\.[\w-]+\.[\w-]*
    | (?<![A-Za-z0-9+/%]) (?: [A-Za-z0-9+/]{20,}+={1,2} | [A-Za-z0-9+/%]{20,}%3D )
    """,
    re.IGNORECASE | re.VERBOSE,
)
# One of these is in whatever the search finds; in most sentences there is none, and the search is slow.
_MARKS = ("=", "@", "%3d", "eyj", '":', "':", "bearer", "basic")


def writable(text: str) -> str:
    """The text with lone surrogates spelt out: JSON can hold them, and no message, letter or log can."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def masked(text: str) -> str:
    """The text without passwords, keys, signatures and tokens, as far as their form tells them."""
    lowered = text.lower()
    if not any(mark in lowered for mark in _MARKS):
        return text
    return _SECRET.sub(lambda found: f"{found['kept'] or ''}…", text)


def quote(message: str) -> str:
    """The beginning of a message on one line, without secrets."""
    line = masked(writable(" ".join(message[: 8 * _LIMIT].split())))
    return line if len(line) <= _LIMIT else line[: _LIMIT - 1] + "…"
