"""What an export refuses."""

from __future__ import annotations

from everscore.failures import EverscoreError


class ExportError(EverscoreError):
    """A model cannot be trained, converted or checked. The message says why, and what the choices are."""


class TableError(ExportError):
    """A table of events cannot be read, or one of scores not be written. The message names file and row."""
