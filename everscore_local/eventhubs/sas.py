"""Shared access signatures, checked as the service does.

Source: Microsoft, "Authorize access to Event Hubs using shared access signatures". The signature is
base64(HMAC-SHA256(key, sr + newline + se)), `sr` URL-encoded as it stands in the token, the key as text.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

_SCHEME = "SharedAccessSignature "


class TokenError(ValueError):
    """A token that gives no access; the text says why, never what the token was."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a good token allows.

    Attributes:
        path: The resource below the namespace, in lower case without outer slashes; empty is everything.
        expires_at: Seconds since 1970.
    """

    path: str
    expires_at: int

    def covers(self, path: str, now: float) -> bool:
        """Whether the grant reaches a resource path at a time (seconds since 1970)."""
        wanted = path.casefold().strip("/")
        return now < self.expires_at and (
            not self.path or wanted == self.path or wanted.startswith(self.path + "/")
        )


def resource_path(uri: str) -> str:
    """Give the path of a resource URI (`sb://host:port/hub/…`), in lower case, without outer slashes."""
    _, found, rest = uri.partition("://")
    path = rest.partition("/")[2] if found else uri
    return path.strip("/").casefold()


def sign(key: str, resource: str, expiry: str) -> str:
    """Compute a signature over the URL-encoded resource and the expiry as they stand in the token."""
    digest = hmac.digest(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


def check(token: str, keys: dict[str, str], now: float) -> Grant:
    """Check a token against the keys by name.

    Args:
        token: `SharedAccessSignature sr=…&sig=…&se=…&skn=…`.
        keys: Key values by their names.
        now: Seconds since 1970.

    Raises:
        TokenError: the token is malformed, signed with another key, or expired.
    """
    if not token.startswith(_SCHEME):
        raise TokenError("InvalidToken: not a shared access signature")
    parts = dict(pair.partition("=")[::2] for pair in token[len(_SCHEME) :].split("&"))
    missing = [name for name in ("sr", "sig", "se", "skn") if not parts.get(name)]
    if missing:
        raise TokenError(f"MalformedToken: the signature has no {', '.join(missing)}")
    key = keys.get(unquote_plus(parts["skn"]))
    expected = sign(key or "", parts["sr"], parts["se"])
    # unquote, not unquote_plus: a plus sign left unencoded is part of the base64.
    if not hmac.compare_digest(expected.encode(), unquote(parts["sig"]).encode()) or key is None:
        raise TokenError("InvalidSignature: the token was not signed with a key of this namespace")
    try:
        expires_at = int(parts["se"])
    except ValueError as error:
        raise TokenError("MalformedToken: the expiry is no number") from error
    if expires_at <= now:
        raise TokenError("ExpiredToken: the token has expired")
    return Grant(resource_path(unquote_plus(parts["sr"])), expires_at)
