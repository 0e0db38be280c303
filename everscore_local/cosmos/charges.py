"""Request units: what an operation costs, and the rate at which a container grants them.

The prices follow the service's published examples (a point read of 1 KB costs 1 RU, of 100 KB 10 RU; a write
of 1 KB about 5.5 RU; a replace about twice that). They are plausible, not exact: indexing is not weighed.

    read(size)    = 1 + (KiB - 1) / 11, at least 1
    create, upsert of a new item, delete = 5.5 × read(size)
    replace, patch, upsert of an existing item = 10.5 × read(size)
    query         = 2.8 + 0.25 per KiB answered
    a refused operation = 1

A batch costs the sum of its operations.
"""

import time
from collections.abc import Callable

REFUSED = 1.0
METADATA = 1.0


def read(size: int) -> float:
    """Return the RU of a point read of ``size`` bytes."""
    return max(1.0, 1.0 + (size / 1024 - 1) / 11)


def write(size: int, *, replaces: bool) -> float:
    """Return the RU of a write of ``size`` bytes."""
    return read(size) * (10.5 if replaces else 5.5)


def query(size: int) -> float:
    """Return the RU of a page of ``size`` bytes."""
    return 2.8 + 0.25 * size / 1024


class Budget:
    """A token bucket that holds at most one second's worth of RU.

    Like the service it grants a request while anything is left and lets it overdraw; the debt is paid off
    before the next one is granted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens = 0.0
        self._rate = 0.0
        self._at = clock()

    def wait_ms(self, rate: float | None) -> int:
        """Return 0 where a request is granted now, else the ms until one will be.

        ``rate`` is in RU/s; None is no limit.
        """
        now = self._clock()
        if rate is None:
            self._rate = 0.0
            return 0
        if rate != self._rate:
            self._tokens, self._rate = rate, rate
        else:
            self._tokens = min(rate, self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens > 0:
            return 0
        return int(-self._tokens / rate * 1000) + 1

    def spend(self, units: float) -> None:
        """Take the cost of a granted request."""
        self._tokens -= units


class Throttle:
    """The RU/s of each container: a normal rate, and for some seconds another."""

    def __init__(self, normal: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.normal = normal
        self._clock = clock
        self._for_now: float | None = None
        self._until = 0.0
        self._budgets: dict[str, Budget] = {}

    def set(self, rate: float | None, seconds: float | None) -> None:
        """Set another rate for ``seconds``, or for good where that is None."""
        if seconds is None:
            self.normal, self._until = rate, 0.0
        else:
            self._for_now, self._until = rate, self._clock() + seconds

    def rate(self) -> float | None:
        """Return the RU/s granted now; None is no limit."""
        return self._for_now if self._clock() < self._until else self.normal

    def budget(self, container: str) -> Budget:
        """Return the budget of a container."""
        return self._budgets.setdefault(container, Budget(self._clock))
