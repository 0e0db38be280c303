"""Several ONNX files with the same inputs made one, such as a model for each quantile."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import ModelProto, compose


def merged(models: Mapping[str, ModelProto]) -> ModelProto:
    """One model with the outputs of all, each named after its own model.

    Args:
        models: by name; with the same inputs and operator sets.
    """
    renamed = {
        number: compose.add_prefix(model, f"{number}_", rename_inputs=False)
        for number, model in enumerate(models.values())
    }
    whole = ModelProto()
    whole.CopyFrom(renamed[0])
    domains = {each.domain for each in whole.opset_import}
    for model in list(renamed.values())[1:]:
        whole.graph.node.extend(model.graph.node)
        whole.graph.initializer.extend(model.graph.initializer)
        whole.graph.sparse_initializer.extend(model.graph.sparse_initializer)
        whole.graph.output.extend(model.graph.output)
        for each in model.opset_import:
            if each.domain not in domains:
                domains.add(each.domain)
                whole.opset_import.append(each)
    return whole
