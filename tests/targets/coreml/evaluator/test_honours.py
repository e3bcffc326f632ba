"""Nothing is ignored: what a lowering does not declare, or does not use, raises by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.errors import SourceError, UnverifiableError
from mlc.targets.coreml import evaluator
from mlc.targets.coreml.evaluator import constexpr, lowering, program
from mlc.targets.coreml.evaluator.program import Op, Type, Value
from tests.targets.coreml.evaluator import programs

# Parameters of coremltools' builder that no saved program has.
_IN_MEMORY_ONLY = {"_cond", "_body", "_true_fn", "_false_fn", "_existing_blocks"}

# Op kinds that coremltools registers but that the evaluator refuses, each for a reason.
REFUSED = {
    # Random numbers: Core ML's generator is not documented, so nothing could be compared.
    "random_bernoulli", "random_categorical", "random_normal", "random_uniform",
    # State that outlives a run.
    "read_state", "coreml_update_state",
    # Never in an ML Program: neural-network era, or taken apart before saving.
    "conv_quantized", "_const_symbolic",
}  # fmt: skip


def op_kinds() -> dict[str, dict[int, Any]]:
    """Every op that coremltools registers in its core dialect: kind -> iOS version -> class."""
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    return {
        kind: {
            int(str(target).rsplit("iOS", 1)[-1]) if "iOS" in str(target) else int(target): cls
            for target, cls in versions.items()
        }
        for kind, versions in SSAOpRegistry.core_ops.items()
    }


def registry() -> dict[str, lowering.Rule]:
    evaluator.honoured()
    return lowering.REGISTRY


def call(kind: str, **parameters: Value) -> Op:
    return Op(
        kind,
        "an_op",
        {name: (value,) for name, value in parameters.items()},
        (Value("result", Type("float32", (2, 3))),),
    )


def test_every_op_of_coremltools_is_honoured_or_refused() -> None:
    known = set(registry()) | set(constexpr.DECODERS) | {"const"}
    assert set(op_kinds()) - known == REFUSED - {"coreml_update_state"}
    assert not known & REFUSED
    assert known - set(op_kinds()) == set()


def test_every_parameter_of_an_honoured_op_is_honoured_or_named() -> None:
    """Across all operator sets, and none is honoured that does not exist."""
    for kind, versions in op_kinds().items():
        rule = registry().get(kind)
        if rule is None:
            continue
        existing: set[str] = set()
        for cls in versions.values():
            existing |= set(cls.input_spec.input_types) - _IN_MEMORY_ONLY
        missing = existing - set(rule.parameters)
        unknown = set(rule.parameters) - existing
        assert (missing - MISSING.get(kind, set()), unknown) == (set(), set()), kind


# Parameters that are refused (an op that carries one raises).
MISSING: dict[str, set[str]] = {}


def test_required_parameters_are_those_that_mil_requires() -> None:
    for kind, rule in registry().items():
        required = [
            {name for name, t in cls.input_spec.input_types.items() if not t.optional}
            for cls in op_kinds()[kind].values()
        ]
        always = set.intersection(*required) - _IN_MEMORY_ONLY  # in every operator set
        assert set(rule.required) == always, kind


def test_defaults_are_those_of_mil() -> None:
    """Those that depend on no input: only they can be asked for without making an op."""
    checked = 0
    for kind, rule in registry().items():
        newest = op_kinds()[kind][max(op_kinds()[kind])]
        for cls in dict.fromkeys(op_kinds()[kind].values()):
            try:
                defaults = dict(cls.default_inputs(cls.__new__(cls)).items())
            except AttributeError:  # a default that depends on inputs
                continue
            for name, default in defaults.items():
                ours = rule.optional[name]
                if ours is None and default is not None:
                    assert np.size(default) != 1 or kind in ("layer_norm",), (kind, name)
                    continue
                assert ours == default, (kind, name, newest)
                checked += 1
    assert checked > 60


@pytest.mark.parametrize("kind", sorted(REFUSED | {"an_op_of_the_future"}))
def test_an_unknown_op_raises_by_name(kind: str) -> None:
    graph = lowering.Graph("float32", 17)
    registry()
    with pytest.raises(UnverifiableError, match=f"op {kind} is not implemented"):
        graph._lower(call(kind))


def constant(value: Any) -> Value:
    array = np.asarray(value)
    return Value("constant", Type(str(array.dtype), array.shape), lambda: array)


@pytest.mark.parametrize("kind", sorted(lowering.REGISTRY or registry()))
def test_an_unknown_parameter_raises_by_name(kind: str) -> None:
    graph = lowering.Graph("float32", 17)
    with pytest.raises(
        UnverifiableError, match=f"op {kind}, parameter surprise is not implemented"
    ):
        graph._lower(call(kind, surprise=constant(1.0)))


@pytest.mark.parametrize("kind", sorted(k for k, r in registry().items() if r.required))
def test_a_missing_parameter_raises(kind: str) -> None:
    graph = lowering.Graph("float32", 17)
    with pytest.raises(SourceError, match="lacks its parameter"):
        graph._lower(call(kind))


def test_a_parameter_that_was_not_used_raises() -> None:
    """Declaring is not enough: the lowering must have looked."""

    @lowering.lowers("careless", "x", scale=1.0)
    def careless(graph: lowering.Graph, op: lowering.Call) -> str:
        return op.tensor("x")

    try:
        graph = lowering.Graph("float32", 17)
        graph._lower(call("careless", x=constant(np.ones((2, 3), np.float32))))
        with pytest.raises(UnverifiableError, match=r"careless, parameter scale .* was not used"):
            graph._lower(
                call("careless", x=constant(np.ones((2, 3), np.float32)), scale=constant(2.0))
            )
    finally:
        del lowering.REGISTRY["careless"]


@pytest.mark.parametrize("kind", sorted(constexpr.DECODERS))
def test_an_unknown_parameter_of_a_compressed_weight_raises(kind: str) -> None:
    with pytest.raises(
        UnverifiableError, match=f"op {kind}, parameter surprise is not implemented"
    ):
        program._decode(call(kind, surprise=constant(1.0)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda mb, x: mb.gather(x=x, indices=[0], validate_indices=True),
            "gather, parameter validate_indices",
        ),
        (
            lambda mb, x: mb.real_div(x=mb.cast(x=x, dtype="int32"), y=2),
            "real_div, parameter x",
        ),
        (
            lambda mb, x: mb.local_response_norm(x=mb.expand_dims(x=x, axes=[0]), size=2),
            "local_response_norm, parameter size",
        ),
        (
            lambda mb, x: mb.local_response_norm(x=x, size=3),
            "local_response_norm, parameter x",
        ),
        (lambda mb, x: mb.random_normal(shape=[2, 3], mean=0.0), "op random_normal is not"),
    ],
    ids=["validate_indices", "integers", "even window", "which axis", "random"],
)  # fmt: skip
def test_a_saved_program_with_something_unsupported_names_it(
    build: Any, message: str, tmp_path: Path
) -> None:
    x = np.ones((2, 3, 4), np.float32)
    path = programs.save(
        tmp_path / "p.mlpackage", lambda mb, x: {"y": build(mb, x), "z": mb.relu(x=x)}, {"x": x}
    )
    with pytest.raises(UnverifiableError, match=message):
        evaluator.open(path)


def test_a_parameter_written_into_the_file_by_another_tool_raises(tmp_path: Path) -> None:
    x = np.ones((2, 3), np.float32)
    path = programs.save(tmp_path / "a.mlpackage", lambda mb, x: {"y": mb.relu(x=x)}, {"x": x})

    def sneak(model: Any) -> None:
        for op in programs.operations(model):
            if op.type == "relu":
                op.inputs["negative_slope"].CopyFrom(op.inputs["x"])

    changed = programs.edit(path, tmp_path / "b.mlpackage", sneak)
    with pytest.raises(UnverifiableError, match="relu, parameter negative_slope"):
        evaluator.open(changed)


# Parameters of the programs below whose value changes nothing, for a reason.
WITHOUT_EFFECT = {
    ("topk", "sort"),  # without it MIL promises no order, so the sorted one is right too
    ("make_list", "dynamic_length"),  # looked at for the program as a whole
    ("l2_pool", "ceil_mode"),  # the windows there leave nothing over to round up
    # MIL gives it no meaning unless `pad_type` is custom, as it is not there
    ("l2_pool", "pad"),
    ("max_pool", "pad"),
}
# Optional parameters that no program below has: any value of them raises.
UNTRIED = {
    ("gru", "input_bias"),
    *(
        (kind, "validate_indices")
        for kind in (
            *("gather", "gather_along_axis", "gather_nd"),
            *("scatter", "scatter_along_axis", "scatter_nd"),
        )
    ),
}


def another(value: Any) -> Any:
    """A constant of the same type and shape, with another value everywhere."""
    if isinstance(value, str):
        return "something else"
    array = np.asarray(value)
    if array.dtype.kind == "b":
        return ~array
    step = array.dtype.type(1) if array.dtype.kind in "iu" else np.abs(array) + array.dtype.type(1)
    return (array + step).astype(array.dtype)


def lowered(op: Op, ios: int) -> Any:
    """The ONNX that an op becomes by itself: nodes and constants."""
    graph = lowering.Graph("float32", ios)

    def bind(op: Op) -> None:
        for value in (v for values in op.parameters.values() for v in values):
            if not value.is_constant:
                graph.bind(value, value.name)
        for inner in (o for block in op.blocks for o in block.ops):
            bind(inner)

    bind(op)
    graph._lower(op)
    constants = {k: (a.dtype.str, a.shape, a.tobytes()) for k, a in graph._initializers.items()}
    return [node.SerializeToString() for node in graph._nodes], constants


def has_effect(op: Op, parameter: str, ios: int) -> bool:
    """Whether another value of a constant parameter gives other ONNX, or is refused."""
    (value,) = op.parameters[parameter]
    changed = Value(value.name, value.type, lambda: another(value.constant))
    op_ = Op(op.kind, op.name, {**op.parameters, parameter: (changed,)}, op.outputs, op.blocks)
    before = lowered(op, ios)
    try:
        return bool(lowered(op_, ios) != before)
    except Exception:  # a refusal, or numpy's on a value that makes no sense
        return True


def test_another_value_of_a_parameter_gives_another_program_or_is_refused(tmp_path: Path) -> None:
    """Looking at a parameter is not enough either: its value must matter. For all ops of `test_ops`."""
    from tests.targets.coreml.evaluator import test_ops

    effective: set[tuple[str, str]] = set()
    tried: set[tuple[str, str]] = set()
    for ios in (15, 16, 17, 18):
        path = test_ops.package(tmp_path, ios)
        for op in program.load(path).block.walk():
            for name, values in op.parameters.items():
                if op.kind in registry() and len(values) == 1 and values[0].is_constant:
                    tried.add((op.kind, name))
                    if (op.kind, name) not in effective and has_effect(op, name, ios):
                        effective.add((op.kind, name))
    assert tried - effective == WITHOUT_EFFECT
    optional = {(kind, name) for kind, rule in registry().items() for name in rule.optional}
    assert optional - tried == UNTRIED


def test_that_test_finds_a_parameter_that_is_looked_at_and_ignored() -> None:
    @lowering.lowers("hypocrite", "x", scale=1.0)
    def hypocrite(graph: lowering.Graph, op: lowering.Call) -> str:
        op.number("scale")
        return graph.node("Relu", op.tensor("x"))

    @lowering.lowers("honest", "x", scale=1.0)
    def honest(graph: lowering.Graph, op: lowering.Call) -> str:
        return graph.node("Mul", op.tensor("x"), op.scalar("scale"))

    x = Value("x", Type("float32", (2, 3)))
    try:
        assert not has_effect(call("hypocrite", x=x, scale=constant(2.0)), "scale", 17)
        assert has_effect(call("honest", x=x, scale=constant(2.0)), "scale", 17)
    finally:
        del lowering.REGISTRY["hypocrite"], lowering.REGISTRY["honest"]


def test_the_table_prints_every_op() -> None:
    table = dict(evaluator.honoured())
    assert table["conv"][:2] == ("x", "weight")
    assert len(table) > 120
    assert list(table) == sorted(table)
