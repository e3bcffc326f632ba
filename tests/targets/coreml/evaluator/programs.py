"""Packages made with the MIL builder: no TensorFlow graph, no optimization, exactly the ops asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Build = Callable[..., Any]


def save(path: Path, build: Build, inputs: Mapping[str, Array], **options: Any) -> Path:
    """Save what `convert` makes of the same arguments."""
    convert(build, inputs, **options).save(str(path))
    return path


def convert(
    build: Build,
    inputs: Mapping[str, Array],
    *,
    ios: int = 17,
    default_passes: bool = False,
    declared: Any = None,
    **options: Any,
) -> Any:
    """Make a model of the program `build(mb, **variables)`; outputs are its variables, by name.

    Without `default_passes` coremltools optimizes nothing. Inputs have the shapes and types of the arrays
    given; `declared` says it otherwise, with coremltools' own input types. Bool outputs, which a package
    cannot have, are cast to float32.
    """
    import coremltools as ct
    from coremltools.converters.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import Function, Placeholder, Program, types

    logging.getLogger("coremltools").setLevel(logging.ERROR)
    target = ct.target[f"iOS{ios}"]
    placeholders = {
        name: Placeholder(sym_shape=a.shape, dtype=types.numpy_type_to_builtin_type(a.dtype))
        for name, a in inputs.items()
    }
    program = Program()
    with Function(placeholders, opset_version=target) as function:
        made = build(mb, **function.inputs)
        outputs = []
        for name, variable in made.items():
            if variable.dtype == types.bool:
                variable = mb.cast(x=variable, dtype="fp32")
            outputs.append(mb.identity(x=variable, name=name))
        function.set_outputs(outputs)
        program.add_function("main", function)
    return ct.convert(
        program,
        source="milinternal",
        convert_to="mlprogram",
        minimum_deployment_target=target,
        pass_pipeline=ct.PassPipeline.DEFAULT if default_passes else ct.PassPipeline.EMPTY,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
        inputs=declared,
        **options,
    )


def edit(source: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """Copy a package, changing the protobuf of its model: what no converter would write."""
    import shutil

    from coremltools.proto import Model_pb2

    shutil.copytree(source, target)
    file = target / "Data" / "com.apple.CoreML" / "model.mlmodel"
    model = Model_pb2.Model()
    model.ParseFromString(file.read_bytes())
    change(model)
    file.write_bytes(model.SerializeToString())
    return target


def operations(model: Any) -> Any:
    """The ops of the main function of a protobuf model."""
    function = model.mlProgram.functions["main"]
    return function.block_specializations[function.opset].operations
