"""What is left out of tf2onnx's work changes nothing in its result."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlc.convert.network import Network
from mlc.targets.onnx.convert import _converted, rebuilt
from mlc.targets.onnx.lean import lean


@pytest.mark.parametrize("name", ["cnn", "lstm", "gru", "text"])
def test_the_model_is_the_same(name: str, frozen: Callable[..., Network]) -> None:
    network = frozen(name)
    with lean():
        made = _converted(network, 17)
    models = [rebuilt(model, network, suffix=":0") for model in (made, _converted(network, 17))]
    one, other = (model.SerializeToString(deterministic=True) for model in models)
    assert one == other
