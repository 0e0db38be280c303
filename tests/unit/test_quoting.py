"""What is quoted of others' texts."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote_plus

import pytest

from everscore.quoting import masked, quote

KEY = base64.b64encode(bytes(range(64))).decode()
SIGNATURE = base64.b64encode(bytes(range(32))).decode()
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("cannot reach https://user:hunter2@registry.local/schemas", "hunter2"),
        ("cannot reach amqps://hunter2@broker:5671", "hunter2"),
        ("cannot reach postgres://u:p@hunter2@db/x, http://other", "hunter2"),
        (f"AccountName=a;AccountKey={KEY};EndpointSuffix=x", KEY),
        ("Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=hunter2;EntityPath=e", "hunter2"),
        (f"sv=2026&sig={quote_plus(SIGNATURE)}&se=x", quote_plus(SIGNATURE)),
        ("user=u password=hunter2 host=h", "hunter2"),
        ("user = u, password = hunter2", "hunter2"),
        (json.dumps({"password": "hunter2"}), "hunter2"),
        (f"Authorization: Bearer {TOKEN}", TOKEN),
        (f"the token {TOKEN} is too old", TOKEN),
        (f"Authorization: Basic {KEY}", KEY),
        (f"the key {SIGNATURE} is wrong", SIGNATURE),
    ],
)
def test_hole_24_no_secret_is_quoted(text, secret) -> None:
    """Passwords in addresses, values behind names of secrets, tokens, keys and signatures are masked; what
    stands around them stays.
    """
    for found in (masked(text), quote(text), quote(f"before {text} after")):
        assert secret not in found
        assert "hunter2" not in found
        assert "…" in found
    assert quote(f"before {text}").startswith("before ")


@pytest.mark.parametrize(
    "text",
    [
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "https://aka.ms/cosmosdb-tsg-forbidden?a=b@c",
        "mail to a@b.example",
        "a" * 64,
        "the basic idea, a bearer of news, no token: sign in",
        "the partition key=5 is wrong",
        "models/pumps/features.py raised ValueError",
    ],
)
def test_what_is_no_secret_is_quoted_as_it_stands(text) -> None:
    """Addresses, ids, hashes and plain sentences stay."""
    assert quote(f"at {text}.") == f"at {text}."


@pytest.mark.parametrize("piece", ["A", "://", "%", "sig=", "bearer ", "eyJ", "password'", "@"])
def test_the_time_of_a_search_is_in_proportion_to_the_text(piece) -> None:
    """A long text takes no more than a few times as long for each character as a short one."""

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        began = time.process_time()
        for _ in range(5):
            masked(text)
        return time.process_time() - began

    assert seconds(160_000) < 64 * max(seconds(10_000), 1e-3)


def test_quotes_are_short_and_on_one_line() -> None:
    """However long a body is, what is quoted of it fits a log line."""
    assert quote("a\r\n\t b") == "a b"
    assert len(quote("x" * 10_000)) == 300
    assert quote("x" * 301).endswith("…")
