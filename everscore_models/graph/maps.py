"""Probabilities as columns instead of maps: a map for each row costs more than the model."""

from __future__ import annotations

from onnx import ModelProto, TensorProto, helper

from everscore_models.graph.classes import Classes, classes_of


def without_maps(model: ModelProto) -> tuple[ModelProto, dict[str, Classes]]:
    """A model whose outputs by ZipMap are the tensors that these were made of, under their names.

    Args:
        model: stays as it is.

    Returns:
        The model, and by output its classes, in the order of the columns.
    """
    outputs = {each.name: each for each in model.graph.output}
    zipped = {
        node.output[0]: classes
        for node in model.graph.node
        if node.op_type == "ZipMap" and node.output[0] in outputs
        if (classes := classes_of(model, node.output[0])) is not None
    }
    if not zipped:
        return model, {}
    made = ModelProto()
    made.CopyFrom(model)
    for node in made.graph.node:
        if node.op_type == "ZipMap" and node.output[0] in zipped:
            node.CopyFrom(helper.make_node("Identity", list(node.input), list(node.output), node.name))
    for each in made.graph.output:
        if each.name in zipped:
            columns = [None, len(zipped[each.name])]
            each.CopyFrom(helper.make_tensor_value_info(each.name, TensorProto.FLOAT, columns))
    return made, zipped
