"""Connections: how a service is reached, and what a connection string or an address must hold."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from everscore.failures import SettingError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
AZURITE_ACCOUNT = "devstoreaccount1"
# The account key that every Azurite knows; published by Microsoft, no secret.
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

# No "@", "=", "," or "?": what may follow those is a password, a key or a signature.
_ADDRESS = re.compile(r"[A-Za-z0-9:/._-]{0,100}")


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach one service: a connection string, or endpoints and an identity.

    Attributes:
        name: the setting it comes from.
        connection_string: with a key in it; empty when an identity is used. Never shown.
        endpoints: by kind: ``namespace`` (Event Hubs), ``account`` (Cosmos DB), ``blob`` and ``queue``.
        client_id: of the user-assigned identity, or None for the default credential chain.
    """

    name: str
    connection_string: str = field(default="", repr=False)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    client_id: str | None = None


def parts_of(connection_string: str) -> dict[str, str]:
    """Split ``Key=value;Key=value``; keys in lower case, values as they stand (they may hold ``=``)."""
    pairs = (part.partition("=") for part in connection_string.split(";") if part.strip())
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def on_loopback(address: str) -> bool:
    """Whether an address leads to this machine alone."""
    host = urlsplit(address).hostname or ""
    try:
        return host in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def spelt_out(secret: SecretStr | None) -> SecretStr | None:
    """The connection string of Azurite where the short one of a laptop stands."""
    if secret and parts_of(secret.get_secret_value()).get("usedevelopmentstorage", "").lower() == "true":
        return SecretStr(
            f"DefaultEndpointsProtocol=http;AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};"
            f"BlobEndpoint=http://127.0.0.1:10000/{AZURITE_ACCOUNT};"
            f"QueueEndpoint=http://127.0.0.1:10001/{AZURITE_ACCOUNT};"
        )
    return secret


def queues(secret: SecretStr | None, account: str | None, uri: str | None) -> str:
    """Address of the queues that a connection leads to; empty where it leads to none."""
    suffix = "core.windows.net"
    if (full := spelt_out(secret)) and full.get_secret_value().strip():
        parts = parts_of(full.get_secret_value())  # with a connection string nothing else counts
        account, uri = parts.get("accountname"), parts.get("queueendpoint")
        suffix = parts.get("endpointsuffix", suffix)
    return _normal(uri or (account and f"https://{account}.queue.{suffix}") or "")


def _normal(address: str) -> str:
    """An address in the one form that all its spellings have."""
    try:
        url = urlsplit(address.lower())
        host, port = url.hostname or "", url.port
    except ValueError:
        return address.lower().rstrip("/")
    if host in LOOPBACK:
        host = "127.0.0.1"
    standard = port in (None, {"http": 80, "https": 443}.get(url.scheme))
    netloc = host if standard else f"{host}:{port}"
    return urlunsplit((url.scheme, netloc, url.path.rstrip("/"), "", ""))


def connection(
    name: str,
    secret: SecretStr | None,
    endpoints: Mapping[str, str | None],
    client_id: str | None,
    choice: str,
) -> Connection:
    """A connection string where there is one, else endpoints and an identity.

    Args:
        name: the setting.
        secret: its connection string, if it is set.
        endpoints: by kind; None where it is not set.
        client_id: of a user-assigned identity.
        choice: for the sentence: which settings an identity needs.

    Raises:
        SettingError: there is neither.
    """
    if secret is not None and secret.get_secret_value().strip():
        return Connection(name, connection_string=secret.get_secret_value().strip())
    if all(endpoints.values()):
        return Connection(
            name, endpoints={kind: text for kind, text in endpoints.items() if text}, client_id=client_id
        )
    raise SettingError(
        f"{name} is not set; expected a connection string in {name}, or {choice} to use an identity."
    )


def check_eventhub_string(text: str) -> None:
    """That a connection string of Event Hubs has an address and a key.

    Raises:
        ValueError: it has not; what was found and what is expected, without the key.
    """
    parts = parts_of(text)
    endpoint = parts.get("endpoint", "")
    found = shown(endpoint)
    if not endpoint.lower().startswith("sb://"):
        raise ValueError(f"Endpoint={found}; expected it to begin with sb://")
    url = urlsplit(endpoint)
    if not url.hostname:
        raise ValueError(f"Endpoint={found}; expected a host after sb://")
    if _has_empty_part(url.hostname):
        raise ValueError(f"Endpoint={found}; expected a host name without an empty part between its dots")
    try:
        port = url.port
    except ValueError:
        raise ValueError(f"Endpoint={found}; expected a port between 1 and 65535") from None
    if port == 9092:
        raise ValueError(
            "port 9092, where the emulator speaks Kafka; expected its AMQP port, 5672 by default"
        )
    emulator = parts.get("usedevelopmentemulator", "").lower() == "true"
    if emulator and url.hostname not in LOOPBACK:
        raise ValueError(
            f"UseDevelopmentEmulator=true for the host {url.hostname}; expected that flag for this machine "
            "alone, since it switches encryption off"
        )
    with_key = parts.get("sharedaccesskeyname") and parts.get("sharedaccesskey")
    if not with_key and not parts.get("sharedaccesssignature"):
        raise ValueError("a text without a key; expected SharedAccessKeyName=…;SharedAccessKey=… in it")


def _has_empty_part(host: str) -> bool:
    return "" in host.removesuffix(".").split(".")


def shown(endpoint: str) -> str:
    """The beginning of an endpoint: a wrong separator could have drawn the key into it.

    White space around it stays, in quotation marks: without, what is shown may be the very value expected.
    """
    bare = endpoint.strip()
    found = _ADDRESS.match(bare)
    beginning = found.group() if found else ""
    return repr(endpoint) if bare and beginning == bare != endpoint else beginning or "(nothing)"


def check_address(address: str, part: str = "") -> None:
    """That an address is one, and encrypted unless it is of this machine.

    Args:
        address: as it was found.
        part: of a connection string, with ``=`` at its end; empty for a setting of its own.
    """
    found = f"{part}{shown(address)}"
    if any(char.isspace() for char in address):
        raise ValueError(f"{found}; expected an address without white space")
    try:
        url = urlsplit(address)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError(f"{found}; expected an address such as https://<host>/") from None
    if url.scheme not in ("http", "https") or not host:
        raise ValueError(f"{found}; expected an address that begins with https://")
    if _has_empty_part(host):
        raise ValueError(f"{found}; expected a host name without an empty part between its dots")
    if url.scheme == "http" and host not in LOOPBACK:
        raise ValueError(f"{found}, where http:// is not encrypted; expected https:// for any other machine")
