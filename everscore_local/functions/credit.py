"""How many events one receive returns: what the real client has prefetched by then.

Source: AmqpLinkSettings.cs (FlowThreshold) and ReceivingAmqpLink.cs of Microsoft.Azure.Amqp; measured.
"""

# Credit is given back in steps of this many events, or two thirds of the prefetch if that is less.
_STEP = 100


class Credit:
    """How many events the real client would have ready: its prefetch, less what it has not asked for anew.

    With a prefetch of 300 and batches of 256 that is 256, 244, 256, 244.

    Args:
        prefetch: as host.json has it; None: nothing is prefetched, each receive asks for what it wants.
    """

    def __init__(self, prefetch: int | None) -> None:
        self._prefetch = prefetch
        self._step = max(1, min(_STEP, (prefetch or 0) * 2 // 3))
        self._spent = 0

    def allow(self, wanted: int) -> int:
        """Return how many of these events one receive may return."""
        return wanted if self._prefetch is None else min(wanted, self._prefetch - self._spent)

    def spend(self, count: int) -> None:
        """Note that events were taken."""
        self._spent = (self._spent + count) % self._step
