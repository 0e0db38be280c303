"""What the user reads when something goes wrong: one sentence, whatever layer it came from."""

from __future__ import annotations

from everscore.failures import EverscoreError, Failure, Transient
from everscore_cli.errors import CliError
from everscore_local.processes import StackError


def sentence(error: BaseException) -> str | None:
    """What to tell the user about this error, or None: nobody foresaw it, so its trace is worth more."""
    if isinstance(error, Failure) and error.reason == "no token":
        from everscore_cli.clients.explain import SIGN_IN  # noqa: PLC0415 - imports SDKs, which is slow

        return SIGN_IN
    cause = error.__cause__
    if isinstance(error, Transient) and cause is not None and _is_of_sdk(cause):
        from everscore_cli.clients.explain import explain  # noqa: PLC0415 - imports SDKs, which is slow

        # The pipeline would try again; a person has to be told what helps.
        return explain(cause) or str(error)
    if isinstance(error, CliError | EverscoreError | StackError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:  # no right to write there, say
        return f"{error.filename} cannot be used: {(error.strerror or str(error)).lower()}."
    if _is_of_sdk(error):
        from everscore_cli.clients.explain import explain  # noqa: PLC0415 - imports SDKs, which is slow

        return explain(error)
    return None


def _is_of_sdk(error: BaseException) -> bool:
    return type(error).__module__.startswith("azure.")
