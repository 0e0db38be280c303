"""How many numbers a row of an input has, where its declared shape leaves that open."""

from __future__ import annotations

from onnx import ModelProto, NodeProto

from everscore_models.graph.tracing import Tracer, attributes

_KEEP_WIDTH = frozenset(
    {"Identity", "Cast", "Add", "Sub", "Mul", "Div", "Scaler", "Imputer", "Relu", "Normalizer", "Neg"}
)
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})


def fix_widths(model: ModelProto) -> None:
    """Writes the number of columns into inputs [N, …], where an operator behind them must know it.

    Trees do not: they name the columns that they split, and there may be more.
    """
    tracer = Tracer(model)
    for each in model.graph.input:
        dimensions = each.type.tensor_type.shape.dim
        if each.type.HasField("tensor_type") and len(dimensions) == 2 and dimensions[1].dim_value < 1:
            width = _width(model, tracer, each.name)
            if width:
                dimensions[1].Clear()
                dimensions[1].dim_value = width


def _width(model: ModelProto, tracer: Tracer, name: str) -> int:
    """The number of columns; 0: unknown."""
    reached = {name}
    for node in model.graph.node:
        if not node.input or node.input[0] not in reached:
            continue
        width = _known(tracer, node)
        if width:
            return width
        if node.op_type in _KEEP_WIDTH:
            reached.update(node.output)
    return 0


def _known(tracer: Tracer, node: NodeProto) -> int:
    """The columns that an operator's weights are for."""
    held = attributes(node)
    match node.op_type:
        case "MatMul" | "Gemm" if not held.get("transA"):
            weights = tracer.constant(node.input[1])
            if weights is None or weights.ndim != 2:
                return 0
            return int(weights.shape[1 if held.get("transB") else 0])
        case "Scaler":
            longest = max(len(held.get("offset", ())), len(held.get("scale", ())))
            return longest if longest > 1 else 0
        case "Imputer":
            known = len(held.get("imputed_value_floats", ()))
            return known if known > 1 else 0
        case "LinearRegressor":
            return len(held.get("coefficients", ())) // max(1, int(held.get("targets", 1)))
        case "LinearClassifier":
            rows = len(held.get("intercepts", ()))
            return len(held.get("coefficients", ())) // rows if rows else 0
        case "SVMClassifier" | "SVMRegressor":
            vectors = sum(held.get("vectors_per_class", ())) or int(held.get("n_supports", 0))
            return len(held.get("support_vectors", ())) // vectors if vectors else 0
        case name if name in _ARITHMETIC:
            other = tracer.constant(node.input[1])
            width = int(other.shape[-1]) if other is not None and other.ndim else 0
            return width if width > 1 else 0
    return 0
