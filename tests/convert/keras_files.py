"""Model files of every age, for tests of the readers. What no Keras of today writes is made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.execute import Reference
from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, read

DESCRIPTION = Description("model")


def reading(path: Path, **options: Any) -> Network:
    return read(path, DESCRIPTION, ReadOptions(**options))


def feeds(network: Network, count: int = 3) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)

    def draw(shape: Sequence[int | None], dtype: str) -> Any:
        sizes = [d or 3 for d in shape]
        if dtype.startswith("float"):
            return rng.normal(size=sizes).astype(dtype)
        return rng.integers(0, 5, sizes).astype(dtype)

    return [{s.name: draw(s.shape, s.dtype) for s in network.inputs} for _ in range(count)]


def differs(network: Network, live: Callable[[dict[str, Any]], Mapping[str, Any]]) -> float:
    """Largest difference of any output, relative to the largest output; outputs must vary."""
    runtime, worst, seen = Reference(network), 0.0, []
    for one in feeds(network):
        expected, got = live(one), runtime.run(one)
        assert got.keys() == expected.keys()
        for name, value in expected.items():
            array = np.asarray(value, np.float64)
            assert got[name].shape == array.shape
            scale = np.abs(array).max() + 1e-9
            worst = max(worst, float(np.abs(got[name] - array).max() / scale))
        seen.append(np.concatenate([np.ravel(v) for v in expected.values()]))
    assert np.ptp(np.stack(seen), axis=0).max() > 1e-3, "the outputs do not vary: nothing is proven"
    return worst


def write_h5(
    path: Path,
    config: Mapping[str, Any],
    weights: Mapping[str, Sequence[tuple[str, Any]]],
    version: str | None = "2.0.8",
) -> Path:
    """An HDF5 file as Keras 2 wrote it: weights are arrays by name, in order, for every layer."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["backend"] = b"tensorflow"
        if version:
            file.attrs["keras_version"] = version.encode()
        stored = file.create_group("model_weights")
        stored.attrs["layer_names"] = [name.encode() for name in weights]
        stored.attrs["backend"] = b"tensorflow"
        stored.attrs["keras_version"] = (version or "").encode()
        for layer, arrays in weights.items():
            group = stored.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name, _ in arrays]
            for name, array in arrays:
                group.create_dataset(f"{layer}/{name}:0", data=np.asarray(array, np.float32))
    return path


def layer(kind: str, name: str, *inputs: str, **config: Any) -> dict[str, Any]:
    """A row of a functional config of Keras 2."""
    nodes = [[[i, 0, 0, {}] for i in inputs]] if inputs else []
    return {
        "class_name": kind,
        "name": name,
        "config": {"name": name, **config},
        "inbound_nodes": nodes,
    }


def picture_input(name: str = "image", size: int = 8) -> dict[str, Any]:
    return layer(
        "InputLayer", name, batch_input_shape=[None, size, size, 3], dtype="float32", sparse=False
    )


def functional(*layers: dict[str, Any], output: str, entry: str = "image") -> dict[str, Any]:
    """Keras 2.0 called every functional model `Model`."""
    return {
        "class_name": "Model",
        "config": {
            "name": "model_1",
            "layers": list(layers),
            "input_layers": [[entry, 0, 0]],
            "output_layers": [[output, 0, 0]],
        },
    }
