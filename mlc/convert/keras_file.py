"""Keras files of version 2 and 3 → network, each by the Keras that understands it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from mlc.convert.freeze import check_names, freeze
from mlc.convert.network import Description, Network, Provenance, TensorSpec
from mlc.convert.source import Source, stored_weights
from mlc.convert.trust import check_config, check_graph
from mlc.errors import SourceError, UntrustedError, first_line

__all__ = ["freeze_model", "read"]


@dataclass(frozen=True)
class Loader:
    """One of the two Keras libraries. `tf_keras` reads files of Keras 1 and 2, `keras` of Keras 3."""

    library: str
    title: str


_SAVE_AGAIN = "Save the model again with the Keras version that made it."

# How the two libraries say that a class or function is not theirs.
_UNKNOWN = (
    "Unknown layer",
    "Unknown object",
    "Unknown activation function",
    "Could not interpret activation",
    "Could not locate class",
    "Could not locate function",
)

_HALF = {"mixed_float16", "mixed_bfloat16", "float16", "bfloat16"}

_KERAS2 = Loader("tf_keras", "Keras 2")
_KERAS3 = Loader("keras", "Keras 3")


def read(
    source: Source,
    description: Description,
    batch: int | None = 1,
    shapes: Mapping[str, tuple[int | None, ...]] | None = None,
    trust: bool = False,
    custom_objects: Mapping[str, Any] | None = None,
) -> Network:
    """Load a Keras file and freeze it.

    The file's own version chooses the library; should that one refuse, the other is tried and a note
    tells of it. Whatever was loaded must have the input shapes and the number of weights that the file
    states, because Keras 3 loads some Keras 2 files wrongly and says nothing.

    Raises `SourceError` if neither library loads it, `UntrustedError` for code without `trust`.
    """
    if not trust:
        check_config(source, custom_objects is not None)
    first, second = (_KERAS3, _KERAS2) if source.kind == "keras3" else (_KERAS2, _KERAS3)
    try:
        model = _load(source, first, trust, custom_objects or {})
        notes: tuple[str, ...] = ()
    except UntrustedError:
        raise
    except Exception as refusal:
        try:
            model = _load(source, second, trust, custom_objects or {})
        except Exception:
            raise _explained(source, first, refusal) from refusal
        notes = (
            f"{first.title} refused the file ({first_line(refusal)}); {second.title} read it.",
        )
    network = freeze_model(model, source.provenance, description, batch, shapes, notes)
    if not trust:
        check_graph(source.path.name, network.nodes())
    return network


def freeze_model(
    model: Any,
    provenance: Provenance,
    description: Description,
    batch: int | None = 1,
    shapes: Mapping[str, tuple[int | None, ...]] | None = None,
    notes: tuple[str, ...] = (),
) -> Network:
    """Freeze a live Keras model of either generation in inference mode.

    `batch` replaces the first dimension of every input (None leaves it open); `shapes` gives whole
    shapes for inputs by name, for models that do not know theirs.

    Raises `SourceError` for what is no Keras model, or cannot be run on such inputs.
    """
    if not (callable(model) and hasattr(model, "_flatten_layers")):
        raise SourceError(
            f"A {type(model).__name__} is no Keras model.", "Give a path, or a model of Keras."
        )
    inputs = _inputs(model, batch, shapes or {})
    structure = _input_structure(model, [s.name for s in inputs])

    def call(feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        return _named(model, model(structure(feeds), training=False))

    with _computing_in_float32(model):
        return freeze(call, inputs, provenance, description, notes)


def _load(source: Source, loader: Loader, trust: bool, custom_objects: Mapping[str, Any]) -> Any:
    if loader is _KERAS2:
        import tf_keras
        from tf_keras.src.saving.serialization_lib import SafeModeScope

        with SafeModeScope(not trust):  # for HDF5 files Keras 2 does not look at `safe_mode`
            model = tf_keras.models.load_model(
                str(source.path),
                custom_objects={**_legacy_objects(), **custom_objects},
                compile=False,
                safe_mode=not trust,
            )
    else:
        import keras

        model = keras.models.load_model(
            str(source.path),
            custom_objects=dict(custom_objects),
            compile=False,
            safe_mode=not trust,
        )
    _verify(model, source)
    return model


def _legacy_objects() -> dict[str, Any]:
    """Names that Keras 2.0 to 2.2 files use and later versions dropped."""
    import tensorflow as tf

    return {"relu6": tf.nn.relu6, "hard_swish": lambda x: x * tf.nn.relu6(x + 3) / 6}


def _verify(model: Any, source: Source) -> None:
    """The loaded model must be the stored one: same input shapes, same weights."""
    stored = _stored_input_shapes(source.config)
    loaded = [tuple(t.shape) for t in getattr(model, "inputs", None) or []]
    if stored and loaded and sorted(stored, key=str) != sorted(loaded, key=str):
        raise SourceError(
            f"{source.path.name} states input shapes {stored}, but loading gave {loaded}.",
            _SAVE_AGAIN,
        )
    weights = _weights(model)
    if source.container == "HDF5":
        _verify_count(weights, source)
    elif not {_digest(weight) for weight in weights} <= stored_weights(source):
        raise SourceError(
            f"Loading {source.path.name} gave other weights than it stores.", _SAVE_AGAIN
        )


def _verify_count(weights: list[Any], source: Source) -> None:
    """Keras 2 converts some weights while loading (CuDNN, Theano): only their number must be right.

    A file stores a layer twice that is part of two nested models.
    """
    count = sum(weight.size for weight in weights)
    if count != source.stored_parameters and (
        {_digest(weight) for weight in weights} != stored_weights(source)
    ):
        raise SourceError(
            f"{source.path.name} stores {source.stored_parameters:,} weights, "
            f"but loading gave {count:,}.",
            _SAVE_AGAIN,
        )


def _weights(model: Any) -> list[Any]:
    """All weights but the seeds of random layers, as numpy arrays."""
    import tensorflow as tf

    weights = [getattr(w, "value", w) for w in model.weights]
    return [tf.convert_to_tensor(w() if callable(w) else w).numpy() for w in weights]


def _digest(weight: Any) -> str:
    return hashlib.sha256(weight.tobytes()).hexdigest()


def _stored_input_shapes(config: dict[str, Any]) -> list[tuple[int | None, ...]]:
    """Shapes of the outermost model's inputs as its config states them; [] where it does not."""
    body = config.get("config", {})
    if isinstance(body, list):  # Sequential of Keras 2.0 to 2.2
        layers, inputs = body, None
    else:
        layers, inputs = body.get("layers", []), body.get("input_layers")
    if config.get("class_name") == "Sequential":
        candidates = layers[:1]
    else:
        flat = _flat_names(inputs)
        candidates = [row for row in layers if row.get("name") in flat]
    shapes = []
    for row in candidates:
        shape = row["config"].get("batch_shape", row["config"].get("batch_input_shape"))
        if shape is not None:
            shapes.append(tuple(shape))
    return shapes


def _flat_names(node: Any) -> set[str]:
    if isinstance(node, str):
        return {node}
    values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return set().union(*map(_flat_names, values)) if values else set()


def _inputs(
    model: Any, batch: int | None, shapes: Mapping[str, tuple[int | None, ...]]
) -> list[TensorSpec]:
    tensors = getattr(model, "inputs", None) or []
    if not tensors and not shapes:
        raise SourceError(
            "The model does not know its input shape.", "Give it with --input-shape NAME=DIMS."
        )
    if not tensors:
        return [TensorSpec(name, shape, "float32") for name, shape in shapes.items()]
    check_names(shapes, [_history(tensor).name for tensor in tensors])
    specs = []
    for tensor in tensors:
        name = _history(tensor).name
        shape = shapes.get(name, (batch, *tuple(tensor.shape)[1:]))
        dtype = tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name
        specs.append(TensorSpec(name, shape, dtype))
    return specs


def _history(tensor: Any) -> Any:
    """The layer that made a symbolic tensor: Keras 3 and Keras 2 keep it under different names."""
    history = tensor._keras_history
    return history.operation if hasattr(history, "operation") else history.layer


def _input_structure(model: Any, names: list[str]) -> Any:
    """How to hand over inputs: nested in the lists and dicts that the model was built with."""
    import tensorflow as tf

    struct = getattr(model, "_inputs_struct", None)
    if struct is None:
        struct = getattr(model, "_nested_inputs", None)
    if struct is not None:
        names_in_place = tf.nest.map_structure(lambda tensor: _history(tensor).name, struct)
        return lambda feeds: tf.nest.map_structure(lambda name: feeds[name], names_in_place)
    if len(names) == 1:
        return lambda feeds: feeds[names[0]]
    return lambda feeds: [feeds[name] for name in names]


def _named(model: Any, results: Any) -> dict[str, Any]:
    """Outputs by name: the keys of a dict, else the layers that end the model, made different."""
    import tensorflow as tf

    flat = tf.nest.flatten(results)
    if isinstance(results, Mapping) and len(flat) == len(results):
        return dict(results)
    symbolic = getattr(model, "outputs", None) or []
    if len(symbolic) != len(flat):
        return {f"output_{k}" if len(flat) > 1 else "output": t for k, t in enumerate(flat)}
    named: dict[str, Any] = {}
    for tensor, result in zip(symbolic, flat, strict=True):
        name = base = _history(tensor).name
        n = 1
        while name in named:
            name, n = f"{base}_{n}", n + 1
        named[name] = result
    return named


@contextmanager
def _computing_in_float32(model: Any) -> Iterator[None]:
    """Mixed-precision policies only speed up training; their casts to float16 break TFLite.

    A live model is the caller's: its policies are given back.
    """
    changed = []
    for layer in [model, *model._flatten_layers(include_self=False)]:
        policy = getattr(layer, "dtype_policy", None)
        if policy is not None and policy.name in _HALF:
            changed.append((layer, policy))
            _set_policy(layer, "float32")
    try:
        yield
    finally:
        for layer, policy in changed:
            _set_policy(layer, policy)


def _set_policy(layer: Any, policy: Any) -> None:
    import keras

    if isinstance(layer, keras.layers.Layer):
        layer.dtype_policy = policy
    else:
        import tf_keras

        wanted = tf_keras.mixed_precision.Policy(policy) if isinstance(policy, str) else policy
        layer._set_dtype_policy(wanted)


def _explained(source: Source, loader: Loader, refusal: Exception) -> SourceError:
    if isinstance(refusal, SourceError):
        return refusal
    text = str(refusal)
    if any(phrase in text for phrase in _UNKNOWN):
        match = re.search(r"(?:Unknown|not locate) (layer|class|object|metric):? '(\w+)'", text)
        functions = sorted(_own_functions(source.config))
        name = (
            f"the {match[1]} {match[2]}" if match else ", ".join(functions) or first_line(refusal)
        )
        return UntrustedError(
            f"{source.path.name} needs {name}, which is neither part of Keras nor in the file.",
            "Name the Python module that defines it with --custom-objects MODULE.",
        )
    innermost = text.rpartition("Exception encountered: ")[2]
    installed, hint = metadata.version(loader.library), "saving the model again often helps."
    if _release(source.version) > _release(installed):
        hint = (
            f"Keras {installed} is installed here: install a newer one (from 3.13 on it needs "
            "Python 3.11), or export the model as a SavedModel where it was made."
        )
    return SourceError(
        f"{loader.title} cannot load {source.path.name} (saved by Keras {source.version}): "
        f"{first_line(ValueError(innermost))}",
        f"--debug shows the whole message; {hint}",
    )


def _release(version: str) -> list[int]:
    """Major and minor number: `3.15.1` → [3, 15]."""
    return [int(number) for number in re.findall(r"\d+", version)[:2]]


def _own_functions(node: Any) -> set[str]:
    """Functions that a config names as Python's or Keras's own, but that Keras does not have."""
    if isinstance(node, list):
        return set().union(*map(_own_functions, node))
    if not isinstance(node, dict):
        return set()
    found = set().union(*map(_own_functions, node.values()))
    names = [node.get("config") if node.get("class_name") == "function" else node.get("activation")]
    import keras

    return found | {
        f"the function {name}"
        for name in names
        if isinstance(name, str) and not hasattr(keras.activations, name)
    }
