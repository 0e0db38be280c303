"""What this process runs on, in one line of the log: a build for another Python shows there first."""

from __future__ import annotations

import functools
import logging
import platform
from importlib import metadata

logger = logging.getLogger(__name__)

PACKAGES = (
    "azure-functions",
    "azure-functions-runtime",
    "azure-cosmos",
    "azure-eventhub",
    "azure-storage-queue",
    "azure-storage-blob",
    "azure-identity",
    "aiohttp",
    "onnxruntime",
    "numpy",
    "msgspec",
    "pydantic",
    "opentelemetry-sdk",
)


@functools.cache
def log_once() -> None:
    """Log the versions of Python and of the packages that matter, once a process."""
    found = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    logger.info("Python %s on %s; %s", platform.python_version(), platform.machine(), found)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
