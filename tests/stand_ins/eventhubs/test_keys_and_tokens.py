"""Partition keys and tokens by themselves, against Microsoft's own code where there is some."""

from __future__ import annotations

import pytest
from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver
from azure.eventhub._client_base import EventHubSharedKeyCredential
from hypothesis import given
from hypothesis import strategies as st

from everscore_local.eventhubs import key_hash, sas


@given(st.text(st.characters(max_codepoint=127), min_size=1, max_size=60), st.integers(1, 32))
def test_a_key_goes_where_the_sdk_would_put_it(key: str, partitions: int) -> None:
    """The buffered producer of Microsoft's Python SDK and this server agree on every ASCII key."""
    expected = PartitionResolver([*range(partitions)]).get_partition_id_by_partition_key(key)
    assert key_hash.partition_of(key, partitions) == expected


def _token(**options: str) -> str:
    return EventHubSharedKeyCredential("name", options.get("key", "k+/=")).get_token("sb://h:1/Hub").token


def test_the_sdks_token_is_good_for_its_hub_alone() -> None:
    """A token of the SDK is granted until it expires, for the hub and all below it, in either case."""
    grant = sas.check(_token(), {"name": "k+/="}, 0)
    assert grant.path == "hub"
    assert grant.covers("HUB/consumergroups/x/partitions/0", 0)
    assert not grant.covers("hubs", 0)
    assert not grant.covers("hub", grant.expires_at)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda token: token.replace("skn=name", "skn=other"), "InvalidSignature"),
        (lambda token: token.replace("h%3A1%2FHub", "h%3A1%2FOther"), "InvalidSignature"),
        (lambda token: token.replace("&se=", "&se=9"), "InvalidSignature"),
        (lambda token: token.partition("&skn")[0], "no skn"),
        (lambda token: "Bearer " + token, "not a shared access signature"),
    ],
)
def test_a_changed_token_is_refused(change: object, said: str) -> None:
    """A token changed in any part is refused, and the reason never repeats it."""
    token = change(_token())
    with pytest.raises(sas.TokenError, match=said) as caught:
        sas.check(token, {"name": "k+/="}, 0)
    assert "sig=" not in str(caught.value)


def test_an_expired_token_is_refused() -> None:
    """A token signed well is refused from the second of its expiry on."""
    token = _token()
    expiry = sas.check(token, {"name": "k+/="}, 0).expires_at
    with pytest.raises(sas.TokenError, match="ExpiredToken"):
        sas.check(token, {"name": "k+/="}, expiry)
