"""The settings that say where the services are and how to sign in, and the connections made of them.

They follow the naming conventions of Azure Functions, so that the triggers and this code read the same
settings: a connection string in ``NAME`` on a laptop, ``NAME__…`` with an identity in Azure.
"""

from __future__ import annotations

import re
from typing import Self
from urllib.parse import urlsplit

from pydantic import (
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from everscore.config.connections import (
    Connection,
    check_address,
    check_eventhub_string,
    connection,
    parts_of,
    queues,
    shown,
    spelt_out,
)

_LONGEST_ACCOUNT = 24
_ACCOUNT_NAME = re.compile(rf"[a-z0-9]{{3,{_LONGEST_ACCOUNT}}}")
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


class ConnectionSettings(BaseModel):
    """Connections: a text with a key, or the address of each service and perhaps an identity's client id."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=AliasGenerator(validation_alias=lambda name: name.upper()),
        populate_by_name=False,
    )

    # Fields end in the suffixes that the Functions host gives them.
    eventhub: SecretStr | None = None
    eventhub_namespace: str | None = Field(None, validation_alias="EVENTHUB__fullyQualifiedNamespace")
    eventhub_client_id: str | None = Field(None, validation_alias="EVENTHUB__clientId")
    cosmos: SecretStr | None = None
    cosmos_endpoint: str | None = Field(None, validation_alias="COSMOS__accountEndpoint")
    cosmos_client_id: str | None = Field(None, validation_alias="COSMOS__clientId")
    storage: SecretStr | None = None
    storage_account: str | None = Field(None, validation_alias="STORAGE__accountName")
    storage_blob_uri: str | None = Field(None, validation_alias="STORAGE__blobServiceUri")
    storage_queue_uri: str | None = Field(None, validation_alias="STORAGE__queueServiceUri")
    storage_client_id: str | None = Field(None, validation_alias="STORAGE__clientId")

    # The host's own storage. The app reads the checkpoints there, for metrics alone; the host reads the retry
    # queue there (see _check_one_queue).
    webjobs_storage: SecretStr | None = Field(None, validation_alias="AzureWebJobsStorage")
    webjobs_storage_account: str | None = Field(None, validation_alias="AzureWebJobsStorage__accountName")
    webjobs_storage_blob_uri: str | None = Field(None, validation_alias="AzureWebJobsStorage__blobServiceUri")
    webjobs_storage_queue_uri: str | None = Field(
        None, validation_alias="AzureWebJobsStorage__queueServiceUri"
    )
    webjobs_storage_client_id: str | None = Field(None, validation_alias="AzureWebJobsStorage__clientId")

    @field_validator("eventhub", "cosmos", "storage", "webjobs_storage")
    @classmethod
    def _check_parts(cls, value: SecretStr | None) -> SecretStr | None:
        parts = value.get_secret_value().split(";") if value is not None else []
        if any(part.strip() and "=" not in part for part in parts):
            raise ValueError(
                "a text with a part that has no '='; expected Key=value;Key=value, as the portal gives it"
            )
        return value

    @field_validator("eventhub")
    @classmethod
    def _check_eventhub(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_eventhub_string(value.get_secret_value())
        return value

    @field_validator("cosmos")
    @classmethod
    def _check_cosmos(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return value
        parts = parts_of(value.get_secret_value())
        if not parts.get("accountendpoint") or not parts.get("accountkey"):
            raise ValueError(
                "a text without both of its parts; expected AccountEndpoint=https://…;AccountKey=…;"
            )
        check_address(parts["accountendpoint"], "AccountEndpoint=")
        return value

    @field_validator("storage")
    @classmethod
    def _check_storage(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return value
        parts = parts_of(value.get_secret_value())
        if parts.get("usedevelopmentstorage", "").lower() == "true":
            return value
        if not (parts.get("accountname") or (parts.get("blobendpoint") and parts.get("queueendpoint"))):
            raise ValueError("a text that names no account; expected AccountName=…;AccountKey=…; in it")
        for key in ("blobendpoint", "queueendpoint"):
            if key in parts:
                check_address(parts[key], f"{key}=")
        if not parts.get("accountkey") and not parts.get("sharedaccesssignature"):
            raise ValueError("a text without a key; expected AccountKey=… or SharedAccessSignature=… in it")
        return value

    @field_validator("eventhub_namespace")
    @classmethod
    def _check_namespace(cls, value: str | None) -> str | None:
        if value is not None and not _HOST_NAME.fullmatch(value):
            raise ValueError(
                f"{shown(value)}; expected a host name alone, such as <namespace>.servicebus.windows.net, "
                "without sb://, port or slash"
            )
        return value

    @field_validator(
        "cosmos_endpoint",
        "storage_blob_uri",
        "storage_queue_uri",
        "webjobs_storage_blob_uri",
        "webjobs_storage_queue_uri",
    )
    @classmethod
    def _check_endpoint(cls, value: str | None) -> str | None:
        if value is not None:
            check_address(value)
            if "?" in value or "#" in value:
                raise ValueError(
                    f"{shown(value)} with more behind it; expected the address alone, since an identity "
                    "signs in there, no key or signature"
                )
        return value

    @field_validator("storage_account", "webjobs_storage_account")
    @classmethod
    def _check_account(cls, value: str | None) -> str | None:
        if value is not None and not _ACCOUNT_NAME.fullmatch(value):
            # A longer one may be a key or a connection string.
            found = repr(value) if len(value) <= _LONGEST_ACCOUNT else f"a text of {len(value)} characters"
            raise ValueError(
                f"{found}; expected the account's name alone: 3 to 24 lower-case letters and digits"
            )
        return value

    @field_validator(
        "eventhub_client_id",
        "cosmos_client_id",
        "storage_client_id",
        "webjobs_storage_client_id",
    )
    @classmethod
    def _check_client_ids(cls, value: str | None) -> str | None:
        return without_white_space_around(value)

    @model_validator(mode="after")
    def _check_one_queue(self) -> Self:
        """The retry queue's messages go where its trigger looks for them.

        For a connection X the Functions host looks for the setting AzureWebJobsX first, and its settings know
        no case: the trigger's connection STORAGE is AzureWebJobsStorage wherever that is set. Source:
        GetWebJobsConnectionStringSection in azure-webjobs-sdk, IConfigurationExtensions.cs.
        """
        own = queues(self.storage, self.storage_account, self.storage_queue_uri)
        host = queues(self.webjobs_storage, self.webjobs_storage_account, self.webjobs_storage_queue_uri)
        if own and not host and self.webjobs_storage_blob_uri:
            raise ValueError(
                "AzureWebJobsStorage__queueServiceUri is not set; expected the address of the retry queue, "
                f"{shown(own)}: the Functions host reads its trigger's connection STORAGE from there"
            )
        if own and host and own != host:
            raise ValueError(
                f"AzureWebJobsStorage leads to the queues of {shown(host)}, STORAGE to those of "
                f"{shown(own)}; expected one account: the Functions host reads the connection STORAGE of "
                "the retry queue's trigger from AzureWebJobsStorage, and would take up no message"
            )
        return self

    def eventhub_connection(self) -> Connection:
        """The Event Hubs namespace.

        Raises:
            SettingError: neither EVENTHUB nor EVENTHUB__fullyQualifiedNamespace is set.
        """
        return connection(
            "EVENTHUB",
            self.eventhub,
            {"namespace": self.eventhub_namespace},
            self.eventhub_client_id,
            "EVENTHUB__fullyQualifiedNamespace",
        )

    def eventhub_host(self) -> str:
        """Host name of the Event Hubs namespace, without a port, as the host names it in checkpoints.

        Raises:
            SettingError: neither EVENTHUB nor EVENTHUB__fullyQualifiedNamespace is set.
        """
        connection = self.eventhub_connection()
        if not connection.connection_string:
            return connection.endpoints["namespace"]
        return urlsplit(parts_of(connection.connection_string)["endpoint"]).hostname or ""

    def cosmos_connection(self) -> Connection:
        """The Cosmos DB account.

        Raises:
            SettingError: neither COSMOS nor COSMOS__accountEndpoint is set.
        """
        return connection(
            "COSMOS",
            self.cosmos,
            {"account": self.cosmos_endpoint},
            self.cosmos_client_id,
            "COSMOS__accountEndpoint",
        )

    def storage_connection(self) -> Connection:
        """The storage account of the retry queue and the dead letters.

        Raises:
            SettingError: neither STORAGE nor STORAGE__accountName nor the two service URIs are set.
        """
        account = self.storage_account
        endpoints = {
            "blob": self.storage_blob_uri or (account and f"https://{account}.blob.core.windows.net"),
            "queue": self.storage_queue_uri or (account and f"https://{account}.queue.core.windows.net"),
        }
        return connection(
            "STORAGE",
            spelt_out(self.storage),
            endpoints,
            self.storage_client_id,
            "STORAGE__accountName (or STORAGE__blobServiceUri and STORAGE__queueServiceUri)",
        )

    def webjobs_connection(self) -> Connection:
        """The blobs of the Functions host's own storage account.

        Raises:
            SettingError: neither AzureWebJobsStorage nor one of its two addresses is set.
        """
        account = self.webjobs_storage_account
        uri = self.webjobs_storage_blob_uri or (account and f"https://{account}.blob.core.windows.net")
        return connection(
            "AzureWebJobsStorage",
            spelt_out(self.webjobs_storage),
            {"blob": uri},
            self.webjobs_storage_client_id,
            "AzureWebJobsStorage__blobServiceUri (or AzureWebJobsStorage__accountName)",
        )


def without_white_space_around(value: str | None) -> str | None:
    """The text of a setting as it is.

    Raises:
        ValueError: there is white space around it.
    """
    if value is not None and value != value.strip():
        raise ValueError(f"{value!r}; expected it without white space around it")
    return value
