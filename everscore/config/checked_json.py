"""Reading a JSON file that a person wrote: every mistake at once, one sentence each.

Used for the manifests of models and of the stream. A field given twice is refused, since JSON readers
silently keep the last one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from everscore.failures import ManifestError

HIDDEN_STEP = "@"
"""Tags of discriminated unions begin with this, so that sentences leave them out of a field's path."""


class MistakesError(ValueError):
    """Several mistakes of one part, a sentence each; raised by a pydantic validator."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


def refuse(mistakes: Sequence[str]) -> None:
    """Raises `MistakesError` if there are any."""
    if mistakes:
        raise MistakesError(mistakes)


def repeated(what: str, names: Iterable[object]) -> list[str]:
    """One sentence for each name that stands more than once in `what`."""
    return [f"'{name}' stands {times} times in {what}" for name, times in Counter(names).items() if times > 1]


def listed(names: Iterable[object]) -> str:
    """Names for a sentence: joined by commas, or ``none``."""
    return ", ".join(str(name) for name in names) or "none"


def parse_json_model[T: BaseModel](model: type[T], raw: bytes, *, where: str) -> T:
    """Reads JSON into a pydantic model, strictly: no text is taken for a number, no number for a text.

    Args:
        model: the pydantic model; it decides what is known and what is missing.
        raw: the bytes of the file, UTF-8 with or without a byte order mark.
        where: what begins each sentence, such as the file's path.

    Raises:
        ManifestError: not UTF-8 JSON, a field given twice, or mistakes; one sentence a line.
    """
    try:
        text = utf8_text(raw)
        document = json.loads(text, object_pairs_hook=_unique_members, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{where}: is not valid JSON: {error}.") from error
    if not isinstance(document, dict):
        raise ManifestError(f"{where}: must hold one JSON object, found {_kind_of(document)}.")
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise ManifestError("\n".join(f"{where}: {sentence}." for sentence in _sentences(error))) from error


def utf8_text(raw: bytes) -> str:
    """The text of a file that a person wrote, without the byte order mark that some editors begin it with.

    Raises:
        ValueError: it is not UTF-8; of UTF-16 and UTF-32, which JSON once allowed, it says so.
    """
    encoding = json.detect_encoding(raw)
    if not encoding.startswith("utf-8"):
        raise ValueError(f"it is {encoding[:6].upper()}; save it as UTF-8")
    return raw.decode("utf-8-sig")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"the field '{name}' is given twice in one object")
        members[name] = value
    return members


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _sentences(error: ValidationError) -> list[str]:
    found: list[str] = []
    for each in error.errors(include_url=False):
        path = _path([step for step in each["loc"] if not str(step).startswith(HIDDEN_STEP)])
        cause = each.get("ctx", {}).get("error")
        if isinstance(cause, MistakesError):
            found.extend(cause.sentences)
        elif isinstance(cause, ValueError):
            found.append(f"{path}: {cause}" if path else str(cause))
        elif each["type"] == "missing":
            found.append(f"the field '{path}' is missing")
        elif each["type"] == "extra_forbidden":
            found.append(f"the field '{path}' is unknown: remove it, or correct its spelling")
        elif each["type"] == "too_short" and each["input"]:
            continue  # pydantic's echo of mistakes in the items, which are reported themselves
        else:
            message = each["msg"][0].lower() + each["msg"][1:]
            found.append(f"{path}: {message}, found {_shown(each['input'])}" if path else message)
    return found


def _path(steps: Sequence[int | str]) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


def _kind_of(value: object) -> str:
    names: Mapping[type, str] = {list: "an array", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
