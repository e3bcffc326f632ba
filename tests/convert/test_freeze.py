"""Freezing: names, shapes, constants, and what has no place in a frozen graph."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.convert.execute import Reference
from mlc.convert.freeze import as_identifiers, freeze
from mlc.convert.network import Description, Network, Provenance, TensorSpec
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import SourceError

PROVENANCE, DESCRIPTION = Provenance("f", "function", "0" * 64), Description("f")

odd = st.text(st.sampled_from("aAbB_01:/.- é"), max_size=4)


@given(st.lists(st.one_of(odd, st.text(max_size=6)), max_size=8), st.lists(odd, max_size=3))
def test_any_names_become_different_identifiers(names: list[str], before: list[str]) -> None:
    taken = as_identifiers(before)
    found = as_identifiers(names, taken)
    assert len(found) == len(names)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in found)
    both = [name.lower() for name in (*taken, *found, "body")]
    assert len(set(both)) == len(both), "TensorFlow takes A and a for the same"


@given(st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True), unique=True))
def test_good_names_stay(names: list[str]) -> None:
    good = [name for name in names if name != "body"]
    assert as_identifiers(good) == good


def frozen(call: Any, *specs: TensorSpec) -> Network:
    return freeze(call, specs, PROVENANCE, DESCRIPTION)


X = TensorSpec("x", (1, 3), "float32")


def test_names_that_only_differ_in_case_are_told_apart() -> None:
    upper = TensorSpec("X", (1, 3), "float32")
    network = frozen(lambda f: {"Body": f["x"] - f["X"]}, X, upper)
    assert [s.name for s in network.inputs] == ["x", "X_1"]
    assert [s.name for s in network.outputs] == ["Body_1"]
    assert any("'X' became 'X_1'" in note for note in network.notes)
    feeds = {"x": np.ones((1, 3), "float32"), "X_1": np.zeros((1, 3), "float32")}
    np.testing.assert_array_equal(Reference(network).run(feeds)["Body_1"], np.ones((1, 3)))


def test_an_output_may_be_an_input() -> None:
    network = frozen(lambda f: {"x": f["x"], "y": f["x"]}, X)
    assert [s.name for s in network.outputs] == ["x_1", "y"]
    value = np.array([[1, 2, 3]], "float32")
    assert Reference(network).run({"x": value})["x_1"].tolist() == value.tolist()


def test_variables_become_constants_and_are_counted() -> None:
    import tensorflow as tf

    kernel = tf.Variable(np.arange(6, dtype="float32").reshape(3, 2))
    step = tf.Variable(7, dtype=tf.int64)
    network = frozen(lambda f: {"y": f["x"] @ kernel + tf.cast(step, tf.float32)}, X)
    assert network.parameters == 6, "whole numbers are no parameters"
    assert not any("Variable" in node.op or "VarHandle" in node.op for node in network.nodes())
    kernel.assign(kernel * 0)  # the network is a copy
    got = Reference(network).run({"x": np.eye(3, dtype="float32")[:1]})["y"]
    assert got.tolist() == [[7, 8]]


def test_open_dimensions_stay_open() -> None:
    network = frozen(lambda f: {"y": f["x"] * 2}, TensorSpec("x", (None, None, 3), "float32"))
    assert network.outputs[0].shape == (None, None, 3)
    assert Reference(network).run({"x": np.ones((2, 5, 3), "float32")})["y"].shape == (2, 5, 3)


@pytest.mark.parametrize(
    ("ending", "op", "classifier"),
    [("softmax", "Softmax", True), ("sigmoid", "Sigmoid", False), ("identity", "AddV2", False)],
)
def test_what_computes_an_output_is_seen_through_reshapes(
    ending: str, op: str, classifier: bool
) -> None:
    import tensorflow as tf

    last = {"softmax": tf.nn.softmax, "sigmoid": tf.sigmoid, "identity": tf.identity}[ending]
    network = frozen(lambda f: {"y": tf.reshape(tf.identity(last(f["x"] + 1)), (1, 3))}, X)
    assert network.endings == (op,)
    assert network.is_classifier == classifier


def test_rows_of_tables_are_known() -> None:
    import tensorflow as tf

    table = tf.Variable(np.random.default_rng(0).normal(size=(50, 4)).astype("float32"))
    tokens = TensorSpec("tokens", (1, 6), "int32")
    network = frozen(lambda f: {"y": tf.gather(table, tf.cast(f["tokens"], tf.int64))}, tokens)
    assert network.vocabulary == {"tokens": 50}


def test_equal_functions_freeze_to_equal_bytes_whatever_came_before() -> None:
    """Names of loop bodies carry a counter of the process, unless they are named by their content."""
    import tensorflow as tf

    def call(f: Any) -> Any:
        body = lambda k, y: (k + 1, y * 1.5)  # noqa: E731
        return {"y": tf.while_loop(lambda k, y: k < 3, body, (0, f["x"]))[1]}

    first = frozen(call, X)
    frozen(
        lambda f: {
            "y": tf.while_loop(lambda k, y: k < 9, lambda k, y: (k + 1, -y), (0, f["x"]))[1]
        },
        X,
    )
    assert frozen(call, X).digest == first.digest
    assert any(node.op.endswith("While") for node in first.nodes())


def test_everything_survives_saving(tmp_path: Path) -> None:
    network = frozen(lambda f: {"y": f["x"] * 2}, X)
    network = network.described(
        labels=("a", "ß", "c"),
        preprocessing=Preprocessing(mean=(1.0, 2.0, 3.0)),
        vocabulary={"x": 3},
    )
    network.save(tmp_path)
    again = Network.load(tmp_path)
    assert again == network
    assert again.digest == network.digest


def test_the_digest_tells_surroundings_apart() -> None:
    network = frozen(lambda f: {"y": f["x"] * 2}, X)
    others = [network.described(labels=("a",)), network.described(description=Description("g"))]
    assert len({network.digest, *(n.digest for n in others)}) == 3


def test_random_numbers_are_told(tmp_path: Path) -> None:
    import tensorflow as tf

    network = frozen(lambda f: {"y": f["x"] + tf.random.normal((1, 3))}, X)
    (note,) = network.notes
    assert note.startswith("The network draws random numbers in every call (RandomStandardNormal")
    fixed = frozen(lambda f: {"y": f["x"] + tf.random.stateless_normal((1, 3), [1, 2])}, X)
    assert fixed.notes == ()


def count(f: Any) -> Any:
    counter = STATE["counter"]
    return {"y": f["x"] + counter.assign_add(1.0)}


def look_up(f: Any) -> Any:
    import tensorflow as tf

    return {"y": tf.cast(STATE["table"].lookup(tf.cast(f["x"], tf.int64)), tf.float32)}


def unknown_rank(f: Any) -> Any:
    import tensorflow as tf

    return {"y": tf.ensure_shape(tf.py_function(lambda x: x, [f["x"]], tf.float32), None)}


STATE: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (count, "changes its state in every call (AssignAddVariableOp"),
        (look_up, "keeps state that cannot be frozen"),
        (unknown_rank, "The rank of output"),
    ],
)
def test_what_cannot_be_frozen_is_told(call: Any, says: str) -> None:
    import tensorflow as tf

    STATE["counter"] = tf.Variable(0.0)
    keys = tf.constant([0, 1], tf.int64)
    initializer = tf.lookup.KeyValueTensorInitializer(keys, keys)
    STATE["table"] = tf.lookup.StaticHashTable(initializer, -1)
    with pytest.raises(SourceError) as caught:
        frozen(call, X)
    assert says in caught.value.message
    assert caught.value.hint


def fail(_: Any) -> Any:
    raise RuntimeError("Exception encountered when calling Foo.\n\n\x1b[1mNo such axis.\x1b[0m")


@pytest.mark.parametrize(
    ("shape", "hint"),
    [((1, 3), "--batch or --input-shape"), ((None, None, 3), "--input-shape, e.g. x=1x224x3.")],
)
def test_a_call_that_fails_is_told_by_its_reason(shape: Any, hint: str) -> None:
    with pytest.raises(
        SourceError, match=r"cannot be run on x .* float32: No such axis\."
    ) as caught:
        frozen(fail, TensorSpec("x", shape, "float32"))
    assert hint in caught.value.hint


def test_text_is_no_input() -> None:
    with pytest.raises(SourceError, match="Input 'words' takes text"):
        frozen(lambda f: {"y": f["words"]}, TensorSpec("words", (1,), "string"))
