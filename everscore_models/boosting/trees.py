"""Trees as the one node that ONNX has for all trees of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import numpy_helper

from everscore_models.boosting.graph import ML, Graph


@dataclass(slots=True)
class Trees:
    """The nodes and leaves of all trees, as ``TreeEnsembleRegressor`` lists them.

    Attributes:
        targets: how many sums the leaves go into.
        dtype: of the matrix, and so of the thresholds that it is compared with.
    """

    targets: int
    dtype: Any
    _nodes: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: []
            for name in (
                "treeids",
                "nodeids",
                "featureids",
                "modes",
                "values",
                "truenodeids",
                "falsenodeids",
                "missing_value_tracks_true",
            )
        }
    )
    _leaves: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    )

    def split(
        self,
        *,
        tree: int,
        node: int,
        feature: int,
        mode: str,
        value: float,
        yes: int,
        no: int,
        nan_is_yes: bool,
    ) -> None:
        """A node that compares a feature with a value; a NaN goes the way that is said."""
        self._append(tree, node, feature, mode, value, yes, no, int(nan_is_yes))

    def member(
        self,
        *,
        tree: int,
        node: int,
        feature: int,
        members: Sequence[int],
        yes: int,
        no: int,
        free: int,
        nan_is_yes: bool = False,
    ) -> int:
        """A node that asks whether a feature is one of some whole numbers.

        ONNX compares with one number a node, so that this takes a chain of nodes, of which onnxruntime makes
        one.

        Args:
            tree: the tree's number.
            node: the node's.
            feature: the column's.
            members: at least one number.
            yes: the node to go on with where it is one of them.
            no: the node to go on with where it is not.
            nan_is_yes: whether a NaN counts as one of them.
            free: the first node number that nobody has yet.

        Returns:
            The first free number after this.
        """
        for number, each in enumerate(members):
            last = number == len(members) - 1
            self._append(tree, node, feature, "BRANCH_EQ", each, yes, no if last else free, int(nan_is_yes))
            if not last:
                node, free = free, free + 1
        return free

    def leaf(self, tree: int, node: int, weights: Mapping[int, float]) -> None:
        """A node that adds numbers to sums, by the sum's place."""
        self._append(tree, node, 0, "LEAF", 0.0, 0, 0, 0)
        for target, weight in weights.items():
            for name, value in zip(self._leaves, (tree, node, target, weight), strict=True):
                self._leaves[name].append(value)

    def _append(self, *values: Any) -> None:
        for name, value in zip(self._nodes, values, strict=True):
            self._nodes[name].append(value)

    def sums(self, graph: Graph, matrix: str) -> str:
        """Adds the trees to a graph: the sums of the leaves, float32 [rows, targets]."""
        # Nodes of one tree in the order of their numbers, which onnxruntime takes their place from.
        order = sorted(
            range(len(self._nodes["nodeids"])),
            key=lambda at: (self._nodes["treeids"][at], self._nodes["nodeids"][at]),
        )
        attributes: dict[str, Any] = {}
        for name, values in self._nodes.items():
            attributes[f"nodes_{name}"] = [values[at] for at in order]
        attributes |= {f"target_{name}": values for name, values in self._leaves.items()}
        for name in ("nodes_values", "target_weights"):
            numbers = np.array(attributes.pop(name), self.dtype)
            if self.dtype == np.float64:
                attributes[f"{name}_as_tensor"] = numpy_helper.from_array(numbers, name)
            else:
                attributes[name] = numbers.tolist()
        return graph.add(
            "TreeEnsembleRegressor",
            matrix,
            domain=ML,
            n_targets=self.targets,
            aggregate_function="SUM",
            post_transform="NONE",
            **attributes,
        )
