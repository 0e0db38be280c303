"""Proposes a model's inputs: where its columns stand in the events, of which type, and what when missing."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from everscore.event.pointer import parse_pointer
from everscore.score.input_form import Default, Input, InputType, fits
from everscore_models.candidate import Column
from everscore_models.errors import ExportError
from everscore_models.sources.described import type_of

_LOOKED_AT = 10_000
_DEEPEST = 8
_NEAREST = 3


@dataclass(frozen=True, slots=True)
class Proposal:
    """The inputs, and what the person who adds the model should know of them."""

    inputs: Sequence[Input]
    notes: Sequence[str]


@dataclass(slots=True)
class _Seen:
    """What stands at one place of the events."""

    tokens: tuple[str, ...]
    kinds: Counter[type]
    example: Any
    whole: bool = True

    @property
    def pointer(self) -> str:
        return "".join("/" + each.replace("~", "~0").replace("/", "~1") for each in self.tokens)


def propose(
    columns: Sequence[Column], events: Sequence[Mapping[str, Any]], given: Mapping[str, str] | None = None
) -> Proposal:
    """An input for each column.

    Args:
        columns: of the model.
        events: decoded; up to 10,000 of them are looked at.
        given: by column, the field that it is: a pointer, or a name.

    Raises:
        ExportError: a column stands nowhere in the events, at several places, or is of no fitting type.
    """
    looked = events[:: max(1, len(events) // _LOOKED_AT)][:_LOOKED_AT]
    places = _places(looked)
    given = dict(given or {})
    unknown = [name for name in given if name not in {each.name for each in columns}]
    if unknown:
        raise ExportError(
            f"The model has no column '{unknown[0]}': it takes {', '.join(each.name for each in columns)}."
        )
    found: dict[str, _Seen] = {}
    lacking: list[str] = []
    for each in columns:
        at = _find(given.get(each.name, each.name), each, places)
        if at is None:
            lacking.append(each.name)
        else:
            found[each.name] = at
    if lacking:
        raise ExportError(_about_lacking(lacking, places, columns))
    inputs: list[Input] = []
    notes: list[str] = []
    taken: dict[str, str] = {}
    for column in columns:
        place = found[column.name]
        if place.pointer in taken:
            raise ExportError(
                f"The columns '{taken[place.pointer]}' and '{column.name}' would both be read from "
                f"{place.pointer}: say which field is which (--input {column.name}=/FIELD)."
            )
        taken[place.pointer] = column.name
        made, about = _input(column, place, len(looked))
        inputs.append(made)
        notes += about
    return Proposal(inputs, notes)


def _places(events: Sequence[Mapping[str, Any]]) -> list[_Seen]:
    found: dict[tuple[str, ...], _Seen] = {}

    def look(value: Any, tokens: tuple[str, ...]) -> None:
        if isinstance(value, Mapping) and len(tokens) < _DEEPEST:
            for name, inner in value.items():
                look(inner, (*tokens, str(name)))
            return
        place = found.get(tokens)
        if place is None:
            place = found[tokens] = _Seen(tokens, Counter(), None)
        if value is not None:
            place.kinds[type(value)] += 1
            place.example = value

    for event in events:
        look(event, ())
    found.pop((), None)
    return list(found.values())


def _find(wanted: str, column: Column, places: Sequence[_Seen]) -> _Seen | None:
    """The place of a column: by pointer, by name, nested, and last by what is left without case and marks."""
    if wanted.startswith("/"):
        tokens = parse_pointer(wanted)
        return next((each for each in places if each.tokens == tokens), None)
    rules = (
        lambda tokens: tokens == (wanted,),
        lambda tokens: wanted in {mark.join(tokens) for mark in (".", "_", "__", "/", " ")},
        lambda tokens: tokens[-1] == wanted,
        lambda tokens: _plain("".join(tokens)) == _plain(wanted),
        lambda tokens: _plain(tokens[-1]) == _plain(wanted),
    )
    for rule in rules:
        alike = [each for each in places if rule(each.tokens)]
        if len(alike) > 1:
            raise ExportError(
                f"The column '{column.name}' may be {' or '.join(each.pointer for each in alike)}: say which "
                f"(--input {column.name}={alike[0].pointer})."
            )
        if alike:
            return alike[0]
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold() or name


def _about_lacking(lacking: Sequence[str], places: Sequence[_Seen], columns: Sequence[Column]) -> str:
    names = {each.tokens[-1]: each.pointer for each in places}
    plain = {_plain(name): pointer for name, pointer in names.items()}
    told = []
    for name in lacking[:10]:
        near = [plain[each] for each in difflib.get_close_matches(_plain(name), plain, _NEAREST, 0.5)]
        told.append(f"'{name}'" + (f" (nearest: {', '.join(near)})" if near else ""))
    more = f" and {len(lacking) - 10} more" if len(lacking) > 10 else ""
    way = "name the field of a column with --input COLUMN=/FIELD"
    if len(lacking) == len(columns):
        way = "name the fields in the order of the model's columns with --columns A,B,…"
    has = ", ".join(sorted(each.pointer for each in places)[:20])
    return (
        f"The events have no field for the column{'s' if len(lacking) > 1 else ''} {', '.join(told)}{more}; "
        f"they have {has}: {way}."
    )


def _input(column: Column, place: _Seen, rows: int) -> tuple[Input, list[str]]:
    notes: list[str] = []
    kind = column.type or (type_of(column.categories) if column.categories else _type_in(column, place))
    if kind is InputType.TEXT and column.type is None and column.takes_nan and not column.categories:
        raise ExportError(
            f"The model takes numbers for '{column.name}', and {place.pointer} holds texts "
            f"({place.example!r}, say): list its values in the order of their codes (--categories "
            f"{column.name}=A,B,…), or give events that hold the codes."
        )
    _refuse_other_type(column, kind, place)
    absent = rows - sum(place.kinds.values())
    missing: Any = "reject"
    is_text = kind is InputType.TEXT and not column.categories
    if column.fill is not None:
        missing = Default(value=column.fill)
    elif column.takes_nan and not is_text and column.shape is None:
        missing = "nan"
    elif absent:
        why = (
            "takes no missing value"
            if column.takes_nan is False or is_text
            else "may take none, its file does not say"
        )
        notes.append(
            f"'{column.name}' is missing in {absent:,} of {rows:,} events, and the model {why}: such events "
            'are refused. Where training put a value in, say so in the manifest ("missing": {"value": …}).'
        )
    options: dict[str, Any] = {}
    if column.categories:
        options = {"categories": column.categories, "unseen": column.unseen}
    if column.shape:
        options["shape"] = column.shape
    return Input(name=column.name, pointer=place.pointer, type=kind, missing=missing, **options), notes


def _type_in(column: Column, place: _Seen) -> InputType:
    kinds = set(place.kinds)
    if not kinds:
        raise ExportError(
            f"{place.pointer} is missing or null in all events, so that nobody knows the type of the column "
            f"'{column.name}': give events that have it."
        )
    if kinds == {bool}:
        return InputType.BOOLEAN
    if kinds <= {int, float}:
        return InputType.NUMBER
    if kinds == {str}:
        return InputType.TEXT
    if kinds == {list} and column.shape:
        return InputType.NUMBER
    named = ", ".join(sorted(_NAMES.get(each, each.__name__) for each in kinds))
    raise ExportError(f"{place.pointer} holds {named} in the events: an input holds one type.")


_NAMES = {str: "texts", bool: "booleans", int: "numbers", float: "numbers", list: "lists", dict: "objects"}


def _refuse_other_type(column: Column, kind: InputType, place: _Seen) -> None:
    """One event of another type is its own mistake; all of them are a mistake of the table."""
    if not place.kinds:
        return
    if column.shape:
        if list not in place.kinds:
            raise ExportError(
                f"The column '{column.name}' is a list of numbers of the shape {list(column.shape)}, and "
                f"{place.pointer} holds none."
            )
        return
    types: dict[InputType, set[type]] = {
        InputType.TEXT: {str},
        InputType.BOOLEAN: {bool},
        InputType.INTEGER: {int},
        InputType.NUMBER: {int, float},
    }
    if types[kind].isdisjoint(place.kinds) and not fits(place.example, kind):
        kinds = ", ".join(sorted({_NAMES.get(each, each.__name__) for each in place.kinds}))
        raise ExportError(
            f"The model takes a {kind} for '{column.name}', and {place.pointer} holds {kinds} "
            f"({place.example!r}, say)."
        )
