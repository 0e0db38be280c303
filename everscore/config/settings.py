"""Every setting of the app, typed and validated in one place; those of connections stand beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from everscore.config.connection_settings import ConnectionSettings, without_white_space_around
from everscore.config.connections import parts_of, shown
from everscore.failures import SettingError

_CONTAINER_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_DECODER = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_SECRETS = {"EVENTHUB", "COSMOS", "STORAGE", "AzureWebJobsStorage", "APPLICATIONINSIGHTS_CONNECTION_STRING"}


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Settings(ConnectionSettings):
    """The app's settings, read from the environment (locally, local.settings.json goes there)."""

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

    @field_validator("retry_queue", "deadletter_container", "claimcheck_container")
    @classmethod
    def _check_storage_name(cls, value: str) -> str:
        if not _CONTAINER_NAME.fullmatch(value):
            raise ValueError(f"{value!r}; expected lower-case letters, digits and single hyphens")
        return value

    @field_validator(
        "eventhub_name",
        "eventhub_consumer_group",
        "cosmos_database",
        "cosmos_container",
    )
    @classmethod
    def _check_no_white_space_around(cls, value: str | None) -> str | None:
        return without_white_space_around(value)

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
    """The name of every setting, in the order in which they are declared, connections first."""
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
