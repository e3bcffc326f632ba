"""Data from the user's own Python: every form of batch, every way to fail."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from mlc.data.python import open_function
from mlc.errors import DataError
from tests import stand_ins

ONE = stand_ins.network({"x": (1, 2)})
TWO = stand_ins.network({"left": (1, 2), "right": (1, 3)})


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(body: str) -> str:
        lines = textwrap.dedent(body)
        (tmp_path / "feed.py").write_text(
            "import numpy as np\ndef rows():\n" + textwrap.indent(lines, "    ")
        )
        return f"{tmp_path / 'feed.py'}:rows"

    return write


def test_arrays_alone(write: Any) -> None:
    data = open_function(write("yield np.zeros((2, 2))\nyield np.ones((1, 2))"), ONE, 99)
    samples = list(data.samples())
    assert [s.feeds["x"].tolist() for s in samples] == [[0, 0], [0, 0], [1, 1]]
    assert not data.labelled
    assert data.fingerprint is None, "a function may depend on anything: never cached"
    assert data.title.startswith("samples from ")


@pytest.mark.parametrize(
    "y", ["[2, 0]", "np.array([[2], [0]])", "np.eye(3)[[2, 0]]", "[2, 0], np.ones(2)"]
)
def test_pairs_carry_labels(y: str, write: Any) -> None:
    data = open_function(write(f"yield (np.zeros((2, 2)), {y})"), ONE, 99)
    assert data.labelled
    assert [s.label for s in data.samples()] == [2, 0]


def test_several_inputs_come_as_a_dict(write: Any) -> None:
    source = write("yield {'right': np.ones((2, 3)), 'left': np.zeros((2, 2)), 'more': 0}, [0, 1]")
    samples = list(open_function(source, TWO, 99).samples())
    assert [s.label for s in samples] == [0, 1]
    assert samples[0].feeds.keys() == {"left", "right"}


def test_no_more_is_read_than_wanted(write: Any) -> None:
    source = write("for k in range(10):\n    yield np.full((3, 2), k)\n    assert k < 1, 'too far'")
    values = [s.feeds["x"][0] for s in open_function(source, ONE, 4).samples()]
    assert values == [0, 0, 0, 1]


def test_a_module_is_found_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlc_test_feed.py").write_text("def rows():\n    yield [[1.0, 2.0]]\n")
    monkeypatch.chdir(tmp_path)
    (sample,) = open_function("mlc_test_feed:rows", ONE, 9).samples()
    assert sample.feeds["x"].tolist() == [1, 2]


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "mlc_test_neighbour.py").write_text("VALUE = 5.0\n")
    (tmp_path / "feed.py").write_text(
        "from mlc_test_neighbour import VALUE\ndef rows():\n    yield [[VALUE, VALUE]]\n"
    )
    (sample,) = open_function(f"{tmp_path}/feed.py:rows", ONE, 9).samples()
    assert sample.feeds["x"].tolist() == [5, 5]


def test_a_function_may_return_a_list(write: Any) -> None:
    assert len(list(open_function(write("return [np.zeros((3, 2))]"), ONE, 99).samples())) == 3


@pytest.mark.parametrize(
    ("body", "network", "says"),
    [
        ("raise KeyError('no such file')", ONE, "failed: KeyError: 'no such file'"),
        ("raise ValueError('first\\n\\nsecond')", ONE, "failed: ValueError: first"),
        ("raise ValueError", ONE, "failed: ValueError: no message"),
        ("return 5", ONE, "failed: TypeError: 'int' object is not iterable"),
        ("return iter(())", ONE, "yields nothing"),
        ("yield np.zeros((0, 2))", ONE, "yields nothing"),
        ("yield np.zeros((2, 3))", ONE, "is 3, but the network takes 2"),
        ("yield 'hello'", ONE, "failed: TypeError"),
        ("yield [['a', 'b']]", ONE, "is <U1, but the network takes float32"),
        ("yield np.zeros((2, 2)), [0]", ONE, "arrays differ in length"),
        ("yield np.zeros((2, 2)), [0, 7]", ONE, "label 7 is none of the network's 3 classes"),
        ("yield np.zeros((2, 2)), ['a', 'b']", ONE, "the labels are no class indices"),
        ("yield np.zeros((2, 2))", TWO, "yields no right"),
        ("yield {'left': np.zeros((2, 2))}", TWO, "yields no right"),
        ("yield {'left': np.zeros((2, 2)), 'right': np.zeros((1, 3))}", TWO, "differ in length"),
    ],
)
def test_every_failure_names_the_function(body: str, network: Any, says: str, write: Any) -> None:
    with pytest.raises(DataError, match=r"feed\.py:rows") as caught:
        open_function(write(body), network, 99)
    assert says in caught.value.message
    assert "\n" not in str(caught.value)


def test_wrong_samples_later_on_are_told_too(write: Any) -> None:
    data = open_function(write("yield np.zeros((1, 2))\nyield np.zeros((1, 3))"), ONE, 99)
    with pytest.raises(DataError, match="is 3, but the network takes 2"):
        list(data.samples())


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("{folder}/missing.py:rows", "missing.py does not exist"),
        ("{folder}/feed.py:columns", "has no function 'columns'"),
        ("{folder}/feed.py:np", "has no function 'np'"),
        ("mlc_no_such_module:rows", "The module 'mlc_no_such_module' cannot be imported"),
        ("{folder}/broken.py:rows", "failed: SyntaxError"),
    ],
)
def test_what_cannot_be_imported_is_named(
    argument: str, says: str, write: Any, tmp_path: Path
) -> None:
    write("yield np.zeros((1, 2))")
    (tmp_path / "broken.py").write_text("def rows(:\n")
    with pytest.raises(DataError) as caught:
        open_function(argument.format(folder=tmp_path), ONE, 99)
    assert says in caught.value.message


def test_sys_path_is_left_as_it_was(write: Any) -> None:
    import sys

    before = list(sys.path)
    open_function(write("yield np.zeros((1, 2))"), ONE, 9)
    assert sys.path == before
