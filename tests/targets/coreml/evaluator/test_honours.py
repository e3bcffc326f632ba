"""Nothing is ignored: what a lowering does not declare, or does not use, raises by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.errors import SourceError, UnverifiableError
from mlc.targets.coreml import evaluator
from mlc.targets.coreml.evaluator import constexpr, lowering
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
    # Sampling at computed places, and detection: not implemented yet.
    "affine", "crop_resize", "resample", "non_maximum_suppression",
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
        newest = op_kinds()[kind][max(op_kinds()[kind])]
        types = newest.input_spec.input_types
        required = {name for name, t in types.items() if not t.optional} - _IN_MEMORY_ONLY
        assert set(rule.required) == required, kind


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
    from mlc.targets.coreml.evaluator import program

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
            lambda mb, x: mb.local_response_norm(x=x, size=2),
            "local_response_norm, parameter size",
        ),
        (lambda mb, x: mb.random_normal(shape=[2, 3], mean=0.0), "op random_normal is not"),
    ],
    ids=["validate_indices", "integers", "even window", "random"],
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


def test_the_table_prints_every_op() -> None:
    table = dict(evaluator.honoured())
    assert table["conv"][:2] == ("x", "weight")
    assert len(table) > 120
    assert list(table) == sorted(table)
