"""The manifest of a model: what it accepts, and that it reports every mistake at once."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from everscore.failures import ManifestError
from everscore.score.input_form import Default, InputType
from everscore.score.manifest import load_manifest, manifest_schema, parse_manifest
from everscore.score.output_form import Kind

ROOT = Path(__file__).resolve().parents[3]
SCHEMA_PATH = ROOT / "everscore" / "schemas" / "model.schema.json"

CLASSIFIER: dict[str, Any] = {
    "$schema": "../../everscore/schemas/model.schema.json",
    "schema": 1,
    "name": "pumps",
    "version": "2.0.1",
    "kind": "classifier",
    "sha256": "0" * 64,
    "inputs": [
        {"name": "temp", "pointer": "/sensor/temp", "type": "number", "missing": "nan"},
        {"name": "site", "pointer": "/site", "type": "text", "missing": {"value": "unknown"}},
        {"name": "starts", "pointer": "/starts", "type": "integer"},
    ],
    "outputs": {
        "value": "probabilities",
        "label": "label",
        "classes": [0, 1],
        "labels": ["fine", "failing"],
        "positive": "failing",
    },
}


def changed(**changes: Any) -> dict[str, Any]:
    """The good manifest with some fields replaced."""
    return copy.deepcopy(CLASSIFIER) | changes


def mistakes(document: Any) -> list[str]:
    """The sentences with which a manifest is refused."""
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ManifestError) as caught:
        parse_manifest(raw, where="m")
    lines = str(caught.value).splitlines()
    assert all(line.startswith("m: ") and line.endswith(".") for line in lines)
    return [line.removeprefix("m: ").removesuffix(".") for line in lines]


def test_a_good_manifest_is_read() -> None:
    """All parts of a manifest arrive typed; 'missing' defaults to reject; a byte order mark does no harm."""
    manifest = parse_manifest(b"\xef\xbb\xbf" + json.dumps(CLASSIFIER).encode())
    assert (manifest.name, manifest.version, manifest.kind) == ("pumps", "2.0.1", Kind.CLASSIFIER)
    assert [each.missing for each in manifest.inputs] == ["nan", Default(value="unknown"), "reject"]
    assert manifest.inputs[2].type is InputType.INTEGER
    assert manifest.outputs.label_of() == {0: "fine", 1: "failing"}
    assert manifest.columns_by_tensor() == {"temp": ("temp",), "site": ("site",), "starts": ("starts",)}


def test_all_mistakes_are_reported_at_once() -> None:
    """Nine mistakes in one file give eight sentences, each naming its field, what was found and what to do."""
    document = changed(colour="red", sha256="abc", kind="clasifier")
    del document["version"]
    document["inputs"][0] |= {"pointer": "sensor/temp", "type": "float", "missing": "NaN"}
    document["inputs"][1]["missing"] = {"default": 1}
    kinds = "'classifier', 'multiclass', 'regressor', 'anomaly' or 'clusterer'"
    assert mistakes(document) == [
        "the field 'version' is missing",
        f'kind: input should be {kinds}, found "clasifier"',
        "sha256: string should match pattern '^[0-9a-f]{64}$', found \"abc\"",
        "inputs[0].pointer: the JSON Pointer 'sensor/temp' must start with '/', as in '/sensor/temp'",
        "inputs[0].type: input should be 'number', 'integer', 'text' or 'boolean', found \"float\"",
        "inputs[0].missing: input should be 'nan' or 'reject', found \"NaN\"",
        "the field 'inputs[1].missing.value' is missing",
        "the field 'inputs[1].missing.default' is unknown: remove it, or correct its spelling",
        "the field 'colour' is unknown: remove it, or correct its spelling",
    ]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"", "is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "must hold one JSON object, found an array"),
        (b'{"schema": 1, "schema": 1}', "is not valid JSON: the field 'schema' is given twice in one object"),
        (b'{"schema": NaN}', "is not valid JSON: NaN is not JSON"),
        (changed(schema=3), "schema: input should be 1 or 2, found 3"),
        (
            changed(schema_number=1),
            "the field 'schema_number' is unknown: remove it, or correct its spelling",
        ),
        (changed(version=2), "version: input should be a valid string, found 2"),
    ],
)
def test_what_is_no_manifest_is_refused(document: Any, expected: str) -> None:
    """Broken JSON, a repeated field, another schema and a wrong type each give one plain sentence."""
    assert mistakes(document) == [expected]


def with_input(**changes: Any) -> dict[str, Any]:
    """The good manifest with its first input changed."""
    document = changed()
    document["inputs"][0] |= changes
    return document


def with_outputs(kind: str = "classifier", **changes: Any) -> dict[str, Any]:
    """The good manifest of another kind, its outputs changed; None removes one."""
    document = changed(kind=kind)
    document["outputs"] |= changes
    document["outputs"] = {name: value for name, value in document["outputs"].items() if value is not None}
    return document


def of_schema_2(document: dict[str, Any]) -> dict[str, Any]:
    """The same manifest with the number of the schema that knows all fields."""
    return document | {"schema": 2}


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (with_input(categories=[1, 2]), "'categories' of the input 'temp'"),
        (with_input(shape=[3]), "'shape' of the input 'temp'"),
        (with_outputs(transform="sigmoid"), "outputs.transform"),
        (
            changed(parity={"rows": 0, "tolerance": 0, "largestDifference": 0, "compared": "nothing"}),
            "parity",
        ),
    ],
)
def test_what_schema_1_has_not_needs_schema_2(document: dict[str, Any], field: str) -> None:
    """A field of schema 2 under the number 1 is refused, since a release that knows only 1 ignores none."""
    [sentence] = mistakes(document)
    assert sentence.startswith(field)
    assert sentence.endswith('is of schema 2: set "schema": 2')
    parse_manifest(json.dumps(of_schema_2(document)).encode())


@pytest.mark.parametrize(
    ("document", "part"),
    [
        (with_input(unseen="nan"), "says what becomes of unseen values, but has no categories"),
        (with_input(categories=["a", 1]), "is of type number, which its category 'a' is not"),
        (with_input(categories=[1, 1]), "'1' stands 2 times in the categories of the input 'temp'"),
        (with_input(categories=[1], missing={"value": 2}), "2 for its missing values, which is none of its"),
        (with_input(categories=[1], unseen={"value": 0.5}), "0.5 for its unseen values: give one of its"),
        (with_input(type="text", missing="reject", shape=[2]), "so its type is number or integer"),
        (with_input(shape=[2], categories=[1]), "has a shape and categories: give one of them"),
        (with_input(shape=[1024, 1024]), "has 1,048,576 numbers by its shape: at most 1,000,000"),
        (with_outputs("regressor", transform="softmax"), "a regressor has none"),
        (with_outputs(columns=["a", "b"]), "only a regressor has several outputs.columns"),
        (with_outputs(value=["p", "q"]), "only a regressor has several outputs.columns"),
        (with_outputs("regressor", value=["p", "q"]), "outputs.columns must name their numbers"),
        (with_outputs("regressor", columns=["a"], main="b"), "outputs.main is 'b', which is none of outputs"),
        (with_outputs("clusterer"), "the distance to the nearest: remove outputs.positive"),
        (with_outputs("clusterer", classes=None, labels=None, positive=None), "needs outputs.classes"),
    ],
)
def test_contradictions_in_fields_of_schema_2_are_refused(document: dict[str, Any], part: str) -> None:
    """The fields of schema 2 are held against one another like all others."""
    assert any(part in sentence for sentence in mistakes(of_schema_2(document)))


@pytest.mark.parametrize(
    ("document", "part"),
    [
        (with_input(type="text"), "is text, which has no NaN"),
        (with_input(missing={"value": "x"}), "is of type number, which 'x' (its value when missing) is not"),
        (with_input(missing={"value": True}), "is of type number, which True"),
        (
            with_input(type="integer", missing={"value": 2**63}),
            "is of type integer, which 9223372036854775808",
        ),
        (with_input(missing={"value": 10**400}), "is of type number, which 1000"),
        (with_input(name="site"), "'site' stands 2 times in the names of inputs"),
        (changed(inputs=[]), "inputs: tuple should have at least 1 item"),
        (changed(tensors={"X": ["temp", "speed"]}), "tensors.X names the column 'speed'"),
        (changed(tensors={"site": ["temp"]}), "both feed the ONNX input 'site'"),
        (
            with_outputs(positive="broken"),
            "outputs.positive is 'broken', which is none of the labels (fine, failing)",
        ),
        (with_outputs(positive=None), "a classifier needs outputs.positive"),
        (with_outputs(labels=["fine"]), "outputs.labels has 1 labels for 2 classes"),
        (with_outputs(classes=[1, 1]), "'1' stands 2 times in outputs.classes"),
        (
            with_outputs(classes=[0, 1, 2], labels=["a", "b", "failing"]),
            "found 3: for more, kind is 'multiclass'",
        ),
        (with_outputs(classes=[0, None]), "outputs.classes[1]: must be a number"),
        (with_outputs("regressor"), "a regressor has no classes"),
        (with_outputs("anomaly"), "an anomaly detector has one score for all classes"),
        (with_outputs("anomaly", label=None, positive=None), "an anomaly detector needs outputs.label"),
    ],
)
def test_contradictions_are_refused(document: dict[str, Any], part: str) -> None:
    """A manifest that is well formed but contradicts itself gives a sentence that says how."""
    assert any(part in sentence for sentence in mistakes(document))


def test_the_committed_schema_is_that_of_the_code() -> None:
    """The JSON Schema that '$schema' names is what the pydantic model generates today."""
    assert json.loads(SCHEMA_PATH.read_text("utf-8")) == manifest_schema()


def test_the_schema_agrees_with_the_code_on_form() -> None:
    """What an editor with the JSON Schema accepts or marks is what the code accepts or refuses."""
    validator = jsonschema.Draft202012Validator(manifest_schema())
    validator.validate(CLASSIFIER)
    for wrong in (
        changed(colour="red"),
        with_input(missing="NaN"),
        with_input(type="float"),
        changed(schema=3),
    ):
        assert not validator.is_valid(wrong)
        assert mistakes(wrong)


def test_every_committed_manifest_names_a_schema_that_exists() -> None:
    """Each model's manifest is valid, and its '$schema' leads from its folder to the committed schema."""
    manifests = sorted((ROOT / "models").glob("*/manifest.json"))
    assert manifests
    for path in manifests:
        manifest = load_manifest(path.parent)
        assert manifest.name == path.parent.name
        assert (path.parent / manifest.schema_reference).resolve() == SCHEMA_PATH


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """A folder without a manifest is a ManifestError that names the path."""
    with pytest.raises(ManifestError, match=r"manifest\.json: cannot be read \(No such file"):
        load_manifest(tmp_path)
