"""An event decoded, while an invocation lasts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from everscore.event.item import Item
from everscore.failures import Failure


class Done(StrEnum):
    """How an event ended well."""

    STORED = "stored"
    SUPERSEDED = "superseded"


@dataclass(slots=True)
class Event:
    """One event on its way through the pipeline.

    Attributes:
        item: its bytes, its source and what is known of it so far.
        payload: the parsed record, in JSON's types, with the values that were sent.
        key: the fields that its identity was made of.
        fingerprint: SHA-256 of the record's bytes.
        long_integers: the payload may hold integers that the store can only keep as texts.
        clock_ahead: its time is not believed, and stands at the one of its enqueuing.
        failure: what stopped it, if anything has.
        done: how it ended, once it is in the store.
    """

    item: Item
    payload: Any = None
    key: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    long_integers: bool = False
    clock_ahead: bool = False
    failure: Failure | None = None
    done: Done | None = None
