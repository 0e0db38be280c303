"""Route templates of HTTP triggers: ``items/{id:int}/{tail?}``, ``files/{*path}``.

The constraints of ASP.NET routing that occur in function apps; names and literal parts ignore case.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from .errors import ConfigurationError
from .functions import Function

_SEGMENT = re.compile(r"\{(\*?)([^}:?=]+)(?::([a-z]+)(?:\([^)]*\))?)?(\?)?\}")
_CONSTRAINTS = {
    None: "[^/]+",
    "int": r"-?\d+",
    "long": r"-?\d+",
    "alpha": "[A-Za-z]+",
    "bool": "(?i:true|false)",
    "guid": "[0-9A-Fa-f-]{32,36}",
    "decimal": r"-?\d+(?:\.\d+)?",
    "double": r"-?\d+(?:\.\d+)?",
    "float": r"-?\d+(?:\.\d+)?",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One function under one path; ``methods`` empty for all."""

    function: Function
    template: str
    methods: frozenset[str]
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    literals: int


def compile_route(function: Function, prefix: str) -> Route:
    """Return the route of an HTTP function.

    Raises:
        ConfigurationError: a constraint that this host does not know.
    """
    route = function.trigger.text("route", function.name).strip("/")
    template = f"{prefix}/{route}" if prefix else route
    parts: list[str] = []
    names: list[str] = []
    literals = 0
    for segment in template.split("/"):
        found = _SEGMENT.fullmatch(segment)
        if found is None:
            # A segment may also mix text and parameters: {name}.{ext}
            parts.append("/" + _mixed(segment, names, function.name))
            literals += 1
            continue
        star, name, constraint, optional = found.groups()
        names.append(name)
        pattern = ".*" if star else _constraint(constraint, function.name)
        parts.append(f"(?:/({pattern}))?" if star or optional else f"/({pattern})")
    methods = frozenset(str(method).upper() for method in function.trigger.settings.get("methods") or [])
    compiled = re.compile("".join(parts) + "/?", re.IGNORECASE)
    return Route(function, template, methods, compiled, tuple(names), literals)


def _mixed(segment: str, names: list[str], function: str) -> str:
    out: list[str] = []
    end = 0
    for found in _SEGMENT.finditer(segment):
        names.append(found[2])
        out += [re.escape(segment[end : found.start()]), f"({_constraint(found[3], function)})"]
        end = found.end()
    return "".join(out) + re.escape(segment[end:])


def _constraint(name: str | None, function: str) -> str:
    try:
        return _CONSTRAINTS[name]
    except KeyError:
        known = ", ".join(sorted(key for key in _CONSTRAINTS if key))
        raise ConfigurationError(
            f"The route of function {function} uses the constraint '{name}'; this host knows {known}."
        ) from None


class Router:
    """Finds the function of a request; more literal segments win."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = sorted(routes, key=lambda route: -route.literals)

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]] | int:
        """Return the route and its parameters, or the status 404 or 405."""
        status = 404
        for route in self._routes:
            found = route.pattern.fullmatch(raw_path)
            if found is None:
                continue
            if route.methods and method not in route.methods:
                status = 405
                continue
            values = zip(route.names, found.groups(), strict=True)
            return route, {name: unquote(value) for name, value in values if value is not None}
        return status
