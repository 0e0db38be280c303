"""Partial update: add, set, replace, remove, incr, move.

Source: learn.microsoft.com/azure/cosmos-db/partial-document-update.
"""

from typing import Any

from .errors import ServiceError

MAX_OPERATIONS = 10
_MISSING = object()


def apply_patch(item: dict[str, Any], body: Any) -> dict[str, Any]:
    """Return the item with the operations of a patch body applied.

    Raises:
        ServiceError: 400 for what is malformed, does not fit the item, or has a condition.
    """
    operations = body.get("operations") if isinstance(body, dict) else body
    if isinstance(body, dict) and body.get("condition") is not None:
        raise ServiceError(400, "The stand-in does not know conditions of a patch (filter_predicate).")
    if not isinstance(operations, list) or not operations:
        raise ServiceError(400, "Invalid patch request: it needs a list of operations.")
    if len(operations) > MAX_OPERATIONS:
        raise ServiceError(400, f"The number of patch operations can't exceed '{MAX_OPERATIONS}'.")
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise ServiceError(400, "Invalid patch request: an operation needs 'op' and 'path'.")
        _apply(item, operation)
    return item


def _names(path: str) -> list[str]:
    if not path.startswith("/"):
        raise ServiceError(400, f"The patch path '{path}' must begin with '/'.")
    return [name.replace("~1", "/").replace("~0", "~") for name in path[1:].split("/")]


def _child(parent: Any, name: str, path: str) -> Any:
    if isinstance(parent, dict):
        return parent.get(name, _MISSING)
    if isinstance(parent, list):
        if not name.isdecimal():
            raise ServiceError(400, f"The patch path '{path}' needs an array index at '{name}'.")
        return parent[int(name)] if int(name) < len(parent) else _MISSING
    return _MISSING


def _parent(item: dict[str, Any], path: str) -> tuple[Any, str]:
    *way, last = _names(path)
    parent: Any = item
    for name in way:
        parent = _child(parent, name, path)
    if not isinstance(parent, dict | list):
        raise ServiceError(400, f"The patch path '{path}' does not exist: its parent is missing.")
    return parent, last


def _put(parent: Any, name: str, value: Any, path: str, *, insert: bool) -> None:
    if isinstance(parent, dict):
        parent[name] = value
        return
    position = len(parent) if name == "-" else int(name) if name.isdecimal() else -1
    if not 0 <= position <= len(parent):
        raise ServiceError(400, f"The patch path '{path}' is outside of the array.")
    if insert or position == len(parent):
        parent.insert(position, value)
    else:
        parent[position] = value


def _remove(item: dict[str, Any], path: str) -> Any:
    parent, name = _parent(item, path)
    value = _child(parent, name, path)
    if value is _MISSING:
        raise ServiceError(400, f"The patch path '{path}' does not exist.")
    del parent[name if isinstance(parent, dict) else int(name)]
    return value


def _apply(item: dict[str, Any], operation: dict[str, Any]) -> None:
    path, kind = operation["path"], operation.get("op")
    if kind == "remove":
        _remove(item, path)
        return
    if kind == "move":
        value = _remove(item, str(operation.get("from", "")))
        parent, name = _parent(item, path)
        _put(parent, name, value, path, insert=True)
        return
    if "value" not in operation:
        raise ServiceError(400, f"The patch operation '{kind}' needs a value.")
    value = operation["value"]
    parent, name = _parent(item, path)
    if kind in ("add", "set"):
        _put(parent, name, value, path, insert=kind == "add")
        return
    current = _child(parent, name, path)
    if kind == "replace":
        if current is _MISSING:
            raise ServiceError(400, f"The patch path '{path}' does not exist.")
        _put(parent, name, value, path, insert=False)
        return
    if kind in ("incr", "increment"):
        start = 0 if current is _MISSING else current
        if not _is_number(start) or not _is_number(value):
            raise ServiceError(400, f"The patch path '{path}' is no number.")
        _put(parent, name, start + value, path, insert=False)
        return
    raise ServiceError(400, f"The patch operation '{kind}' is not known.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
