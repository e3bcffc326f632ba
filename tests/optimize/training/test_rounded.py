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
    parameter = Rounded(Free(values), weight)
    kept = stored(values, weight, recipe)
    np.testing.assert_allclose(parameter.tensor().numpy(), kept, rtol=1e-6, atol=0)
    np.testing.assert_array_equal(parameter.frozen(), kept)


@pytest.mark.parametrize("name", ["int8", "w8a8-per-tensor", "w4"])
def test_what_was_rounded_once_has_the_same_grid_again(name: str) -> None:
    recipe = named(name)
    values = np.random.default_rng(1).normal(size=(3, 3, 16, 256)).astype(np.float32)
    weight = decide_weight("w", "Conv2D", values, (3,), recipe)
    kept = Rounded(Free(values), weight).frozen()
    assert decide_weight("w", "Conv2D", kept, (3,), recipe) == weight
    np.testing.assert_array_equal(stored(kept, weight, recipe), kept)


def test_scales_are_seen_as_they_are_stored() -> None:
    scale = Scale(np.float32(0.1))
    scale.trained[0].assign(0.0123)
    assert scale.frozen() == exact(np.float32(0.1) * np.exp(np.float32(0.123)))
