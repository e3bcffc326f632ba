"""Networks that float16 spoils: each caught, and mended by keeping the right ops in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network, TensorSpec
from mlc.data.dataset import open_data
from mlc.errors import UsageError
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.targets import coreml
from mlc.targets.coreml import rewrites
from mlc.targets.coreml.evaluator.program import load
from mlc.targets.target import Array, Emission, Options
from mlc.validate.evidence import Check
from mlc.validate.execute import prove, reference
from tests.targets.coreml.test_rewrites import network_of

# The package has functions of the same names.
EMIT = import_module("mlc.targets.coreml.emit")
AUDIT = import_module("mlc.targets.coreml.audit")

Feeds = dict[str, Array]
rng = np.random.default_rng(5)
X = TensorSpec("x", (1, 8, 8), "float32")


def layer_norm(x: Any) -> Any:
    import tensorflow as tf

    kernel = np.random.default_rng(0).normal(0, 0.3, (8, 8)).astype("float32")
    x = tf.einsum("abc,cd->abd", x, kernel)
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-6)


def masked(x: Any, mask: Any) -> Any:
    """Attention weights; a row of the mask that allows nothing makes all its scores alike."""
    import tensorflow as tf

    return tf.nn.softmax(x + (1 - mask) * tf.float32.min)


def masked_by_a_table(x: Any) -> Any:
    import tensorflow as tf

    allowed = np.tril(np.ones((8, 8), bool))
    allowed[2] = False
    return tf.nn.softmax(x + np.where(allowed, 0, tf.float32.min).astype("float32"))


def exponentials(x: Any) -> Any:
    import tensorflow as tf

    e = tf.exp(x)
    return e / tf.reduce_sum(e, axis=-1, keepdims=True)


def squares(x: Any) -> Any:
    import tensorflow as tf

    return tf.square(x) / tf.reduce_sum(tf.square(x), axis=-1, keepdims=True)


def large_input(x: Any) -> Any:
    import tensorflow as tf

    return tf.tanh(tf.transpose(x, [0, 2, 1]) * 1e-5)


def recurrent(x: Any) -> Any:
    """A loop whose state outgrows float16, and nothing else does."""
    import tensorflow as tf

    def step(i: Any, state: Any) -> Any:
        return i + 1, state * 6.0 + x

    _, state = tf.while_loop(lambda i, s: i < 6, step, (0, tf.zeros_like(x)), maximum_iterations=6)
    return tf.tanh(state * 1e-6)


def normal(scale: float, **more: Array) -> list[Feeds]:
    return [{"x": (rng.normal(size=X.shape) * scale).astype("float32"), **more} for _ in range(2)]  # type: ignore[arg-type]


def emitted(network: Network, samples: list[Feeds], path: Path, **options: Any) -> Emission:
    def calibration() -> Iterator[Feeds]:
        return iter(samples)

    return coreml.emit(network, Plan(named("fp16")), calibration, Options(**options), path)


def error(network: Network, samples: list[Feeds], path: Path) -> float:
    """Of the output's span."""
    expected = np.stack([Reference(network).run(feeds)["y"] for feeds in samples])
    with closing(coreml.open(path)) as runtime:
        found = np.stack([runtime.run(feeds)["y"] for feeds in samples])
    return float(np.abs(found.astype("float64") - expected).max() / np.ptp(expected))


CASES: dict[str, tuple[Callable[..., Any], list[Feeds], str]] = {
    "LayerNorm of values about 300": (layer_norm, normal(300), "square"),
    "a mask that is a table": (masked_by_a_table, normal(1), "softmax"),
    "an un-normalized softmax": (
        exponentials, [{"x": np.linspace(-5, 14, 64, dtype="f").reshape(1, 8, 8)}], "exp",
    ),
    "a divisor that vanishes": (squares, normal(5e-5), "real_div"),
    "an input beyond 65504, transposed": (large_input, normal(9e4), "x overflows when cast"),
    "a loop": (recurrent, normal(30), "while_loop"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_is_caught_and_mended(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute, samples, offender = CASES[name]
    network = network_of(compute, X)
    mended = emitted(network, samples, tmp_path / "mended.mlpackage")
    (note,) = [n for n in mended.notes if "float32, because" in n]
    assert offender in note
    assert error(network, samples, mended.path) < 5e-3
    assert [f.state for f in coreml.examine(mended.path, samples)] in ([], ["passed"])

    monkeypatch.setattr(EMIT, "repaired", lambda write, samples, asked: write(frozenset(asked)))
    stock = emitted(network, samples, tmp_path / "stock.mlpackage")
    (finding,) = coreml.examine(stock.path, samples)
    assert finding.state == "failed"
    assert offender in finding.detail
    assert not error(network, samples, stock.path) < 0.1, "the damage is real"


MASK = TensorSpec("mask", (1, 8, 8), "float32")
ALLOWED = np.tril(np.ones((1, 8, 8), "float32"))
ALLOWED[:, 2] = 0


def test_a_mask_of_finfo_min_is_mended_by_its_rewrite(tmp_path: Path) -> None:
    """Without a float32 op: the rewrite `finite_masks` is there first, and the audit agrees."""
    network, samples = network_of(masked, X, MASK), normal(1, mask=ALLOWED)
    emission = emitted(network, samples, tmp_path / "m.mlpackage")
    assert "±30000" in emission.notes[0]
    assert len(emission.notes) == 1
    assert error(network, samples, emission.path) < 5e-3


def test_a_mask_of_finfo_min_is_mended_without_its_rewrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = tuple(r for r in rewrites.PIPELINE if r is not rewrites.finite_masks)
    monkeypatch.setattr(rewrites, "PIPELINE", pipeline)
    network, samples = network_of(masked, X, MASK), normal(1, mask=ALLOWED)
    emission = emitted(network, samples, tmp_path / "m.mlpackage")
    assert "3 ops stay in float32, because in float16 mul" in emission.notes[0]
    assert error(network, samples, emission.path) < 5e-3


def test_int8_is_mended_too(tmp_path: Path) -> None:
    network, samples = network_of(layer_norm, X), normal(300)
    path = tmp_path / "m.mlpackage"
    emission = coreml.emit(network, Plan(named("int8")), lambda: iter(samples), Options(), path)
    assert any("float32, because" in note for note in emission.notes)
    assert error(network, samples, path) < 5e-2


def test_without_samples_they_are_made_up(tmp_path: Path) -> None:
    """−3 … 3, in which exp(x * 5) overflows."""
    network = network_of(lambda x: exponentials(x * 5), X)
    emission = coreml.emit(network, Plan(named("fp16")), None, Options(), tmp_path / "m.mlpackage")
    assert "exp" in emission.notes[0]


def test_what_no_choice_mends_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AUDIT, "choose", lambda *_: ())
    samples = normal(20)
    emission = emitted(network_of(exponentials, X), samples, tmp_path / "m.mlpackage")
    assert emission.notes[-1].startswith("No choice of ops")


def test_validation_shows_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, samples = network_of(layer_norm, X), normal(300)
    np.savez(tmp_path / "data.npz", x=np.concatenate([feeds["x"] for feeds in samples]))
    dataset = open_data(str(tmp_path / "data.npz"), network, 10)
    references = tmp_path / "references"
    references.mkdir()
    reference(references, network, dataset, 1)

    def audit_of(emission: Emission) -> Check:
        proof = prove(tmp_path, "coreml", emission, network, dataset, references)
        (check,) = [c for c in proof.evidence.checks if c.name == "fp16 audit"]
        return check

    mended = audit_of(emitted(network, samples, tmp_path / "mended.mlpackage"))
    assert (mended.state, mended.figures["batches"]) == ("passed", 2)
    monkeypatch.setattr(EMIT, "repaired", lambda write, samples, asked: write(frozenset(asked)))
    stock = audit_of(emitted(network, samples, tmp_path / "stock.mlpackage"))
    assert stock.state == "failed"
    assert len(stock.figures["float32_ops"]) >= 3


def kinds_in_half(path: Path) -> set[str]:
    return {
        op.kind
        for op in load(path).block.walk()
        if op.kind != "cast" and any(v.type.dtype == "float16" for v in op.outputs)
    }


def test_ops_are_kept_by_kind_and_by_name(tmp_path: Path) -> None:
    network, samples = network_of(exponentials, X), normal(1)
    assert kinds_in_half(emitted(network, samples, tmp_path / "0.mlpackage").path) == {
        "exp", "reduce_sum", "real_div",
    }  # fmt: skip
    by_kind = emitted(network, samples, tmp_path / "1.mlpackage", coreml_float32_ops=("exp",))
    assert kinds_in_half(by_kind.path) == {"reduce_sum", "real_div"}
    (name,) = [op.name for op in load(by_kind.path).block.walk() if op.kind == "exp"]
    by_name = emitted(network, samples, tmp_path / "2.mlpackage", coreml_float32_ops=(name,))
    assert kinds_in_half(by_name.path) == {"reduce_sum", "real_div"}
    assert by_name.notes == (), "the user asked for it: nothing to tell"


def test_an_op_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="called 'reduce_sun'") as caught:
        emitted(
            network_of(exponentials, X), normal(1), tmp_path / "m.mlpackage",
            coreml_float32_ops=("reduce_sun",),
        )  # fmt: skip
    assert "reduce_sum" in caught.value.hint
