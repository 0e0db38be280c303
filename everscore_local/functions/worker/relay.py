"""Log records of the app and of the worker library, sent to the host as plain data."""

import contextvars
import logging
import os
import traceback
from collections.abc import Callable
from typing import Any

# Set around each invocation; asyncio tasks that the function starts inherit it.
invocation_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("invocation", default=None)


class RelayHandler(logging.Handler):
    """Hands every record to ``send`` as (level, logger, text, invocation id)."""

    def __init__(
        self, send: Callable[[tuple[Any, ...]], None], thread_invocation_id: contextvars.ContextVar[Any]
    ) -> None:
        super().__init__()
        self._send = send
        # The library sets its own variable inside the threads that run synchronous functions.
        self._thread_invocation_id = thread_invocation_id

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; a record that cannot be formatted is reported on stderr by logging itself."""
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
            current = invocation_id.get() or self._thread_invocation_id.get()
            self._send(("log", record.levelno, record.name, text, current))
        except Exception:  # noqa: BLE001 - logging's own contract for handlers
            self.handleError(record)


def install(handler: logging.Handler, *, verbose: bool) -> None:
    """Route all logging of this process to the handler.

    The SDKs and the worker library speak up once a request or once an invocation at INFO: held at WARNING
    unless asked for.
    """
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # The setting by which the real worker lets DEBUG records of the app through.
    debug = os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING", "").lower() in ("1", "true")
    root.setLevel(logging.DEBUG if verbose or debug else logging.INFO)
    logging.getLogger("azure").setLevel(logging.INFO if verbose else logging.WARNING)
    logging.captureWarnings(capture=True)
