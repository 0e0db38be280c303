"""ONNX files of any exporter: what is read out of their graphs, and what is asked or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from everscore.score.output_form import Kind
from everscore_models.adding import Wishes, add
from everscore_models.candidate import Candidate, Choices
from everscore_models.errors import ExportError
from everscore_models.graph.classes import classes_of
from everscore_models.probabilities import refuse_logits
from everscore_models.sources import onnx_graph
from tests.support.candidate_models import load
from tests.support.onnx_files import BOOL, DOUBLE, FLOAT, INT64, STRING, graph, scores

ROWS = [{"a": float(a), "b": float(b)} for a in range(-3, 4) for b in (-1.5, 0.25, 2.0)]
MATRIX = np.array([list(row.values()) for row in ROWS], np.float32)
LISTS = [{"X": list(row.values())} for row in ROWS]
TARGET = (MATRIX[:, 0] > 0).astype(int) + (MATRIX[:, 0] > 1)


def converted(estimator: Any, **options: Any) -> ModelProto:
    """A fitted estimator as skl2onnx writes it when nobody tells it otherwise."""
    from skl2onnx import to_onnx

    model: ModelProto = to_onnx(
        estimator,
        MATRIX[:1],
        target_opset={"": 18, "ai.onnx.ml": 3},
        options={id(estimator): options} if options else None,
    )
    return model


def read(model: ModelProto, **choices: Any) -> Candidate:
    """What is read out of a graph."""
    return onnx_graph.candidate(model, Choices(**choices))


def one_node(operator: str, width: int = 3, output: str = "y", **attributes: Any) -> ModelProto:
    """An operator over a matrix of some columns."""
    shape = [None, width]
    node = helper.make_node(operator, ["x"], [output], **attributes)
    return graph({"x": (FLOAT, shape)}, [node], {output: (FLOAT, shape)})


def numbered(first_shape: list[Any], kind: int = FLOAT, output: str = "y") -> ModelProto:
    """A model whose one input has any shape and type, and whose output is its sum by row."""
    axes = numpy_helper.from_array(np.arange(1, max(len(first_shape), 2), dtype=np.int64), "axes")
    nodes = [
        helper.make_node("Cast", ["x"], ["numbers"], to=FLOAT),
        helper.make_node("ReduceSum", ["numbers", "axes"], [output], keepdims=0),
    ]
    model = graph({"x": (kind, first_shape)}, nodes, {output: (FLOAT, [None])})
    model.graph.initializer.append(axes)
    return model


@pytest.mark.parametrize("zipmap", [True, False], ids=["maps", "columns"])
@pytest.mark.parametrize("classes", [[5, 7, 9], ["früh", "nah", "spät"]], ids=["numbers", "texts"])
def test_classifier_of_skl2onnx_has_its_own_classes(zipmap: bool, classes: list[Any], tmp_path: Path) -> None:
    """Classes are found behind a ZipMap, an ArrayFeatureExtractor or the trees; nothing has to be said."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(5, random_state=1).fit(MATRIX, np.array(classes)[TARGET])
    found = read(converted(forest, zipmap=zipmap))

    assert found.kind is Kind.MULTICLASS
    assert found.outputs["classes"] == classes
    assert found.library == "scikit-learn"
    model = load(found, tmp_path)
    wanted = forest.predict_proba(MATRIX)
    for row, label, score in zip(wanted, forest.predict(MATRIX), scores(model, LISTS), strict=True):
        assert score.label == str(label)
        assert list(score.values.values()) == pytest.approx(row.tolist(), abs=1e-6)


@pytest.mark.parametrize("zipmap", [True, False], ids=["maps", "columns"])
def test_two_classes_of_skl2onnx(zipmap: bool, tmp_path: Path) -> None:
    """A logistic regression: the second class is the positive one unless another is named."""
    from sklearn.linear_model import LogisticRegression

    model = converted(LogisticRegression().fit(MATRIX, TARGET > 0), zipmap=zipmap)
    found = read(model, labels=["on time", "late"])
    assert found.kind is Kind.CLASSIFIER
    assert found.outputs["positive"] == "late"

    other = read(model, labels=["on time", "late"], positive="on time")
    (tmp_path / "other").mkdir()
    late = scores(load(found, tmp_path), LISTS)
    early = scores(load(other, tmp_path / "other"), LISTS)
    for one, two in zip(late, early, strict=True):
        assert one.value == pytest.approx(1 - two.value, abs=1e-6)
        assert one.label == two.label


def test_margins_are_no_probabilities_though_their_output_is_named_so() -> None:
    """skl2onnx calls the margins of a linear support vector machine probabilities; its operator says not."""
    from sklearn.svm import LinearSVC

    model = converted(LinearSVC().fit(MATRIX, TARGET))
    assert "probabilities" in [each.name for each in model.graph.output]
    with pytest.raises(ExportError, match="holds margins, which are no probabilities: calibrate"):
        read(model)
    assert read(model, transform="sigmoid").outputs["transform"] == "sigmoid"


def test_clusters_of_skl2onnx_are_told_by_the_nearest_distance(tmp_path: Path) -> None:
    """A label that is the place of the smallest number: a clusterer, its numbers the distances."""
    from sklearn.cluster import KMeans

    means = KMeans(3, random_state=1, n_init=1).fit(MATRIX)
    found = read(converted(means))

    assert found.kind is Kind.CLUSTERER
    assert found.outputs["classes"] == [0, 1, 2]
    assert "The file numbers its clusters from 0 to 2." in found.notes
    for row, label, score in zip(
        means.transform(MATRIX), means.predict(MATRIX), scores(load(found, tmp_path), LISTS), strict=True
    ):
        assert score.label == str(label)
        assert list(score.values.values()) == pytest.approx(row.tolist(), abs=1e-4)


def test_anomaly_detector_of_skl2onnx(tmp_path: Path) -> None:
    """A label of -1 and 1 and one score."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=10, random_state=1).fit(MATRIX)
    found = read(converted(forest))

    assert found.kind is Kind.ANOMALY
    wanted = forest.decision_function(MATRIX)
    for value, label, score in zip(
        wanted, forest.predict(MATRIX), scores(load(found, tmp_path), LISTS), strict=True
    ):
        assert score.value == pytest.approx(value, abs=1e-5)
        assert score.label == {-1: "anomaly", 1: "normal"}[label]


def test_trees_take_missing_numbers_and_lines_do_not() -> None:
    """What becomes of a NaN is tried; only trees are known to have a branch for it."""
    from sklearn.linear_model import LinearRegression
    from sklearn.tree import DecisionTreeRegressor

    assert read(converted(DecisionTreeRegressor().fit(MATRIX, TARGET))).columns[0].takes_nan is True
    assert read(converted(LinearRegression().fit(MATRIX, TARGET))).columns[0].takes_nan is False


def test_named_features_of_a_matrix_are_columns(tmp_path: Path) -> None:
    """Names in the file's metadata make a matrix its fields; without them it is one list."""
    from sklearn.linear_model import LinearRegression

    line = LinearRegression().fit(MATRIX, TARGET)
    model = converted(line)
    assert [(each.name, each.shape) for each in read(model).columns] == [("X", (2,))]

    model.metadata_props.add(key="feature_names", value='["a", "b"]')
    found = read(model)
    assert [(each.name, each.shape) for each in found.columns] == [("a", None), ("b", None)]
    assert found.tensors == {"X": ["a", "b"]}
    values = [each.value for each in scores(load(found, tmp_path), ROWS)]
    assert values == pytest.approx(line.predict(MATRIX).tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (FLOAT, "number"),
        (DOUBLE, "number"),
        (INT64, "integer"),
        (BOOL, "boolean"),
        (TensorProto.UINT8, "integer"),
    ],
)
@pytest.mark.parametrize("shape", [[None], [None, 1]], ids=["flat", "column"])
def test_inputs_of_one_value_have_the_type_of_their_tensor(
    kind: int, expected: str, shape: list[Any]
) -> None:
    """An input [N] or [N, 1] is a column of its own name."""
    nodes = [
        helper.make_node("Cast", ["x"], ["number"], to=FLOAT),
        helper.make_node("Neg", ["number"], ["y"]),
    ]
    (column,) = read(graph({"x": (kind, shape)}, nodes, {"y": (FLOAT, shape)})).columns

    assert (column.name, str(column.type), column.shape) == ("x", expected, None)


def test_several_texts_of_one_tensor_are_columns_side_by_side() -> None:
    """Only numbers come as lists; texts have a field each."""
    node = helper.make_node(
        "LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", keys_strings=["a"], values_floats=[1.0]
    )
    found = read(graph({"x": (STRING, [None, 2])}, [node], {"y": (FLOAT, [None, 2])}))

    assert [(each.name, str(each.type)) for each in found.columns] == [("x_0", "text"), ("x_1", "text")]
    assert found.tensors == {"x": ["x_0", "x_1"]}


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ([None, None], "leaves open how many numbers a row has"),
        ([None, "length", 3], "leaves open how many numbers a row has"),
        ([None, 2000, 2000], "takes 4,000,000 numbers a row"),
    ],
)
def test_inputs_that_no_event_could_fill_are_refused(shape: list[Any], sentence: str) -> None:
    """One sentence says why, and how to export instead."""
    with pytest.raises(ExportError, match=sentence):
        read(numbered(shape))


def test_input_without_a_dimension_of_rows_is_refused() -> None:
    """Five numbers of one row, or five rows: a net exported for one row without a batch."""
    node = [helper.make_node("Neg", ["x"], ["y"])]
    with pytest.raises(ExportError, match=r"export the model with one before it, as \[N, 5\]"):
        read(graph({"x": (FLOAT, [5])}, node, {"y": (FLOAT, [5])}))
    with pytest.raises(ExportError, match="has no dimension of rows"):
        read(graph({"x": (FLOAT, [])}, node, {"y": (FLOAT, [])}))


def test_fixed_number_of_rows_is_said(tmp_path: Path) -> None:
    """A file for three rows a call scores any number of them, in cut batches."""
    found = read(numbered([3, 2]))

    assert any("takes 3 row(s) a call" in note for note in found.notes)
    values = [each.value for each in scores(load(found, tmp_path), [{"x": [1, each]} for each in range(4)])]
    assert values == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("operator", "width", "kind"),
    [
        ("Softmax", 3, Kind.MULTICLASS),
        ("Softmax", 2, Kind.CLASSIFIER),
        ("Sigmoid", 1, Kind.CLASSIFIER),
        ("Sigmoid", 3, Kind.REGRESSOR),
        ("Relu", 1, Kind.REGRESSOR),
        ("Relu", 3, Kind.REGRESSOR),
    ],
)
def test_kind_goes_by_the_last_operator(operator: str, width: int, kind: Kind) -> None:
    """A softmax is for classes that exclude one another; a sigmoid of several columns is not."""
    assert read(one_node(operator, width)).kind is kind


def test_several_sigmoids_are_probabilities_of_their_own() -> None:
    """No label is made of them, since none of the classes excludes another."""
    found = read(one_node("Sigmoid"))

    assert found.outputs["columns"] == ["y_0", "y_1", "y_2"]
    assert any("a probability of its own" in note for note in found.notes)


def test_last_operator_within_a_function_is_found() -> None:
    """Exporters wrap modules in functions of the model."""
    model = one_node("Softmax")
    model.graph.node[0].op_type, model.graph.node[0].domain = "Head", "own"
    model.opset_import.append(helper.make_opsetid("own", 1))
    softmax = [helper.make_node("Softmax", ["a"], ["s"]), helper.make_node("Identity", ["s"], ["b"])]
    model.functions.append(
        helper.make_function("own", "Head", ["a"], ["b"], softmax, [helper.make_opsetid("", 18)])
    )

    assert read(model).kind is Kind.MULTICLASS


def test_softmax_of_one_number_is_refused() -> None:
    """It is always 1."""
    with pytest.raises(ExportError, match="a softmax is always 1"):
        read(one_node("Relu", 1), transform="softmax")


def test_transform_of_what_is_a_probability_already_is_refused() -> None:
    """Applied twice, the scores would be wrong without a word."""
    with pytest.raises(ExportError, match="makes probabilities of the output 'y' itself: leave --transform"):
        read(one_node("Softmax"), transform="softmax")


def heads(*operators: str) -> ModelProto:
    """A model with an output for each operator, named after it."""
    return graph(
        {"x": (FLOAT, [None, 3])},
        [helper.make_node(each, ["x"], [f"{each.lower()}_{n}"]) for n, each in enumerate(operators)],
        {f"{each.lower()}_{n}": (FLOAT, [None, 3]) for n, each in enumerate(operators)},
    )


def test_probability_is_preferred_to_numbers_of_unknown_meaning() -> None:
    """The others are not read, which a note says."""
    found = read(heads("Relu", "Softmax"))

    assert found.outputs["value"] == "softmax_1"
    assert any("'relu_0' are not read" in note for note in found.notes)


def test_probabilities_are_preferred_to_their_own_logits() -> None:
    """A net that gives both has one meaning."""
    model = graph(
        {"x": (FLOAT, [None, 3])},
        [helper.make_node("Neg", ["x"], ["logits"]), helper.make_node("Softmax", ["logits"], ["chances"])],
        {"logits": (FLOAT, [None, 3]), "chances": (FLOAT, [None, 3])},
    )

    assert read(model).outputs == {"value": "chances", "classes": [0, 1, 2]}
    assert read(model, outputs=["logits"]).outputs["transform"] == "softmax"


@pytest.mark.parametrize(
    ("operators", "outputs"), [(("Softmax", "Softmax"), []), (("Relu", "Softmax"), ["relu_0", "softmax_1"])]
)
def test_two_outputs_that_could_be_meant_are_asked_for(
    operators: tuple[str, ...], outputs: list[str]
) -> None:
    """Two heads of classes are two models."""
    with pytest.raises(ExportError, match="name the one that is meant with --outputs"):
        read(heads(*operators), outputs=outputs)


def test_labels_that_do_not_fit_are_refused() -> None:
    """One for each class, and the positive one among them."""
    with pytest.raises(ExportError, match="There are 3 classes"):
        read(one_node("Softmax"), labels=["a", "b"])
    with pytest.raises(ExportError, match="'d' is none of a, b, c"):
        read(one_node("Softmax"), labels=["a", "b", "c"], positive="d")


def test_label_alone_is_refused() -> None:
    """A file that gives the class and no number has nothing to score with."""
    node = helper.make_node("ArgMax", ["x"], ["label"], axis=1)
    with pytest.raises(ExportError, match="export the model with them, not with the class alone"):
        read(graph({"x": (FLOAT, [None, 3])}, [node], {"label": (INT64, [None, 1])}))


@pytest.mark.parametrize("content", [b"", b"\x08\x0a\x12", b"version https://git-lfs.github.com/spec/v1\n"])
def test_file_that_is_no_model_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    """Nothing, a beginning of a file, a pointer to one."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ExportError, match="or not a whole one"):
        onnx_graph.read(path, Choices())


def test_truncated_file_is_one_sentence(tmp_path: Path) -> None:
    """Half of a file is no model, wherever it ends."""
    content = one_node("Softmax").SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ExportError, match="not a whole one"):
        onnx_graph.read(path, Choices())


def test_operator_that_onnxruntime_has_not_is_refused() -> None:
    """The sentence holds onnxruntime's own reason."""
    model = one_node("Nothing")
    with pytest.raises(ExportError, match="could not load the file"):
        read(model, outputs=["y"])


def test_classes_that_stand_nowhere_are_none() -> None:
    """A softmax over a matrix product has no names."""
    assert classes_of(one_node("Softmax"), "y") is None


def free_width(estimator: Any) -> ModelProto:
    """A converted estimator whose input leaves the number of columns open, as is often written."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    model: ModelProto = to_onnx(
        estimator,
        initial_types=[("X", FloatTensorType([None, None]))],
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    return model


@pytest.mark.parametrize("name", ["scaled", "logistic", "line", "net", "vectors", "margins"])
def test_open_number_of_columns_is_known_from_the_weights(name: str, tmp_path: Path) -> None:
    """An input [N, …] has as many columns as there are weights for them."""
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR, OneClassSVM
    from sklearn.tree import DecisionTreeRegressor

    estimators = {
        "scaled": make_pipeline(StandardScaler(), DecisionTreeRegressor(max_depth=2)),
        "logistic": LogisticRegression(),
        "line": LinearRegression(),
        "net": MLPRegressor(hidden_layer_sizes=(2,), max_iter=50, solver="lbfgs", tol=0.1),
        "vectors": SVR(),
        "margins": OneClassSVM(),
    }
    found = read(free_width(estimators[name].fit(MATRIX, TARGET)))

    assert [(each.name, each.shape) for each in found.columns] == [("X", (2,))]
    assert len(scores(load(found, tmp_path), LISTS)) == len(LISTS)


def test_open_number_of_columns_of_trees_is_asked_for() -> None:
    """Trees name the columns that they split, and there may be more."""
    from sklearn.tree import DecisionTreeRegressor

    with pytest.raises(ExportError, match="leaves open how many numbers a row has"):
        read(free_width(DecisionTreeRegressor().fit(MATRIX, TARGET)))


def test_prediction_of_a_regressor_needs_no_note() -> None:
    """Trees of a regression are no logits; what the last operator leaves open is said."""
    from sklearn.tree import DecisionTreeRegressor

    assert read(converted(DecisionTreeRegressor().fit(MATRIX, TARGET))).notes == []
    assert any("say --transform sigmoid" in note for note in read(one_node("Relu", 1)).notes)


def test_maps_are_read_as_the_columns_that_they_were_made_of(tmp_path: Path) -> None:
    """A map for each row costs more than the model, and a manifest makes probabilities of columns alone."""
    classifier = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "margins"],
        domain="ai.onnx.ml",
        coefficients=[1.0, 0.0, 0.0, 1.0],
        intercepts=[0.0, 0.0],
        classlabels_ints=[0, 1],
    )
    maps = helper.make_node(
        "ZipMap", ["margins"], ["probability"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]
    )
    model = graph({"x": (FLOAT, [None, 2])}, [classifier, maps], {"label": (INT64, [None])})
    value = helper.make_tensor_type_proto(FLOAT, [])
    sequence = helper.make_sequence_type_proto(helper.make_map_type_proto(INT64, value))
    model.graph.output.append(helper.make_value_info("probability", sequence))

    found = read(model, transform="softmax")
    assert found.outputs["value"] == "probability"
    assert found.outputs["classes"] == [0, 1]
    assert found.outputs["transform"] == "softmax"
    (score,) = scores(load(found, tmp_path), [{"x": [1.0, 0.0]}])
    assert score.values == pytest.approx({"0": 0.7310586, "1": 0.2689414}, abs=1e-6)


def test_numbers_that_are_no_probabilities_are_refused_on_the_events(tmp_path: Path) -> None:
    """Where nothing in the file says what they are, the numbers themselves do."""
    found = read(one_node("Identity"), outputs=["y"], labels=["a", "b", "c"])
    assert found.kind is Kind.MULTICLASS
    model = load(found, tmp_path)

    shares = model.score([{"x": [0.25, 0.25, 0.5]}])
    assert refuse_logits(model.manifest, shares) is None
    own = model.score([{"x": [0.25, 0.25, 0.5]}, {"x": [0.9, 0.8, 0.0]}])
    assert (refuse_logits(model.manifest, own) or "").startswith("The probabilities of event 2 add up to 1.7")
    logits = model.score([{"x": [0.25, 0.25, 0.5]}, {"x": [0.5, 2.5, -2.0]}])
    with pytest.raises(ExportError, match=r"Event 2 gets 2.5 for 'b', which is no probability"):
        refuse_logits(model.manifest, logits)


def test_adding_refuses_what_are_no_probabilities(tmp_path: Path) -> None:
    """`model add` looks at the numbers of the events, also where there is no library to compare with."""
    onnx.save(one_node("Identity"), tmp_path / "net.onnx")
    events = tmp_path / "events.jsonl"
    events.write_text('{"x": [0.25, 0.25, 0.5]}\n' * 20 + '{"x": [0.5, 2.5, -2.0]}\n')
    choices = Choices(outputs=["y"], labels=["a", "b", "c"])
    wishes = Wishes(path=tmp_path / "net.onnx", events=events, models=tmp_path / "models", choices=choices)
    with pytest.raises(ExportError, match=r"Event 21 gets 2.5 for 'b', which is no probability.*--transform"):
        add(wishes)
    assert list((tmp_path / "models").iterdir()) == []


def test_weights_beyond_two_gigabytes_are_refused(tmp_path: Path) -> None:
    """Protobuf holds no more in one file; the sentence says how to make it smaller."""
    model = one_node("Identity")
    weights = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[3, 2**28])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="model.onnx.data")
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with (tmp_path / "model.onnx.data").open("wb") as file:
        file.truncate(3 * 2**30)  # no byte of it is on the disk

    with pytest.raises(ExportError, match=r"are 3,221,225,472 bytes, .* for example in float16"):
        onnx_graph.read(path, Choices())


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname"])
def test_weights_outside_the_folder_are_refused(location: str, tmp_path: Path) -> None:
    """A model reads no file that does not lie beside it."""
    model = one_node("Identity")
    weights = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[1])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())

    with pytest.raises(ExportError, match="outside its own folder"):
        onnx_graph.read(path, Choices())


def test_output_named_twice_is_read_once() -> None:
    """A graph has each output once."""
    assert read(heads("Relu", "Softmax"), outputs=["softmax_1", "softmax_1"]).outputs["value"] == "softmax_1"
