"""Retry policies of the real host: an in-memory loop around one invocation.

Source: FunctionExecutorExtensions.cs, RandomizedExponentialBackoffStrategy.cs of azure-webjobs-sdk.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

ENDLESS = -1


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A policy as the worker reports it; intervals in seconds, ``max_retry_count`` −1 for endless."""

    strategy: Literal["fixed_delay", "exponential_backoff"]
    max_retry_count: int
    minimum: float
    maximum: float

    @classmethod
    def from_worker(cls, options: dict[str, Any]) -> "RetryPolicy":
        """Build the policy from the retry options of a function.

        Raises:
            ValueError: the real host would not load a function with such a policy (Utility.cs,
                ValidateRetryOptions); the text goes behind "The retry policy of function x".
        """
        count = options["max_retry_count"]
        if count < ENDLESS:
            raise ValueError(f"must have a max_retry_count of at least {ENDLESS}, found {count}")
        if options["strategy"] == "fixed_delay":
            delay = options["delay"] or 0.0
            return cls("fixed_delay", count, delay, delay)
        minimum, maximum = options["minimum"] or 0.0, options["maximum"] or 0.0
        if minimum > maximum:
            raise ValueError(
                f"must not have a minimum ({minimum:g} s) greater than its maximum ({maximum:g} s)"
            )
        return cls("exponential_backoff", count, minimum, maximum)

    def allows(self, retry_count: int) -> bool:
        """Tell whether a failed try with this retry count (0 for the first) is followed by another."""
        return self.max_retry_count == ENDLESS or retry_count < self.max_retry_count

    def delay(self, retry_count: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
        """Return the seconds to wait after the failed try with this retry count (0 for the first).

        Exponential: min, then min + U(0.8, 1.2)·2^(n−2)·min for the n-th wait, and max once that is reached.
        """
        if self.strategy == "fixed_delay" or self.minimum <= 0.0:
            return self.minimum
        if retry_count == 0:
            return min(self.minimum, self.maximum)
        # 2^60 seconds is past any maximum; a larger power would overflow a float.
        grown = self.minimum + uniform(0.8, 1.2) * 2.0 ** min(retry_count - 1, 60) * self.minimum
        return min(grown, self.maximum)
