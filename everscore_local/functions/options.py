"""How one host is run: the command line, parsed."""

from dataclasses import dataclass
from pathlib import Path

# The real host always takes ten minutes for received queue messages.
DEFAULT_LEASE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Options:
    """Choices for one run of a host; ``lease_seconds`` other than the default is for tests."""

    app_dir: Path
    port: int
    python: str
    grace_seconds: float
    lease_seconds: int
    verbose: bool
