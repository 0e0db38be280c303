"""What a query over several partitions asks of the client, as the service's gateway sees it.

The gateway serves no GROUP BY and no aggregates over several partitions itself: it refuses (400/1004), the
SDK asks for a plan and says what it can do on its own, and gets another 400 where that is not enough. The
Python SDK can neither group nor aggregate without VALUE (README of azure-cosmos, "Cross-partition queries";
Azure/azure-sdk-for-python#25868). The stand-in could answer all of them: then they would fail in Azure alone.
"""

import re
from functools import lru_cache

from .errors import ServiceError

NOT_SERVABLE = 1004
_AGGREGATES = frozenset({"AVG", "COUNT", "MAX", "MIN", "SUM"})
# Texts (quoted property names too), comments, words and numbers, anything else.
_WORD = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|--[^\n]*|[A-Za-z_]\w*|\S""", re.ASCII)

_VALUE = re.compile(r"\s*SELECT\s+(?:DISTINCT\s+)?(?:TOP\s+\S+\s+)?VALUE\b", re.IGNORECASE)


@lru_cache(maxsize=256)
def features_of(query: str) -> frozenset[str]:
    """Return those of ``GroupBy`` and ``NonValueAggregate`` that a query has outside of its subqueries."""
    words = [word.upper() for word in _WORD.findall(query) if not word.startswith("--")]
    features: set[str] = set()
    aggregates = False
    brackets: list[bool] = []  # of each open one, whether it holds a subquery
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        if word == "(":
            brackets.append(after == "SELECT")
        elif word == ")":
            if brackets:
                brackets.pop()
        elif any(brackets):
            continue
        elif word == "GROUP" and after == "BY":
            features.add("GroupBy")
        elif word in _AGGREGATES and after == "(" and before != ".":
            aggregates = True
    if aggregates and not _VALUE.match(query):
        features.add("NonValueAggregate")
    return frozenset(features)


def check_direct(query: str) -> None:
    """Refuse what a client has to plan.

    Raises:
        ServiceError: 400/1004.
    """
    if features_of(query):
        raise ServiceError(
            400,
            "The provided cross partition query can not be directly served by the gateway. This is a first"
            " chance (internal) exception that all newer clients will know how to handle gracefully.",
            substatus=NOT_SERVABLE,
        )


def check_client(query: str, supported: str) -> None:
    """Refuse to plan what a client cannot do.

    Args:
        query: The query.
        supported: The header ``x-ms-cosmos-supported-query-features``.

    Raises:
        ServiceError: 400.
    """
    missing = sorted(features_of(query) - {name.strip() for name in supported.split(",")})
    if missing:
        raise ServiceError(
            400,
            "Query contains the following features, which the calling client does not support:"
            f" {' '.join(missing)}. (Within one partition key, or with VALUE, it may be.)",
        )
