"""Models of texts: tokens as scikit-learn makes them, the same on every machine, whatever its locale."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from everscore.event.scores import Scores
from everscore.failures import Transient
from everscore.score.loading import load_model
from everscore.score.onnx import open_session
from everscore_models import ExportError, Input, InputType, Trained, read_frame
from everscore_models.candidate import Choices
from everscore_models.export import export
from everscore_models.graph.locale import ascii_faults, locale_faults
from everscore_models.sources.onnx_graph import read
from everscore_models.texts import HEADER
from everscore_models.tokens import Analysis, tokens

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [
    "La forêt est BELLE, l'été aussi",
    "Der Fluß ist GRÜN und die Straße nass",
    "森林 は 静か です 川 も",
    "İstanbul'da ÇOK güzel bir gün",
    "the forest is green\nand the river\u00a0runs",
    "Ёлка в лесу растёт",
    "n\u0301andu\u0301 e\u0301te\u0301 DECOMPOSED forms",
    "",
    "!!! ...",
]
EVENTS = [
    {
        "text": f"{TEXTS[row % len(TEXTS)]} {TEXTS[row // 3 % len(TEXTS)]}",
        "length": row % 7,
        "site": "NS"[row % 2],
    }
    for row in range(72)
]
CLASSES = ["wet" if row % 3 else "dry" for row in range(72)]
TEXT = Input(name="text", pointer="/text", type=InputType.TEXT)
LENGTH = Input(name="length", pointer="/length", type=InputType.NUMBER)
SITE = Input(name="site", pointer="/site", type=InputType.TEXT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for a model."""
    made = tmp_path / "words"
    made.mkdir()
    return made


def trained(pipeline: Any, *inputs: Input, **changes: Any) -> Trained:
    """Fits a pipeline on all events; without a ColumnTransformer it is given a list of texts."""
    frame = read_frame(EVENTS, inputs)
    first = pipeline.steps[0][1]
    given = frame if isinstance(first, ColumnTransformer) else frame["text"].tolist()
    return Trained(
        version="1",
        pipeline=pipeline.fit(given, CLASSES),
        inputs=inputs,
        held_out=EVENTS,
        data="made",
        rows=len(EVENTS),
        positive="wet",
        sample=EVENTS[:9],
        **changes,
    )


def assert_equal_scores(made: Trained, folder: Path) -> None:
    """ONNX scores are scikit-learn's own, of texts in many scripts too."""
    manifest = export(made, folder)
    assert manifest.features is not None
    found = load_model(folder).score(EVENTS)
    frame = read_frame(EVENTS, made.inputs)
    given = frame if hasattr(made.pipeline, "feature_names_in_") else frame["text"].tolist()
    wanted = made.pipeline.predict_proba(given)
    assert all(isinstance(each, Scores) for each in found)
    np.testing.assert_allclose(
        [list(each.values.values()) for each in found if isinstance(each, Scores)], wanted, atol=1e-5
    )
    assert len({tuple(row) for row in wanted.round(6).tolist()}) > 10


VECTORIZERS = {
    "TfidfVectorizer": TfidfVectorizer(),
    "CountVectorizer": CountVectorizer(),
    "sequences of words without stop words": TfidfVectorizer(ngram_range=(1, 3), stop_words=["is", "und"]),
    "accents stripped": TfidfVectorizer(strip_accents="unicode", use_idf=False),
    "char": CountVectorizer(analyzer="char", ngram_range=(1, 2), binary=True),
    "char_wb": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), norm="l1"),
    "tokens with spaces": CountVectorizer(token_pattern=r"[^,']+", lowercase=False),
}


@pytest.mark.parametrize("name", VECTORIZERS)
def test_accents_and_scripts_score_as_in_scikit_learn(folder: Path, name: str) -> None:
    """Each way to make tokens of texts gives the graph the same tokens."""
    assert_equal_scores(trained(make_pipeline(VECTORIZERS[name], LogisticRegression()), TEXT), folder)


def test_texts_beside_numbers_and_categories(folder: Path) -> None:
    """A ColumnTransformer gives a text to two vectorizers, and the other columns to their own steps."""
    both = FeatureUnion([("words", TfidfVectorizer()), ("pieces", CountVectorizer(analyzer="char"))])
    columns = ColumnTransformer(
        [
            ("text", Pipeline([("both", both)]), "text"),
            ("site", OneHotEncoder(handle_unknown="ignore"), ["site"]),
            ("length", StandardScaler(), ["length"]),
        ]
    )
    made = trained(make_pipeline(columns, LogisticRegression()), LENGTH, TEXT, SITE)
    assert_equal_scores(made, folder)
    source = (folder / "features.py").read_text()
    assert source.startswith(HEADER)
    export(made, folder)  # again: it is the exporter's own file
    assert (folder / "features.py").read_text() == source


def test_what_a_search_found_is_exported(folder: Path) -> None:
    """Of a search for parameters the best pipeline is converted, with its tokens."""
    search = GridSearchCV(
        make_pipeline(TfidfVectorizer(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}, cv=2
    )
    search.fit([str(each["text"]) for each in EVENTS], CLASSES)
    made = trained(make_pipeline(TfidfVectorizer(), LogisticRegression()), TEXT)
    assert_equal_scores(replace(made, pipeline=search), folder)


def test_a_text_model_scores_without_any_locale(folder: Path, tmp_path: Path) -> None:
    """A process that finds no locale of the system scores each text as scikit-learn did."""
    pipeline = make_pipeline(TfidfVectorizer(), SGDClassifier(loss="log_loss", random_state=0))
    made = trained(pipeline, TEXT)
    export(made, folder)
    empty = tmp_path / "no-locales"
    empty.mkdir()
    program = (
        "import json, sys; from pathlib import Path; from everscore.score.loading import load_model\n"
        "events = json.load(sys.stdin)\n"
        "print(json.dumps([each.value for each in load_model(Path(sys.argv[1])).score(events)]))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    found = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        input=json.dumps(EVENTS),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**environment, "LOCPATH": str(empty), "LC_ALL": "C"},
    )
    wanted = made.pipeline.predict_proba([each["text"] for each in EVENTS])[:, 1]
    np.testing.assert_allclose(json.loads(found.stdout), wanted, atol=1e-5)


def test_the_tokens_are_scikit_learns() -> None:
    """On texts made by chance out of odd letters and spaces the analyzers agree, whatever their parameters."""
    chance = random.Random(4)
    letters = "abcÀéÉ ß\n\t _9森，.!'İǅ\u00a0\u0301-"
    for analyzer in ("word", "char", "char_wb"):
        for lowercase, accents in ((True, None), (False, "unicode"), (True, "ascii")):
            for sequence in ((1, 1), (1, 2), (2, 3), (3, 5)):
                for stop in (None, ["ab", "éé"]):
                    wanted = CountVectorizer(
                        analyzer=analyzer,
                        lowercase=lowercase,
                        strip_accents=accents,
                        ngram_range=sequence,
                        stop_words=stop if analyzer == "word" else None,
                    )
                    own = Analysis(
                        analyzer, lowercase, accents, wanted.token_pattern, sequence, frozenset(stop or ())
                    )
                    analyze = wanted.build_analyzer()
                    for _ in range(10):
                        text = "".join(chance.choices(letters, k=chance.randrange(15)))
                        assert sorted(tokens(text, own)) == sorted(analyze(text)), (text, own)


def refusal(made: Trained, folder: Path) -> str:
    """The sentence with which the export is refused."""
    before = sorted(each.name for each in folder.iterdir())
    with pytest.raises(ExportError) as caught:
        export(made, folder)
    assert sorted(each.name for each in folder.iterdir()) == before
    return str(caught.value)


def lowered(texts: Any) -> Any:
    """A step before the vectorizer."""
    return [each.lower() for each in texts]


def test_what_no_features_py_can_do_is_refused(folder: Path) -> None:
    """Own functions, a vectorizer behind another step, and a text that is also taken as it is."""
    own = make_pipeline(TfidfVectorizer(tokenizer=str.split, token_pattern=None), LogisticRegression())
    assert "calls a function of your own (tokenizer)" in refusal(trained(own, TEXT), folder)
    behind = make_pipeline(FunctionTransformer(lowered), TfidfVectorizer(), LogisticRegression())
    assert "'tfidfvectorizer' (TfidfVectorizer) stands behind another step" in refusal(
        trained(behind, TEXT), folder
    )
    columns = ColumnTransformer(
        [("words", TfidfVectorizer(), "text"), ("whole", OneHotEncoder(handle_unknown="ignore"), ["text"])]
    )
    sentence = refusal(trained(make_pipeline(columns, LogisticRegression()), TEXT), folder)
    assert "The steps 'columntransformer/words' and 'columntransformer/whole' both take 'text'" in sentence


def test_the_logarithm_of_counts_is_no_silent_trap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """skl2onnx takes log(1 + count) for sublinear_tf: refused by name, and found by the gate."""
    made = trained(make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression()), TEXT)
    assert "set sublinear_tf=False" in refusal(made, folder)
    monkeypatch.setattr("everscore_models.convert.refuse_traps", lambda _: None)
    assert "ONNX and scikit-learn disagree on" in refusal(made, folder)


OWN = """
import numpy as np

def features(columns):
    return {"text": np.array([" ".join(each.casefold().split()) for each in columns["text"]], dtype=object)}
"""


def test_a_features_py_of_ones_own_makes_the_tokens_itself(folder: Path) -> None:
    """With one the vectorizer must take tokens as they are; it is used, and never written over."""
    (folder / "features.py").write_text(OWN)
    default = trained(make_pipeline(TfidfVectorizer(), LogisticRegression()), TEXT)
    assert "is there already" in refusal(default, folder)
    owned = trained(make_pipeline(TfidfVectorizer(), LogisticRegression()), TEXT, feature_columns=["text"])
    assert "the model has a features.py of its own" in refusal(owned, folder)
    plain = make_pipeline(TfidfVectorizer(lowercase=False, token_pattern=r"\S+"), LogisticRegression())
    casefolded = [" ".join(str(each["text"]).casefold().split()) for each in EVENTS]
    made = Trained(
        version="1",
        pipeline=plain.fit(casefolded, CLASSES),
        inputs=[TEXT],
        held_out=EVENTS,
        data="made",
        rows=len(EVENTS),
        positive="wet",
        feature_columns=["text"],
    )
    export(made, folder)
    assert (folder / "features.py").read_text() == OWN
    found = load_model(folder).score(EVENTS)
    wanted = plain.predict_proba(casefolded)[:, 1]
    np.testing.assert_allclose([each.value for each in found if isinstance(each, Scores)], wanted, atol=1e-5)


def normalizer(**attributes: Any) -> onnx.ModelProto:
    """A graph of a StringNormalizer."""
    value = [helper.make_tensor_value_info(name, TensorProto.STRING, [None]) for name in "xy"]
    node = helper.make_node("StringNormalizer", ["x"], ["y"], name="lower", **attributes)
    graph = helper.make_graph([node], "test", value[:1], value[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize(
    ("attributes", "needs"),
    [
        ({"case_change_action": "LOWER"}, True),
        ({"case_change_action": "UPPER", "locale": "xx_XX.UTF-8"}, True),
        ({"case_change_action": "NONE", "is_case_sensitive": 0, "stopwords": ["a"]}, True),
        ({"case_change_action": "NONE", "is_case_sensitive": 1, "stopwords": ["a"]}, False),
        ({"case_change_action": "NONE"}, False),
        ({"case_change_action": "LOWER", "locale": "C"}, False),
    ],
    ids=["lower", "upper", "stop words", "exact stop words", "nothing", "C"],
)
def test_a_graph_that_needs_a_locale_is_known(attributes: dict[str, Any], *, needs: bool) -> None:
    """It is found by its attributes, just where onnxruntime asks the system for a locale that may lack."""
    attributes.setdefault("locale", "xx_XX.UTF-8" if needs else "en_US.UTF-8")
    model = normalizer(**attributes)
    assert [
        ("'lower' (StringNormalizer)" in each, "lowercase=False" in each) for each in locale_faults(model)
    ] == ([(True, True)] if needs else [])
    content = model.SerializeToString()
    if not needs:
        open_session(content, Path("model.onnx"), 1)
        return
    with pytest.raises(Transient) as caught:
        open_session(content, Path("model.onnx"), 1)
    assert caught.value.reason == "model needs a locale"
    assert "xx_XX.UTF-8, which this machine has not" in caught.value.detail


def test_patterns_of_ascii_letters_are_known_within_subgraphs_too() -> None:
    """A Tokenizer for ASCII splits words at accents; it is found in the body of an If as well."""
    token = helper.make_node(
        "Tokenizer",
        ["x"],
        ["t"],
        domain="com.microsoft",
        tokenexp="[a-zA-Z0-9_]+",
        pad_value="#",
        mincharnum=1,
    )
    inner = helper.make_graph(
        [token], "inner", [], [helper.make_tensor_value_info("t", TensorProto.STRING, None)]
    )
    choice = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph(
        [choice],
        "outer",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [None])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, None)],
    )
    faults = ascii_faults(helper.make_model(graph))
    assert len(faults) == 2
    assert all("[a-zA-Z0-9_]+" in each and "splits a word at each accent" in each for each in faults)


def test_a_text_model_that_skl2onnx_made_alone_is_refused_as_an_onnx_file(tmp_path: Path) -> None:
    """The file of somebody's own conversion lower-cases by a locale: refused; without that, its ASCII is noted."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import StringTensorType

    path = tmp_path / "words.onnx"
    for lowercase in (True, False):
        model = make_pipeline(TfidfVectorizer(lowercase=lowercase), LogisticRegression())
        model.fit([str(each["text"]) for each in EVENTS], CLASSES)
        made = convert_sklearn(
            model,
            initial_types=[("text", StringTensorType([None, 1]))],
            options={id(model): {"zipmap": False}},
            target_opset={"": 21, "ai.onnx.ml": 3},
        )
        path.write_bytes(made.SerializeToString())
        if lowercase:
            with pytest.raises(ExportError, match=r"\(StringNormalizer\) lower-cases by a locale"):
                read(path, Choices(positive="wet"))
        else:
            notes = read(path, Choices(positive="wet")).notes
            assert any("splits a word at each accent" in each for each in notes)
