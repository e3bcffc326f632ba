"""The Node process: types, faults, and that it never hangs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.network import TensorSpec
from mlc.errors import DataError, UnverifiableError
from mlc.targets import tfjs
from mlc.targets.target import Runtime
from mlc.targets.tfjs import runtime as module
from tests.targets.tfjs.conftest import Emit, network


def test_types_are_cast_to_those_of_tfjs(emit: Emit) -> None:
    import tensorflow as tf

    def call(number: Any, choice: Any) -> Any:
        number = tf.where(choice, number, -number)
        return number + 1, number > 2

    tiny = network(
        call,
        TensorSpec("number", (None,), "int64"),
        TensorSpec("choice", (None,), "bool"),
        outputs=("next", "large"),
    )
    with closing(tfjs.open(emit(tiny))) as runtime:
        assert [s.dtype for s in runtime.inputs] == ["int32", "bool"]
        found = runtime.run({"number": np.array([1, 2, 3]), "choice": np.array([True, False, 1])})
        with pytest.raises(DataError, match="beyond int32"):
            runtime.run({"number": np.array([2**31]), "choice": np.array([True])})
    assert found["next"].tolist() == [2, -1, 4]
    assert found["next"].dtype == np.int32
    assert found["large"].tolist() == [False, False, True]
    assert found["large"].dtype == np.bool_


def test_tensors_larger_than_a_pipe(emit: Emit) -> None:
    tiny = network(lambda x: x + 1, TensorSpec("x", (None, 1000), "float32"))
    x = np.random.default_rng(0).normal(size=(3000, 1000)).astype("float32")
    with closing(tfjs.open(emit(tiny))) as runtime:
        np.testing.assert_array_equal(runtime.run({"x": x})["scores"], x + np.float32(1))


def test_empty_and_strided_tensors(runtime: Runtime) -> None:
    assert runtime.run({"x": np.zeros((0, 4))})["scores"].shape == (0, 3)
    x = np.random.default_rng(0).normal(size=(4, 2)).astype("float32")
    turned = runtime.run({"x": x.T})["scores"]
    np.testing.assert_array_equal(turned, runtime.run({"x": x.T.copy()})["scores"])


@pytest.mark.parametrize("feeds", [{}, {"y": np.ones((1, 4))}, {"x": np.ones((1, 5))}])
def test_wrong_feeds_are_the_callers_fault(feeds: dict[str, Any], runtime: Runtime) -> None:
    with pytest.raises(DataError, match=r"'x'|x \?×4"):
        runtime.run(feeds)
    assert runtime.run({"x": np.ones((1, 4))})["scores"].shape == (1, 3)


def test_a_backend_that_fails_is_replaced_and_named(emit: Emit) -> None:
    """Only float matrices are multiplied by wasm; this is found out by running."""
    tiny = network(lambda x: x @ np.int32([[1, 2], [3, 4]]), TensorSpec("x", (1, 2), "int32"))
    with closing(tfjs.open(emit(tiny))) as runtime:
        assert runtime.name == "TF.js 4.22.0 (wasm)"
        assert runtime.timed
        assert runtime.run({"x": np.array([[1, 1]])})["scores"].tolist() == [[4, 6]]
        assert runtime.name.startswith("TF.js 4.22.0 (cpu: wasm fails: ")
        assert not runtime.timed


def test_after_a_run_that_no_backend_can_do_wasm_is_back(emit: Emit) -> None:
    import tensorflow as tf

    tiny = network(lambda x: tf.reshape(x, [2, 3]) * 2.0, TensorSpec("x", (None,), "float32"))
    with closing(tfjs.open(emit(tiny))) as runtime:
        with pytest.raises(UnverifiableError, match=r"^TF\.js cannot run fp32: "):
            runtime.run({"x": np.ones(5)})
        assert runtime.run({"x": np.ones(6)})["scores"].shape == (2, 3)
        assert runtime.name == "TF.js 4.22.0 (wasm)"


def test_a_dead_process_is_reported(runtime: Runtime) -> None:
    runtime._process.kill()  # type: ignore[attr-defined]
    with pytest.raises(UnverifiableError, match="ended without an answer: exit code -9"):
        runtime.run({"x": np.ones((1, 4))})


def test_closing_twice_and_running_after_it(artifact: Path) -> None:
    runtime = tfjs.open(artifact)
    process = runtime._process  # type: ignore[attr-defined]
    runtime.close()
    runtime.close()
    assert process.returncode == 0
    with pytest.raises(UnverifiableError, match="is closed"):
        runtime.run({"x": np.ones((1, 4))})


@pytest.fixture
def replace_runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    def replace(script: str) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(module.RUNNER / name, tmp_path)
        (tmp_path / "runner.mjs").write_text(script)
        monkeypatch.setattr(module, "RUNNER", tmp_path)

    return replace


def test_a_crash_tells_its_error(replace_runner: Callable[[str], None], artifact: Path) -> None:
    """... also behind more text than a pipe can hold."""
    replace_runner("console.error('x\\n'.repeat(500000)); throw new Error('out of luck');")
    with pytest.raises(UnverifiableError, match="ended without an answer: Error: out of luck"):
        tfjs.open(artifact)


def test_half_an_answer_is_a_crash(replace_runner: Callable[[str], None], artifact: Path) -> None:
    replace_runner('process.stdout.write(\'{"version": "4.2\');')
    with pytest.raises(UnverifiableError, match="ended without an answer: exit code 0"):
        tfjs.open(artifact)


def test_silence_has_an_end(
    replace_runner: Callable[[str], None], artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_runner("setInterval(() => {}, 1000);")
    monkeypatch.setattr(module, "_SECONDS", 0.5)
    with pytest.raises(UnverifiableError, match=r"gave no answer in 0\.5 s"):
        tfjs.open(artifact)
