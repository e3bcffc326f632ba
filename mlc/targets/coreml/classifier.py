"""Give a classifier's scores the name that the network gave them."""

from __future__ import annotations

from typing import Any

__all__ = ["name_scores"]


def name_scores(spec: Any, name: str) -> None:
    """The dictionary of scores, which coremltools calls `classLabel_probs`, takes the network's name
    for its output from the tensor inside the program::

        Before:  ... ─► softmax ─► scores     ─► classify ─► classLabel, classLabel_probs

        After:   ... ─► softmax ─► scores_row ─► classify ─► classLabel, scores
    """
    description = spec.description
    new = {name: f"{name}_row", description.predictedProbabilitiesName: name}
    for feature in description.output:
        feature.name = new.get(feature.name, feature.name)
    description.predictedProbabilitiesName = name
    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            for op in block.operations:
                for value in op.outputs:
                    value.name = new.get(value.name, value.name)
                for argument in op.inputs.values():
                    for binding in argument.arguments:
                        if binding.WhichOneof("binding") == "name":
                            binding.name = new.get(binding.name, binding.name)
            outputs = [new.get(o, o) for o in block.outputs]
            del block.outputs[:]
            block.outputs.extend(outputs)
