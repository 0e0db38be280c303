"""What the user reads when something goes wrong: one sentence, whatever layer it came from."""

from __future__ import annotations

from everscore.failures import EverscoreError, Failure
from everscore_local.processes import StackError


class CliError(Exception):
    """The command cannot do what was asked. The message is one sentence for the user."""


def sentence(error: BaseException) -> str | None:
    """What to tell the user about this error, or None: nobody foresaw it, so its trace is worth more."""
    if isinstance(error, Failure) and error.reason == "no token":
        from everscore_cli.clients.explain import SIGN_IN  # noqa: PLC0415 - imports SDKs, which is slow

        return SIGN_IN
    if isinstance(error, CliError | EverscoreError | StackError):
        return str(error)
    if type(error).__module__.startswith("azure."):
        from everscore_cli.clients.explain import explain  # noqa: PLC0415 - imports SDKs, which is slow

        return explain(error)
    return None
