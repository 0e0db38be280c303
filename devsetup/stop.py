"""The one exception of the set-up."""

from __future__ import annotations


class Stop(Exception):  # noqa: N818 - not an error of this program: what the person in front of it has to know
    """Ends the program with one clear text and an exit code."""

    def __init__(self, text: str, code: int = 2) -> None:
        super().__init__(text)
        self.code = code
