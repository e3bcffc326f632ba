"""Look into a Core ML file without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

from mlc.convert.metadata import Statement
from mlc.convert.network import TensorSpec
from mlc.optimize.recipe import Precision
from mlc.targets.coreml import metadata, package
from mlc.targets.target import Summary

__all__ = ["declares", "feature_specs", "inspect", "recognises"]

_ARRAY_TYPES = {
    65552: "float16",
    65568: "float32",
    65600: "float64",
    131104: "int32",
    131080: "int8",
}

# MIL's numbers of the types that weights are computed in.
_FLOATS: dict[int, Precision] = {10: "float16", 11: "float32"}
_INT4 = 25
_PALETTES: dict[int, Precision] = {
    1: "palette1", 2: "palette2", 3: "palette3", 4: "palette4", 6: "palette6", 8: "palette8",
}  # fmt: skip


def recognises(path: Path) -> bool:
    """An `.mlpackage` folder with a manifest, or an `.mlmodel` file."""
    return package.is_package(path) or (path.suffix == ".mlmodel" and path.is_file())


def inspect(path: Path) -> Summary:
    """Read inputs, outputs, ops, parameters and metadata from the file's protobuf."""
    spec = package.read_spec(path)
    inputs, outputs = feature_specs(spec)
    weights = _weights(spec)
    return Summary(
        format=_format(spec),
        inputs=inputs,
        outputs=outputs,
        ops=dict(sorted(Counter(op.type for op in _ops(spec) if op.type != "const").items())),
        parameters=sum(size for _, size in weights),
        weights=_main_precision(weights),
        metadata=metadata.shown(spec) | {"specification": str(spec.specificationVersion)},
    )


def declares(path: Path) -> tuple[Statement, ...]:
    """The facts in the user-defined metadata, and what Xcode shows."""
    return metadata.statements(package.read_spec(path))


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


def _weights(spec: Any) -> list[tuple[Precision, int]]:
    """Precision and number of elements of every weight, compressed ones as what is stored."""
    found: list[tuple[Precision, int]] = []
    inside = {
        binding.name
        for op in _ops(spec)
        if op.type.startswith("constexpr_")
        for argument in op.inputs.values()
        for binding in argument.arguments
        if binding.WhichOneof("binding") == "name"
    }
    makers = {output.name: op for op in _ops(spec) for output in op.outputs}
    for op in _ops(spec):
        if op.type != "const" and not op.type.startswith("constexpr_"):
            continue
        tensor = op.outputs[0].type.tensorType
        size = prod(d.constant.size for d in tensor.dimensions)
        if op.type != "const":
            if op.outputs[0].name not in inside:
                found.append((_stored(op, makers), size))
        elif tensor.rank > 0 and tensor.dataType in _FLOATS and op.outputs[0].name not in inside:
            found.append((_FLOATS[tensor.dataType], size))
    return found


def _stored(op: Any, makers: Mapping[str, Any]) -> Precision:
    """What holds a compressed weight: indices into a table, integers, or the floats that are not 0."""
    read = {
        key: makers[argument.arguments[0].name]
        for key, argument in op.inputs.items()
        if argument.arguments[0].WhichOneof("binding") == "name"
    }
    if table := _typed(op, "lut", read):
        values = max(d.constant.size for d in table.tensorType.dimensions)
        return _PALETTES[max(values - 1, 1).bit_length()]
    source = read.get("nonzero_data")
    if source is not None and source.type.startswith("constexpr_"):
        return _stored(source, makers)
    if op.type == "constexpr_sparse_to_dense":
        return _FLOATS[op.outputs[0].type.tensorType.dataType]
    data = _typed(op, "data", read) or _typed(op, "nonzero_data", read)
    return "int4" if data and data.tensorType.dataType == _INT4 else "int8"


def _typed(op: Any, name: str, read: Mapping[str, Any]) -> Any:
    """The type of what an op has by that name, or None: an attribute until iOS 17, then an input."""
    if name in op.attributes:
        return op.attributes[name].type
    if name in read:
        return read[name].outputs[0].type
    return op.inputs[name].arguments[0].value.type if name in op.inputs else None


def _main_precision(weights: list[tuple[Precision, int]]) -> Precision:
    sizes = Counter[Precision]()
    for precision, size in weights:
        sizes[precision] += size
    return sizes.most_common(1)[0][0] if sizes else "float32"
