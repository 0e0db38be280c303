"""Every setting of the app, typed and validated in one place.

Connections follow the naming conventions of Azure Functions, so that the triggers and this code read the
same settings: a connection string in ``NAME`` on a laptop, ``NAME__…`` with an identity in Azure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
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
from everscore.failures import SettingError

_CONTAINER_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_LONGEST_ACCOUNT = 24
_ACCOUNT_NAME = re.compile(rf"[a-z0-9]{{3,{_LONGEST_ACCOUNT}}}")
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_DECODER = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_SECRETS = {"EVENTHUB", "COSMOS", "STORAGE", "AzureWebJobsStorage", "APPLICATIONINSIGHTS_CONNECTION_STRING"}


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Settings(BaseModel):
    """The app's settings, read from the environment (locally, local.settings.json goes there)."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=AliasGenerator(validation_alias=lambda name: name.upper()),
        populate_by_name=False,
    )

    # Connections. Fields end in the suffixes that the Functions host gives them.
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

    # Where metrics go. A wrong one is logged, and keeps no event from being scored.
    applicationinsights_connection_string: SecretStr | None = None
    otel_exporter_otlp_endpoint: str | None = None

    # Names of what the deployment creates; the app itself never creates any of it.
    eventhub_name: str = Field(min_length=1)
    eventhub_consumer_group: str = Field(min_length=1)
    cosmos_database: str = Field(min_length=1)
    cosmos_container: str = Field(min_length=1)
    retry_queue: str = Field(min_length=3, max_length=56)  # "-poison" must still fit into 63 characters
    deadletter_container: str = Field(min_length=3, max_length=63)
    claimcheck_container: str = Field(min_length=3, max_length=63)

    # Tunables; each ends in its unit.
    batch_deadline_seconds: Seconds = 5.0
    cosmos_timeout_seconds: Seconds = 10.0
    storage_timeout_seconds: Seconds = 10.0
    time_budget_seconds: Seconds = 540.0
    # The client has 100 connections; a request more would wait for one unseen, and count as a slow store.
    cosmos_parallel_batches: int = Field(16, ge=1, le=100)
    breaker_failures: int = Field(5, ge=1, le=1_000)
    breaker_pause_seconds: Seconds = 5.0
    linger_seconds: float = Field(1.0, ge=0, le=60, allow_inf_nan=False)
    retry_give_up_days: float = Field(7.0, gt=0, le=365, allow_inf_nan=False)
    brake_hours: float = Field(24.0, ge=0, le=8_760, allow_inf_nan=False)
    unexpected_minutes: float = Field(10.0, ge=0, le=10_080, allow_inf_nan=False)
    clock_ahead_hours: float = Field(24.0, ge=0, le=87_600, allow_inf_nan=False)
    model_threads: int = Field(1, ge=1, le=64)
    decompressed_limit_mib: int = Field(16, ge=1, le=256)
    body_limit_records: int = Field(5_000, ge=1, le=1_000_000)
    batch_memory_mib: int = Field(16, ge=4, le=4_096)
    status_interval_seconds: Seconds = 60.0
    decoder: str | None = None
    fast_event_dates: bool = True
    metrics_interval_seconds: Seconds = 60.0

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

    @field_validator("retry_queue", "deadletter_container", "claimcheck_container")
    @classmethod
    def _check_storage_name(cls, value: str) -> str:
        if not _CONTAINER_NAME.fullmatch(value):
            raise ValueError(f"{value!r}; expected lower-case letters, digits and single hyphens")
        return value

    @field_validator(
        "eventhub_name",
        "eventhub_consumer_group",
        "eventhub_client_id",
        "cosmos_database",
        "cosmos_container",
        "cosmos_client_id",
        "storage_client_id",
        "webjobs_storage_client_id",
    )
    @classmethod
    def _check_no_white_space_around(cls, value: str | None) -> str | None:
        if value is not None and value != value.strip():
            raise ValueError(f"{value!r}; expected it without white space around it")
        return value

    @field_validator("decoder")
    @classmethod
    def _check_decoder(cls, value: str | None) -> str | None:
        if value is not None and not _DECODER.fullmatch(value):
            raise ValueError(f"{value!r}; expected module:function")
        return value

    @model_validator(mode="after")
    def _check_budget(self) -> Settings:
        if self.batch_deadline_seconds >= self.time_budget_seconds:
            raise ValueError(
                f"BATCH_DEADLINE_SECONDS is {self.batch_deadline_seconds:g}; expected less than "
                f"TIME_BUDGET_SECONDS, which is {self.time_budget_seconds:g}"
            )
        return self

    @model_validator(mode="after")
    def _check_one_hub(self) -> Settings:
        """The trigger reads the hub that everything else means.

        Where the connection string names a hub, the Functions host reads that one, whatever the trigger says;
        the SDKs take the name that they are given. Source: learn.microsoft.com/azure/azure-functions/
        functions-bindings-event-hubs-trigger, ``eventHubName``.
        """
        parts = parts_of(self.eventhub.get_secret_value()) if self.eventhub else {}
        named = parts.get("entitypath", "")
        if named and named.lower() != self.eventhub_name.lower():
            raise ValueError(
                f"EVENTHUB names the hub {shown(named)} by its EntityPath, EVENTHUB_NAME another; expected "
                "one: the Functions host reads the first, and the app looks for its events in the second"
            )
        return self

    @model_validator(mode="after")
    def _check_one_queue(self) -> Settings:
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


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings.

    Args:
        environment: the variables; those of the process when None. An empty value counts as not set.

    Raises:
        SettingError: one sentence for each mistake: the setting, what was found, what is expected.
            It never shows a connection string.
    """
    variables = os.environ if environment is None else environment
    values: dict[str, Any] = {name: value for name, value in variables.items() if value != ""}
    known = {name: values[name] for name in setting_names() if name in values}
    try:
        return Settings(**known)
    except ValidationError as error:
        raise SettingError(
            " ".join(_sentence(problem["loc"], problem) for problem in error.errors(include_url=False))
        ) from None


def setting_names() -> list[str]:
    """The name of every setting, in the order in which this module declares them."""
    return [str(info.validation_alias) for info in Settings.model_fields.values()]


def _sentence(location: tuple[int | str, ...], problem: Any) -> str:
    if not location:  # a check across settings names them itself
        return str(problem["msg"]).removeprefix("Value error, ") + "."
    name = str(location[0])
    if problem["type"] == "missing":
        return f"{name} is not set; expected a value (local.settings.example.json has one for a laptop)."
    if problem["type"] == "value_error":
        return f"{name} is {problem['ctx']['error']}."
    found = "a secret" if name in _SECRETS else repr(problem["input"])
    expected = str(problem["msg"])
    for lead in ("Input should be ", "Value should have ", "String should have "):
        expected = expected.removeprefix(lead)
    return f"{name} is {found}; expected {expected[:1].lower()}{expected[1:]}."
