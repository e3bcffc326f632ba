"""Inputs and outputs of types that Core ML lacks → the next type that it has."""

from __future__ import annotations

from typing import Any

from mlc.convert.graph import Body, Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["core_ml_types"]


def core_ml_types(program: Program, request: Request) -> None:
    """Core ML takes and gives float32 and int32; convert behind the inputs, before the outputs.

    A bool input (an attention mask, say)::

        Before:  Placeholder(bool) ─► LogicalAnd

        After:   Placeholder(int32) ─► NotEqual(·, 0) ─► LogicalAnd

    A narrow integer input (a picture in uint8, say)::

        Before:  Placeholder(uint8) ─► Cast(uint8 → float32)

        After:   Placeholder(int32) ─► Cast(int32 → float32)

    A float16 or float64 input gets a Cast behind it, a bool output a Cast to int32 in front of it.
    int64 stays: coremltools itself makes int32 of it.
    """
    import tensorflow as tf

    for spec in request.network.inputs:
        dtype = tf.dtypes.as_dtype(spec.dtype)
        if dtype not in (tf.float32, tf.int32, tf.int64):
            public = tf.float32 if dtype.is_floating else tf.int32
            _change_input(program.main, spec.name, dtype, public)
            request.notes.append(
                f"Core ML has no {spec.dtype} input: {spec.name} is {public.name}."
            )
    for spec in request.network.outputs:
        if spec.dtype == "bool":
            _change_output(program.main, spec.name)
            request.notes.append(f"Core ML has no bool output: {spec.name} is int32, 0 or 1.")


def _change_input(body: Body, name: str, dtype: Any, public: Any) -> None:
    import tensorflow as tf

    def restore(x: Any) -> Any:
        return tf.not_equal(x, 0) if dtype == tf.bool else tf.cast(x, dtype)

    shape = body.tensor(name).shape
    direct = body.consumers(name) if dtype.is_integer else []
    (restored,) = body.insert(name, restore, [name], [(public, shape)])
    body.redirect({(name, 0): restored})
    for cast in direct:
        if cast.op == "Cast":
            cast.input[0] = name
            cast.attr["SrcT"].type = public.as_datatype_enum
    body.nodes[name].attr["dtype"].type = public.as_datatype_enum
    body.prune()


def _change_output(body: Body, name: str) -> None:
    import tensorflow as tf

    end = body.nodes[name]
    tensor = body.tensor(end.input[0])
    (number,) = body.insert(
        name, lambda x: tf.cast(x, tf.int32), list(end.input), [(tensor.dtype, tensor.shape)]
    )
    end.input[0] = number
    end.attr["T"].type = tf.int32.as_datatype_enum
