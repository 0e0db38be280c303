"""Faults that the control port sets: a list of rules, of which the first that matches a request acts.

    {"match": {"operation": "batch", "pk": "UA|2013-09-01", "id": "…", "nth": [1, 3], "every": 5,
               "probability": 0.2, "seed": 7},
     "action": {"status": 429, "substatus": 3200, "retryAfterMs": 500, "message": "…", "body": "json",
                "inBatchIndex": 2, "afterCommit": true, "delaySeconds": 1.5, "reset": true,
                "ignoreIfMatch": true},
     "count": 10, "seconds": 30}

Everything is optional but ``action``. ``docs`` in README.md.
"""

import random
import time
from collections.abc import Callable
from typing import Literal

import msgspec

Operation = Literal[
    "account",
    "metadata",
    "batch",
    "create",
    "upsert",
    "replace",
    "patch",
    "delete",
    "read",
    "query",
    "write",
    "any",
]
WRITES = frozenset({"batch", "create", "upsert", "replace", "patch", "delete"})


class Match(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Which requests a rule is for.

    Attributes:
        operation: One name or several; ``write`` is every write, ``any`` everything.
        pk: The partition key: a text, or the JSON list of a key that is none.
        id: The item, or one in the batch.
        nth: Acts on these of the requests that match otherwise, counted from 1.
        every: Acts on every n-th of them.
        probability: Acts with this chance, drawn from ``seed``.
    """

    operation: Operation | list[Operation] = "any"
    pk: str | None = None
    id: str | None = None
    nth: list[int] | int | None = None
    every: int | None = None
    probability: float | None = None
    seed: int = 0


class Action(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What happens to a request.

    Attributes:
        status: The HTTP status answered; with ``in_batch_index`` the status of that operation in a 207.
        substatus: ``x-ms-substatus``.
        retry_after_ms: ``x-ms-retry-after-ms``; in a 207 ``retryAfterMilliseconds``.
        message: The text in the body; left out, what the service says with that status and sub-status.
        body: ``json`` as the service, ``html`` as a proxy, ``text``, or ``empty``.
        in_batch_index: Position of the guilty operation, or ``"id"``: the one that ``match.id`` names.
        after_commit: The request is carried out first; the outcome is unknown to the client.
        delay_seconds: Waits before the request is carried out, or after it where ``after_commit`` says so.
            Alone, the true answer follows.
        delay_in_body: The delay comes after the headers and half of the body.
        reset: The connection is reset after the headers and half of the body.
        ignore_if_match: A transactional batch is carried out without the conditions of its operations.
    """

    status: int | None = None
    substatus: int = 0
    retry_after_ms: int | None = None
    message: str | None = None
    body: Literal["json", "html", "text", "empty"] = "json"
    in_batch_index: int | Literal["id"] | None = None
    after_commit: bool = False
    delay_seconds: float = 0.0
    delay_in_body: bool = False
    reset: bool = False
    ignore_if_match: bool = False

    @property
    def batches_only(self) -> bool:
        """Whether it has a meaning for transactional batches alone."""
        return self.in_batch_index is not None or self.ignore_if_match


class Rule(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A match, an action, and how long the rule lives.

    That is ``count`` acts, ``seconds`` since it was set, or for ever.
    """

    action: Action
    match: Match = msgspec.field(default_factory=Match)
    count: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.action.in_batch_index == "id" and self.match.id is None:
            raise ValueError("'inBatchIndex': 'id' needs 'match': {'id': …}")
        if self.action.in_batch_index is not None and self.action.status is None:
            raise ValueError("'inBatchIndex' needs a 'status'")
        if self.match.every is not None and self.match.every < 1:
            raise ValueError("'every' must be 1 or more")


class Request(msgspec.Struct):
    """What rules look at."""

    operation: str
    pk: str | None = None
    ids: tuple[str, ...] = ()


class Active:
    """A rule in force, with what it has seen."""

    def __init__(self, rule: Rule, clock: Callable[[], float]) -> None:
        self.rule = rule
        self._clock = clock
        self._until = None if rule.seconds is None else clock() + rule.seconds
        self._random = random.Random(rule.match.seed)  # noqa: S311  # repeatable faults, no secret
        nth = rule.match.nth
        self._nth = None if nth is None else frozenset([nth] if isinstance(nth, int) else nth)
        wanted = rule.match.operation
        self._operations = frozenset([wanted] if isinstance(wanted, str) else wanted)
        self.matched = 0
        self.acted = 0

    def over(self) -> bool:
        """Tell whether the rule has had its time or its count."""
        if self._until is not None and self._clock() >= self._until:
            return True
        return self.rule.count is not None and self.acted >= self.rule.count

    def acts(self, request: Request) -> bool:
        """Count a request, and tell whether the rule acts on it."""
        match, operations = self.rule.match, self._operations
        if not (
            "any" in operations
            or request.operation in operations
            or ("write" in operations and request.operation in WRITES)
        ):
            return False
        if match.pk is not None and match.pk != request.pk:
            return False
        if match.id is not None and match.id not in request.ids:
            return False
        if self.rule.action.batches_only and request.operation != "batch":
            return False
        self.matched += 1
        if self._nth is not None and self.matched not in self._nth:
            return False
        if match.every is not None and self.matched % match.every:
            return False
        if match.probability is not None and self._random.random() >= match.probability:
            return False
        self.acted += 1
        return True


class Faults:
    """The list of rules."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rules: list[Active] = []
        self.acted = 0

    def add(self, rules: list[Rule]) -> None:
        """Append rules."""
        self._rules.extend(Active(rule, self._clock) for rule in rules)

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def __bool__(self) -> bool:
        return bool(self._rules)

    def act(self, request: Request) -> Rule | None:
        """Return the first rule that acts on a request."""
        for active in self._rules:
            if not active.over() and active.acts(request):
                self.acted += 1
                return active.rule
        return None

    def describe(self) -> list[dict[str, object]]:
        """Return the rules with their counters."""
        return [
            {
                **msgspec.to_builtins(active.rule),
                "matched": active.matched,
                "acted": active.acted,
                "over": active.over(),
            }
            for active in self._rules
        ]
