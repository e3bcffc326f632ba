"""Look into a Core ML file without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from mlc.convert.network import TensorSpec
from mlc.targets.coreml import package
from mlc.targets.target import Summary

__all__ = ["feature_specs", "inspect", "recognises"]

_ARRAY_TYPES = {
    65552: "float16",
    65568: "float32",
    65600: "float64",
    131104: "int32",
    131080: "int8",
}


def recognises(path: Path) -> bool:
    """An `.mlpackage` folder with a manifest, or an `.mlmodel` file."""
    return package.is_package(path) or (path.suffix == ".mlmodel" and path.is_file())


def inspect(path: Path) -> Summary:
    """Read inputs, outputs, ops, parameters and metadata from the file's protobuf."""
    spec = package.read_spec(path)
    metadata = spec.description.metadata
    fields = {
        "description": metadata.shortDescription,
        "author": metadata.author,
        "license": metadata.license,
        "version": metadata.versionString,
        "specification": str(spec.specificationVersion),
        **metadata.userDefined,
    }
    inputs, outputs = feature_specs(spec)
    return Summary(
        format=_format(spec),
        inputs=inputs,
        outputs=outputs,
        ops=dict(sorted(Counter(op.type for op in _ops(spec) if op.type != "const").items())),
        parameters=_parameters(spec),
        metadata={k: v for k, v in fields.items() if v},
    )


def feature_specs(spec: Any) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs as the model declares them to apps."""
    description = spec.description
    return (
        tuple(_feature(f) for f in description.input),
        tuple(_feature(f) for f in description.output),
    )


def _format(spec: Any) -> str:
    kind = spec.WhichOneof("Type")
    if kind != "mlProgram":
        return f"Core ML {kind}"
    (function,) = list(spec.mlProgram.functions.values())[:1]
    return f"Core ML ML Program ({function.opset})"


def _feature(feature: Any) -> TensorSpec:
    kind = feature.type.WhichOneof("Type")
    if kind == "imageType":
        image = feature.type.imageType
        channels = 1 if image.colorSpace in (10, 40) else 3
        return TensorSpec(feature.name, (1, image.height, image.width, channels), "uint8")
    if kind == "multiArrayType":
        array = feature.type.multiArrayType
        sizes = array.shapeRange.sizeRanges
        shape: tuple[int | None, ...] = tuple(array.shape)
        if sizes:
            shape = tuple(
                int(r.lowerBound) if r.lowerBound == r.upperBound else None for r in sizes
            )
        return TensorSpec(feature.name, shape, _ARRAY_TYPES.get(array.dataType, "float32"))
    names = {"stringType": "string", "int64Type": "int64", "dictionaryType": "dictionary"}
    return TensorSpec(feature.name, (), names.get(kind, kind))


def _ops(spec: Any) -> Iterator[Any]:
    """Every operation of the program, those inside loops and branches too."""

    def visit(block: Any) -> Iterator[Any]:
        for op in block.operations:
            yield op
            for inner in op.blocks:
                yield from visit(inner)

    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            yield from visit(block)


def _parameters(spec: Any) -> int:
    """Elements of the float constants, and of the constants that are decompressed to floats."""
    total = 0
    for op in _ops(spec):
        if op.type == "const" or op.type.startswith("constexpr_"):
            tensor = op.outputs[0].type.tensorType
            size = prod(d.constant.size for d in tensor.dimensions)
            if tensor.rank > 0 and tensor.dataType in (10, 11):  # FLOAT16, FLOAT32
                total += size
    return total
