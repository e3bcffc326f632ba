"""What an artifact holds is counted, not believed."""

from __future__ import annotations

import numpy as np
import pytest

from mlc.targets.planned import mostly_narrow


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8"])
def test_few_values_are_a_palette_in_any_type(dtype: str) -> None:
    rng = np.random.default_rng(0)
    table = np.linspace(-100, 100, 16).astype(dtype)
    kernel, bias = rng.choice(table, (128, 3, 96)), rng.normal(size=128).astype(np.float32)
    other = rng.uniform(-128, 127, (128, 3, 96)).astype(dtype)
    assert mostly_narrow([kernel, bias], 4)
    assert not mostly_narrow([other, bias], 4)
    assert not mostly_narrow([kernel[:64], other, bias], 4), "most are not"
    assert not mostly_narrow([bias], 4)
