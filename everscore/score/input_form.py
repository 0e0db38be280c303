"""What a manifest says of one input: where it stands, its type, and what becomes of odd values."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from everscore.config.checked_json import refuse, repeated
from everscore.event.pointer import parse_pointer

_LARGEST = sys.float_info.max

LARGEST_LIST = 1_000_000
"""Numbers in one input that is a list: a mistaken shape would otherwise ask for all of the memory."""


class InputType(StrEnum):
    """The JSON type that an input must have in the payload."""

    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"


def _checked_pointer(text: str) -> str:
    parse_pointer(text)
    return text


def _one_scalar(value: object, check: ValidatorFunctionWrapHandler) -> object:
    # Without this, pydantic reports one mistake for each member of the union.
    try:
        return check(value)
    except ValidationError:
        raise ValueError(f"must be a number, a text or a boolean, found {value!r}") from None


Pointer = Annotated[str, AfterValidator(_checked_pointer)]
Scalar = Annotated[bool | int | FiniteFloat | str, WrapValidator(_one_scalar)]
ClassName = Annotated[int | str, WrapValidator(_one_scalar)]
Name = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """A part of a manifest: unknown fields are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Default(Part):
    """The value that stands in for another one."""

    value: Scalar


Rule = Annotated[
    Annotated[Literal["nan", "reject"], Tag("@rule")] | Annotated[Default, Tag("@value")],
    Discriminator(lambda found: "@value" if isinstance(found, dict | Default) else "@rule"),
]


class Input(Part):
    """One input: where it stands in the payload, its type, and what happens when it is missing or null."""

    name: Name = Field(description="the column's name in training")
    pointer: Pointer = Field(description="JSON Pointer (RFC 6901) into the payload")
    type: InputType
    missing: Rule = Field(
        default="reject",
        description="missing or null: 'nan' gives the model a NaN, 'reject' refuses the event, "
        '{"value": …} stands in for it',
    )
    categories: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="the values that training knew, in the order of their codes: the model is given the "
        "place of the value in this list, from 0 on (schema 2)",
    )
    unseen: Rule = Field(
        default="reject",
        description="a value that is none of the categories: 'nan' gives the model a NaN, 'reject' refuses "
        'the event, {"value": …} is one of the categories, or a whole number to give the model (schema 2)',
    )
    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] | None = Field(
        default=None,
        description="the input is a list of so many numbers, or lists in lists, outermost length first, as "
        "for a sequence or an image (schema 2)",
    )

    @property
    def may_be_nan(self) -> bool:
        """Whether the model may be given a NaN for it."""
        return self.missing == "nan" or (self.categories is not None and self.unseen == "nan")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        mistakes = [*self._about_missing(), *self._about_categories(), *self._about_shape()]
        refuse(mistakes)
        return self

    def _about_missing(self) -> list[str]:
        if self.missing == "nan" and self.type is InputType.TEXT and self.categories is None:
            mistake = (
                f"the input '{self.name}' is text, which has no NaN: set 'missing' to 'reject' or "
                'to a value such as {"value": ""}'
            )
            return [mistake]
        if isinstance(self.missing, Default) and not fits(self.missing.value, self.type):
            mistake = (
                f"the input '{self.name}' is of type {self.type}, which {self.missing.value!r} (its value "
                "when missing) is not"
            )
            return [mistake]
        return []

    def _about_categories(self) -> list[str]:
        if self.categories is None:
            if self.unseen == "reject":
                return []
            return [f"the input '{self.name}' says what becomes of unseen values, but has no categories"]
        mistakes = [
            f"the input '{self.name}' is of type {self.type}, which its category {each!r} is not"
            for each in self.categories
            if not fits(each, self.type)
        ]
        mistakes += repeated(f"the categories of the input '{self.name}'", self.categories)
        if isinstance(self.missing, Default) and self.missing.value not in self.categories:
            mistakes.append(
                f"the input '{self.name}' has {self.missing.value!r} for its missing values, which is none "
                "of its categories"
            )
        if isinstance(self.unseen, Default) and self.unseen_code() is None:
            mistakes.append(
                f"the input '{self.name}' has {self.unseen.value!r} for its unseen values: give one of its "
                "categories, or a whole number"
            )
        return mistakes

    def unseen_code(self) -> int | None:
        """The code of unseen values, where they have one: a category's place, or the number that is said."""
        if not isinstance(self.unseen, Default):
            return None
        value, categories = self.unseen.value, self.categories or ()
        if fits(value, self.type) and value in categories:
            return categories.index(value)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _about_shape(self) -> list[str]:
        if self.shape is None:
            return []
        mistakes = []
        if self.type not in (InputType.NUMBER, InputType.INTEGER):
            mistakes.append(f"the input '{self.name}' has a shape, so its type is number or integer")
        if self.categories is not None:
            mistakes.append(f"the input '{self.name}' has a shape and categories: give one of them")
        count = 1
        for each in self.shape:
            count *= each
        if count > LARGEST_LIST:
            mistakes.append(
                f"the input '{self.name}' has {count:,} numbers by its shape: at most {LARGEST_LIST:,}"
            )
        return mistakes


def fits(value: object, kind: InputType) -> bool:
    """Whether a value of a manifest is of an input's type."""
    match kind:
        case InputType.TEXT:
            return isinstance(value, str)
        case InputType.BOOLEAN:
            return isinstance(value, bool)
        case InputType.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        case InputType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
