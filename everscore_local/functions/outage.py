"""Says that something cannot be reached once an outage, and once that it is back."""

import logging


class OutageLog:
    """The news about one dependency: the tries after the first failure are logged at DEBUG."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._is_out = False

    def failed(self, error: BaseException) -> None:
        """Report a failed try; of the text of an error only its telling line is shown."""
        level = logging.DEBUG if self._is_out else logging.WARNING
        self._log.log(level, "%s: %s; trying again", self._what, reason(error))
        self._is_out = True

    def succeeded(self) -> None:
        """Report a success; it is news only after a failure."""
        if self._is_out:
            self._is_out = False
            self._log.info("%s: back", self._what)


def reason(error: BaseException) -> str:
    """Return one line: of the two of the Event Hubs SDK the description says more than the condition."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    described = [line for line in lines if line.startswith("Error Description: ")]
    return described[-1].removeprefix("Error Description: ") if described else lines[0]
