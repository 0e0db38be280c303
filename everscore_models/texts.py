"""Text vectorizers of a pipeline, converted so that accents and scripts count alike on every machine.

What makes tokens of a text runs as the model's features.py (`everscore_models.tokens`), and the graph, made
of a copy of the pipeline, only counts the tokens that it is given.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline

from everscore_models import tokens
from everscore_models.errors import ExportError
from everscore_models.steps import is_text_vectorizer
from everscore_models.tokens import ESCAPE, SEPARATOR, Analysis, prefix_of

HEADER = "# Written by the exporter of Everscore: made anew with each export.\n"
"""By this the file is told from one of the user's own."""
PLAIN_PATTERN = r"\S+"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pipeline whose texts come as tokens.

    Attributes:
        pipeline: to convert.
        options: of the converter.
        features: the source of features.py; None where there is no text vectorizer.
    """

    pipeline: Any
    options: Mapping[int, Mapping[str, Any]]
    features: str | None


@dataclass(frozen=True, slots=True)
class Use:
    """A leaf of the pipeline, and the columns that it is given.

    Attributes:
        path: of the leaf.
        leaf: the estimator.
        columns: None: what another step made of them.
        filled: whether an imputer stands before it, so that they do not come as they are.
    """

    path: str
    leaf: Any
    columns: tuple[str, ...] | None
    filled: bool = False


def prepare_texts(pipeline: Any, columns: Sequence[str], own_features: bool) -> Prepared:
    """A copy of the pipeline whose text vectorizers take tokens, and the features.py that makes them.

    Args:
        pipeline: a fitted estimator.
        columns: that it takes.
        own_features: whether the model has a features.py of its own, so that there can be no other.

    Raises:
        ExportError: a vectorizer has own functions, or stands where no features.py can reach.
    """
    found = [each for each in uses(pipeline, tuple(columns)) if is_text_vectorizer(each.leaf)]
    if not found:
        return Prepared(pipeline, {}, None)
    if own_features:
        for each in found:
            _refuse_unless_plain(each)
        return Prepared(pipeline, {}, None)
    texts = {name: [each for each in found if each.columns == (name,)] for name in columns}
    for each in found:
        _refuse(each)
    for name, takers in texts.items():
        _refuse_shared(name, takers, uses(pipeline, tuple(columns)))
    copied = copy.deepcopy(pipeline)
    twins = [each.leaf for each in uses(copied, tuple(columns)) if is_text_vectorizer(each.leaf)]
    analyses: dict[str, tuple[Analysis, ...]] = {}
    for name, takers in texts.items():
        if not takers:
            continue
        ways = {each.path: _analysis(each) for each in takers}
        analyses[name] = tuple(dict.fromkeys(ways.values()))
        for each, twin in zip(found, twins, strict=True):
            if each.path in ways:
                _take_tokens(twin, analyses[name].index(ways[each.path]), len(analyses[name]))
    options = {id(twin): {"tokenexp": f"[^{SEPARATOR}]+"} for twin in twins}
    return Prepared(copied, options, _source(analyses))


def uses(
    step: Any, columns: tuple[str, ...] | None, path: str = "", *, filled: bool = False
) -> Iterator[Use]:
    """The leaves of a pipeline, each with the columns that it is given."""
    if isinstance(step, str) or step is None:  # 'drop' and 'passthrough'
        return
    children: list[tuple[str, Any, tuple[str, ...] | None, bool]] = []
    if isinstance(step, Pipeline):
        given = columns
        for name, each in step.steps:
            if each is None or isinstance(each, str):
                continue
            children.append((name, each, given, filled))
            filled = True
            given = given if isinstance(each, SimpleImputer) else None
    elif isinstance(step, ColumnTransformer):
        children = [
            (name, each, None if columns is None else _names(taken, columns), filled)
            for name, each, taken in step.transformers_
        ]
    elif isinstance(step, FeatureUnion):
        children = [(name, each, columns, filled) for name, each in step.transformer_list]
    elif isinstance(step, Mapping):
        children = [(name, each, columns, filled) for name, each in step.items()]
    else:
        yield Use(path or type(step).__name__, step, columns, filled)
        return
    for name, each, taken, behind in children:
        yield from uses(each, taken, f"{path}/{name}" if path else name, filled=behind)


def _names(taken: Any, columns: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(taken, str):
        return (taken,)
    return tuple(each if isinstance(each, str) else columns[int(each)] for each in taken)


def _refuse(use: Use) -> None:
    what = _own_function(use.leaf)
    if what is not None:
        raise ExportError(
            f"The step '{use.path}' ({type(use.leaf).__name__}) calls a function of your own ({what}), which "
            "no "
            "graph holds: do its work in features.py, which runs alike in training and in serving, and set "
            f'lowercase=False, token_pattern=r"{PLAIN_PATTERN}".'
        )
    if use.columns is None or use.filled or len(use.columns) != 1:
        raise ExportError(
            f"The step '{use.path}' ({type(use.leaf).__name__}) stands behind another step: it must be the "
            "first that is given a text, since its tokens are made before the graph."
        )
    odd = [each for each in use.leaf.vocabulary_ if SEPARATOR in each or ESCAPE in each]
    if odd:
        raise ExportError(
            f"The step '{use.path}' ({type(use.leaf).__name__}) has the token {odd[0]!r} in its vocabulary, "
            "whose control characters separate tokens here: remove them from the texts before training."
        )


def _own_function(leaf: Any) -> str | None:
    if callable(leaf.analyzer):
        return "analyzer"
    return next((name for name in ("preprocessor", "tokenizer") if getattr(leaf, name) is not None), None)


def _refuse_shared(name: str, texts: Sequence[Use], all_uses: Iterator[Use]) -> None:
    if not texts:
        return
    for use in all_uses:
        if use.columns is not None and name in use.columns and not is_text_vectorizer(use.leaf):
            raise ExportError(
                f"The steps '{texts[0].path}' and '{use.path}' both take '{name}', one as tokens and one as "
                "it is: name it twice in the inputs, with one pointer, and give each step its own."
            )


def _refuse_unless_plain(use: Use) -> None:
    leaf = use.leaf
    plain = (
        leaf.analyzer == "word"
        and not leaf.lowercase
        and leaf.strip_accents is None
        and leaf.token_pattern == PLAIN_PATTERN
        and not leaf.stop_words
        and _own_function(leaf) is None
    )
    if not plain:
        raise ExportError(
            f"The step '{use.path}' ({type(leaf).__name__}) makes tokens in a way that no graph does alike "
            "on "
            "every machine, and the model has a features.py of its own: do it there (lower-case, find the "
            f'words, join them by spaces), and set lowercase=False, token_pattern=r"{PLAIN_PATTERN}".'
        )


def _analysis(use: Use) -> Analysis:
    leaf = use.leaf
    least, most = leaf.ngram_range
    try:
        re.compile(leaf.token_pattern or "")
    except re.error as error:  # the vocabulary was given, and the pattern never used
        raise ExportError(f"The step '{use.path}' has no regular expression in token_pattern.") from error
    return Analysis(
        analyzer=leaf.analyzer,
        lowercase=bool(leaf.lowercase),
        strip_accents=leaf.strip_accents,
        token_pattern=leaf.token_pattern or "",
        ngram_range=(int(least), int(most)),
        stop_words=frozenset(leaf.get_stop_words() or ()),
    )


def _take_tokens(leaf: Any, number: int, count: int) -> None:
    prefix = prefix_of(number, count)
    leaf.vocabulary_ = {prefix + token: place for token, place in leaf.vocabulary_.items()}
    leaf.analyzer, leaf.ngram_range = "word", (1, 1)  # a sequence of words is one token by now
    leaf.lowercase, leaf.strip_accents, leaf.stop_words = False, None, None
    leaf.token_pattern = PLAIN_PATTERN


def _source(analyses: Mapping[str, Sequence[Analysis]]) -> str:
    lines = [
        f"    {name!r}: ({''.join(f'{_written(each)}, ' for each in found)}),\n"
        for name, found in analyses.items()
    ]
    return f"{HEADER}{inspect.getsource(tokens)}\n\nTEXTS |= {{\n{''.join(lines)}}}\n"


def _written(analysis: Analysis) -> str:
    values = []
    for name, value in analysis._asdict().items():
        shown = f"frozenset({sorted(value)!r})" if isinstance(value, frozenset) else repr(value)
        values.append(f"{name}={shown}")
    return f"Analysis({', '.join(values)})"
