"""The error of a command."""

from __future__ import annotations


class CliError(Exception):
    """The command cannot do what was asked. The message is one sentence for the user."""
