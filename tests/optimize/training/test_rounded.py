"""What training computes with is, number for number, what the plan stores."""

from __future__ import annotations

import numpy as np
import pytest

from mlc.optimize.decide import decide_weight
from mlc.optimize.exact import exact
from mlc.optimize.recipe import named
from mlc.optimize.rounding import rounded as stored
from mlc.optimize.training.rounded import Rounded, Scale
from mlc.optimize.training.thaw import Free


@pytest.mark.parametrize("name", ["int8", "w8a8-per-tensor", "w4"])
def test_weights_are_seen_as_they_are_stored(name: str) -> None:
    recipe = named(name)
    values = np.random.default_rng(0).normal(size=(3, 3, 16, 256)).astype(np.float32)
    weight = decide_weight("w", "Conv2D", values, (3,), recipe)
    seen = Rounded(Free(values), weight).tensor().numpy()
    np.testing.assert_allclose(seen, stored(values, weight, recipe), rtol=1e-6, atol=0)


def test_scales_are_seen_as_they_are_stored() -> None:
    scale = Scale(np.float32(0.1))
    scale.trained[0].assign(0.0123)
    assert scale.frozen() == exact(np.float32(0.1) * np.exp(np.float32(0.123)))
