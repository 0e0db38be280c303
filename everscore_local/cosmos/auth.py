"""Checks the master-key signature of a request.

Source: learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote

from .errors import ServiceError, UserError

# Published in Microsoft's documentation of the emulator; every emulator has it.
EMULATOR_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="


class Signatures:
    """Knows the account's key."""

    def __init__(self, key: str) -> None:
        """Take the key in base64.

        Raises:
            UserError: Where it is no base64.
        """
        try:
            self._key = base64.b64decode(key, validate=True)
        except binascii.Error as error:
            raise UserError("--key is not base64; give the account key as Azure shows it.") from error

    def _sign(self, verb: str, kind: str, link: str, headers: Mapping[str, str]) -> str:
        date = headers.get("x-ms-date", "").lower()
        http_date = "" if date else headers.get("date", "").lower()
        text = f"{verb.lower()}\n{kind}\n{link}\n{date}\n{http_date}\n"
        return base64.b64encode(hmac.digest(self._key, text.encode(), "sha256")).decode()

    @staticmethod
    def _matches(given: str, wanted: str) -> bool:
        # As bytes: compare_digest takes no text beyond ASCII.
        return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())

    def check(self, verb: str, segments: list[str], headers: Mapping[str, str]) -> None:
        """Accept a request, given the decoded segments of its path.

        Raises:
            ServiceError: 401.
        """
        header = headers.get("authorization")
        if not header:
            raise ServiceError(
                401, "Required Header authorization is missing. Ensure a valid Authorization token is passed."
            )
        fields = parse_qs(unquote(header).replace("+", "%2B"))
        if fields.get("type") != ["master"]:
            raise ServiceError(401, "The stand-in knows master-key tokens only (type=master).")
        signature = fields.get("sig", [""])[0]
        named = len(segments) % 2 == 0
        kind = (segments[-2] if named else segments[-1]).lower() if segments else ""
        link = "/".join(segments if named else segments[:-1])
        if self._matches(signature, self._sign(verb, kind, link, headers)):
            return
        # Resources addressed by their _rid sign that alone, in lower case.
        rid = (segments[-1] if named else segments[-2]).lower() if len(segments) > 1 else ""
        if rid and self._matches(signature, self._sign(verb, kind, rid, headers)):
            return
        raise ServiceError(
            401,
            "The input authorization token can't serve the request. The wrong key is being used or the"
            " expected payload is not built as per the protocol. Server used the following payload to sign:"
            f" '{verb.lower()}\\n{kind}\\n{link}\\n{headers.get('x-ms-date', '').lower()}\\n\\n'",
        )
