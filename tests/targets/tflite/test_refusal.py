"""What the converter's error becomes: an op by name, and a flag that helps where there is one."""

from __future__ import annotations

import pytest

from mlc.convert.network import TensorSpec
from mlc.targets.tflite.refusal import refusal

OPEN_LIST = "error: 'tf.TensorListReserve' op requires element_shape to be static"


@pytest.mark.parametrize(
    ("shapes", "hint"),
    [
        ([(None, 5, 4)], "Fix it with --batch 1."),
        ([(1, None, 4)], "Fix it with --input-shape x0=1xNx4."),
        ([(None, None), (None, 3)], "Fix it with --input-shape x0=1xN."),
        ([(1, 3), (2, 3)], "Its sizes depend on the data: leave this target out."),
    ],
)
def test_the_hint_names_what_is_open(shapes: list[tuple[int | None, ...]], hint: str) -> None:
    inputs = [TensorSpec(f"x{i}", shape, "float32") for i, shape in enumerate(shapes)]
    assert refusal(OPEN_LIST, inputs).hint == hint


def test_ops_are_named() -> None:
    error = refusal(
        "x: error: failed to legalize operation 'tf.Foo' that was explicitly marked", []
    )
    assert "no operation for Foo" in error.message


def test_anything_else_is_cut_to_its_first_sentence() -> None:
    error = refusal("noise\nloc(a): error: cannot do it\nmore\n", [])
    assert error.message == "The TFLite converter refused the network: cannot do it"
