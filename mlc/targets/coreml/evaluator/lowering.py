"""From the ops of an ML Program to the nodes of an ONNX graph: the registry and the walk.

**Types.** ONNX tensors here are float32, int32 or bool. MIL's float16 is *widened* to float32, its
narrow integers to int32, which holds their values exactly. In the mode `declared` each result that
MIL declares float16 is then rounded once: to float16 (nearest, ties to even, overflow to infinity)
and back. Ops that only move or choose elements (`exact=True`) need no rounding, because their operands
are rounded already.

**Nothing is ignored.** A lowering declares the parameters it honours, with MIL's default for each
optional one. An op or a parameter that is not declared raises. So does a parameter that is declared
and present, but that the lowering did not look at while lowering this very op: where MIL itself says
that a parameter has no meaning (`pad` of a convolution with `pad_type` "valid"), the lowering must say
so by `irrelevant`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mlc.errors import SourceError, UnverifiableError
from mlc.targets.coreml.evaluator.program import Block, Op, Program, Type, Value

__all__ = [
    "OPSET",
    "REGISTRY",
    "Call",
    "Graph",
    "Mode",
    "Rule",
    "carrier",
    "honoured",
    "lower",
    "lowers",
    "unimplemented",
    "widened",
]

Array = np.ndarray[Any, np.dtype[Any]]
Mode = Literal["float32", "declared"]

OPSET = 20  # Resize, GridSample and ReduceMax as used below need 20 at least
IR_VERSION = 10

# What a lowering returns: the ONNX name of its result, or of each result in order.
Names = str | Sequence[str]
Lower = Callable[["Graph", "Call"], Names]

# Sees each value outside of loops as it is bound, with the ONNX names of its tensor after and before the
# rounding to its declared type, and returns the name of what the rest of the graph is to read.
Watch = Callable[["Graph", Value, str, str], str]

# The largest end of a slice: "as far as there are elements".
END = 2**31 - 1


@dataclass(frozen=True)
class Rule:
    """How one kind of op is lowered.

    `optional` maps each optional parameter to its default as MIL documents it; None where the default
    depends on the other parameters, or is "absent". `exact` says that the results need no rounding, and
    `commutes` that rounding before gives the same as rounding after: a limit that float16 has.
    """

    kind: str
    required: tuple[str, ...]
    optional: Mapping[str, Any]
    exact: bool
    commutes: bool
    lower: Lower

    @property
    def parameters(self) -> tuple[str, ...]:
        """Everything that is honoured."""
        return (*self.required, *self.optional)


REGISTRY: dict[str, Rule] = {}


def lowers(
    kind: str, *required: str, exact: bool = False, commutes: bool = False, **optional: Any
) -> Callable[[Lower], Lower]:
    """Register a lowering: `@lowers("gather", "x", "indices", axis=0, batch_dims=0)`."""

    def register(lower: Lower) -> Lower:
        if kind in REGISTRY:
            raise ValueError(f"{kind} has two lowerings")
        REGISTRY[kind] = Rule(kind, required, optional, exact, commutes, lower)
        return lower

    return register


def unimplemented(op: Op, parameter: str = "", why: str = "") -> UnverifiableError:
    """The error for what the evaluator does not do. It always names the op and its kind."""
    what = f"op {op.kind}" + (f", parameter {parameter}" if parameter else "")
    return UnverifiableError(
        f"{op.name}: {what} is not implemented by mlc's evaluator{': ' + why if why else ''}.",
        "Check this package on a Mac with mlc validate.",
    )


def honoured() -> list[tuple[str, tuple[str, ...]]]:
    """The table for the documentation: each op kind with the parameters that are honoured."""
    from mlc.targets.coreml.evaluator import ops  # noqa: F401  (registers all lowerings)

    return sorted((rule.kind, rule.parameters) for rule in REGISTRY.values())


class Call:
    """One op as its lowering sees it: access to parameters, recording which ones were looked at."""

    def __init__(self, graph: Graph, op: Op, rule: Rule) -> None:
        self.op = op
        self._graph = graph
        self._rule = rule
        self._seen: set[str] = set()
        for name in op.parameters:
            if name not in rule.required and name not in rule.optional:
                raise unimplemented(op, name)
        for name in rule.required:
            if name not in op.parameters:
                raise SourceError(f"{op} lacks its parameter {name}.")

    # ---- what the op says

    def __contains__(self, parameter: str) -> bool:
        self._seen.add(parameter)
        return parameter in self.op.parameters

    def values(self, parameter: str) -> tuple[Value, ...]:
        """All values of a parameter that takes a tuple."""
        self._seen.add(parameter)
        return self.op.parameters.get(parameter, ())

    def __getitem__(self, parameter: str) -> Value:
        values = self.values(parameter)
        if len(values) != 1:
            raise SourceError(
                f"{self.op}: parameter {parameter} has {len(values)} values, not one."
            )
        return values[0]

    def constant(self, parameter: str) -> Any:
        """A parameter that MIL wants constant (an array or a `str`), or its default.

        Floats come widened to float32, the way tensors do.
        """
        if parameter not in self:
            return self._rule.optional[parameter]
        value = self[parameter]
        if not value.is_constant:
            raise self.unsupported(parameter, "it is computed while running")
        found = value.constant
        return widened(found) if isinstance(found, np.ndarray) else found

    def number(self, parameter: str) -> float:
        """A constant scalar."""
        return float(np.asarray(self.constant(parameter)).reshape(()))

    def integer(self, parameter: str) -> int:
        """A constant integer."""
        return int(np.asarray(self.constant(parameter)).reshape(()))

    def flag(self, parameter: str) -> bool:
        """A constant truth value."""
        return bool(np.asarray(self.constant(parameter)).reshape(()))

    def text(self, parameter: str) -> str:
        """A constant string."""
        return str(self.constant(parameter))

    def integers(self, parameter: str) -> list[int] | None:
        """A constant vector of integers; None if it is absent and has no default."""
        found = self.constant(parameter)
        return None if found is None else [int(i) for i in np.atleast_1d(found)]

    def axes(self, parameter: str, rank: int) -> list[int] | None:
        """Axes, counted from the front."""
        found = self.integers(parameter)
        return None if found is None else [axis % rank if rank else 0 for axis in found]

    def axis(self, parameter: str, rank: int) -> int:
        """One axis, counted from the front."""
        return self.integer(parameter) % rank

    def irrelevant(self, *parameters: str) -> None:
        """State that MIL gives these parameters no meaning in this op, whether present or not."""
        self._seen.update(parameters)

    def unsupported(self, parameter: str = "", why: str = "") -> UnverifiableError:
        """The error to raise for a value or combination that is not implemented."""
        return unimplemented(self.op, parameter, why)

    @property
    def result(self) -> Type:
        """The declared type of the (first) result."""
        return self.op.outputs[0].type

    # ---- the same as names of ONNX tensors

    def tensor(self, parameter: str) -> str:
        """The ONNX name of a parameter's value; empty (ONNX's "absent") if the parameter is."""
        if parameter not in self:
            return ""
        return self._graph.tensor(self[parameter])

    def tensors(self, parameter: str) -> list[str]:
        """The ONNX names of all values of a parameter that takes a tuple."""
        return [self._graph.tensor(value) for value in self.values(parameter)]

    def scalar(self, parameter: str) -> str:
        """A constant scalar, or its default, as an ONNX float."""
        return self._graph.constant(np.float32(self.number(parameter)))

    def int64(self, parameter: str) -> str:
        """An integer vector, constant or computed, as the int64 vector that ONNX wants for shapes."""
        value = self[parameter]
        if value.is_constant:
            return self._graph.constant(np.atleast_1d(value.constant).astype(np.int64))
        name = self._graph.cast(self._graph.tensor(value), "int64")
        return self._graph.node("Reshape", name, self._graph.ints([-1]))

    def finish(self) -> None:
        """Raise if a parameter is present that the lowering did not look at."""
        for name in self.op.parameters:
            if name not in self._seen:
                raise unimplemented(self.op, name, "its value was not used")


def widened(array: Array) -> Array:
    """The same values as the type that carries them in the ONNX graph."""
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    if array.dtype.kind in "iu":
        limits = np.iinfo(np.int32)
        if array.dtype.itemsize >= 4 and array.dtype != np.int32 and array.size:
            outside = int(array.max()) > limits.max or int(array.min()) < limits.min
            if outside:
                raise UnverifiableError(
                    f"The program holds {array.dtype} constants beyond 32 bits; "
                    "mlc's evaluator computes integers in 32 bits."
                )
        return array.astype(np.int32, copy=False)
    return array


def carrier(dtype: str) -> str:
    """The type that carries a MIL type in the ONNX graph: `float32`, `int32` or `bool`."""
    if dtype in ("float16", "float32"):
        return "float32"
    if dtype == "bool":
        return "bool"
    if dtype in ("int8", "int16", "int32", "uint8", "uint16", "int4", "uint4"):
        return "int32"
    raise UnverifiableError(f"mlc's evaluator does not compute with the type {dtype}.")


class Graph:
    """The ONNX graph under construction."""

    def __init__(self, mode: Mode, ios: int, watch: Watch | None = None) -> None:
        self.mode = mode
        self.ios = ios
        self._watch = watch
        self.labels: tuple[str, ...] = ()  # of a classifier
        self.lists_grow = False  # whether any list may be written beyond its end
        self.late: frozenset[Value] = frozenset()  # values that are rounded after the next op
        self._nodes: list[Any] = []
        self._initializers: dict[str, Array] = {}
        self._names: dict[Value, str] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0
        self._depth = 0
        self._label = ""

    # ---- building

    def fresh(self, hint: str) -> str:
        """A name that nothing else has."""
        self._count += 1
        return f"{hint}#{self._count}"

    def nodes(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Append a node with `count` results; return their names. Attributes of None are left out."""
        from onnx import helper

        outputs = [self.fresh(self._label or kind) for _ in range(count)]
        given = {k: v for k, v in attributes.items() if v is not None}
        self._nodes.append(
            helper.make_node(kind, inputs, outputs, name=f"{kind} {outputs[0]}", **given)
        )
        return outputs

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one result; return its name."""
        return self.nodes(kind, 1, *inputs, **attributes)[0]

    def constant(self, value: Any) -> str:
        """An ONNX constant. Small ones are shared."""
        array = np.asarray(value)
        if array.size > 64:
            name = self.fresh("constant")
            self._initializers[name] = array
            return name
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.fresh("constant")
            self._initializers[self._constants[key]] = array
        return self._constants[key]

    def ints(self, values: Iterable[int]) -> str:
        """A vector of int64, for shapes, axes and the like."""
        return self.constant(np.array(list(values), np.int64))

    def cast(self, name: str, dtype: str) -> str:
        """Convert elements to a numpy type."""
        return self.node("Cast", name, to=_onnx_type(dtype))

    def transpose(self, name: str, perm: Sequence[int]) -> str:
        """Permute axes; nothing is emitted where they stay."""
        if list(perm) == sorted(perm):
            return name
        return self.node("Transpose", name, perm=list(perm))

    def shape(self, name: str, start: int = 0, end: int | None = None) -> str:
        """Dimensions `start` to `end` of a tensor, as int64."""
        return self.node("Shape", name, start=start, end=end)

    def tensor(self, value: Value) -> str:
        """The ONNX name of a MIL value; a constant becomes an ONNX constant on first use."""
        if value not in self._names:
            if not value.is_constant:
                raise SourceError(f"The program uses {value.name!r} outside of its block.")
            found = value.constant
            if not isinstance(found, np.ndarray):
                raise UnverifiableError(f"{value.name}: a string cannot be computed with.")
            self._names[value] = self.constant(widened(found))
        return self._names[value]

    def carry(self, value: Value, name: str) -> None:
        """Say which ONNX tensor carries a MIL value."""
        self._names[value] = name

    def bind(self, value: Value, name: str, unrounded: str = "") -> None:
        """The same for a value of the program, which is watched if it is outside of loops."""
        if self._watch and not self._depth and value.type.container == "tensor":
            name = self._watch(self, value, name, unrounded or name)
        self.carry(value, name)

    def rounded(self, name: str) -> str:
        """Round to float16 and widen again: one rounding, ties to even, overflow to infinity."""
        return self.cast(self.cast(name, "float16"), "float32")

    # ---- the walk

    def block(self, block: Block) -> None:
        """Lower the ops of a block, in order."""
        for op in block.ops:
            if not op.kind.startswith("constexpr_"):  # those are constants: decoded when used
                self._lower(op)

    def _lower(self, op: Op) -> None:
        rule = REGISTRY.get(op.kind)
        if rule is None:
            raise unimplemented(op)
        label, self._label = self._label, op.name
        call = Call(self, op, rule)
        found = rule.lower(self, call)
        call.finish()
        names = [found] if isinstance(found, str) else list(found)
        for value, name in zip(op.outputs, names, strict=True):
            self.bind(value, self._as_declared(op, rule, value, name), unrounded=name)
        self._label = label

    def _as_declared(self, op: Op, rule: Rule, value: Value, name: str) -> str:
        """Round a fresh result to the type that MIL declares for it."""
        exact = rule.exact and not any(v in self.late for vs in op.parameters.values() for v in vs)
        if exact or value in self.late or value.type.container != "tensor":
            return name
        if value.type.dtype == "float16":
            return self.rounded(name) if self.mode == "declared" else name
        narrow = carrier(value.type.dtype) == "int32" and value.type.dtype != "int32"
        if narrow and rule.kind != "cast":  # a cast wraps around by itself
            raise UnverifiableError(
                f"{value.name}: op {rule.kind} on {value.type.dtype} is not implemented "
                "by mlc's evaluator."
            )
        return name

    def nested(
        self,
        inputs: Sequence[tuple[str, str]],
        build: Callable[[], Sequence[tuple[str, str]]],
        scalars: int = 0,
    ) -> Any:
        """An ONNX graph inside a node (the body of a loop, the branch of a condition).

        `build` appends the nodes and returns its results; inputs and results are pairs of name and
        carrying type. The first `scalars` inputs are scalars, which ONNX wants to know. Constants go
        to the outermost graph, where every nested graph sees them.
        """
        from onnx import helper

        outer, self._nodes = self._nodes, []
        self._depth += 1
        # A result may be an argument or a tensor of an outer graph: ONNX wants one made here.
        results = [(self.node("Identity", name), dtype) for name, dtype in build()]
        nodes, self._nodes = self._nodes, outer
        self._depth -= 1
        return helper.make_graph(
            nodes,
            self.fresh("graph"),
            [
                helper.make_tensor_value_info(n, _onnx_type(t), () if i < scalars else None)
                for i, (n, t) in enumerate(inputs)
            ],
            [helper.make_tensor_value_info(n, _onnx_type(t), None) for n, t in results],
        )

    # ---- the finished model

    def model(self, inputs: Sequence[tuple[str, Type]], outputs: Sequence[tuple[str, str]]) -> Any:
        """The ONNX model. `outputs` are pairs of the ONNX name and the type that carries it."""
        from onnx import helper, numpy_helper

        graph = helper.make_graph(
            self._nodes,
            "ml_program",
            [
                helper.make_tensor_value_info(
                    name,
                    _onnx_type(carrier(type_.dtype)),
                    [d or f"{name}.{i}" for i, d in enumerate(type_.shape)],
                )
                for name, type_ in inputs
            ],
            [helper.make_tensor_value_info(n, _onnx_type(t), None) for n, t in outputs],
            [
                numpy_helper.from_array(np.asarray(array, order="C"), name)
                for name, array in self._initializers.items()
            ],
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )


def _onnx_type(dtype: str) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def lower(program: Program, mode: Mode, watch: Watch | None = None) -> Graph:
    """Lower the whole program. Inputs keep their names; outputs are read from `Graph.tensor`."""
    from mlc.targets.coreml.evaluator import ops  # noqa: F401  (registers all lowerings)

    graph = Graph(mode, program.ios, watch)
    if watch is None and mode == "declared":
        graph.late = _late(program.block)
    graph.lists_grow = any(_grows(op) for op in program.block.walk() if op.kind == "make_list")
    for value in program.block.inputs:
        if value.type.container != "tensor":
            raise UnverifiableError(
                f"The program keeps a state ({value.name}); mlc's evaluator does not."
            )
        graph.bind(value, value.name)
    graph.block(program.block)
    return graph


def _grows(op: Op) -> bool:
    """Whether a `make_list` makes a list of dynamic length: unless it says no."""
    given = op.parameters.get("dynamic_length")
    return given is None or bool(given[0].constant)


def _late(block: Block) -> frozenset[Value]:
    """The values whose only reader is an op that commutes with rounding.

    Rounded after it they give the same, and onnxruntime can fuse it with the op before, as it cannot
    across a rounding: a convolution with its relu.
    """
    rules = {op: REGISTRY[op.kind] for op in block.walk() if op.kind in REGISTRY}
    returned = {v for b in (block, *(b for op in rules for b in op.blocks)) for v in b.outputs}
    readers: dict[Value, list[Op]] = {}
    for op in rules:
        for value in (v for values in op.parameters.values() for v in values):
            readers.setdefault(value, []).append(op)
    return frozenset(
        value
        for value, ops in readers.items()
        if value.op in rules
        and not rules[value.op].exact
        and value not in returned
        and len(ops) == 1
        and rules[ops[0]].commutes
    )
