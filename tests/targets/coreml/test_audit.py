"""The fp16 audit on programs made for it: each finding where it is, and none where there is none."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc import targets
from mlc.targets import coreml
from mlc.targets.coreml.audit import Audit, audit
from mlc.targets.coreml.evaluator.lowering import honoured
from mlc.targets.coreml.fragile import FRAGILE
from tests.targets.coreml.evaluator import programs

rng = np.random.default_rng(4)


def audited(path: Path, build: programs.Build, *feeds: dict[str, Any], **options: Any) -> Audit:
    found = audit(programs.save(path / "p.mlpackage", build, feeds[0], **options), feeds)
    assert found is not None
    return found


def row(*values: float) -> dict[str, Any]:
    return {"x": np.array([values], np.float32)}


def normalized(mb: Any, x: Any) -> dict[str, Any]:
    """LayerNorm as TensorFlow spells it."""
    x = mb.cast(x=x, dtype="fp16", name="x_to_fp16")
    mean = mb.reduce_mean(x=x, axes=[-1], keep_dims=True, name="mean_cast_fp16")
    shifted = mb.sub(x=x, y=mean, name="shifted_cast_fp16")
    square = mb.square(x=shifted, name="square_cast_fp16")
    variance = mb.reduce_mean(x=square, axes=[-1], keep_dims=True, name="variance_cast_fp16")
    deviation = mb.rsqrt(x=variance, epsilon=np.float16(1e-3), name="deviation_cast_fp16")
    return {"y": mb.cast(x=mb.mul(x=shifted, y=deviation, name="scaled_cast_fp16"), dtype="fp32")}


def test_a_layer_norm_that_overflows_without_a_nan(tmp_path: Path) -> None:
    """The output is finite, and 100 % wrong: only the values inside tell."""
    x = {"x": rng.normal(0, 300, (4, 64)).astype(np.float32)}
    found = audited(tmp_path, normalized, x)
    assert found.failed
    assert str(found.first).startswith("square square overflows (|x| up to ")
    assert 0.4 < found.harm < math.inf
    assert found.headroom[0] > 1
    assert found.headroom[1] == "square"
    assert found.float32_ops == ("square", "variance", "deviation")


def test_a_layer_norm_that_fits(tmp_path: Path) -> None:
    found = audited(tmp_path, normalized, {"x": rng.normal(0, 1, (4, 64)).astype(np.float32)})
    assert not found.failed
    assert found.first is None
    assert found.float32_ops == found.constants == found.sums == found.fragile == ()
    assert found.harm < 5e-3


def shares(mb: Any, x: Any) -> dict[str, Any]:
    """A softmax that nobody normalized."""
    e = mb.exp(x=mb.cast(x=x, dtype="fp16", name="x_to_fp16"), name="exp_cast_fp16")
    total = mb.reduce_sum(x=e, axes=[-1], keep_dims=True, name="total_cast_fp16")
    return {"y": mb.cast(x=mb.real_div(x=e, y=total, name="share_cast_fp16"), dtype="fp32")}


def test_the_first_op_is_named_not_the_one_that_shows_it(tmp_path: Path) -> None:
    """The NaN is made by the division; the cause is the exponential."""
    found = audited(tmp_path, shares, row(1, 2, 14), row(3, 2, 1))
    assert str(found.first) == "exp exp overflows (|x| up to 1.2e+06)"
    assert found.harm == math.inf
    assert found.float32_ops == ("exp", "total", "share")
    assert found.batches == 2


def test_an_overflow_in_any_batch_counts(tmp_path: Path) -> None:
    assert audited(tmp_path, shares, row(3, 2, 1), row(1, 2, 14)).failed


def test_a_divisor_that_vanishes(tmp_path: Path) -> None:
    """Nothing is large: 0 / 0 comes of values that float16 flushed to zero."""

    def build(mb: Any, x: Any) -> dict[str, Any]:
        small = mb.square(x=mb.cast(x=x, dtype="fp16"), name="small_cast_fp16")
        total = mb.reduce_sum(x=small, axes=[-1], keep_dims=True, name="total_cast_fp16")
        return {"y": mb.cast(x=mb.real_div(x=small, y=total, name="d_cast_fp16"), dtype="fp32")}

    found = audited(tmp_path, build, row(1e-4, 1.5e-4, 1e-5))
    assert found.first is not None
    assert (found.first.op.kind, found.first.nan) == ("real_div", True)
    assert found.flushed == (1.0, "small")
    assert found.float32_ops == ("d",), "the offender first; what feeds it if that is not enough"


def test_an_input_that_does_not_fit(tmp_path: Path) -> None:
    def build(mb: Any, x: Any) -> dict[str, Any]:
        half = mb.cast(x=x, dtype="fp16", name="x_to_fp16")
        scaled = mb.mul(x=half, y=np.float16(1e-4), name="scaled_cast_fp16")
        return {"y": mb.cast(x=scaled, dtype="fp32")}

    found = audited(tmp_path, build, row(1, 2e5))
    assert str(found.first) == "x overflows when cast to float16 (|x| up to 2e+05)"
    assert found.float32_ops == ("scaled",)


def test_an_overflow_that_harms_nothing_is_a_warning(tmp_path: Path) -> None:
    def build(mb: Any, x: Any) -> dict[str, Any]:
        e = mb.exp(x=mb.cast(x=x, dtype="fp16"), name="exp_cast_fp16")
        one = mb.add(x=e, y=np.float16(1))
        return {"y": mb.cast(x=mb.inverse(x=one, epsilon=np.float16(0)), dtype="fp32")}

    programs.save(tmp_path / "p.mlpackage", build, row(0, 1, 12))
    (finding,) = coreml.examine(tmp_path / "p.mlpackage", [row(0, 1, 12)])
    assert finding.state == "passed"
    assert "exp exp overflows" in finding.warnings[0]
    assert "does not reach the outputs" in finding.warnings[0]


def test_masks_that_are_infinite(tmp_path: Path) -> None:
    """0 · -inf is NaN. The float32 run is no witness: the constant is infinite there too."""

    def build(mb: Any, x: Any) -> dict[str, Any]:
        half = mb.cast(x=x, dtype="fp16", name="x_to_fp16")
        least = mb.const(val=np.float16(-np.inf), name="least")
        masked = mb.mul(x=half, y=least, name="masked_cast_fp16")
        scores = mb.softmax(x=masked, axis=-1, name="scores_cast_fp16")
        return {"y": mb.cast(x=scores, dtype="fp32")}

    found = audited(tmp_path, build, row(0, 0, 1))
    assert found.constants == ("least",)
    assert str(found.first) == "mul masked turns NaN"
    assert found.float32_ops == ("masked", "scores")


def test_an_infinity_that_is_meant_is_no_failure(tmp_path: Path) -> None:
    def build(mb: Any, x: Any) -> dict[str, Any]:
        half = mb.cast(x=x, dtype="fp16", name="x_to_fp16")
        least = mb.const(val=np.array([[0, -np.inf, 0]], np.float16), name="least")
        scores = mb.softmax(x=mb.add(x=half, y=least, name="masked"), axis=-1)
        return {"y": mb.cast(x=scores, dtype="fp32")}

    found = audited(tmp_path, build, row(1, 2, 3))
    assert (found.failed, found.first, found.constants) == (False, None, ("least",))


def test_what_the_network_itself_does_is_not_blamed_on_float16(tmp_path: Path) -> None:
    def build(mb: Any, x: Any) -> dict[str, Any]:
        logs = mb.log(x=mb.cast(x=x, dtype="fp16"), epsilon=np.float16(0), name="logs")
        return {"y": mb.cast(x=logs, dtype="fp32"), "z": mb.reduce_max(x=logs, axes=[-1])}

    found = audited(tmp_path, build, row(0, 1, 2))
    assert (found.failed, found.first) == (False, None)


def test_long_sums(tmp_path: Path) -> None:
    """The mean is small; on the way to it a sum in float16 would overflow."""

    def build(mb: Any, x: Any) -> dict[str, Any]:
        half = mb.cast(x=x, dtype="fp16")
        mean = mb.reduce_mean(x=half, axes=[-1], name="mean_cast_fp16")
        return {"y": mb.cast(x=mean, dtype="fp32")}

    x = np.where(np.arange(4000) % 2, 20, -20).astype(np.float32)[None]
    found = audited(tmp_path, build, {"x": x})
    assert not found.failed
    assert found.sums == ((80000.0, "mean"),)
    assert not audited(tmp_path / "less", build, {"x": x[:, :3000]}).sums


@pytest.mark.parametrize("high", [10.3, 10.5])
def test_softplus_is_fragile_beyond_10_4(high: float, tmp_path: Path) -> None:
    def build(mb: Any, x: Any) -> dict[str, Any]:
        soft = mb.softplus(x=mb.cast(x=x, dtype="fp16"), name="soft_cast_fp16")
        return {"y": mb.cast(x=soft, dtype="fp32")}

    found = audited(tmp_path, build, row(-50, high))
    assert not found.failed
    assert [f.startswith("softplus soft takes values up to 10.5") for f in found.fragile] == (
        [True] if high > 10.4 else []
    )


def test_the_limit_of_a_sum_of_exponentials_depends_on_its_length(tmp_path: Path) -> None:
    def build(mb: Any, x: Any) -> dict[str, Any]:
        found = mb.reduce_log_sum_exp(x=mb.cast(x=x, dtype="fp16"), axes=[-1], name="lse")
        return {"y": mb.cast(x=found, dtype="fp32")}

    assert not audited(tmp_path / "short", build, row(8, 0)).fragile
    (sentence,) = audited(tmp_path / "long", build, {"x": np.full((1, 64), 8, "f")}).fragile
    assert "beyond 6.93" in sentence  # log(65504 / 64)


@pytest.mark.parametrize(("mode", "count"), [("TANH_APPROXIMATION", 1), ("EXACT", 0)])
def test_only_the_tanh_form_of_gelu_is_fragile(mode: str, count: int, tmp_path: Path) -> None:
    def build(mb: Any, x: Any) -> dict[str, Any]:
        gelu = mb.gelu(x=mb.cast(x=x, dtype="fp16"), mode=mode)
        return {"y": mb.cast(x=gelu, dtype="fp32")}

    assert len(audited(tmp_path, build, row(1, 50)).fragile) == count


def test_fragile_ops_are_ops() -> None:
    assert set(FRAGILE) <= {kind for kind, _ in honoured()}


def test_a_float32_program_has_nothing_to_audit(tmp_path: Path) -> None:
    path = programs.save(tmp_path / "p.mlpackage", lambda mb, x: {"y": mb.exp(x=x)}, row(1, 2))
    assert audit(path, [row(1, 2)]) is None
    assert coreml.examine(path, [row(1, 2)]) == ()


def test_a_finding_says_what_to_do(tmp_path: Path) -> None:
    path = programs.save(tmp_path / "p.mlpackage", shares, row(1, 2, 14))
    (finding,) = targets.examine("coreml", path, [row(1, 2, 14)])
    assert (finding.name, finding.state) == ("fp16 audit", "failed")
    assert finding.detail == (
        "in float16 exp exp overflows (|x| up to 1.2e+06), and the outputs are no numbers; keep in "
        "float32 what does not fit: --coreml-float32-ops exp,total,share"
    )
    figures = json.loads(json.dumps(finding.figures, allow_nan=False))
    assert figures["first"] == "exp exp overflows (|x| up to 1.2e+06)"
    assert figures["headroom"]["share"] > 18


def test_what_cannot_be_run_is_not_verified(tmp_path: Path) -> None:
    def build(mb: Any, x: Any) -> dict[str, Any]:
        half = mb.cast(x=x, dtype="fp16")
        noise = mb.random_normal(shape=[1, 2], mean=np.float16(0), stddev=np.float16(1))
        return {"y": mb.cast(x=mb.add(x=half, y=noise), dtype="fp32")}

    path = programs.save(tmp_path / "p.mlpackage", build, row(1, 2))
    (finding,) = coreml.examine(path, [row(1, 2)])
    assert finding.state == "not verified"
    assert "random_normal" in finding.detail


def test_other_rooms_have_nothing_to_examine(tmp_path: Path) -> None:
    assert {n: targets.examine(n, tmp_path, []) for n in targets.NAMES if n != "coreml"} == {
        "tflite": (), "onnx": (), "tfjs": ()
    }  # fmt: skip
